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

CELLS = 4096
"""Of the grid that errors are sorted into; a power of two, so that no product is rounded."""


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
    squares = joints_xy - truth_xy
    squares *= squares  # in place, and without linalg.norm, whose bits these are: sooner
    return np.sqrt(squares[..., 0] + squares[..., 1]) / head_size_px[:, None]


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
        groups[name] = sum(per_joint[:, column] for column in columns) / len(columns)
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
    """(T, J) sums of ``hits`` over people, and (J,) labelled joints.

    Each error is compared once: joints are tallied by the lowest threshold that they are within.
    """
    levels = np.asarray(thresholds, np.float64)
    order = np.argsort(levels)
    kinds, joints = len(levels) + 2, errors.shape[1]  # also: beyond all thresholds; not labelled
    kind = _first_within(errors, levels[order])
    kind[~(visible > 0)] = kinds - 1
    kind += kinds * np.arange(joints)
    tally = np.bincount(kind.ravel(), minlength=kinds * joints).reshape(joints, kinds)
    within = tally[:, :-1].cumsum(axis=1).T
    hit_count = np.empty_like(within[:-1])
    hit_count[order] = within[:-1]
    return hit_count, within[-1]


def _first_within(errors: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """``np.searchsorted(levels, errors)``, levels ascending, errors >= 0 or nan; much faster.

    The cells of a fine grid say it for all errors but those that share a cell with a level.
    """
    errors = np.asarray(errors, np.float64)
    held = np.bincount(_cells(np.maximum(levels, 0)), minlength=CELLS + 1)
    before = np.where(held, -1, np.cumsum(held))
    first = before.take(_cells(errors))
    shared = np.flatnonzero(first < 0)
    first.put(shared, np.searchsorted(levels, errors.take(shared)))
    return first


def _cells(errors: np.ndarray) -> np.ndarray:
    """Cells of a grid from 0 to 1 head size, never falling as errors rise; nan is in the last."""
    return np.fmin(errors * CELLS, CELLS).astype(np.int32)


def auc(errors: np.ndarray, visible: np.ndarray, skeleton: Skeleton) -> float:
    """Mean of ``Pckh.mean`` over the 51 thresholds 0, 0.01, …, 0.5."""
    scored = scored_joints(skeleton)
    within = count_within(errors[:, scored], visible[:, scored], AUC_THRESHOLDS).sum()
    return float(_percent(within / len(AUC_THRESHOLDS), (visible[:, scored] > 0).sum()))


def count_within(errors: np.ndarray, visible: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(N, J) how many of the ascending thresholds each labelled joint is within."""
    return np.where(visible > 0, len(thresholds) - _first_within(errors, thresholds), 0)


def _percent(hit_count: np.ndarray, visible_count: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return 100.0 * hit_count / np.asarray(visible_count, np.float64)
