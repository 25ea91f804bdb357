"""Public predictions on MPII's 2,958 validation people: which there are, and what they score.

A file is recognised by its digest, wherever it lies and whatever it is called. Coordinates are
compared with the 1-based truth as they stand in the file, which is what the scripts of their
authors do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import mpii
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.errors import UserError
from paddle_pose.files import sha256
from paddle_pose.metrics import pckh
from paddle_pose.metrics.bootstrap import percentile_intervals, resampled_rates
from paddle_pose.poses import predictions
from paddle_pose.skeletons import MPII16

PEOPLE = 2958
RESAMPLES, SEED, LEVEL = 1000, 0, 0.95
THRESHOLDS = (0.5, 0.1, 0.11)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)
DIGITS = 4
"""Kept in records: one joint more or less moves a mean by 0.0023."""

SCORED = pckh.scored_joints(MPII16)
EVERY = np.ones(len(MPII16), bool)


@dataclass(frozen=True)
class PredictionSet:
    """One public file.

    Attributes:
        name: of its records in ``rescored/``.
        label: whose predictions.
        digest: sha256 of the file.
        source: repository @commit:path.
        pelvis_and_thorax: whether it predicts the two joints that the official mean leaves out.
    """

    name: str
    label: str
    digest: str
    source: str
    pelvis_and_thorax: bool = True

    @property
    def joints(self) -> np.ndarray:
        """(16,) bool: the joints that it predicts."""
        return EVERY if self.pelvis_and_thorax else SCORED


_DEMO = "princeton-vl/pose-hg-demo @2e2e5c4:preds/"
_REFERENCE = "anibali/eval-mpii-pose @938ef9a:preds/reference/"

SETS = (
    PredictionSet(
        "newell_8_stacks",
        "Newell et al., 8 stacks",
        "c513b90d6e1e76fe895cf557c23dc5b264b83621fa30ee64678f3f8c0178a679",
        _DEMO + "valid-ours.h5",
    ),
    PredictionSet(
        "newell_8_stacks_later",
        "Newell et al., 8 stacks, as eval-mpii-pose keeps them",
        "1814e043232b2bae94a4ac4190a46d3273249cdf85993d9dfa98082713bc77f2",
        _REFERENCE + "newell.h5",
    ),
    PredictionSet(
        "newell_example",
        "Newell et al., the demo's example",
        "3aae24303c0f16568db1bb96893f3557b420fe04dafba435f0f92b20d76a3abb",
        _DEMO + "valid-example.h5",
    ),
    PredictionSet(
        "bearpaw_1_stack",
        "bearpaw, 1 stack",
        "bcf03b0dbb80476b41888f0e2209ed026e896616aeafa9befaefeec46a407b30",
        _REFERENCE + "bearpaw-hg_s1_b1.mat",
    ),
    PredictionSet(
        "bearpaw_2_stacks",
        "bearpaw, 2 stacks",
        "e55d253422cbcc9655395519f0ceb8c21f45f829c77b600fc4de708b4116e61e",
        _REFERENCE + "bearpaw-hg_s2_b1.mat",
    ),
    PredictionSet(
        "bearpaw_8_stacks",
        "bearpaw, 8 stacks",
        "5cd3ff9e5a3461d253ebf417daf4bcab8ae6a7f8522d3b04488bc8ab1ec42cc7",
        _REFERENCE + "bearpaw-hg_s8_b1.mat",
    ),
    PredictionSet(
        "tompson",
        "Tompson et al. (CVPR 2015)",
        "9d08419d8c611fe3ffc8d3b25638858cca6a194610eb2152a52769c709c79db1",
        _REFERENCE + "tompson.h5",
        pelvis_and_thorax=False,
    ),
)


def find(folders: Iterable[Path]) -> dict[str, Path]:
    """Set name → file, for those that lie in the folders; Raises UserError for no folder."""
    named = {entry.digest: entry.name for entry in SETS}
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give the one that holds .mat and .h5 files")
        for file in sorted(folder.iterdir()):
            if file.suffix in (".mat", ".h5") and file.is_file():
                name = named.get(sha256(file))
                if name is not None:
                    found.setdefault(name, file)
    return found


def read_joints(file: Path) -> np.ndarray:
    """(2958, 16, 2) positions as they stand in the file; Raises UserError as ``predictions.read``.

    ``tompson.h5`` is the third set, which bearpaw/pytorch-pose ships inside
    ``detections_our_format.mat`` as well.
    """
    found = predictions.read(file, 1, joints=len(MPII16), skeleton=MPII16.name)
    return found.poses.keypoints[:, :, :2] + 1.0


def read_truth(dataset_root: Path) -> MpiiTruth:
    """Truth of the 2,958 people; Raises UserError for other people or a wrong folder."""
    truth = mpii.truth(dataset_root, "valid")
    if len(truth) != PEOPLE:
        raise UserError(f"{dataset_root}: {len(truth)} validation people, MPII has {PEOPLE}")
    return truth


@dataclass(frozen=True)
class Sample:
    """A score and what it is in R resamples of the people, in per cent."""

    value: float
    resampled: np.ndarray

    def interval(self) -> list[float]:
        """Ends of the 95 % interval."""
        return rounded(percentile_intervals(self.resampled[:, None], LEVEL)[0].tolist())


def score(hits: np.ndarray, visible: np.ndarray, *, plain: bool = False) -> Sample:
    """Mean over joints of (N, J) hits, with the resamples that every call shares.

    Args:
        hits: bool, False where not visible.
        visible: bool.
        plain: mean of the joints' percentages, rather than each labelled joint counting once.
    """
    if not plain:
        hits, visible = hits.sum(1, keepdims=True), visible.sum(1, keepdims=True)
    value = (100.0 * hits.sum(0) / visible.sum(0)).mean()
    resampled = resampled_rates(hits, visible, RESAMPLES, SEED).mean(1)
    return Sample(float(value), resampled)


def rounded(value: Any) -> Any:
    """Plain data with floats of DIGITS digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), DIGITS) if isinstance(value, float | np.floating) else value


def record(entry: PredictionSet, joints_xy: np.ndarray, truth: MpiiTruth) -> dict[str, Any]:
    """Scores with intervals, curves, and errors by joint and head size: aggregates alone."""
    errors = pckh.normalised_errors(joints_xy, truth.joints_xy, truth.head_size_px)
    visible = truth.visible > 0
    curve = pckh.pckh(errors, visible, MPII16, pckh.AUC_THRESHOLDS)
    return rounded(
        {
            "label": entry.label,
            "source": entry.source,
            "sha256": entry.digest,
            "people": PEOPLE,
            "protocol": {
                "metric": "PCKh, error <= threshold * 0.6 * head-box diagonal, in per cent",
                "coordinates": "as they stand in the file, against MPII's 1-based truth",
                "intervals": f"{LEVEL:.0%} bootstrap over people, {RESAMPLES} resamples",
            },
            "scores": _scores(errors, visible, entry),
            "curve": {
                "thresholds": pckh.AUC_THRESHOLDS.tolist(),
                "Mean": curve.mean.tolist(),
                **{name: rates.tolist() for name, rates in curve.groups.items()},
            },
            "error_by_joint": {
                name: _distribution(errors[:, members], visible[:, members])
                for name, members in _groups().items()
            },
            "error_by_head_size": _by_head_size(errors, visible, truth.head_size_px),
        }
    )


def _groups() -> dict[str, list[int]]:
    return {
        name: [MPII16.index(joint) for joint in joints] for name, joints in MPII16.groups.items()
    }


def _scores(errors: np.ndarray, visible: np.ndarray, entry: PredictionSet) -> dict[str, Any]:
    """Score name → threshold → value and interval."""
    columns: dict[str, tuple[Sequence[int] | np.ndarray, bool]] = {
        "Mean": (SCORED, False),
        "Mean, plain": (SCORED, True),
        **{name: (members, True) for name, members in _groups().items()},
        **{
            joint: ([column], False)
            for column, joint in enumerate(MPII16.joints)
            if entry.joints[column]
        },
    }
    if entry.pelvis_and_thorax:
        columns |= {"Mean, 16 joints": (EVERY, False), "Mean, 16 joints, plain": (EVERY, True)}
    found: dict[str, Any] = {}
    for name, (members, plain) in columns.items():
        found[name] = {}
        for threshold in THRESHOLDS:
            hits = pckh.hits(errors, visible, threshold)[:, members]
            sample = score(hits, visible[:, members], plain=plain)
            found[name][f"{threshold:g}"] = {"value": sample.value, "interval": sample.interval()}
    return found


def _distribution(errors: np.ndarray, visible: np.ndarray) -> dict[str, Any]:
    labelled = errors[visible]
    values = np.quantile(labelled, QUANTILES)
    return {
        "joints": len(labelled),
        "quantiles_of_error_in_head_sizes": {
            f"{level:g}": float(value) for level, value in zip(QUANTILES, values, strict=True)
        },
    }


def _by_head_size(
    errors: np.ndarray, visible: np.ndarray, head_size_px: np.ndarray
) -> list[dict[str, Any]]:
    """Quarters of the people, from the smallest heads to the largest."""
    order = np.argsort(head_size_px, kind="stable")
    quarters = []
    for people in np.array_split(order, 4):
        seen = visible[people][:, SCORED]
        error = errors[people][:, SCORED]
        px = error * head_size_px[people, None]
        samples = {t: score(pckh.hits(error, seen, t), seen) for t in THRESHOLDS}
        quarters.append(
            {
                "people": len(people),
                "median_head_size_px": round(float(np.median(head_size_px[people]))),
                "scores": {
                    f"{t:g}": {"value": sample.value, "interval": sample.interval()}
                    for t, sample in samples.items()
                },
                "median_error_px": float(np.median(px[seen])),
                **_distribution(error, seen),
            }
        )
    return quarters
