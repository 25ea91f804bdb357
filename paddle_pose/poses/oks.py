"""Object keypoint similarity (OKS), rescoring, and the two ways of suppressing duplicates."""

from __future__ import annotations

import numpy as np


def oks(
    keypoints: np.ndarray,
    truth: np.ndarray,
    sigmas: np.ndarray,
    areas: np.ndarray,
    *,
    used: np.ndarray | None = None,
) -> np.ndarray:
    """Similarity in [0, 1] of poses to a truth, by broadcasting: the mean over joints of a bell.

    The bell of a joint is exp(-d² / (2 · area · (2σ)²)), d the distance in pixels.

    Args:
        keypoints: (..., J, 2 or more) x, y.
        truth: (..., J, 2 or more) x, y.
        sigmas: (J,) COCO's constants; (..., J) where poses have other joints each.
        areas: (...) pixels².
        used: (..., J) bool, joints that count; 0 where none does. All by default.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/nms/nms.py:75 @6f69e46
    """
    offset = np.asarray(keypoints, np.float64)[..., :2] - np.asarray(truth, np.float64)[..., :2]
    variances = (np.asarray(sigmas, np.float64) * 2) ** 2
    areas = np.asarray(areas, np.float64)[..., None] + np.spacing(1)
    bells = np.exp(-(offset**2).sum(-1) / variances / areas / 2)
    if used is None:
        return bells.mean(-1)
    used = np.broadcast_to(used, bells.shape)
    return (bells * used).sum(-1) / np.maximum(used.sum(-1), 1)


def oks_matrix(
    keypoints: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    *,
    min_joint_score: float | None = None,
) -> np.ndarray:
    """(N, N) similarity of N poses (N, J, 3) to one another, by the mean of the two areas.

    Column j asks how pose j suits pose i; with ``min_joint_score`` only joints count that score
    more in pose j. (The reference means both poses, but its ``list(a) and list(b)`` is
    ``list(b)``; so here.)
    """
    keypoints = np.asarray(keypoints, np.float64)
    areas = np.asarray(areas, np.float64)
    used = None if min_joint_score is None else (keypoints[None, :, :, 2] > min_joint_score)
    mean_areas = (areas[:, None] + areas[None, :]) / 2
    return oks(keypoints[None, :], keypoints[:, None], sigmas, mean_areas, used=used)


def rescored(
    keypoints: np.ndarray, box_scores: np.ndarray, *, min_joint_score: float = 0.2
) -> np.ndarray:
    """(N,) box score × mean score of the joints above ``min_joint_score``; 0 where none is.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:328 @6f69e46
    """
    scores = np.asarray(keypoints, np.float64)[:, :, 2]
    used = scores > min_joint_score
    return np.asarray(box_scores) * (scores * used).sum(1) / np.maximum(used.sum(1), 1)


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    threshold: float,
    *,
    min_joint_score: float | None = None,
) -> np.ndarray:
    """Indices kept of one image's poses (N, J, 3), best first: none is nearer than ``threshold``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/nms/nms.py:97 @6f69e46
    """
    similar = oks_matrix(keypoints, areas, sigmas, min_joint_score=min_joint_score) > threshold
    left = np.ones(len(scores), bool)
    kept = []
    for index in np.argsort(scores, kind="stable")[::-1]:
        if left[index]:
            kept.append(index)
            left &= ~similar[index]
    return np.array(kept, np.intp)


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    threshold: float,
    *,
    min_joint_score: float | None = None,
    most: int = 20,
) -> np.ndarray:
    """Indices of at most ``most`` poses of one image, in the order of their decayed scores.

    A chosen pose lowers its neighbours' scores by exp(-oks² / threshold). The decayed scores only
    order and are not written back, as in the reference, so without the cap nothing is left out.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/nms/nms.py:138 @6f69e46
    """
    similarity = oks_matrix(keypoints, areas, sigmas, min_joint_score=min_joint_score)
    order = np.argsort(scores, kind="stable")[::-1]
    left_scores = np.asarray(scores, np.float64)[order]
    kept: list[np.intp] = []
    while order.size and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(best)
        left_scores = left_scores[1:] * np.exp(-(similarity[best, order] ** 2) / threshold)
        again = np.argsort(left_scores, kind="stable")[::-1]
        order, left_scores = order[again], left_scores[again]
    return np.array(kept, np.intp)
