"""Predictions × truth → named scores with intervals: the table, the [EVAL] line, scores.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.errors import UserError
from paddle_pose.metrics import pckh
from paddle_pose.metrics.bootstrap import percentile_intervals, resampled_rates
from paddle_pose.poses.predictions import Predictions, replace_file
from paddle_pose.skeletons import MPII16, Skeleton

THRESHOLDS = (0.5, 0.1, 0.11)

LEVEL = 0.95

THRESHOLD_NOTE = (
    "Mean@0.1 is PCKh at 0.10 of the head size; the tables of HRNet and PaddleDetection print "
    "0.11 under the name Mean@0.1, which is Mean@0.11 here."
)


@dataclass(frozen=True)
class Scores:
    """What one evaluation found.

    Attributes:
        values: score name → per cent (``Mean`` is PCKh@0.5, ``Mean@0.1`` is 0.10).
        intervals: score name → ends of the 95 % bootstrap interval; empty without resamples.
        per_joint: joint name → PCKh@0.5 in per cent, nan where it is never labelled.
        protocol: metric, thresholds and resampling, as plain data.
        counts: people and labelled joints that were scored.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_joint: dict[str, float]
    protocol: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def threshold_name(threshold: float) -> str:
    """``Mean@0.1``, ``Mean@0.11``; ``Mean`` alone for 0.5."""
    return "Mean" if threshold == 0.5 else f"Mean@{threshold:g}"


def published_value(published: Mapping[str, float], name: str) -> float | None:
    """The published value of a score, under whichever way its threshold is spelled (0.1, 0.10)."""
    for key, value in published.items():
        base, at, threshold = key.partition("@")
        if (f"{base}@{float(threshold):g}" if at else key) == name:
            return value
    return None


def score_mpii(
    predictions: Predictions,
    truth: MpiiTruth,
    skeleton: Skeleton = MPII16,
    *,
    resamples: int,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 0,
) -> Scores:
    """PCKh of predictions against the truth of the same rows.

    Args:
        predictions: N people; 1 is added to their coordinates, because MPII's truth is 1-based.
        truth: the same people in the same order.
        skeleton: names, groups and unscored joints.
        resamples: of the bootstrap over people; 0 for no intervals.
        thresholds: for which a mean is given; the groups are always at 0.5.
        seed: of the bootstrap.

    Raises:
        UserError: the counts differ.
    """
    if len(predictions) != len(truth):
        raise UserError(f"{len(predictions)} predictions for {len(truth)} people")
    errors = _errors(predictions.keypoints, truth)
    values, per_joint = _values(errors, truth.visible, skeleton, thresholds)
    intervals = {}
    if resamples:
        intervals = _intervals(errors, truth.visible, skeleton, thresholds, resamples, seed)
    scored = pckh.scored_joints(skeleton)
    return Scores(
        values=values,
        intervals=intervals,
        per_joint=per_joint,
        protocol={
            "metric": "PCKh, error <= threshold * 0.6 * head-box diagonal, in per cent",
            "groups": "at 0.5; plain mean of left and right",
            "means": "over labelled joints, without " + ", ".join(skeleton.unscored),
            "thresholds": list(thresholds),
            "bootstrap": {"resamples": resamples, "level": LEVEL, "seed": seed, "over": "people"},
        },
        counts={
            "people": len(truth),
            "labelled_joints": int((truth.visible > 0).sum()),
            "labelled_joints_scored": int((truth.visible[:, scored] > 0).sum()),
        },
    )


def score_keypoints(
    keypoints: np.ndarray,
    truth: MpiiTruth,
    skeleton: Skeleton = MPII16,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """The values of ``score_mpii`` for (N, J, 2 or 3) key points in 0-based image pixels."""
    return _values(_errors(keypoints, truth), truth.visible, skeleton, thresholds)[0]


def mean_if_other_origin(predictions: Predictions, truth: MpiiTruth, skeleton: Skeleton) -> float:
    """Mean@0.1 if the file's coordinates had the other pixel origin than the one assumed."""
    shift = 1.0 if predictions.file_origin else -1.0
    errors = _errors(predictions.keypoints[:, :, :2] + shift, truth)
    return float(pckh.pckh(errors, truth.visible, skeleton, [0.1]).mean[0])


def eval_line(scores: Scores) -> str:
    """``[EVAL] Ankle=… Elbow=… … Mean=… Mean@0.1=… Mean@0.11=… …``: txyugood/PaddlePose's line.

    Keys are sorted, values in full. Like there, Mean@0.1 is 0.10.
    """
    extra = ("AUC", "Mean16")
    items = [f"{key}={scores.values[key]}" for key in sorted(scores.values) if key not in extra]
    return "[EVAL] " + " ".join(items)


def format_table(scores: Scores, published: Mapping[str, float] | None = None) -> str:
    """Scores one per line: per cent, 95 % interval, and what was published where it was."""
    published = published or {}
    labels = {"Mean": "Mean@0.5", "AUC": "AUC 0-0.5", "Mean16": "Mean@0.5, 16 joints"}
    header = f"{'PCKh':<20}{'%':>9}"
    header += f"{'95 % interval':>19}" if scores.intervals else ""
    shown = {name: published_value(published, name) for name in scores.values}
    with_published = any(value is not None for value in shown.values())
    header += f"{'published':>12}{'difference':>12}" if with_published else ""
    lines = [header]
    for name, value in scores.values.items():
        line = f"{labels.get(name, name):<20}{value:>9.3f}"
        if scores.intervals:
            low, high = scores.intervals[name]
            line += f"{low:>10.2f} -{high:>7.2f}"
        reference = shown[name]
        if reference is not None:
            line += f"{reference:>12.3f}{value - reference:>+12.3f}"
        lines.append(line)
    return "\n".join(lines)


def write_scores(scores: Scores, path: Path, **facts: Any) -> None:
    """``scores.json``: values, intervals, protocol, counts, and ``facts`` about the run.

    Raises:
        UserError: the file cannot be written.
    """
    content = {
        "values": scores.values,
        "intervals": scores.intervals,
        "per_joint": scores.per_joint,
        "protocol": scores.protocol,
        "counts": scores.counts,
        "note": THRESHOLD_NOTE,
        **facts,
    }
    text = json.dumps(_without_nan(content), indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(path, (text + "\n").encode())


def _errors(keypoints: np.ndarray, truth: MpiiTruth) -> np.ndarray:
    # The one place where 0-based predictions meet 1-based truth.
    joints_xy = np.asarray(keypoints, np.float64)[:, :, :2] + 1.0
    return pckh.normalised_errors(joints_xy, truth.joints_xy, truth.head_size_px)


def _values(
    errors: np.ndarray, visible: np.ndarray, skeleton: Skeleton, thresholds: Sequence[float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Score name → per cent, and joint name → per cent at 0.5."""
    thresholds = _with_half(thresholds)
    result = pckh.pckh(errors, visible, skeleton, thresholds)
    values = {name: float(rates[0]) for name, rates in result.groups.items()}
    for threshold, mean in zip(thresholds, result.mean, strict=True):
        values[threshold_name(threshold)] = float(mean)
    values["AUC"] = pckh.auc(errors, visible, skeleton)
    values["Mean16"] = float(result.mean_all[0])
    return values, dict(zip(skeleton.joints, result.per_joint[0].tolist(), strict=True))


def _with_half(thresholds: Sequence[float]) -> list[float]:
    return [0.5, *(threshold for threshold in thresholds if threshold != 0.5)]


def _intervals(
    errors: np.ndarray,
    visible: np.ndarray,
    skeleton: Skeleton,
    thresholds: Sequence[float],
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """An interval for every score of ``_values``, all from the same resamples."""
    thresholds = _with_half(thresholds)
    scored = pckh.scored_joints(skeleton)
    half = pckh.hits(errors, visible, 0.5)
    columns = {threshold_name(t): pckh.hits(errors, visible, t)[:, scored] for t in thresholds}
    within = pckh.count_within(errors, visible, pckh.AUC_THRESHOLDS)
    columns["AUC"] = within[:, scored] / len(pckh.AUC_THRESHOLDS)
    columns["Mean16"] = half
    labelled = (visible > 0).sum(1)
    scored_labelled = (visible[:, scored] > 0).sum(1)
    counts = [labelled if name == "Mean16" else scored_labelled for name in columns]
    hits = np.column_stack([half, *(column.sum(1) for column in columns.values())])
    rates = resampled_rates(hits, np.column_stack([visible > 0, *counts]), resamples, seed)
    by_name = {}
    for name, joints in skeleton.groups.items():
        members = [skeleton.index(joint) for joint in joints]
        members = [member for member in members if (visible[:, member] > 0).any()] or members
        by_name[name] = rates[:, members].mean(1)
    by_name.update(zip(columns, rates[:, len(skeleton) :].T, strict=True))
    ends = percentile_intervals(np.column_stack(list(by_name.values())), LEVEL)
    return {
        name: (float(low), float(high)) for name, (low, high) in zip(by_name, ends, strict=True)
    }


def _without_nan(value: Any) -> Any:
    """Plain data with None in the place of nan, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
