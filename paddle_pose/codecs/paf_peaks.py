"""Joints of everybody in a picture: the peaks of heat maps, by either of NVIDIA's two rules.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/inferencer/postprocessor.py:108 and
inferencer/utils.py @2ec95cb
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from paddle_pose.errors import UserError, nearest

FINDERS = ("smooth", "gaussian")
"""``smooth`` is what NVIDIA runs after a Keras model, ``gaussian`` after a TensorRT engine."""

_WIDTH = 5
_SIGMA = 3.0

_REACH = _WIDTH // 2 + 1
"""Rows beside a cell that decide whether it is a peak: those of the filter, and a neighbour."""

_AT_ONCE, _LEAST_ROWS = 1 << 18, 2 * _REACH
"""Values that are smoothed at a time (1 MiB), and the fewest rows."""


class Peaks(NamedTuple):
    """N peaks, joint by joint.

    Attributes:
        joints: (N,) int64, ascending.
        xy: (N, 2) int64 cells.
        scores: (N,) float32, of the map as it came.
    """

    joints: np.ndarray
    xy: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:  # not the number of fields
        return len(self.joints)

    def strongest(self, most: int) -> Peaks:
        """At most so many of each joint, those of the highest scores."""
        if len(self) <= most or np.bincount(self.joints).max() <= most:
            return self
        order = np.lexsort((-self.scores, self.joints))
        joints = self.joints[order]
        rank = np.arange(len(self)) - np.searchsorted(joints, joints)
        keep = np.sort(order[rank < most])
        return Peaks(self.joints[keep], self.xy[keep], self.scores[keep])


def find_peaks(maps_HWJ: np.ndarray, threshold: float, finder: str = "smooth") -> Peaks:
    """Where smoothed maps are highest among their neighbours.

    ``smooth``: equal to the highest of 3×3 cells, 0 around the map, and the map itself is above
    ``threshold``; flat parts give a peak a cell. ``gaussian``: not below the 4 neighbours, mirrored
    around the map, and the smoothed map is above ``threshold``.

    Args:
        maps_HWJ: float32, one a joint, no background.
        threshold: see above.
        finder: one of ``FINDERS``.

    Raises:
        UserError: another finder.
    """
    if finder not in FINDERS:
        raise UserError(f"codec.peaks: unknown '{finder}'{nearest(finder, FINDERS)}")
    maps = np.ascontiguousarray(maps_HWJ, np.float32)
    height, width, count = maps.shape
    rows = max(_LEAST_ROWS, _AT_ONCE // max(width * count, 1))
    parts = [_in_rows(maps, top, top + rows, threshold, finder) for top in range(0, height, rows)]
    at = np.concatenate([np.empty(0, np.int64), *parts])
    cells, joints = np.divmod(at, count)
    order = np.argsort(joints, kind="stable")
    ys, xs = np.divmod(cells[order], width)
    return Peaks(joints[order], np.stack([xs, ys], 1), maps.ravel()[at[order]])


def _in_rows(maps: np.ndarray, top: int, bottom: int, threshold: float, finder: str) -> np.ndarray:
    """(N,) places of peaks in the flat maps, of the rows from ``top`` to before ``bottom``.

    A few rows at a time: what is smoothed and compared then stays in the cache.
    """
    import cv2  # which scoring alone needs not

    smooth = finder == "smooth"
    part = maps[max(top - _REACH, 0) : bottom + _REACH]
    if smooth:
        filtered = cv2.sepFilter2D(part, -1, _SLICES, _SLICES, borderType=cv2.BORDER_CONSTANT)
    else:
        filtered = cv2.GaussianBlur(part, (_WIDTH, _WIDTH), _SIGMA)
    shape = cv2.MORPH_RECT if smooth else cv2.MORPH_CROSS
    # Only the inner rows are right, and one more on either side, which the highest ones ask for.
    highest = cv2.dilate(filtered, cv2.getStructuringElement(shape, (3, 3)))
    own = maps[top:bottom]
    inner = slice(top - max(top - _REACH, 0), None)
    filtered, highest = (one.reshape(part.shape)[inner][: len(own)] for one in (filtered, highest))
    found = filtered == highest
    found &= own > threshold if smooth else filtered > max(threshold, 0.0)
    return np.flatnonzero(found) + top * maps[0].size


def _slices() -> np.ndarray:
    """Square roots of the areas under five slices of a normal curve, of sum 1.

    Far narrower than a Gaussian of the sigma that it is made with.
    """
    reach = _SIGMA + (2 * _SIGMA + 1) / _WIDTH / 2
    ends = np.linspace(-reach, reach, _WIDTH + 1)
    areas = np.diff([math.erf(end / math.sqrt(2)) for end in ends])
    roots = np.sqrt(areas)
    return (roots / roots.sum()).astype(np.float32)


_SLICES = _slices()
