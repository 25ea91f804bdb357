"""Layers by oneDNN against Paddle's own in float64."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.blocks import BatchNorm2D, Conv2D, Upsample, add, add_relu, max_pool, relu
from paddle_pose.models.build import build
from paddle_pose.onednn import check, layers, layout, norm

pytestmark = pytest.mark.skipif(
    not check.usable(paddle.zeros([1])), reason="this Paddle has no oneDNN 3, or it is off"
)
EPS = 2.0**-24
"""Largest relative rounding error of one float32 operation."""

CONVOLUTIONS = {  # batch, in, out, kernel, stride, side, groups, bias
    "newell_stem": (2, 3, 64, 7, 2, 32, 1, True),
    "stem": (2, 3, 64, 3, 2, 32, 1, False),
    "3x3": (2, 32, 32, 3, 1, 16, 1, False),
    "3x3_bias": (2, 64, 64, 3, 1, 8, 1, True),
    "3x3_stride_2": (2, 48, 96, 3, 2, 16, 1, False),
    "blocks_not_full": (3, 18, 36, 3, 1, 7, 1, True),
    "into_full_blocks": (3, 18, 32, 3, 2, 7, 1, True),
    "one_pixel": (2, 64, 64, 3, 1, 1, 1, False),
    "1x1": (2, 128, 64, 1, 1, 8, 1, True),
    "1x1_stride_2": (2, 64, 128, 1, 2, 9, 1, False),
    "heads": (2, 64, 17, 1, 1, 8, 1, True),
    "groups": (2, 32, 64, 3, 1, 8, 4, True),
    "depthwise": (2, 32, 32, 3, 2, 8, 32, False),
}

Function = Callable[..., paddle.Tensor]


def results(function: Function, dtype: str, inputs: list, d_out: np.ndarray) -> list[np.ndarray]:
    """Output, then gradients of the inputs; the first input is blocked where it can be."""
    tensors = [paddle.to_tensor(v.astype(dtype), stop_gradient=False) for v in inputs]
    out = layout.to_plain(function(layout.to_blocked(tensors[0]), *tensors[1:]))
    out.backward(paddle.to_tensor(d_out.astype(dtype)))
    return [out.numpy(), *(t.grad.numpy() for t in tensors)]


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def convolution_inputs(case: tuple) -> tuple[list[np.ndarray], np.ndarray]:
    """Input, weight and maybe bias; and the gradient of the output."""
    batch, inputs, outputs, kernel, stride, side, groups, bias = case
    after = (side + 2 * (kernel // 2) - kernel) // stride + 1
    values = [
        normal(batch, inputs, side, side),
        normal(outputs, inputs // groups, kernel, kernel, seed=6),
        normal(outputs, seed=7),
    ]
    return values[: 3 if bias else 2], normal(batch, outputs, after, after, seed=8)


def convolution_by_onednn(case: tuple) -> Function:
    pads, strides = (case[3] // 2,) * 2, (case[4],) * 2
    return lambda x, weight, bias=None: layers.convolution(
        x, weight, bias, stride=strides, padding=pads, groups=case[6]
    )


def convolution_by_paddle(case: tuple) -> Function:
    return lambda x, weight, bias=None: F.conv2d(
        x, weight, bias, case[4], case[3] // 2, groups=case[6]
    )


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    case = CONVOLUTIONS[name]
    inputs, d_out = convolution_inputs(case)
    exact = results(convolution_by_paddle(case), "float64", inputs, d_out)
    # A float32 sum of n products errs by at most n·eps·sum|products| whatever its order, and its
    # rounded factors by two more: the same sums of absolute values, in float64, bound all.
    bounds = results(convolution_by_paddle(case), "float64", [abs(v) for v in inputs], abs(d_out))
    pixels = d_out.size // case[2]
    window, back = case[1] // case[6] * case[3] ** 2 + 1, case[2] // case[6] * case[3] ** 2
    ours = results(convolution_by_onednn(case), "float32", inputs, d_out)
    terms = [window, back, pixels, pixels][: len(exact)]
    for n, value, truth, bound in zip(terms, ours, exact, bounds, strict=True):
        assert value.dtype == np.float32
        assert (abs(value - truth) <= (n + 4) * EPS * bound).all()


@pytest.mark.parametrize("after_relu", [False, True])
@pytest.mark.parametrize("shape", [(4, 64, 16, 16), (2, 32, 1, 1), (3, 16, 5, 7)])
def test_batch_norm(shape, after_relu):
    channels = shape[1]
    inputs = [3 + normal(*shape), 1 + 0.1 * normal(channels, seed=6), normal(channels, seed=7)]
    d_out = normal(*shape, seed=8)

    def layer(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        if layout.is_blocked(x):
            return norm.batch_norm(x, weight, bias, 1e-5, relu=after_relu)[0]
        mean, variance = paddle.zeros([channels], x.dtype), paddle.ones([channels], x.dtype)
        out = F.batch_norm(x, mean, variance, weight, bias, training=True, epsilon=1e-5)
        return F.relu(out) if after_relu else out

    n = inputs[0].size // channels
    exact, ours = (results(layer, t, inputs, d_out) for t in ("float64", "float32"))
    # Sums of n terms of the inputs' size (at most 8) err by n·8·eps, the deviation by which they
    # are divided is sqrt(v + 1e-5); the gradient of x has it once more, times d_out's size (5).
    deviation = np.sqrt(inputs[0].var(axis=(0, 2, 3)).min() + 1e-5)
    step = 8 * (n + 8) * EPS / deviation
    for value, truth, scale in zip(ours, exact, [2, 10 / deviation, 10 * n, 10 * n], strict=True):
        assert abs(value - truth).max() <= step * scale


@pytest.mark.parametrize("shape", [(2, 16, 256, 256), (1, 16, 1, 4096), (3, 16, 5, 7)])
def test_moments_are_exact_whatever_the_size(shape):
    x = (3 + normal(*shape)).astype(np.float32)
    rows = paddle.ones([16]), paddle.zeros([16])
    found = norm.batch_norm(layout.to_blocked(paddle.to_tensor(x)), *rows, 1e-5, relu=False)
    values = x.astype(np.float64)
    # At most 1,024 values up to 8 (their squared deviations up to 25) are added in float32; the
    # errors of such sums, a random walk of 1,024 steps, stay below sqrt(1,024) eps (4e-6 is seen
    # where all values of a channel are added in one go). One more for the final rounding.
    bound = (1 + 1024**0.5) * EPS
    exact = values.mean((0, 2, 3)), values.var((0, 2, 3))
    for moment, truth in zip(found[1:], exact, strict=True):
        assert (abs(moment.numpy() / truth - 1) <= bound).all()


@pytest.mark.parametrize("after_relu", [False, True])
def test_frozen_statistics_pass_the_gradient_straight(after_relu):
    layer = BatchNorm2D(32, relu=after_relu, use_global_stats=True)
    other = BatchNorm2D(32, relu=after_relu, use_global_stats=True).to(dtype="float64")
    for name, values in (("_mean", normal(32, seed=7)), ("_variance", 1 + normal(32) ** 2)):
        values = values.astype(np.float32)
        getattr(layer, name).set_value(values)
        getattr(other, name).set_value(values.astype(np.float64))
    x, d_out = normal(2, 32, 8, 8), normal(2, 32, 8, 8, seed=6)

    def gradients(of: BatchNorm2D, dtype: str) -> list[np.ndarray]:
        found = results(of, dtype, [x], d_out)
        return [*found, of.weight.grad.numpy(), of.bias.grad.numpy()]

    # Sums of 128 products up to 16, each rounded a few times.
    for value, truth in zip(gradients(layer, "float32"), gradients(other, "float64"), strict=True):
        assert abs(value - truth).max() <= 128 * 16 * 4 * EPS


def test_statistics_move_as_pytorchs():
    x = normal(4, 32, 8, 8).astype(np.float32)
    layer = BatchNorm2D(32)
    layer(layout.to_blocked(paddle.to_tensor(x)))
    values = x.astype(np.float64).transpose(1, 0, 2, 3).reshape(32, -1)
    # A mean of 256 values up to 5 errs by 256·5·eps = 8e-5 at most, its tenth is what moves.
    assert np.allclose(layer._mean.numpy(), 0.1 * values.mean(1), rtol=0, atol=8e-6)
    assert np.allclose(layer._variance.numpy(), 0.9 + 0.1 * values.var(1, ddof=1), atol=8e-5)


def with_ties() -> np.ndarray:
    """Multiples of 1/4 from 0 up, so that sums are exact and many are equal."""
    return np.maximum(np.round(2 * normal(2, 32, 12, 12)) / 4, 0)


@pytest.mark.parametrize(
    ("ours", "paddles"),
    [
        (lambda x: max_pool(x, 2), lambda x: F.max_pool2d(x, 2, 2)),
        (lambda x: max_pool(x, 3, 1), lambda x: F.max_pool2d(x, 3, 2, 1)),
        (relu, F.relu),
        (Upsample(2), lambda x: F.interpolate(x, scale_factor=2, mode="nearest")),
        (Upsample(8), lambda x: F.interpolate(x, scale_factor=8, mode="nearest")),
        (lambda x: add_relu(x, x / 2 - 1), lambda x: F.relu(x + (x / 2 - 1))),
        (lambda x: add(x, x, 2 * x - 1), lambda x: x + x + (2 * x - 1)),
    ],
)
def test_layers_without_weights_are_exact(ours, paddles):
    x = with_ties()
    shape = paddles(paddle.to_tensor(x)).shape
    d_out = np.round(8 * normal(*shape, seed=6)) / 8
    for value, truth in zip(
        results(ours, "float32", [x], d_out), results(paddles, "float64", [x], d_out), strict=True
    ):
        assert np.array_equal(value, truth)


def test_blocking_is_a_turn_of_the_axes():
    x = normal(2, 48, 3, 5).astype(np.float32)
    inside = layout.block()
    turned = layout.to_blocked(paddle.to_tensor(x))
    expected = x.reshape(2, 48 // inside, inside, 3, 5).transpose(0, 1, 3, 4, 2)
    assert np.array_equal(turned.numpy(), expected)
    assert np.array_equal(layout.to_plain(turned).numpy(), x)
    thin = paddle.zeros([1, 17, 2, 2])
    assert layout.to_blocked(thin) is thin


def small_network() -> paddle.nn.Layer:
    paddle.seed(3)
    return build(NewellHourglass(joints=16, stacks=2, features=32, stem=16))


def test_equal_arguments_give_equal_bits():
    network, x = small_network(), paddle.to_tensor(normal(2, 3, 64, 64).astype(np.float32))
    network.train()

    def gradients() -> list[np.ndarray]:
        network.clear_gradients()
        sum(out.heatmaps_BJHW.square().mean() for out in network(x)).backward()
        return [p.grad.numpy() for p in network.parameters() if not p.stop_gradient]

    assert all(np.array_equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_a_frozen_weight_and_a_fixed_input_get_no_gradient():
    layer = Conv2D(16, 16, 3, padding=1)
    x = paddle.ones([1, 16, 4, 4])
    layer.weight.stop_gradient = True
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert x.grad is None
    assert (layer.bias.grad.numpy() == 16).all()
    layer.bias.stop_gradient = True
    assert layer(x).stop_gradient
    bn = BatchNorm2D(16)
    bn.weight.stop_gradient = True
    bn(layout.to_blocked(x)).sum().backward()
    assert bn.weight.grad is None
    assert (bn.bias.grad.numpy() == 16).all()


def test_no_grad_keeps_no_graph():
    layer = Conv2D(16, 16, 3, padding=1)
    with paddle.no_grad():
        assert layer(paddle.ones([1, 16, 4, 4])).stop_gradient


def test_a_turned_input_is_read_as_it_is():
    layer = Conv2D(3, 16, 3, padding=1)
    turned = paddle.randn([1, 3, 4, 6]).transpose([0, 1, 3, 2])
    same = paddle.to_tensor(turned.numpy())
    assert (layer(turned).numpy() == layer(same).numpy()).all()


def test_evaluation_and_frozen_statistics_take_blocked_tensors():
    layer, x = BatchNorm2D(16, relu=True), paddle.randn([2, 16, 4, 4])
    layer.eval()
    whole = layout.to_plain(layer(layout.to_blocked(x)))
    assert np.allclose(whole.numpy(), F.relu(x / (1 + 1e-5) ** 0.5).numpy(), atol=8 * EPS)


def test_second_derivatives_are_refused():
    layer = Conv2D(4, 4, 1)
    x = paddle.ones([1, 4, 2, 2])
    x.stop_gradient = False
    with pytest.raises(Exception, match="PADDLE_POSE_ONEDNN=0"):
        paddle.grad(layer(x).sum(), [x, layer.weight, layer.bias], create_graph=True)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_results_go_without_a_backward_pass():
    x = layout.to_blocked(paddle.ones([1, 32, 128, 128]))
    x.stop_gradient = False

    def step() -> int:
        max_pool(relu(add_relu(x, x)), 2)
        return resident_bytes()

    sizes = [step() for _ in range(30)]
    # Two results of 2 MB a step: one of them left behind would be 30 MB in 15 steps.
    assert max(sizes[15:]) - max(sizes[:15]) < 10e6


def test_memory_does_not_grow():
    network, x = small_network(), paddle.ones([2, 3, 64, 64])
    network.train()

    def step() -> int:
        sum(out.heatmaps_BJHW.square().mean() for out in network(x)).backward()
        network.clear_gradients()
        return resident_bytes()

    sizes = [step() for _ in range(30)]
    # Activations of 20 MB per step: a leak of a tenth of them would be 30 MB in 15 steps.
    assert max(sizes[15:]) - max(sizes[:15]) < 10e6
