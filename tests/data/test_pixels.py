"""Holes and colours: as albumentations and mmpose draw and apply them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.data.pixels import (
    PIXEL_CHANGES,
    coarse_dropout,
    colors_mmpose0,
    colors_mmpose1,
    draw_pixels,
    grid_mask,
)
from paddle_pose.errors import UserError

PARITY = Path(__file__).parents[1] / "parity" / "pixels"
SIZE_WH = (192, 256)


class Python:
    """Python's own generator, which albumentations draws with."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integers(self, low: int, high: int, *, endpoint: bool) -> int:
        assert endpoint
        return self.random.randint(low, high)


class OldNumpy:
    """NumPy's generator of old, which mmpose draws with."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)
        self.integers = self.state.randint
        self.uniform = self.state.uniform
        self.permutation = self.state.permutation


@pytest.mark.parametrize(
    ("name", "drawn"), [("coarse_dropout", coarse_dropout), ("grid_mask", grid_mask)]
)
def test_holes_are_those_of_albumentations(name, drawn):
    recorded = json.loads((PARITY / "pixels.json").read_text())[name]
    white = np.full((SIZE_WH[1], SIZE_WH[0], 3), 255, np.uint8)
    for seed, (edges, black) in enumerate(
        zip(recorded["edges"], recorded["black_px"], strict=True)
    ):
        holes = drawn(SIZE_WH, Python(seed))
        assert [list(hole) for hole in holes.edges_px] == edges
        assert np.count_nonzero(np.all(holes.of(white) == 0, axis=-1)) == black
    assert white.min() == 255  # the crop itself is left alone


@pytest.mark.parametrize(
    ("edition", "drawn"), [("mmpose0", colors_mmpose0), ("mmpose1", colors_mmpose1)]
)
def test_colours_are_those_of_mmpose(edition, drawn):
    # OpenCV turns HSV to BGR in floats: its versions may round one step apart, which a contrast of
    # up to 1.5 afterwards makes 1.5, and cutting 2; the version recorded with agrees to the bit.
    recorded = np.load(PARITY / "pixels.npz")
    noise, changed = recorded["noise"], 0
    for seed, expected in enumerate(recorded[edition]):
        found = drawn(OldNumpy(seed)).of(noise)
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - expected).max() <= 2, seed
        changed += not np.array_equal(found, noise)
    assert changed > 12


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
