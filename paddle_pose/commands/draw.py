"""Saved predictions on their photos: ``python -m paddle_pose draw``."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paddle_pose import drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.data import coco_file, image_files, image_sizes
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.images import read_image
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.names import require_inside, require_not_read, say_replaced
from paddle_pose.poses import predictions
from paddle_pose.poses.coco_results import is_results_file, read_results
from paddle_pose.skeletons import COCO17, SKELETONS, Skeleton, skeleton_named
from paddle_pose.understood import ASSUMED, Fact, Understood, counted


@dataclass(frozen=True)
class _Saved:
    """Saved poses: N image names and scores, keypoints (N, J, 3), their joints, images' sizes."""

    names: list[str]
    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    sizes_wh: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)


def read_poses(file: Path, images: Path, annotations: Path | None) -> _Saved:
    """Our ``predictions.json``, or COCO results, whose images are found by their ids.

    Raises:
        UserError: unreadable file, unknown joints, or an id without an image.
    """
    is_results, name = is_results_file(file), FROM_FILE
    if not is_results:
        head = read_json(file)
        name = head.get("skeleton", "") if isinstance(head, dict) else ""
    if name == FROM_FILE and annotations is None and not is_results:
        raise UserError(f"{file}: its joints are an annotation file's; name that: --annotations")
    truth = None
    if annotations is not None:
        truth = coco_file.read(annotations, annotations.parent, name or COCO17.name)
    listed = {} if truth is None else truth.images
    sizes_wh = {image.name: image.size_wh for image in listed.values()}
    if not is_results:
        skeleton = skeleton_named(name) if name else COCO17
        found = predictions.read(file, None, joints=len(skeleton), skeleton=skeleton.name)
        if not found.images:
            raise UserError(f"{file}: names no images; draw a predictions.json or COCO results")
        return _Saved(
            list(found.images), found.poses.keypoints, found.poses.scores, skeleton, sizes_wh
        )
    names = {image_id: image.name for image_id, image in listed.items()} or _names_by_id(images)
    results = read_results(file, [{"id": i, "file_name": name} for i, name in names.items()])
    joints = results.keypoints.shape[1]
    if truth is None:
        fitting = [s for s in SKELETONS.values() if len(s) == joints]
        if not fitting:
            raise UserError(f"{file}: {joints} joints; --annotations FILE says what they are")
        skeleton = fitting[0]
        text = (
            f"those of '{skeleton.name}', as they are {joints}, on images by the number that their "
        )
        text += "names end in; --annotations FILE says both"
        Understood((Fact("joints", skeleton.name, text, ASSUMED),)).tell()
    else:
        skeleton = truth.category.skeleton
        truth.understood.tell()
        if joints != len(skeleton):
            raise UserError(f"{file}: {joints} joints, but {annotations} has {len(skeleton)}")
    lacking = [i for i in results.image_ids.tolist() if i not in names]
    if lacking:
        raise UserError(
            f"{file}: no image {lacking[0]:012d} in {images} (nor one whose name ends so); "
            "check --images, or name the images with --annotations"
        )
    used = [names[i] for i in results.image_ids.tolist()]
    return _Saved(used, results.keypoints, results.scores, skeleton, sizes_wh)


def _names_by_id(images: Path) -> dict[int, str]:
    """Image names by the number they end in, as COCO's do (``COCO_val2014_000000000042.jpg``)."""
    if not images.is_dir():
        raise UserError(f"--images {images}: no such folder")
    named = ((re.search(r"(\d{1,18})$", path.stem), path.name) for path in images.iterdir())
    return {int(match[1]): name for match, name in sorted(named, key=str) if match}


def draw_file(
    saved: _Saved,
    images: Path,
    folder: Path,
    *,
    limit: int | None = None,
    min_score: float = 0.2,
    min_pose_score: float = 0.0,
    show_scores: bool = False,
    inputs: Sequence[Path | None] = (),
) -> int:
    """Draw poses image by image into a folder; the number of pictures written.

    Args:
        saved: what ``read_poses`` gave.
        images: folder of the images.
        folder: for the pictures.
        limit: draw the first so many images only.
        min_score: joints below are left out.
        min_pose_score: poses below are left out.
        show_scores: write each joint's score beside it.
        inputs: further files that are read, and must not be written.

    Raises:
        UserError: no pose scores enough, an image cannot be read, or would be written.
    """
    by_image: dict[str, list[int]] = {}
    for row in np.flatnonzero(saved.scores >= min_pose_score):
        by_image.setdefault(saved.names[row], []).append(int(row))
    if not by_image:
        raise UserError(f"no pose scores {min_pose_score:g} or more; lower --min_pose_score")
    chosen = list(by_image.items())[:limit]
    pictures = _pictures(folder, [name for name, _ in chosen])
    absent = image_files.missing(images, [name for name, _ in chosen])
    if absent:
        image_files.find_image(images, absent[0])  # says what is there instead
        raise UserError(f"{images}: no image {absent[0]} ({len(absent)} of {len(chosen)} missing)")
    if os.path.realpath(images) == os.path.realpath(folder):
        raise UserError(f"--save_path {folder}: is the folder of --images; name another one")
    require_not_read(pictures, [*inputs, *_files(images, dict.fromkeys(saved.names))])
    unknown = [name for name, _ in chosen if saved.sizes_wh.get(name) is None]
    headers = (image_sizes.header_of(images, name) for name in unknown)
    if turned := sum(header is not None and header.orientation > 1 for header in headers):
        print(
            f"assumed: {turned} pictures with an EXIF turn are drawn as they are stored; "
            "--annotations FILE says how they were annotated"
        )
    outside = 0
    for (name, rows), picture in zip(chosen, pictures, strict=True):
        image_rgb = read_image(images, name, saved.sizes_wh.get(name))
        inside = saved.keypoints[rows, :, :2] < image_rgb.shape[1::-1]
        inside &= saved.keypoints[rows, :, :2] >= 0
        outside += len(rows) - int(inside.all(2).any(1).sum())
        for row in sorted(rows, key=lambda row: saved.scores[row]):  # the best on top
            image_rgb = drawing.draw_pose(
                image_rgb,
                saved.keypoints[row],
                saved.skeleton,
                min_score=min_score,
                show_scores=show_scores,
            )
        if picture is pictures[0]:
            say_replaced(pictures)
        drawing.write_image(picture, image_rgb)
    if outside:
        print(
            f"=> {outside} of {sum(len(rows) for _, rows in chosen)} poses lie wholly outside "
            f"their images: are those in {images} the ones that they were predicted on?"
        )
    return len(chosen)


def _pictures(folder: Path, names: Sequence[str]) -> list[Path]:
    """A .png for each image, in its own sub-folder; with its whole name where two would be one."""
    plain = [Path(require_inside(name, "--predictions")).with_suffix(".png") for name in names]
    count = Counter(plain)
    return [
        folder / (one if count[one] == 1 else f"{name}.png")
        for one, name in zip(plain, names, strict=True)
    ]


def _files(images: Path, names: Iterable[str]) -> Iterator[Path]:
    """The image files of these names that lie in the folder itself, as they are called there."""
    for name in names:
        with contextlib.suppress(UserError):
            yield image_files.find_image(images, require_inside(name, "--predictions"))


EXAMPLES = (
    "python -m paddle_pose draw --predictions results.json --images photos --save_path drawn",
    "python -m paddle_pose draw --predictions r.json --images val2017 --save_path drawn --limit 20",
)


def main(words: Sequence[str] | None = None) -> None:
    """Saved predictions of either data set as pictures."""
    parser = CommandLine(prog="python -m paddle_pose draw", description=main.__doc__,
        examples=EXAMPLES)  # fmt: skip
    add = parser.add_argument
    add(
        "--predictions",
        metavar="FILE",
        type=Path,
        required=True,
        help="predictions.json, or COCO results",
    )
    add("--images", metavar="DIR", type=Path, required=True, help="folder of the images")
    add("--save_path", metavar="DIR", type=Path, required=True, help="folder for the pictures")
    add("--annotations", metavar="FILE", type=Path, help="COCO file that names images and joints")
    add("--limit", metavar="N", type=int, help="draw the first N images only")
    add("--min_score", metavar="S", type=float, default=0.2, help="joints below are left out (0.2)")
    add(
        "--min_pose_score",
        metavar="S",
        type=float,
        default=0.0,
        help="poses below are left out (0)",
    )
    add("--show_scores", action="store_true", help="write each joint's score beside it")
    arguments = parser.parse_args(words)
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError(f"--limit {arguments.limit}: must be at least 1")
    for name in ("min_score", "min_pose_score"):
        if not math.isfinite(getattr(arguments, name)):
            raise UserError(f"--{name} {getattr(arguments, name)}: must be a finite number")
    if arguments.min_score < 0:
        raise UserError(f"--min_score {arguments.min_score:g}: must be at least 0, which draws all")
    saved = read_poses(arguments.predictions, arguments.images, arguments.annotations)
    count = draw_file(
        saved,
        arguments.images,
        arguments.save_path,
        limit=arguments.limit,
        min_score=arguments.min_score,
        min_pose_score=arguments.min_pose_score,
        show_scores=arguments.show_scores,
        inputs=(arguments.predictions, arguments.annotations),
    )
    print(f"=> {counted(count, 'picture')} in {arguments.save_path}")
    low = int((saved.keypoints[:, :, 2] < arguments.min_score).sum())
    if low:
        print(
            f"=> {low} of {saved.keypoints[:, :, 2].size} joints in the file score below "
            f"--min_score {arguments.min_score:g} and are not drawn"
        )
