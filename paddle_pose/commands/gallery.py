"""Crop, truth and prediction side by side, by error: ``python -m paddle_pose gallery``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from paddle_pose import drawing, geometry
from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.data.images import read_image
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.files import sha256
from paddle_pose.metrics.pckh import scored_joints
from paddle_pose.names import require_not_read, require_plain, say_replaced
from paddle_pose.poses import predictions
from paddle_pose.skeletons import MPII16, Skeleton, skeleton_named

PANEL_PX = 224
MOST_PEOPLE = 1000
"""Their panels together are a picture of 450 MB, in memory."""


@dataclass(frozen=True)
class Panel:
    """One person cut out: (H, W, 3) uint8, and (J, 3) truth and prediction in its pixels."""

    image_rgb: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def panel(
    table: PersonTable, position: int, keypoints: np.ndarray, size_wh: tuple[int, int]
) -> Panel:
    """The crop that the network saw, at another size; ``keypoints`` (J, 3) in image pixels."""
    person = table[position]
    annotated_wh = table.size_wh(table.image_index[position])
    image = read_image(table.image_root, person.image, annotated_wh)
    matrix = geometry.crop_matrix(person.center_xy, person.scale_wh, 0.0, size_wh)
    crop = cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_AREA)
    truth_xy = geometry.transform_points(person.joints_xy, matrix)
    predicted_xy = geometry.transform_points(keypoints[:, :2], matrix)
    # Joints that the data set does not label cannot be right or wrong: they are not drawn.
    labelled = (person.visible > 0).astype(float)
    return Panel(crop, *(np.column_stack([xy, labelled]) for xy in (truth_xy, predicted_xy)))


def pckh_by_person(keypoints: np.ndarray, truth: mpii.MpiiTruth, skeleton: Skeleton) -> np.ndarray:
    """(N,) PCKh@0.5 in percent of each person over the scored joints; nan without any."""
    errors = truth.errors(keypoints)
    seen = (truth.visible > 0) & scored_joints(skeleton)
    hits = ((errors <= 0.5) & seen).sum(1)
    return np.where(seen.any(1), 100.0 * hits / np.maximum(seen.sum(1), 1), np.nan)


def spread(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of ``count`` people from the best to the worst, evenly spaced in rank."""
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[ranks]


def write_grid(
    table: PersonTable,
    truth: mpii.MpiiTruth,
    keypoints: np.ndarray,
    output: Path,
    *,
    people: int = 12,
    across: int = 2,
) -> None:
    """A picture of image | truth | prediction, best person first and worst last."""
    skeleton = skeleton_named(table.skeleton)
    values = pckh_by_person(keypoints, truth, skeleton)
    cells: list[np.ndarray] = []
    words: list[str] = []
    for position in spread(values, people):
        one = panel(table, int(position), keypoints[position], (PANEL_PX, PANEL_PX))
        cells += [
            one.image_rgb,
            drawing.draw_pose(one.image_rgb, one.truth, skeleton, min_score=0.5),
            drawing.draw_pose(one.image_rgb, one.prediction, skeleton, min_score=0.5),
        ]
        words += ["image", "truth", f"prediction, PCKh {values[position]:.0f}"]
    say_replaced([output])
    drawing.write_image(output, drawing.grid(cells, 3 * across, words))


EXAMPLES = (
    "python -m paddle_pose gallery --predictions predictions.json --dataset_root data/mpii",
    "python -m paddle_pose gallery --predictions p.h5 --pixel_origin 1 --dataset_root data/mpii",
)


def main(words: Sequence[str] | None = None) -> None:
    """Draw people of a saved prediction file, best to worst."""
    parser = CommandLine(prog="python -m paddle_pose gallery", description=main.__doc__,
        examples=EXAMPLES)  # fmt: skip
    add = parser.add_argument
    add("--predictions", metavar="FILE", type=Path, required=True, help="predictions.json")
    add("--dataset_root", metavar="DIR", type=Path, required=True, help="in MPII's layout")
    add("--split", default="valid", help="that was predicted (valid)")
    add("--pixel_origin", type=int, choices=(0, 1), help="of the coordinates in --predictions")
    add("--output", metavar="FILE", type=Path, default=Path("predictions.png"), help="picture")
    add("--people", metavar="N", type=int, default=12, help="to draw (12)")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.people <= MOST_PEOPLE:
        raise UserError(f"--people {arguments.people}: must be from 1 to {MOST_PEOPLE}")
    require_plain(arguments.split, "--split")
    root, split, file = arguments.dataset_root, arguments.split, arguments.predictions
    table = mpii.load(root, split)
    found = predictions.read(file, arguments.pixel_origin, joints=len(MPII16), skeleton=MPII16.name)
    digest = sha256(mpii.annotation_file(root, split))
    predictions.require_made_for(found, file, annotation_sha256=digest)
    # A foreign file holds the whole split.
    rows = found.poses.rows if found.recipe else table.rows
    predictions.require_whole(found, file, len(table), len(table))
    found = predictions.one_each(found, file, rows)
    truth, table = mpii.truth(root, split).select(rows), table.select(rows)
    mpii.require_images(table)
    output = arguments.output
    images = (table.image_root / name for name in table.image_names)
    in_the_way = output if output.exists() and output.parent.samefile(table.image_root) else None
    require_not_read([output], [file, *table.files, in_the_way, *images])
    write_grid(table, truth, found.poses.keypoints, arguments.output, people=arguments.people)
    print(f"=> {arguments.output}")
