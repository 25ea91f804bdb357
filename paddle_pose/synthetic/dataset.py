"""Draws a labelled data set of articulated people: something to train on anywhere.

``python -m paddle_pose render --output DIR`` writes ``annot/train.json``,
``annot/valid.json``, ``annot/gt_valid.mat`` and ``images/``, as HRNet's loader and PCKh read them;
``--layout crowd`` pairs of people, one behind the other, with COCO files in ``annotations/``.
A score on it says that the whole chain works; it is not a score on MPII or COCO.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat
from tqdm import tqdm

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import read_json, write_json
from paddle_pose.limits import LIMITS
from paddle_pose.synthetic.crowd import OVERLAPS, PairLabel, coco_file, draw_pair
from paddle_pose.synthetic.scene import Label, draw_scene
from paddle_pose.system import ending
from paddle_pose.system.runtime import cpu_facts

RENDERER_VERSION = 4
"""Raised with every change that alters the pictures, so that kept data sets are drawn anew."""

TRAIN_PEOPLE, VAL_PEOPLE = 800, 250
LAYOUTS = ("mpii", "crowd")
"""Single people and small groups with MPII's files; or pairs (``crowd``) with COCO's."""

_SPLITS = ("train", "valid")
_STAMP = "synthetic.json"
_JPEG_QUALITY = 92

_MAT_JOINTS = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head",
               "rwri", "relb", "rsho", "lsho", "lelb", "lwri")  # fmt: skip
"""MPII16 as the names in MPII's evaluation file."""


@dataclass(frozen=True)
class _Picture:
    """What to draw: everything a worker needs, so that no picture depends on another.

    ``overlap`` is of a pair's boxes; None draws people as MPII has them.
    """

    images: Path
    seed: int
    split: int
    index: int
    people: int
    overlap: float | None = None

    @property
    def name(self) -> str:
        return f"{_SPLITS[self.split]}_{self.index:06d}.jpg"


def write_dataset(
    root: Path,
    *,
    seed: int = 0,
    train_people: int = TRAIN_PEOPLE,
    val_people: int = VAL_PEOPLE,
    layout: str = "mpii",
    overlaps: tuple[float, float] = OVERLAPS,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write the data set to ``root``, unless the same one is already there.

    The bytes depend on what is drawn alone (seed, people, layout, overlaps), not on ``workers``
    (default: one per core). The folder appears complete or not at all. With the layout ``crowd``
    the IoU of each pair's boxes is one of ``overlaps``, all between its ends equally often.

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
    if layout == "crowd":
        _require_pairs(train_people, val_people, overlaps)
        stamp |= {"layout": layout, "overlaps": list(overlaps)}
    elif layout not in LAYOUTS:
        raise UserError(f"synthetic data: layout '{layout}'{nearest(layout, LAYOUTS)}")
    if _read_stamp(root) == stamp:
        return
    if root.exists() and (foreign := _foreign(root)):
        raise UserError(
            f"{root}: holds other files ({foreign}); name a new folder for the synthetic data"
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{root.name}.partial-", dir=root.parent))
    except OSError as error:
        raise UserError(f"{root}: cannot write there ({error.strerror})") from error
    try:
        pictures = _pictures(partial / "images", stamp)
        _write_into(partial, pictures, layout, workers, progress)
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


_OWN = re.compile(
    rf"{_STAMP}|annot(/train\.json|/valid\.json|/gt_valid\.mat)?|images(/(train|valid)_\d+\.jpg)?"
    r"|annotations(/person_keypoints_(train|valid)\.json)?"
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


def _pictures(images: Path, stamp: dict[str, Any]) -> list[_Picture]:
    """All pictures of a set."""
    seed, pictures = stamp["seed"], []
    for split, total in enumerate((stamp["train_people"], stamp["val_people"])):
        if overlaps := stamp.get("overlaps"):
            low, high = overlaps
            shares = np.random.default_rng([seed, split]).uniform(low, high, total // 2)
            pictures += [
                _Picture(images, seed, split, index, 2, overlap)
                for index, overlap in enumerate(shares.tolist())
            ]
        else:
            counts = _people_per_picture(seed, split, total)
            pictures += [
                _Picture(images, seed, split, index, count) for index, count in enumerate(counts)
            ]
    return pictures


def _write_into(
    folder: Path, pictures: list[_Picture], layout: str, workers: int | None, progress: bool
) -> None:
    (folder / "images").mkdir()
    with contextlib.closing(_drawn(pictures, workers or cpu_facts()[2])) as drawn:
        shown = tqdm(
            drawn, "drawing people", len(pictures), disable=None if progress else True, unit="image"
        )
        labels = list(shown)
    for split, name in enumerate(_SPLITS):
        groups = [
            (picture.name, group)
            for picture, group in zip(pictures, labels, strict=True)
            if picture.split == split
        ]
        if layout == "crowd":
            file = folder / "annotations" / f"person_keypoints_{name}.json"
            write_json(file, coco_file(groups), indent=None)
        else:
            _write_mpii(folder / "annot", name, groups)


def _write_mpii(annot: Path, name: str, groups: list[tuple[str, list[Label]]]) -> None:
    annot.mkdir(exist_ok=True)
    rows = [(picture, label) for picture, group in groups for label in group]
    records = [_record(image, label) for image, label in rows]
    path = annot / f"{name}.json"
    path.write_text(json.dumps(records, separators=(",", ":")), encoding="utf-8")
    if name == "valid":
        mat = _evaluation_mat([label for _, label in rows])
        (annot / "gt_valid.mat").write_bytes(mat)


def _people_per_picture(seed: int, split: int, total: int) -> list[int]:
    """One to three people per picture, ``total`` together."""
    rng = np.random.default_rng([seed, split])
    counts: list[int] = []
    while (left := total - sum(counts)) > 0:
        counts.append(min(left, int(rng.choice((1, 2, 3), p=(0.74, 0.2, 0.06)))))
    return counts


def _drawn(pictures: list[_Picture], workers: int) -> Generator[list[Any], None, None]:
    """The labels of each picture, in order, once it is on disk."""
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


def _draw(picture: _Picture) -> list[Label] | list[PairLabel]:
    rng = np.random.default_rng([picture.seed, picture.split, picture.index])
    labels: list[Label] | list[PairLabel]
    if picture.overlap is None:
        need_head = _SPLITS[picture.split] == "valid"
        image, labels = draw_scene(rng, picture.people, need_head=need_head)
    else:
        image, labels = draw_pair(rng, picture.overlap)
    path = str(picture.images / picture.name)
    if not cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise UserError(f"{path}: cannot be written; is the disk full?")
    return labels


def _record(image: str, label: Label) -> dict:
    """A row of HRNet's MPII JSON; coordinates are 1-based there."""
    joints = np.where(label.inside[:, None], np.round(label.joints_xy + 1, 2), -1.0)
    return {
        "joints_vis": label.inside.astype(int).tolist(),
        "joints": joints.tolist(),
        "image": image,
        "scale": round(label.scale, 6),
        "center": np.round(label.center_xy + 1, 2).tolist(),
    }


def _evaluation_mat(labels: list[Label]) -> bytes:
    """The fields that PCKh's official evaluation reads; missing joints are zeros, as in MPII's."""
    inside = np.array([label.inside for label in labels])
    joints = np.array([np.round(label.joints_xy + 1, 2) for label in labels])
    boxes = np.array([label.head_box_xyxy.reshape(2, 2) + 1 for label in labels])
    buffer = io.BytesIO()
    savemat(
        buffer,
        {
            "dataset_joints": np.array([_MAT_JOINTS], dtype=object),
            "jnt_missing": (~inside).T.astype(np.uint8),
            "pos_gt_src": (joints * inside[..., None]).transpose(1, 2, 0),
            "headboxes_src": boxes.transpose(1, 2, 0),
        },
    )
    header = b"MATLAB 5.0 MAT-file".ljust(116)  # SciPy's holds the date: bytes would differ
    return header + buffer.getvalue()[len(header) :]


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = CommandLine(prog="python -m paddle_pose render", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=TRAIN_PEOPLE, help="people to train on")
    parser.add_argument("--val", type=int, default=VAL_PEOPLE, help="people to validate on")
    parser.add_argument("--layout", choices=LAYOUTS, default="mpii", help="crowd: pairs, COCO form")
    parser.add_argument(
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
