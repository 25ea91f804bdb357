"""Holes and colours: as albumentations and mmpose draw and apply them."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.data.pixels import (
    PIXEL_CHANGES,
    colors_mmpose0,
    colors_mmpose1,
    draw_pixels,
)
from paddle_pose.errors import UserError
from reproduce.aligning.pixels import color_rows, hole_rows

SIZE_WH = (192, 256)


def test_holes_and_colours_are_those_of_mmpose():
    rows = [*hole_rows(), *color_rows()]
    assert len(rows) == 6
    assert [row.quantity for row in rows if not row.ok] == []


def test_the_editions_slips_are_kept():
    hues = {colors_mmpose0(np.random.default_rng(seed)).order for seed in range(40)}
    assert hues == {(0, 1, 2)}, "0.x throws the swapped channels away"
    for seed in range(40):
        drawn = colors_mmpose1(np.random.default_rng(seed))
        assert drawn.contrast_first == drawn.contrast_last, "1.x: twice or not at all"


@pytest.mark.parametrize("name", PIXEL_CHANGES)
def test_each_is_reproducible_and_happens_as_often_as_said(name):
    drawn = [draw_pixels(name, SIZE_WH, np.random.default_rng([7, 3, n])) for n in range(200)]
    again = [draw_pixels(name, SIZE_WH, np.random.default_rng([7, 3, n])) for n in range(200)]
    assert drawn == again
    done = sum(change is not None for change in drawn)
    if name == "none":
        assert done == 0
    elif name.startswith("photometric"):
        assert done == 200
    else:  # half of 200: the deviation is √50 = 7.1, and four of them are 28
        assert abs(done - 100) <= 28


def test_mistakes():
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=r"unknown 'gridmask'; did you mean 'grid_mask'"):
        draw_pixels("gridmask", SIZE_WH, rng)
    with pytest.raises(UserError, match=r"grid_mask: needs crops of 41 px at least"):
        draw_pixels("grid_mask", (32, 64), rng)
