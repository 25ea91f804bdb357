"""PCKh: labelled joints within a fraction of the head size, exactly as HRNet scores MPII.

Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/mpii.py:96 @6f69e46
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.skeletons import Skeleton

AUC_THRESHOLDS = np.arange(51) * 0.01
"""0, 0.01, …, 0.5 as ``np.arange(0, 0.51, 0.01)`` computes them; rows 10, 11 and 50 are exactly
0.1, 0.11 and 0.5."""

PCKH = "PCKh@0.5"
"""The score of a batch that has its own key in metrics.jsonl, ``pckh``."""


@dataclass(frozen=True)
class Pckh:
    """Percentages at T thresholds; nan where no joint is labelled.

    Attributes:
        per_joint: (T, J).
        groups: group name → (T,), the plain mean of its left and right joint's percentages.
        mean: (T,) over all labelled joints but the skeleton's ``unscored``: each joint counts as
            often as it is labelled.
        mean_all: (T,) the same with the unscored joints (the mean of Newell's tables).
        visible_count: (J,) labelled joints.
    """

    per_joint: np.ndarray
    groups: dict[str, np.ndarray]
    mean: np.ndarray
    mean_all: np.ndarray
    visible_count: np.ndarray


def normalised_errors(
    joints_xy: np.ndarray, truth_xy: np.ndarray, head_size_px: np.ndarray
) -> np.ndarray:
    """(N, J) distances in head sizes; both (N, J, 2) arrays have the same pixel origin."""
    x, y = np.moveaxis(joints_xy - truth_xy, -1, 0)
    return np.sqrt(x * x + y * y) / head_size_px[:, None]


def hits(errors: np.ndarray, visible: np.ndarray, threshold: float) -> np.ndarray:
    """(N, J) bool: labelled and at most ``threshold`` head sizes away (``<=``), in float64."""
    # Beside float32 errors NumPy would round the threshold to float32.
    return (np.asarray(errors, np.float64) <= threshold) & (visible > 0)


def scored_joints(skeleton: Skeleton) -> np.ndarray:
    """(J,) bool: joints in the mean; MPII's pelvis and thorax are not."""
    return np.array([joint not in skeleton.unscored for joint in skeleton.joints])


def pckh(
    errors: np.ndarray, visible: np.ndarray, skeleton: Skeleton, thresholds: Sequence[float]
) -> Pckh:
    """Score errors (N, J) in head sizes.

    Where the reference divides by zero (a joint nobody has labelled) and turns every mean into
    nan, the joint is left out here; on MPII and LSPET there is none.
    """
    hit_count, visible_count = _counts(errors, visible, thresholds)
    per_joint = _percent(hit_count, visible_count)
    scored = scored_joints(skeleton)
    groups = {}
    for name, joints in skeleton.groups.items():
        columns = [skeleton.index(joint) for joint in joints]
        columns = [column for column in columns if visible_count[column]] or columns
        groups[name] = np.sum([per_joint[:, column] for column in columns], axis=0) / len(columns)
    return Pckh(
        per_joint=per_joint,
        groups=groups,
        mean=_percent(hit_count[:, scored].sum(1), visible_count[scored].sum()),
        mean_all=_percent(hit_count.sum(1), visible_count.sum()),
        visible_count=visible_count,
    )


def _counts(
    errors: np.ndarray, visible: np.ndarray, thresholds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """(T, J) sums of ``hits`` over people, and (J,) labelled joints."""
    labelled = np.sort(np.where(visible > 0, errors, np.nan).astype(np.float64), axis=0)  # nan last
    hit_count = [column.searchsorted(thresholds, side="right") for column in labelled.T]
    return np.transpose(hit_count), (visible > 0).sum(0)


def auc(errors: np.ndarray, visible: np.ndarray, skeleton: Skeleton) -> float:
    """Mean of ``Pckh.mean`` over the 51 thresholds 0, 0.01, …, 0.5."""
    scored = scored_joints(skeleton)
    within = count_within(errors[:, scored], visible[:, scored], AUC_THRESHOLDS).sum()
    return float(_percent(within / len(AUC_THRESHOLDS), (visible[:, scored] > 0).sum()))


def count_within(errors: np.ndarray, visible: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(N, J) how many of the ascending thresholds each labelled joint is within."""
    first = np.searchsorted(thresholds, np.asarray(errors, np.float64))
    return np.where(visible > 0, len(thresholds) - first, 0)


def _percent(hit_count: np.ndarray, visible_count: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return 100.0 * hit_count / np.asarray(visible_count, np.float64)
