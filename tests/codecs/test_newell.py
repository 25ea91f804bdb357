"""Newell's own reading of maps: by hand, where HRNet's differs."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.codecs import newell
from paddle_pose.codecs.heatmap import HeatmapCodec


def peak(x: int, y: int, **sides: float) -> np.ndarray:
    """A map (1, 1, 4, 5) with a maximum, and what stands left, right, above and below it."""
    maps = np.zeros((4, 5), np.float32)
    maps[y, x] = 0.9
    for name, value in sides.items():
        dx, dy = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}[name]
        maps[y + dy, x + dx] = value
    return maps[None, None]


@pytest.mark.parametrize(
    ("maps", "cell"),
    [
        (peak(2, 2, right=0.5, below=0.5), (2.75, 2.75)),
        (peak(2, 2), (2.25, 2.25)),  # between equals: down
        (peak(0, 0, right=0.5), (0.25, 0.25)),  # beyond the border stands the maximum itself
        (peak(4, 3, left=0.5), (4.75, 3.75)),
        (10 * peak(2, 2, right=0.5), (2.25, 2.25)),  # both are cut at 1: the first, and equal sides
        (-peak(2, 2), (0.0, 0.0)),
    ],
)
def test_cells(maps, cell):
    found, scores = HeatmapCodec().cells(maps, newell.DECODER)
    if maps.max() > 1:  # of (2, 2) and (3, 2), both 1, the first: its right is larger than its left
        cell = (2.75, 2.25)
    assert found.tolist() == [[list(cell)]]
    assert scores.item() == min(np.float32(maps.max()), 1)


def test_whole_pixels_are_cut_where_the_first_one_is_1():
    assert newell.whole_pixels(np.array([10.4, 10.0, -0.5, -1.5, -2.7])).tolist() == [
        10.0,
        10.0,
        -1.0,  # 0.5 becomes 0
        -1.0,  # -0.5 too
        -2.0,  # -1.7 becomes -1
    ]
