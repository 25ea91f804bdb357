"""Draws a labelled data set of articulated people: something to train on anywhere.

``python -m paddle_pose render --output DIR`` writes ``annot/train.json``,
``annot/valid.json``, ``annot/gt_valid.mat`` and ``images/``, as HRNet's loader and PCKh read them;
with ``--layout coco`` the same pictures with COCO's files; with ``--layout crowd`` pairs of people,
one behind the other, with COCO's files and CrowdPose's joints; with ``--layout scenes`` one to
eight people a picture, crowds and unlabelled people among them, with COCO's files. A score on them
says that the whole chain works; it is not a score on MPII or COCO.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import holding, read_json, write_json
from paddle_pose.limits import LIMITS
from paddle_pose.synthetic import coco_layout, mpii_layout, several
from paddle_pose.synthetic.crowd import OVERLAPS, coco_file, draw_pair
from paddle_pose.synthetic.scene import draw_scene
from paddle_pose.system import ending
from paddle_pose.system.runtime import cpu_facts
from paddle_pose.understood import counted

RENDERER_VERSION = 4
"""Raised with every change that alters the pictures, so that kept data sets are drawn anew."""

TRAIN_PEOPLE, VAL_PEOPLE = 800, 250
LAYOUTS = ("mpii", "coco", "crowd", "scenes")
_CONTENT: dict[str, Callable[..., Any]] = {
    "mpii": mpii_layout.content,
    "coco": coco_layout.content,
    "crowd": coco_file,
    "scenes": several.content,
}
_AS_COCO = ("coco", "scenes")
"""Layouts whose files are named as COCO's."""
_SPLITS = ("train", "valid")
_COCO_SPLITS = ("train2017", "val2017")
_STAMP = "synthetic.json"
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class _Picture:
    """What to draw: everything a worker needs, so that no picture depends on another.

    ``overlap`` is of a pair's boxes; None draws people as MPII has them.
    """

    root: Path
    folder: str
    seed: int
    split: int
    index: int
    people: int
    layout: str
    overlap: float | None = None

    @property
    def name(self) -> str:
        return f"{_SPLITS[self.split]}_{self.index:06d}.jpg"

    def at(self, root: Path) -> Path:
        return root / self.folder / self.name


def write_dataset(
    root: Path,
    *,
    seed: int = 0,
    train_people: int = TRAIN_PEOPLE,
    val_people: int = VAL_PEOPLE,
    layout: str = "mpii",
    first: int | None = None,
    overlaps: tuple[float, float] = OVERLAPS,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write the data set to ``root``, unless the same one is already there.

    The bytes depend on the seed and the numbers of people alone, not on ``workers`` (default: one
    per core). The folder appears complete or not at all; of several processes one draws.

    Args:
        root: the folder.
        seed: of all that is drawn.
        train_people: of the whole set.
        val_people: likewise.
        layout: ``mpii`` or ``coco``, of the same pictures; ``crowd`` of pairs;
            ``scenes`` of one to eight people.
        first: only the pictures of each split's first so many people, as the whole set has them.
        overlaps: ``crowd``: the IoU of each pair's boxes, all between these equally often.
        workers: processes that draw.
        progress: show a bar.

    Raises:
        UserError: ``root`` holds something else, or cannot be written.
    """
    LIMITS["rendered_people"].require(train_people + val_people, "synthetic data")
    LIMITS["seed"].require(seed, "synthetic data")
    if min(train_people, val_people) < 1:
        raise UserError(
            f"synthetic data: {train_people} training and {val_people} validation people; "
            "both must be at least 1"
        )
    if seed < 0:
        raise UserError(f"synthetic data: seed {seed} is negative; use 0 or more")
    root = Path(root).absolute()
    stamp: dict[str, Any] = {
        "renderer_version": RENDERER_VERSION,
        "seed": seed,
        "train_people": train_people,
        "val_people": val_people,
    }
    if layout not in LAYOUTS:
        raise UserError(f"synthetic data: layout '{layout}'{nearest(layout, LAYOUTS)}")
    if layout == "crowd":
        _require_pairs(train_people, val_people, overlaps)
        stamp |= {"overlaps": list(overlaps)}
    stamp |= {"layout": layout} if layout != "mpii" else {}
    stamp |= {"first": first} if first is not None else {}
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{root}: cannot write there ({error.strerror})") from error
    plan = _plan(root, stamp)
    with holding(root.parent):
        if _read_stamp(root) == stamp and _is_whole(root, layout, plan):
            return
        if root.exists() and (foreign := _foreign(root)):
            raise UserError(
                f"{root}: holds other files ({foreign}); name a new folder for the synthetic data"
            )
        _draw_into(root, layout, plan, stamp, workers, progress)


def _draw_into(
    root: Path,
    layout: str,
    plan: Sequence[_Picture],
    stamp: dict,
    workers: int | None,
    progress: bool,
) -> None:
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{root.name}.partial-", dir=root.parent))
    except OSError as error:
        raise UserError(f"{root}: cannot write there ({error.strerror})") from error
    if progress:
        print(f"=> {root}: drawing {counted(len(plan), 'picture')} of people", flush=True)
    try:
        moved = [replace(picture, root=partial) for picture in plan]
        _write_into(partial, layout, moved, workers, progress)
        write_json(partial / _STAMP, stamp)
        partial.chmod(0o755)  # mkdtemp's folders are closed to others
        _put_in_place(partial, root, stamp)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_pairs(train_people: int, val_people: int, overlaps: tuple[float, float]) -> None:
    """Raises UserError for what cannot be drawn as pairs."""
    if train_people % 2 or val_people % 2:
        raise UserError(
            f"synthetic data: {train_people} training and {val_people} validation people; the "
            "crowd layout draws pairs: both must be even"
        )
    low, high = overlaps
    if not (OVERLAPS[0] <= low <= high <= OVERLAPS[1]):
        raise UserError(
            f"synthetic data: overlap {low:g} to {high:g}; two numbers from {OVERLAPS[0]} to "
            f"{OVERLAPS[1]}, the smaller one first"
        )


def _plan(root: Path, stamp: dict[str, Any]) -> list[_Picture]:
    seed, first, overlaps = stamp["seed"], stamp.get("first"), stamp.get("overlaps")
    pictures = []
    for split, total in enumerate((stamp["train_people"], stamp["val_people"])):
        layout = stamp.get("layout", "mpii")
        folder = f"images/{_COCO_SPLITS[split]}" if layout in _AS_COCO else "images"
        spread = several.people_per_picture if layout == "scenes" else _people_per_picture
        counts, shares = spread(seed, split, total), None
        if overlaps:
            low, high = overlaps
            counts = [2] * (total // 2)
            shares = np.random.default_rng([seed, split]).uniform(low, high, len(counts)).tolist()
        before = 0
        for index, count in enumerate(counts):
            if first is None or before < first:
                overlap = shares[index] if shares else None
                pictures.append(_Picture(root, folder, seed, split, index, count, layout, overlap))
            before += count
    return pictures


def _annotation_files(layout: str) -> list[str]:
    if layout in _AS_COCO:
        return [f"annotations/person_keypoints_{split}.json" for split in _COCO_SPLITS]
    if layout == "crowd":
        return [f"annotations/person_keypoints_{split}.json" for split in _SPLITS]
    return [*(f"annot/{split}.json" for split in _SPLITS), "annot/gt_valid.mat"]


def _is_whole(root: Path, layout: str, plan: Sequence[_Picture]) -> bool:
    """Whether nothing of a set was removed."""
    files = [root / name for name in _annotation_files(layout)]
    return all(file.is_file() for file in (*files, *(picture.at(root) for picture in plan)))


_OWN = re.compile(
    rf"{_STAMP}|annot(/train\.json|/valid\.json|/gt_valid\.mat)?|images(/(train|valid)_\d+\.jpg)?"
    r"|annotations(/person_keypoints_(train|valid|train2017|val2017)\.json)?"
    r"|images/(train|val)2017(/(train|valid)_\d+\.jpg)?"
)


def _foreign(root: Path) -> str:
    """The first thing in a folder that is not of a rendered set, or what is there instead."""
    if not root.is_dir():
        return root.name
    inside = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    if _read_stamp(root) is None:
        return inside[0] if inside else ""
    return next((name for name in inside if not _OWN.fullmatch(name)), "")


def _read_stamp(root: Path) -> dict | None:
    """The parameters of a complete set; None where there is none."""
    try:
        stamp = read_json(root / _STAMP)
    except UserError:
        return None
    return stamp if isinstance(stamp, dict) else None


def _put_in_place(partial: Path, root: Path, stamp: dict) -> None:
    """Rename over an empty folder or an older set; if another process was sooner, its set stays."""
    if (earlier := _read_stamp(root)) is not None:
        print(f"=> {root}: replacing the set of seed {earlier.get('seed')}", flush=True)
        old = partial / "replaced"
        os.replace(root, old)
        try:
            os.replace(partial, root)
        finally:
            for folder in (root / "replaced", old):
                shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        os.replace(partial, root)
    except OSError:
        if _read_stamp(root) != stamp:
            raise


def _write_into(
    folder: Path, layout: str, pictures: Sequence[_Picture], workers: int | None, progress: bool
) -> None:
    for name in dict.fromkeys(picture.folder for picture in pictures):
        (folder / name).mkdir(parents=True)
    (folder / _annotation_files(layout)[0]).parent.mkdir()
    with contextlib.closing(_drawn(pictures, workers or cpu_facts()[2])) as drawn:
        shown = tqdm(
            drawn, "drawing people", len(pictures), disable=None if progress else True, unit="image"
        )
        done = list(zip(pictures, shown, strict=True))
    for split, name in enumerate(_annotation_files(layout)[: len(_SPLITS)]):
        of_split = [(picture.name, *found) for picture, found in done if picture.split == split]
        content = _CONTENT[layout](*map(list, zip(*of_split, strict=True)))
        text = json.dumps(content, separators=(",", ":"))
        (folder / name).write_text(text, encoding="utf-8")
    if layout == "mpii":
        labels = [one for picture, (_, people) in done if picture.split for one in people]
        (folder / "annot" / "gt_valid.mat").write_bytes(mpii_layout.evaluation_mat(labels))


def _people_per_picture(seed: int, split: int, total: int) -> list[int]:
    """One to three people per picture, ``total`` together."""
    rng = np.random.default_rng([seed, split])
    counts: list[int] = []
    left = total
    while left > 0:
        counts.append(min(left, int(rng.choice((1, 2, 3), p=(0.74, 0.2, 0.06)))))
        left -= counts[-1]
    return counts


_Drawn = tuple[tuple[int, int], Sequence[Any]]
"""A picture's width and height, and its people."""


def _drawn(pictures: Sequence[_Picture], workers: int) -> Generator[_Drawn, None, None]:
    """Size and labels of each picture, in order, once it is on disk."""
    workers = min(workers, max(1, len(pictures) // 8))
    if workers == 1:
        yield from map(_draw, pictures)
        return
    # Fresh processes: a fork of one that runs Paddle's or OpenCV's threads may hang.
    with ending.held():  # until they ignore Ctrl-C, which is for this process to answer
        pool = multiprocessing.get_context("spawn").Pool(workers, _start)
    with pool:
        yield from pool.imap(_draw, pictures, chunksize=4)


def _start() -> None:
    """For a process of the pool, which the pool ends by SIGTERM."""
    cv2.setNumThreads(1)
    ending.ignore(but=signal.SIGTERM)


def _draw(picture: _Picture) -> _Drawn:
    rng = np.random.default_rng([picture.seed, picture.split, picture.index])
    labels: Sequence[Any]
    if picture.overlap is not None:
        image, labels = draw_pair(rng, picture.overlap)
    elif picture.layout == "scenes":
        image, labels = several.draw_several(rng, picture.people)
    else:
        need_head = _SPLITS[picture.split] == "valid"
        image, labels = draw_scene(rng, picture.people, need_head=need_head)
    path = str(picture.at(picture.root))
    if not cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise UserError(f"{path}: cannot be written; is the disk full?")
    return (image.shape[1], image.shape[0]), labels


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = CommandLine(
        prog="python -m paddle_pose render",
        description=__doc__.splitlines()[0],
        examples=(
            "python -m paddle_pose render --output output/people",
            "python -m paddle_pose render --output output/people --layout coco --train 99 --val 9",
        ),
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="whose files (mpii)")
    add("--seed", metavar="N", type=int, default=0, help="of all that is drawn (0)")
    add("--train", metavar="N", type=int, default=TRAIN_PEOPLE, help="people to train on (800)")
    add("--val", metavar="N", type=int, default=VAL_PEOPLE, help="people to validate on (250)")
    add(
        "--overlap",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="crowd: IoU of the boxes of each pair, all of this range equally often (0.3 0.9)",
    )
    values = parser.parse_args(arguments)
    if values.overlap is not None and values.layout != "crowd":
        parser.error("--overlap: is for --layout crowd")
    write_dataset(
        values.output,
        seed=values.seed,
        train_people=values.train,
        val_people=values.val,
        layout=values.layout,
        overlaps=tuple(values.overlap or OVERLAPS),
    )
    print(f"=> {values.output}: {values.train} + {values.val} drawn people")
