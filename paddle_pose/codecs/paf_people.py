"""Peaks of joints to people: limbs that a part affinity field bears out, then who they belong to.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/inferencer/postprocessor.py:230
@2ec95cb
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paddle_pose.codecs.paf_peaks import Peaks
from paddle_pose.poses.poses import NO_ROW, Poses

POINTS = 10
"""Where a limb's field is read, from end to end."""

ENOUGH_POINTS = 9
"""So many of them must be above the threshold: NVIDIA asks for more than 0.8 of 10."""

ONLY_JOIN = 2
"""The last limbs begin no person. NVIDIA's are eye to ear; in OpenPose's order, whose rule it is,
they would be shoulder to ear."""

LEAST_JOINTS = 4
LEAST_MEAN = 0.4
"""Of a person: so many joints, and so much of the total for each."""

ALL = np.arange(POINTS)
PAIR = np.array([3, 6])
"""Of two points one must be above the threshold, or too few of all are: most pairs end there."""

_AT_ONCE = 1 << 16
"""Pairs that are scored at a time, which bounds memory: arrays of 10 MB."""


class Limbs(NamedTuple):
    """C limbs that were found, limb by limb, the surest first.

    Attributes:
        kinds: (C,) rows of the skeleton's limbs.
        ends: (C, 2) peaks where they start and end.
        scores: (C,) mean of the field along them.
    """

    kinds: np.ndarray
    ends: np.ndarray
    scores: np.ndarray


class Humans(NamedTuple):
    """P people.

    Attributes:
        peaks: (P, J) int64, -1 for joints that were not found.
        totals: (P,) of scores of joints and limbs.
        counts: (P,) joints, as the rule counts them; taking another end counts again.
    """

    peaks: np.ndarray
    totals: np.ndarray
    counts: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(P,) of a pose, below 1."""
        return 1.0 - 1.0 / self.totals


def find_limbs(peaks: Peaks, pafs_HWC: np.ndarray, limbs: np.ndarray, threshold: float) -> Limbs:
    """Pairs of peaks that the fields join; each peak is an end of one limb of a kind at most.

    Args:
        peaks: on the grid of the fields.
        pafs_HWC: float32 of 2L channels: x and y of each limb in turn.
        limbs: (L, 2) joints where they start and end.
        threshold: what the field must have along the limb, at ``ENOUGH_POINTS`` of the points.
    """
    first = np.searchsorted(peaks.joints, np.arange(limbs.max(initial=0) + 2))
    parts = []
    for kind, (start, end) in enumerate(limbs.tolist()):
        starts, ends = np.arange(*first[start : start + 2]), np.arange(*first[end : end + 2])
        pairs = np.stack([np.tile(starts, len(ends)), np.repeat(ends, len(starts))], 1)
        parts.append(np.insert(pairs, 0, kind, axis=1))
    every = np.concatenate(parts)
    chunks = [every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE)]
    likely = [(_along(part, peaks.xy, pafs_HWC, PAIR) > threshold).any(1) for part in chunks]
    found = every[np.concatenate([np.empty(0, bool), *likely])]
    chunks = [found[at : at + _AT_ONCE] for at in range(0, len(found), _AT_ONCE)]
    sure = [_mean(_along(part, peaks.xy, pafs_HWC, ALL), threshold) for part in chunks]
    scores = np.concatenate([np.empty(0), *sure])
    joined = np.flatnonzero(scores > 0)
    joined = joined[np.lexsort((-scores[joined], found[joined, 0]))]
    taken: set[tuple[int, int, int]] = set()
    chosen = []
    for row, (kind, start, end) in zip(joined.tolist(), found[joined].tolist(), strict=True):
        if not taken.isdisjoint(both := ((kind, 0, start), (kind, 1, end))):
            continue
        taken.update(both)
        chosen.append(row)
    return Limbs(found[chosen, 0], found[chosen, 1:], scores[chosen])


def _along(
    pairs: np.ndarray, xy: np.ndarray, pafs_HWC: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """(C, K) the field along pairs (C, 3) of kind, start and end, at some of the points.

    A point between cells is on the nearest one (of two, the even one).
    """
    width, channels = pafs_HWC.shape[1:]
    origin = xy[pairs[:, 1]].astype(np.float64)
    way = xy[pairs[:, 2]] - origin
    step = 1 / (POINTS - 1) * way
    at = (step[:, None] * points[None, :, None] + origin[:, None]).round().astype(np.int64)
    first = (at[..., 1] * width + at[..., 0]) * channels + 2 * pairs[:, :1]
    unit = way / (np.sqrt((way**2).sum(1, keepdims=True)) + 1e-6)
    flat = pafs_HWC.reshape(-1)
    return flat[first] * unit[:, :1] + flat[first + 1] * unit[:, 1:]


def _mean(along: np.ndarray, threshold: float) -> np.ndarray:
    """(C,) of what is above the threshold; 0 where too little is."""
    counted = along > threshold
    count = counted.sum(1)
    return np.where(count >= ENOUGH_POINTS, (along * counted).sum(1) / (count + 1e-6), 0.0)


def assemble(peaks: Peaks, found: Limbs, limbs: np.ndarray, joints: int) -> Humans:
    """People whose limbs share joints, in the order they began, less those with little to them.

    A limb that shares an end with one person gives that one its other end; with two of no joint in
    common, it makes them one; with two others, it goes to the first; with nobody, it begins a
    person (``ONLY_JOIN``). What three share is left out.

    Args:
        peaks: all of them.
        found: as ``find_limbs`` gives them.
        limbs: (L, 2) joints where they start and end.
        joints: J.
    """
    people: list[list[int]] = []
    totals: list[float] = []
    counts: list[int] = []
    peak_scores = [float(score) for score in peaks.scores]
    rows = zip(found.kinds.tolist(), found.ends.tolist(), found.scores.tolist(), strict=True)
    joined: list[list[int]] = limbs.tolist()
    for kind, (a, b), score in rows:
        start, end = joined[kind]
        sharing = [i for i, one in enumerate(people) if one[start] == a or one[end] == b]
        if not sharing and kind < len(joined) - ONLY_JOIN:
            row = [-1] * joints
            row[start], row[end] = a, b
            people.append(row)
            totals.append(peak_scores[a] + peak_scores[b] + score)
            counts.append(2)
        elif len(sharing) == 2 and _disjoint(*(people[i] for i in sharing)):
            first, other = sharing
            people[first] = [max(pair) for pair in zip(people[first], people[other], strict=True)]
            totals[first] += totals[other] + score
            counts[first] += counts[other]
            del people[other], totals[other], counts[other]
        elif len(sharing) == 2 or (len(sharing) == 1 and people[sharing[0]][end] != b):
            first = sharing[0]
            people[first][end] = b
            totals[first] += peak_scores[b] + score
            counts[first] += 1
    whole = Humans(
        np.array(people, np.int64).reshape(-1, joints),
        np.array(totals, float),
        np.array(counts, int),
    )
    enough = (whole.counts >= LEAST_JOINTS) & (whole.totals / whole.counts >= LEAST_MEAN)
    return Humans(*(column[enough] for column in whole))


def _disjoint(one: list[int], other: list[int]) -> bool:
    return not any(a >= 0 and b >= 0 for a, b in zip(one, other, strict=True))


def poses_of(
    peaks: Peaks, people: Humans, peaks_xy: np.ndarray, scores: np.ndarray, image_id: int
) -> Poses:
    """People as poses, each with the box around its joints.

    Args:
        peaks: that they are made of.
        people: of one picture.
        peaks_xy: (N, 2) float, where the peaks lie in it.
        scores: (P,) of the poses.
        image_id: the picture's.
    """
    count, joints = people.peaks.shape
    seen = people.peaks >= 0
    keypoints = np.zeros((count, joints, 3))
    keypoints[seen, :2] = peaks_xy[people.peaks[seen]]
    keypoints[seen, 2] = peaks.scores[people.peaks[seen]]
    low, high = (
        bound(np.where(seen[..., None], keypoints[..., :2], beyond), axis=1)
        for bound, beyond in ((np.min, np.inf), (np.max, -np.inf))
    )
    return Poses(
        image_ids=np.full(count, image_id, np.int64),
        keypoints=keypoints,
        scores=scores,
        boxes_xywh=np.concatenate([low, np.maximum(high - low, 1.0)], 1),
        rows=np.full(count, NO_ROW, np.int64),
        instances=np.zeros(count, np.int64),
    )
