"""Pixel shuffling and hard-swish by oneDNN against Paddle's own."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from test_layers import EPS, normal, results

from paddle_pose.models.blocks import hard_swish
from paddle_pose.onednn import check, layers, layout, shuffle

pytestmark = pytest.mark.skipif(
    not check.usable(paddle.zeros([1])), reason="this Paddle has no oneDNN 3, or it is off"
)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("channels", [16, 48])
def test_shuffling_is_exact_there_and_back(channels, factor):
    deep, wide = (2, channels * factor**2, 3, 5), (2, channels, 3 * factor, 5 * factor)
    blocked = layout.blocked_shape(deep)
    planned = shuffle._shuffle(blocked, factor, layers.FLOAT32)
    assert (planned is None) == bool(blocked[-1] % factor**2)  # channels of part of a block
    for ours, paddles, x, d_out in (
        (shuffle.pixel_shuffle, F.pixel_shuffle, deep, wide),
        (shuffle.pixel_unshuffle, F.pixel_unshuffle, wide, deep),
    ):
        given = [normal(*x).astype(np.float32)], normal(*d_out, seed=6).astype(np.float32)
        found = results(lambda x, f=ours: f(x, factor), "float32", *given)
        expected = results(lambda x, f=paddles: f(x, factor), "float64", *given)
        for value, truth in zip(found, expected, strict=True):
            assert np.array_equal(value, truth)


@pytest.mark.parametrize("channels", [32, 24])
def test_hard_swish(channels):
    x, d_out = 3 * normal(2, channels, 7, 9), normal(2, channels, 7, 9, seed=6)
    exact, ours = (results(hard_swish, t, [x], d_out) for t in ("float64", "float32"))
    assert layers._hard_swish(layout.blocked_shape(x.shape), layers.FLOAT32) is not None
    # x/6 + 1/2, limits, and a product, each rounded; of values up to 12.
    for value, truth in zip(ours, exact, strict=True):
        assert abs(value - truth).max() <= 6 * 12 * EPS


def test_sides_that_a_factor_does_not_divide_are_paddles():
    x = layout.to_blocked(paddle.zeros([1, 16, 3, 4]))
    with pytest.raises(ValueError, match="should divide"):
        shuffle.pixel_unshuffle(x, 2)
