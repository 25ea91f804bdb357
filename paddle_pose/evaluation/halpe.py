"""Halpe: as COCO, by its own tool's figures of all joints, body, feet, face and hands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paddle_pose.data.layouts import is_official
from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound
from paddle_pose.evaluation.evaluator import DataFiles, Scores, eval_line
from paddle_pose.evaluation.oks_results import oks_sigmas
from paddle_pose.metrics.coco_ap import NAMES
from paddle_pose.metrics.halpe import halpe_ap, names_of, parts_of
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.understood import ASSUMED, Fact


class HalpeEvaluator(CocoEvaluator):
    """The people of a Halpe split, with 136 joints or the first 26, scored part by part."""

    title = "Halpe"
    metric = "Halpe keypoints, fractions, 20 poses an image, sigma 0.015 of face and hands"
    with_boxes = True

    def __init__(
        self, recipe: Recipe, benchmark: Benchmark, files: DataFiles, *, with_images: bool = True
    ) -> None:
        """As CocoEvaluator; Raises UserError for other joints as well."""
        super().__init__(recipe, benchmark, files, with_images=with_images)
        self.score_names = names_of(len(self.skeleton))

    def figures(
        self, results: CocoResults, image_ids: np.ndarray | None, resamples: int, seed: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """The ten figures of each part and their intervals."""
        self.truth.require_somebody(image_ids)
        rows = results.rows()
        if results.boxes is not None:
            boxes = results.boxes.tolist()
            rows = [row | {"bbox": box} for row, box in zip(rows, boxes, strict=True)]
        return halpe_ap(
            self.truth.truth(),
            rows,
            sigmas=oks_sigmas(self.skeleton),
            category_id=self.truth.category.id,
            image_ids=None if image_ids is None else image_ids.tolist(),
            resamples=resamples,
            seed=seed,
        )

    def doubts(self, results: CocoResults) -> tuple[Fact, ...]:
        """Says where boxes look like corners, which are read as the official tool reads them."""
        if results.boxes is None:
            return ()
        count = int(_look_like_corners(results.keypoints[..., :2], results.boxes).sum())
        if 2 * count <= len(results):
            return ()
        text = (
            f"{count:,} of {len(results):,} poses' bbox look like x1, y1, x2, y2, as AlphaPose's "
            "validate_gt writes them; read as x, y, width, height, as the official tool does: AP "
            "and AR stay, APM and APL move"
        )
        return (Fact("corners in bbox", count, text, ASSUMED),)

    def report(self, scores: Scores, found: CocoFound) -> str:
        """What a person reads: the table, and an [EVAL] line of each part."""
        known = is_official(self.recipe.data.dataset, self.split, self.truth.image_count)
        whole = found.image_ids is None and known and self._is_published()
        comparable = whole and found.recipe == self.recipe.name
        published = self.benchmark.published if comparable else {}
        joints = len(self.skeleton)
        table = format_table(scores.values, published, scores.intervals, joints=joints)
        return f"{table}\n{eval_lines(scores.values, joints)}"


def _look_like_corners(joints_xy: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: as a size, the box reaches far beyond the pose that it has as corners."""
    low, high = np.split(boxes, 2, axis=1)
    middle = joints_xy.mean(axis=1)
    around = (low <= middle) & (middle <= high)
    beyond = middle + 2 * np.ptp(joints_xy, axis=1) < low + high
    return (around & (high > low)).all(axis=1) & beyond.any(axis=1)


def format_table(
    values: Mapping[str, float],
    published: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    *,
    joints: int,
) -> str:
    """A line a part with COCO's ten, AP's 95 % interval, and its published value if there is one.

    Where no pose is scored a figure is -1.
    """
    header = f"{f'Halpe-{joints}':<12}" + "".join(f"{name:>8}" for name in NAMES)
    header += f"{'95 % of AP':>18}" if intervals else ""
    lines = [header + (f"{'published':>11}{'difference':>12}" if published else "")]
    for part in parts_of(joints):
        ending = f"_{part}" if part else ""
        line = f"{part or _whole(joints):<12}"
        line += "".join(f"{values[name + ending]:>8.4f}" for name in NAMES)
        if f"AP{ending}" in intervals:
            low, high = intervals[f"AP{ending}"]
            line += f"{low:>9.4f} - {high:>6.4f}"
        elif intervals:
            line += " " * 18
        if f"AP{ending}" in published:
            value = published[f"AP{ending}"]
            line += f"{value:>11.3f}{values[f'AP{ending}'] - value:>+12.5f}"
        lines.append(line)
    return "\n".join(lines)


def eval_lines(values: Mapping[str, float], joints: int) -> str:
    """The [EVAL] line of all joints, and one of each part."""
    lines = []
    for part in parts_of(joints):
        ending = f"_{part}" if part else ""
        line = eval_line({name: values[name + ending] for name in NAMES})
        lines.append(line.replace("[EVAL]", f"[EVAL] {part}:") if part else line)
    return "\n".join(lines)


def _whole(joints: int) -> str:
    return "full body" if joints == 136 else "all 26"
