"""Saved predictions on their photos: ``python -m paddle_pose draw``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paddle_pose import drawing
from paddle_pose.data import coco_file, image_sizes
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.images import read_image
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.poses import predictions
from paddle_pose.poses.coco_results import is_results_file, read_results
from paddle_pose.skeletons import COCO17, SKELETONS, Skeleton, skeleton_named


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
    results = read_results(file)
    joints = results.keypoints.shape[1]
    if truth is None:
        fitting = [s for s in SKELETONS.values() if len(s) == joints]
        if not fitting:
            raise UserError(f"{file}: {joints} joints; --annotations FILE says what they are")
        skeleton, names = fitting[0], _names_by_id(images)
    else:
        skeleton = truth.category.skeleton
        names = {image_id: image.name for image_id, image in listed.items()}
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

    Raises:
        UserError: no pose scores enough, or an image cannot be read.
    """
    by_image: dict[str, list[int]] = {}
    for row in np.flatnonzero(saved.scores >= min_pose_score):
        by_image.setdefault(saved.names[row], []).append(int(row))
    if not by_image:
        raise UserError(f"no pose scores {min_pose_score:g} or more; lower --min_pose_score")
    chosen = list(by_image.items())[:limit]
    unknown = [name for name, _ in chosen if saved.sizes_wh.get(name) is None]
    headers = (image_sizes.header_of(images, name) for name in unknown)
    if turned := sum(header is not None and header.orientation > 1 for header in headers):
        print(
            f"assumed: {turned} pictures with an EXIF turn are drawn as they are stored; "
            "--annotations FILE says how they were annotated"
        )
    for name, rows in chosen:
        image_rgb = read_image(images, name, saved.sizes_wh.get(name))
        for row in sorted(rows, key=lambda row: saved.scores[row]):  # the best on top
            image_rgb = drawing.draw_pose(
                image_rgb,
                saved.keypoints[row],
                saved.skeleton,
                min_score=min_score,
                show_scores=show_scores,
            )
        drawing.write_image(folder / f"{Path(name).with_suffix('')}.png", image_rgb)
    return len(chosen)


def main(words: Sequence[str] | None = None) -> None:
    """``python -m paddle_pose draw``: saved predictions of either data set as pictures."""
    parser = argparse.ArgumentParser(prog="python -m paddle_pose draw", description=main.__doc__)
    add = parser.add_argument
    add("--predictions", type=Path, required=True, help="predictions.json, or COCO results")
    add("--images", type=Path, required=True, help="folder of the images")
    add("--save_path", type=Path, required=True, help="folder for the pictures")
    add("--annotations", type=Path, help="COCO file that names images and joints")
    add("--limit", type=int, help="draw the first N images only")
    add("--min_score", type=float, default=0.2, help="joints below are left out (0.2)")
    add("--min_pose_score", type=float, default=0.0, help="poses below are left out (0)")
    add("--show_scores", action="store_true", help="write each joint's score beside it")
    arguments = parser.parse_args(words)
    if arguments.limit is not None and arguments.limit < 1:
        raise UserError(f"--limit {arguments.limit}: must be at least 1")
    saved = read_poses(arguments.predictions, arguments.images, arguments.annotations)
    count = draw_file(
        saved,
        arguments.images,
        arguments.save_path,
        limit=arguments.limit,
        min_score=arguments.min_score,
        min_pose_score=arguments.min_pose_score,
        show_scores=arguments.show_scores,
    )
    print(f"=> {count} pictures in {arguments.save_path}")
    low = int((saved.keypoints[:, :, 2] < arguments.min_score).sum())
    if low:
        print(
            f"=> {low} of {saved.keypoints[:, :, 2].size} joints in the file score below "
            f"--min_score {arguments.min_score:g} and are not drawn"
        )
