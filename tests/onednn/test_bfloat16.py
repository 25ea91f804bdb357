"""Layers in bfloat16 against Paddle's own in float64, on numbers that bfloat16 holds exactly."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from test_layers import (
    CONVOLUTIONS,
    EPS,
    Function,
    convolution_by_onednn,
    convolution_by_paddle,
    convolution_inputs,
    normal,
    results,
)

from paddle_pose.models import blocks
from paddle_pose.models.keras_layers import SameConv2D
from paddle_pose.onednn import check, layout, norm, shuffle

pytestmark = pytest.mark.skipif(
    bool(check.bfloat16_fault()), reason=f"no bfloat16: {check.bfloat16_fault()}"
)
HALF = 2.0**-8
"""Twice the largest relative error of rounding to bfloat16 (2^-9): ties may go either way twice,
where oneDNN rounds to bfloat16 and then converts a plain result."""


def rounded(values: np.ndarray) -> np.ndarray:
    """To bfloat16 and back, float64."""
    tensor = paddle.to_tensor(values.astype("float32")).astype("bfloat16")
    return tensor.astype("float32").numpy().astype("float64")


def compared(
    ours: Function, exact: Function, inputs: list[np.ndarray], d_out: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """``results`` by bfloat16 and by float64."""
    inputs, d_out = [rounded(v) for v in inputs], rounded(d_out)
    with layout.in_bfloat16():
        found = results(ours, "float32", inputs, d_out)
    return found, results(exact, "float64", inputs, d_out)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    case = CONVOLUTIONS[name]
    inputs, d_out = convolution_inputs(case)
    found, exact = compared(convolution_by_onednn(case), convolution_by_paddle(case), inputs, d_out)
    bounds = [abs(rounded(v)) for v in inputs]
    sums = results(convolution_by_paddle(case), "float64", bounds, abs(rounded(d_out)))
    # Factors are exact, sums are of float32 (at most 2,048 terms, each adds one rounding), and the
    # result is rounded to bfloat16 (the gradients of weight and bias are not, which is less).
    for value, truth, bound in zip(found, exact, sums, strict=True):
        assert (abs(value - truth) <= HALF * abs(truth) + 2048 * EPS * bound).all()


@pytest.mark.parametrize(
    ("ours", "exact"),
    [
        (blocks.relu, F.relu),
        (blocks.hard_swish, F.hardswish),
        (lambda x: blocks.max_pool(x, 2), lambda x: F.max_pool2d(x, 2)),
        (lambda x: blocks.upsample(x, 2), lambda x: F.interpolate(x, scale_factor=2)),
        (lambda x: blocks.add_relu(x, x, x), lambda x: F.relu(x * 3)),
        (lambda x: shuffle.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2)),
        (lambda x: blocks.concat(x, x), lambda x: paddle.concat([x, x], 1)),
        (blocks.twice, lambda x: paddle.concat([x, x])),
        (blocks.global_average, lambda x: x.mean([2, 3], keepdim=True)),
        (blocks.sigmoid, F.sigmoid),
        (blocks.hard_sigmoid, lambda x: F.relu6(x + 3) / 6),
        (blocks.scale, lambda x, by: x * by),
    ],
    ids=[
        *("relu", "hard_swish", "max_pool", "upsample", "add", "shuffle", "concat", "twice"),
        *("average", "sigmoid", "hard_sigmoid", "scale"),
    ],
)
def test_without_weights(ours, exact):
    inputs = [normal(2, 64, 8, 8), normal(2, 64, 1, 1, seed=9)]
    inputs = inputs if ours is blocks.scale else inputs[:1]
    shape = exact(*map(paddle.to_tensor, inputs)).shape
    found, truths = compared(ours, exact, inputs, normal(*shape, seed=8))
    # At most four roundings in a row (three parts and their gradients), of values and partial
    # sums of at most four times the largest part.
    for value, truth in zip(found, truths, strict=True):
        assert abs(value - truth).max() <= 4 * HALF * max(1, abs(truth).max())


def test_batch_norm():
    inputs = [3 + normal(4, 64, 16, 16), 1 + 0.1 * normal(64, seed=6), normal(64, seed=7)]

    def layer(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        if layout.is_blocked(x):
            return norm.batch_norm(x, weight, bias, 1e-5, relu=False)[0]
        moments = paddle.zeros([64], x.dtype), paddle.ones([64], x.dtype)
        return F.batch_norm(x, *moments, weight, bias, training=True, epsilon=1e-5)

    found, exact = compared(layer, layer, inputs, normal(4, 64, 16, 16, seed=8))
    # Moments and sums are of float32: 1,024 terms of at most 8, over a deviation of 1. Results and
    # the gradient of x are rounded to bfloat16 once.
    for value, truth, terms in zip(found, exact, (8, 8, 1024, 1024), strict=True):
        assert (abs(value - truth) <= HALF * abs(truth) + 8 * 1032 * EPS * terms).all()


def test_zeros_of_kerass_convolution():
    """Paddle joins no bfloat16 on a CPU: zeros are added in float32."""
    layer, x = SameConv2D(64, 32, 3, 2), paddle.to_tensor(normal(2, 64, 8, 8).astype("float32"))
    x.stop_gradient = False
    with layout.in_bfloat16():
        out = layer(layout.to_blocked(x))
    layout.to_plain(out).sum().backward()
    assert out.dtype == paddle.bfloat16
    assert np.isfinite(x.grad.numpy()).all()
