"""bearpaw's rounding by hand, where HRNet's differs."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.codecs.cut import TRUNCATED, CutCodec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place
from paddle_pose.recipes.decoders import require_decoders
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import MPII16

TABLE, HALF = TRUNCATED


@pytest.mark.parametrize(
    ("x_px", "cell", "nearest"), [(8.0, 2, 2), (11.9, 2, 3), (-3.9, 0, 0), (31.9, 7, 8)]
)
def test_a_target_stands_on_the_cell_that_its_joint_is_cut_to(x_px, cell, nearest):
    joint = np.array([[x_px, 8.0]]), np.ones(1), (32, 32)
    maps = CutCodec().encode(*joint)["heatmaps"]
    assert np.unravel_index(maps[0].argmax(), (8, 8)) == (2, cell)
    assert maps[0].max() == 1
    other = HeatmapCodec(1.0).encode(*joint)["heatmaps"][0]
    assert (other[2, nearest] == 1) if nearest < 8 else (other.max() < 1)


@pytest.mark.parametrize(
    ("at", "cell"),
    [
        ((1, 1), (1.25, 1.25)),  # HRNet moves nothing in the first two rows and columns
        ((0, 1), (0.0, 1.0)),
        ((6, 6), (6.25, 6.25)),
        ((7, 6), (7.0, 6.0)),
    ],
)
def test_a_quarter_of_a_cell_wherever_both_axes_have_neighbours(at, cell):
    maps = np.zeros((1, 1, 8, 8), np.float32)
    x, y = at
    maps[0, 0, y, min(x + 1, 7)] = maps[0, 0, min(y + 1, 7), x] = 0.5
    maps[0, 0, y, x] = 1
    assert CutCodec().cells(maps, TABLE)[0].tolist() == [[list(cell)]]
    assert CutCodec().cells(maps, HALF)[0].tolist() == [[[cell[0] + 0.5, cell[1] + 0.5]]]
    assert CutCodec().cells(-maps - 1, TABLE)[0].tolist() == [[[-1, -1]]]


def test_poses_are_cut_to_whole_pixels_and_a_pixel_further():
    maps = np.zeros((1, 16, 8, 8), np.float32)
    maps[..., 5, 4] = 1  # no slope: the cell's own place
    row, nobody = np.zeros(1, int), (np.zeros((1, 0, 2)), np.zeros((1, 0)))
    place = Place(np.array([[50.3, 60.9]]), np.full((1, 2), 0.2), row, row, *nobody)  # 5 px a cell
    benchmark = Benchmark("", flip_test=False, decoder=TABLE)
    poses = CutCodec().decode([View({"heatmaps": maps})], place, benchmark, MPII16.flip_order)
    # 50.3 and 60.9 + 5, where the first pixel is 1: 51.3, 66.9; cut, and 1 more.
    assert poses.keypoints[0, 0, :2].tolist() == [52 - 1, 67 - 1]


def test_its_decoders_are_of_its_codec():
    recipe = Recipe("x", benchmarks=(Benchmark("x", decoder=HALF),))
    with pytest.raises(UserError, match=r"benchmarks\.0\.decoder=quarter_offset_half_truncated"):
        require_decoders(recipe)
