"""MPII: people and truth → PCKh with intervals, the table, the [EVAL] line, pred.mat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import mpii
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import (
    ANYTHING,
    Asked,
    DataFiles,
    Scores,
    TableEvaluator,
    eval_line,
)
from paddle_pose.files import sha256
from paddle_pose.metrics import bearpaw, newell, pckh
from paddle_pose.metrics.bootstrap import percentile_intervals, resampled_rates
from paddle_pose.poses import predictions
from paddle_pose.poses.predictions import Predictions
from paddle_pose.poses.protocols import same_protocol
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, PckhProtocol
from paddle_pose.skeletons import MPII16, Skeleton
from paddle_pose.understood import ASSUMED, Fact, Understood

LEVEL = 0.95

MPII_VALID_PEOPLE = 2958
"""Published MPII values are shown beside scores on so many people, and no others."""

THRESHOLD_NOTE = (
    "Mean@0.1 is PCKh at 0.10 of the head size; the tables of HRNet and PaddleDetection print "
    "0.11 under the name Mean@0.1, which is Mean@0.11 here."
)


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


class MpiiEvaluator(TableEvaluator):
    """The people of a split of MPII (or of a data set in its layout), scored by PCKh."""

    def __init__(
        self, recipe: Recipe, benchmark: Benchmark, files: DataFiles, *, with_images: bool = True
    ) -> None:
        """Read the people and their truth; Raises UserError for files that cannot be used."""
        if not isinstance(benchmark.metric, PckhProtocol):
            raise UserError(f"benchmark '{benchmark.name}': MPII is scored by PCKh, not by OKS")
        if recipe.data.skeleton != MPII16.name:
            raise UserError(
                f"data.skeleton: mpii has '{MPII16.name}', not '{recipe.data.skeleton}'"
            )
        if benchmark.boxes != "ground_truth":
            raise UserError(f"benchmark '{benchmark.name}': MPII has no '{benchmark.boxes}' boxes")
        refuse_files(files)
        self.thresholds, self._of_joints = benchmark.metric.thresholds, benchmark.metric.joints
        self.benchmark, self.skeleton, self.split = benchmark, MPII16, recipe.data.val_split
        self.recipe = recipe
        everyone = mpii.load(files.root, self.split, with_truth=False)
        self.people_in_split = len(everyone)
        self._table = everyone.head(recipe.data.limit)
        mpii.describe(self._table)
        if with_images:
            mpii.require_images(self._table)
        self.truth_file = mpii.truth_file(files.root, self.split)
        self.truth, self._told = None, Understood()
        if self.truth_file:
            self.truth = mpii.truth(files.root, self.split).select(self.table.rows)
            scored = self.truth.visible[:, pckh.scored_joints(MPII16)]
            if not scored.any():
                raise UserError(
                    f"{self.truth_file}: there would be a score over nobody: of {len(self.truth)} "
                    "people none has a labelled joint that counts"
                )
            if differs := mpii.disagreement(self.table, self.truth):
                fact = Fact("truth", differs, f"{self.truth_file}: {differs}", ASSUMED)
                self._told = Understood((fact,))
                self._told.tell()
        self._files = (*self.table.files[:1], *([self.truth_file] if self.truth_file else []))
        self._digest = sha256(mpii.annotation_file(files.root, self.split))
        self.score_names = score_names(self.thresholds)

    @property
    def digest(self) -> str:
        """Of the split's annotation file."""
        return self._digest

    @property
    def table(self) -> PersonTable:
        """The people to predict."""
        return self._table

    @property
    def understood(self) -> Understood:
        """Of the people, and of a truth that differs from them."""
        return self.table.understood + self._told

    @property
    def files(self) -> tuple[Path, ...]:
        """The json, and the .mat of the truth where the split has one."""
        return self._files

    def has_truth(self) -> bool:
        """False for the test split."""
        return self.truth is not None

    def no_truth(self) -> str:
        """As ``Evaluator``."""
        return f"split '{self.split}' has no published truth"

    def read(
        self, file: Path, *, asked: Asked = ANYTHING, pixel_origin: int | None = None
    ) -> Predictions:
        """One pose for each of the people, in their order."""
        found = super().read(file, asked=asked, pixel_origin=pixel_origin)
        predictions.require_whole(found, file, len(self.table), self.people_in_split)
        if (found.poses.rows >= self.people_in_split).any():
            raise UserError(
                f"{file}: row {found.poses.rows.max()}, but the annotations have "
                f"{self.people_in_split} people"
            )
        return predictions.one_each(found, file, self.table.rows)

    def score(self, found: Predictions, *, resamples: int = 0, seed: int = 0) -> Scores | None:
        """PCKh; None for the test split."""
        if self.truth is None:
            return None
        keypoints, truth = found.poses.keypoints, self.truth
        scores = score_mpii(
            keypoints, truth, resamples=resamples, thresholds=self.thresholds, seed=seed
        )
        if self._of_joints == 16:
            scores.values["Mean"] = newell.mean_16(truth.errors(keypoints), truth.visible)
            scores.protocol["means"] = "Mean: over all labelled joints, error < 0.5, as Newell"
            if scores.intervals:
                scores.intervals["Mean"] = scores.intervals["Mean16"]
        if isinstance(self.benchmark.metric, bearpaw.PlainPckh):
            make_plain(scores, truth.errors(keypoints), truth.visible, resamples, seed)
        return scores

    def comparable(self, found: Predictions) -> bool:
        """Whether published values may stand beside these scores."""
        if found.recipe != self.recipe.name or found.benchmark is None:
            return False
        whole = self.split in ("valid", "val") and len(self.table) == MPII_VALID_PEOPLE
        return whole and same_protocol(found.benchmark, self.benchmark.protocol()) is None

    def report(self, scores: Scores, found: Predictions) -> str:
        """What a person reads: the table, the note on thresholds, the [EVAL] line."""
        published = self.benchmark.published if self.comparable(found) else None
        lines = [
            _origin(found),
            format_table(scores, published),
            THRESHOLD_NOTE,
        ]
        if not found.origin_stated and self.truth is not None:
            other = mean_if_other_origin(found, self.truth, self.skeleton)
            lines.append(f"=> read as {1 - found.file_origin}-based, Mean@0.1 would be {other:.3f}")
        return "\n".join([*lines, eval_line(scores.values, without=("AUC", "Mean16"))])

    def write_files(self, folder: Path, found: Predictions) -> str:
        """``pred.mat``, as HRNet writes it; returns its path for a message."""
        if self.truth is None:
            print(_origin(found))
        predictions.write_mat(found, folder / "pred.mat")
        return f"{folder / 'pred.mat'}"

    def facts(self, found: Predictions, file: Path) -> dict[str, Any]:
        """What ``scores.json`` says besides the scores."""
        return super().facts(found, file) | {
            "note": THRESHOLD_NOTE,
            "split": self.split,
            "pixel_origin": {"file": found.file_origin, "stated": found.origin_stated},
        }


def _origin(found: Predictions) -> str:
    begin, end = ("=>", "") if found.origin_stated else ("assumed:", "; --pixel_origin says it")
    return f"{begin} {len(found)} people, {found.file_origin}-based coordinates{end}"


def refuse_files(files: DataFiles) -> None:
    """Raises UserError for files that only COCO has."""
    for name in ("annotations", "boxes"):
        if getattr(files, name) is not None:
            raise UserError(f"--{name}: is for COCO; MPII's files are found by their names")


def score_names(thresholds: Sequence[float]) -> tuple[str, ...]:
    """Names of the scores of ``score_mpii``, in their order."""
    means = (threshold_name(threshold) for threshold in _with_half(thresholds))
    return (*MPII16.groups, *means, "AUC", "Mean16")


def score_mpii(
    keypoints: np.ndarray,
    truth: MpiiTruth,
    skeleton: Skeleton = MPII16,
    *,
    resamples: int = 0,
    thresholds: Sequence[float] = PckhProtocol.thresholds,
    seed: int = 0,
) -> Scores:
    """PCKh of key points against the truth of the same people.

    Args:
        keypoints: (N, J, 2 or 3) image pixels, 0-based.
        truth: the same N people in the same order.
        skeleton: names, groups and unscored joints.
        resamples: of the bootstrap over people; 0 for no intervals.
        thresholds: for which a mean is given; the groups are always at 0.5.
        seed: of the bootstrap.

    Raises:
        UserError: the counts differ.
    """
    if len(keypoints) != len(truth):
        raise UserError(f"{len(keypoints)} predictions for {len(truth)} people")
    errors = truth.errors(keypoints)
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


def make_plain(
    scores: Scores, errors: np.ndarray, visible: np.ndarray, resamples: int, seed: int
) -> None:
    """Put bearpaw's mean, and its interval, in the place of ``Mean``."""
    scored = pckh.scored_joints(MPII16)
    scores.values["Mean"] = bearpaw.plain_mean(errors, visible, scored)
    scores.protocol["means"] = "Mean: plain, of the joints' percentages, error < 0.5"
    if scores.intervals:
        known = scored & (visible > 0).any(0)
        labelled = visible[:, known] > 0
        hits = labelled & (errors[:, known] < 0.5)
        means = resampled_rates(hits, labelled, resamples, seed).mean(1)
        low, high = percentile_intervals(means[:, None], LEVEL)[0]
        scores.intervals["Mean"] = float(low), float(high)


def mean_if_other_origin(found: Predictions, truth: MpiiTruth, skeleton: Skeleton) -> float:
    """Mean@0.1 if the file's coordinates had the other pixel origin than the one assumed."""
    shift = 1.0 if found.file_origin else -1.0
    errors = truth.errors(found.poses.keypoints[:, :, :2] + shift)
    return float(pckh.pckh(errors, truth.visible, skeleton, [0.1]).mean[0])


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
