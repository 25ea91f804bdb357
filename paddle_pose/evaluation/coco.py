"""COCO: poses → rescored, without duplicates → results file, AP table, [EVAL] line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import coco
from paddle_pose.data.coco_category import Category, read_category
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.geometry import UNIT_PX
from paddle_pose.metrics.coco_ap import NAMES, coco_ap, coco_ap_with_intervals
from paddle_pose.poses.coco_results import CocoResults, read_results
from paddle_pose.poses.oks import oks_nms, rescored, soft_oks_nms
from paddle_pose.poses.predictions import replace_file
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import Skeleton, skeleton_named


@dataclass(frozen=True)
class CocoTruth:
    """An annotation file to score against, read once.

    Attributes:
        file: where it is from.
        content: all of it; ``annotations`` is missing in image lists of test sets.
        category: which annotations are people, and their joints.
    """

    file: Path
    content: dict[str, Any]
    category: Category

    @property
    def has_people(self) -> bool:
        """Whether there is anything to score against."""
        return "annotations" in self.content

    @property
    def image_count(self) -> int:
        """Images that are listed."""
        return len(self.content["images"])


def read_truth(
    dataset_root: Path, split: str, *, skeleton_name: str, annotations: Path | None = None
) -> CocoTruth:
    """The truth of a split, from the layout's file or the one named; Raises UserError."""
    file = Path(annotations) if annotations else coco.annotation_file(dataset_root, split)
    content = read_json(file)
    if not isinstance(content, dict) or "images" not in content:
        raise UserError(f"{file}: not a COCO file; expected an object with a list 'images'")
    return CocoTruth(file, content, read_category(content, file, skeleton_name))


def results_name(split: str) -> str:
    """``keypoints_val2017_results.json``: as COCO's server wants the file called."""
    return f"keypoints_{split}_results.json"


def raw_results(keypoints: np.ndarray, table: PersonTable, category_id: int = 1) -> CocoResults:
    """Poses (N, J, 3) of a table's people with their boxes' scores and padded areas."""
    return CocoResults(
        image_ids=table.image_ids[table.image_index],
        keypoints=np.asarray(keypoints, np.float64),
        scores=table.box_score,
        areas=np.prod(table.scale_wh * UNIT_PX, axis=1),
        category_id=category_id,
    )


def finished(results: CocoResults, skeleton: Skeleton, benchmark: Benchmark) -> CocoResults:
    """Results as the benchmark has them: rescored, and without duplicates on an image.

    Images stand in the order of their first pose, poses in the order they were kept, as in the
    reference, whose rule of ties (the earlier of equal scores first) COCO's evaluation follows.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:289 @6f69e46

    Raises:
        UserError: the suppression needs areas and the results have none.
    """
    scores = results.scores
    if benchmark.rescore:
        scores = rescored(
            results.keypoints, results.scores, min_joint_score=benchmark.rescore_threshold
        )
    results = CocoResults(
        results.image_ids, results.keypoints, scores, results.areas, results.category_id
    )
    if not benchmark.oks_nms or not len(results):
        return results
    if not np.isfinite(results.areas).all():
        raise UserError(
            f"benchmark '{benchmark.name}' suppresses duplicates by OKS, which needs each pose's "
            "'area' or 'scale', and the results lack them; score them as they are (no --benchmark)"
        )
    sigmas = np.array(oks_sigmas(skeleton))
    suppress = soft_oks_nms if benchmark.soft_oks_nms else oks_nms
    _, first, image = np.unique(results.image_ids, return_index=True, return_inverse=True)
    by_image = np.split(np.argsort(image, kind="stable"), np.cumsum(np.bincount(image))[:-1])
    kept = []
    for place in np.argsort(first):
        rows = by_image[place]
        poses = (results.keypoints[rows], results.scores[rows], results.areas[rows])
        kept.append(rows[suppress(*poses, sigmas, benchmark.oks_nms)])
    return results.select(np.concatenate(kept))


def oks_sigmas(skeleton: Skeleton) -> tuple[float, ...]:
    """The skeleton's OKS constants; Raises UserError where it has none."""
    if not skeleton.oks_sigmas:
        raise UserError(
            f"skeleton '{skeleton.name}' has no OKS constants, so there is no AP; give the "
            "category a 'sigmas' list and use data.skeleton=from_file"
        )
    return skeleton.oks_sigmas


def score_results(
    results: CocoResults, truth: CocoTruth, *, image_ids: np.ndarray | None = None
) -> dict[str, float]:
    """The ten COCO scores, fractions from 0 to 1; on some images alone if they are named.

    Raises:
        UserError: results of other images or joints than the truth, or a truth without people.
    """
    _require_people(truth)
    return coco_ap(
        truth.content,
        results.rows(),
        sigmas=oks_sigmas(truth.category.skeleton),
        category_id=truth.category.id,
        image_ids=image_ids,
    )


def score_with_intervals(
    results: CocoResults,
    truth: CocoTruth,
    *,
    image_ids: np.ndarray | None = None,
    resamples: int,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """As ``score_results``, and 95 % intervals over images; none without resamples.

    Raises:
        UserError: as score_results.
    """
    if not resamples:
        return score_results(results, truth, image_ids=image_ids), {}
    _require_people(truth)
    return coco_ap_with_intervals(
        truth.content,
        results.rows(),
        sigmas=oks_sigmas(truth.category.skeleton),
        category_id=truth.category.id,
        image_ids=image_ids,
        resamples=resamples,
        seed=seed,
    )


def _require_people(truth: CocoTruth) -> None:
    if not truth.has_people:
        raise UserError(f"{truth.file}: lists images only, so there is nothing to score against")


def score_keypoints(
    keypoints: np.ndarray,
    table: PersonTable,
    truth: CocoTruth,
    benchmark: Benchmark,
    *,
    only_its_images: bool = False,
) -> tuple[dict[str, float], CocoResults]:
    """Scores and finished results of the poses (N, J, 3) of a table's people.

    With ``only_its_images`` (a limited table) people on other images are not missed.
    """
    raw = raw_results(keypoints, table, truth.category.id)
    results = finished(raw, skeleton_named(table.skeleton), benchmark)
    images = np.unique(raw.image_ids) if only_its_images else None
    return score_results(results, truth, image_ids=images), results


def read_finished(file: Path, truth: CocoTruth, benchmark: Benchmark | None) -> CocoResults:
    """A COCO results file: as it is, or (with a benchmark) rescored and without duplicates.

    Under a benchmark the file's ``score`` is taken as the box's score.

    Raises:
        UserError: broken file, or another number of joints than the truth.
    """
    results = read_results(file)
    skeleton = truth.category.skeleton
    if results.keypoints.shape[1] != len(skeleton):
        raise UserError(
            f"{file}: {results.keypoints.shape[1]} joints per pose, expected {len(skeleton)} "
            f"('{skeleton.name}')"
        )
    return results if benchmark is None else finished(results, skeleton, benchmark)


def score_coco_file(
    file: Path, truth: CocoTruth, benchmark: Benchmark | None
) -> tuple[dict[str, float], CocoResults]:
    """Scores of a COCO results file, and what ``read_finished`` made of it."""
    results = read_finished(file, truth, benchmark)
    return score_results(results, truth), results


def format_table(
    values: Mapping[str, float],
    published: Mapping[str, float] | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """COCO's scores one per line, with 95 % intervals and published values where there are any."""
    published, intervals = published or {}, intervals or {}
    header = f"{'COCO keypoints':<20}{'score':>9}"
    header += f"{'95 % interval':>19}" if intervals else ""
    lines = [header + (f"{'published':>12}{'difference':>12}" if published else "")]
    for name in NAMES:
        line = f"{name:<20}{values[name]:>9.5f}"
        if name in intervals:
            low, high = intervals[name]
            line += f"{low:>10.4f} -{high:>7.4f}"
        elif intervals:
            line += " " * 19
        if name in published:
            line += f"{published[name]:>12.3f}{values[name] - published[name]:>+12.5f}"
        lines.append(line)
    return "\n".join(lines)


def eval_line(values: Mapping[str, float]) -> str:
    """``[EVAL] AP=… AP50=… …``: keys sorted, values in full, as for MPII."""
    return "[EVAL] " + " ".join(f"{name}={values[name]}" for name in sorted(values))


def write_scores(
    values: Mapping[str, float],
    path: Path,
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    **facts: Any,
) -> None:
    """``scores.json``: values, intervals, and what ``facts`` are known about the run.

    Raises:
        UserError: the file cannot be written.
    """
    content = {
        "values": dict(values),
        "intervals": dict(intervals or {}),
        "protocol": {"metric": "COCO keypoints, fractions, 20 poses an image"},
        **facts,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    replace_file(path, (text + "\n").encode())
