"""Convolutions by oneDNN against Paddle's own in float64."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from paddle_pose.models import onednn
from paddle_pose.models.blocks import Conv2D

pytestmark = pytest.mark.skipif(
    not onednn.usable(paddle.zeros([1])), reason="this Paddle has no oneDNN 3, or it is off"
)

CASES = {  # batch, in, out, kernel, stride, side, groups, bias
    "newell_stem": (2, 3, 64, 7, 2, 32, 1, True),
    "stem": (2, 3, 64, 3, 2, 32, 1, False),
    "3x3": (2, 32, 32, 3, 1, 16, 1, False),
    "3x3_bias": (2, 64, 64, 3, 1, 8, 1, True),
    "3x3_stride_2": (2, 48, 96, 3, 2, 16, 1, False),
    "narrower_than_a_block": (3, 18, 36, 3, 1, 7, 1, True),
    "one_pixel": (2, 64, 64, 3, 1, 1, 1, False),
    "1x1": (2, 128, 64, 1, 1, 8, 1, True),
    "1x1_stride_2": (2, 64, 128, 1, 2, 9, 1, False),
    "heads": (2, 64, 16, 1, 1, 8, 1, True),
    "groups": (2, 32, 64, 3, 1, 8, 4, True),
    "depthwise": (2, 32, 32, 3, 2, 8, 32, False),
}


def arrays(case: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Input, weight, bias and the gradient of the output."""
    batch, inputs, outputs, kernel, stride, side, groups, bias = case
    rng = np.random.default_rng(5)
    after = (side + 2 * ((kernel - 1) // 2) - kernel) // stride + 1
    return (
        rng.standard_normal((batch, inputs, side, side)),
        rng.standard_normal((outputs, inputs // groups, kernel, kernel)),
        rng.standard_normal(outputs) if bias else None,
        rng.standard_normal((batch, outputs, after, after)),
    )


def results(convolve, case: tuple, dtype: str, values: tuple) -> list[np.ndarray]:
    """Output, then gradients of input, weight and bias, by a convolution of those tensors."""
    tensors = [
        None if v is None else paddle.to_tensor(v.astype(dtype), stop_gradient=False)
        for v in values
    ]
    out = convolve(*tensors[:3], case)
    out.backward(tensors[3])
    return [out.numpy(), *(t.grad.numpy() for t in tensors[:3] if t is not None)]


def by_onednn(x, weight, bias, case):
    pad, stride = (case[3] - 1) // 2, case[4]
    return onednn.convolution(
        x, weight, bias, stride=(stride, stride), padding=(pad, pad), groups=case[6]
    )


def by_paddle(x, weight, bias, case):
    return F.conv2d(x, weight, bias, case[4], (case[3] - 1) // 2, groups=case[6])


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients(name):
    case = CASES[name]
    values = arrays(case)
    exact = results(by_paddle, case, "float64", values)
    # A float32 sum of n products errs by at most n·eps·sum|products| whatever its order, plus the
    # rounding of the inputs (2·eps each): the same sums of absolute values, in float64, bound it.
    sizes = results(
        by_paddle, case, "float64", tuple(None if v is None else abs(v) for v in values)
    )
    pixels = values[3].size // case[2]
    window = case[1] // case[6] * case[3] ** 2 + 1
    back = case[2] // case[6] * case[3] ** 2
    terms = [window, back, pixels, pixels]
    ours = results(by_onednn, case, "float32", values)
    assert len(ours) == len(exact)
    for n, value, truth, size in zip(terms, ours, exact, sizes, strict=False):
        assert value.shape == truth.shape
        assert value.dtype == np.float32
        assert (abs(value - truth) <= (n + 4) * 2.0**-24 * size).all()


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


def test_no_grad_keeps_no_graph():
    layer = Conv2D(16, 16, 3, padding=1)
    with paddle.no_grad():
        assert layer(paddle.ones([1, 16, 4, 4])).stop_gradient


def test_a_turned_input_is_read_as_it_is():
    layer = Conv2D(16, 16, 3, padding=1)
    x = paddle.randn([1, 16, 4, 6])
    turned = x.transpose([0, 1, 3, 2])
    same = paddle.to_tensor(turned.numpy())
    assert (layer(turned).numpy() == layer(same).numpy()).all()


def test_equal_arguments_give_equal_bits():
    case = CASES["3x3_bias"]
    values = arrays(case)
    one, two = (results(by_onednn, case, "float32", values) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_double_precision_is_left_to_paddle():
    assert not onednn.usable(paddle.zeros([1], dtype="float64"))
    layer = Conv2D(4, 4, 3, padding=1).to(dtype="float64")
    assert layer(paddle.ones([1, 4, 4, 4], dtype="float64")).dtype == paddle.float64


def test_second_derivatives_are_refused():
    layer = Conv2D(4, 4, 1)
    x = paddle.ones([1, 4, 2, 2])
    x.stop_gradient = False
    with pytest.raises(Exception, match="PADDLE_POSE_ONEDNN=0"):
        paddle.grad(layer(x).sum(), [x, layer.weight, layer.bias], create_graph=True)


def test_memory_does_not_grow():
    case = (4, 32, 32, 3, 1, 32, 1, True)
    values = arrays(case)

    def pages() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    for _ in range(20):
        results(by_onednn, case, "float32", values)
    before = pages()
    for _ in range(100):
        results(by_onednn, case, "float32", values)
    # One leaked tensor of 0.5 MB per round would be 50 MB.
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 10e6


def test_the_environment_switches_it_off():
    code = (
        "import paddle; from paddle_pose.models import onednn;"
        "print(onednn.usable(paddle.zeros([1])))"
    )
    environment = {**os.environ, "PADDLE_POSE_ONEDNN": "0"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split()[-1] == "False"
