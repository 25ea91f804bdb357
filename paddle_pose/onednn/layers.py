"""Convolution, pooling, upsampling and ReLU by oneDNN, forward and backward.

They take both layouts (see ``layout``). The result of a convolution is blocked if its channels fill
whole blocks; the others keep the layout of their input. The primitives of a shape are made once.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.layout import (
    Shape,
    blocked_shape,
    by_paddle,
    empty,
    is_blocked,
    kind,
    layout,
    plain_shape,
    planned,
    refuse_second_derivatives,
    to_blocked,
    together,
)
from paddle_pose.onednn.library import (
    BIAS,
    CONVOLUTION_DIRECT,
    DIFF_BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    FLOAT32,
    FORWARD_TRAINING,
    SRC,
    WEIGHTS,
    WORKSPACE,
    Handle,
    Made,
    Primitive,
    dimensions,
)

_POOLING_MAX, _RELU_BY_RESULT, _NEAREST = 511, 256, 196592
_HARD_SWISH = 52


def _describe_convolution(
    layouts: list[Handle | None],
    d_weight: Handle,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> tuple[Made, Made, Made]:
    """Forward, gradient of the input, gradient of the weight; layouts of x, weight, bias, out.

    The gradient of a weight is float32 in any case.
    """
    calls = onednn.loaded()
    x, weight, _, out = layouts
    pads = dimensions(padding)
    window = (dimensions(stride), dimensions([0, 0]), pads, pads)
    how = CONVOLUTION_DIRECT
    forward = calls.describe("convolution_forward", FORWARD_TRAINING, how, *layouts, *window)
    to_x = calls.describe("convolution_backward_data", how, x, weight, out, *window, forward)
    summed = [x, d_weight, *layouts[2:]]
    to_weight = calls.describe("convolution_backward_weights", how, *summed, *window, forward)
    return forward, to_x, to_weight


class _Convolution:
    """Primitives of a convolution at one size; x may be blocked."""

    def __init__(
        self,
        x_shape: Shape,
        weight_shape: Shape,
        has_bias: bool,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        kind: int,
    ) -> None:
        calls = onednn.loaded()
        channels, _, *kernel = weight_shape
        batch, _, *sides = plain_shape(x_shape)
        sides = [
            (side + 2 * pad - size) // step + 1
            for side, pad, size, step in zip(sides, padding, kernel, stride, strict=True)
        ]
        sizes = (batch, channels, *sides)
        self.out_shape = blocked_shape(sizes)
        if groups > 1:
            weight_shape = (groups, channels // groups, *weight_shape[1:])
        x, weight = layout(x_shape, kind), calls.plain(weight_shape)
        out = layout(self.out_shape, kind)
        bias = calls.plain([channels]) if has_bias else None
        shapes = (plain_shape(x_shape), weight_shape, sizes)
        wishes: list[Handle | None] = [calls.any(shape, kind) for shape in shapes]
        wishes.insert(2, bias)
        described = _describe_convolution(wishes, calls.any(weight_shape), stride, padding)
        forward, to_x, to_weight = described
        with_bias = {BIAS: bias} if has_bias else {}
        self.forward = Primitive(forward, {SRC: x, WEIGHTS: weight, DST: out, **with_bias}, {DST})
        self.to_x = Primitive(to_x, {DIFF_DST: out, WEIGHTS: weight, DIFF_SRC: x}, {DIFF_SRC})
        with_bias = {DIFF_BIAS: bias} if has_bias else {}
        self.to_weight = Primitive(
            to_weight,
            {DIFF_DST: out, SRC: x, DIFF_WEIGHTS: weight, **with_bias},
            {DIFF_WEIGHTS, DIFF_BIAS},
        )


_convolution = planned(_Convolution)


class _ConvolutionLayer(PyLayer):
    @staticmethod
    def forward(
        ctx: Any,
        x: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor | None,
        plan: _Convolution,
    ) -> paddle.Tensor:
        ctx.plan, ctx.kind = plan, kind(x)
        out = empty(plan.out_shape, ctx.kind)
        plan.forward({SRC: x, WEIGHTS: weight, BIAS: bias, DST: out})
        ctx.fixed = [t.stop_gradient for t in (x, weight, bias) if t is not None]
        ctx.save_for_backward(x, weight)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        refuse_second_derivatives()
        x, weight = ctx.saved_tensor()
        d_out = d_out.contiguous()
        d_x = d_weight = d_bias = None
        if not ctx.fixed[0]:
            d_x = empty(x.shape, ctx.kind)
            ctx.plan.to_x({DIFF_DST: d_out, WEIGHTS: weight, DIFF_SRC: d_x})
        if not all(ctx.fixed[1:]):
            d_weight = empty(weight.shape)
            d_bias = empty(weight.shape[:1]) if len(ctx.fixed) == 3 else None
            ctx.plan.to_weight({DIFF_DST: d_out, SRC: x, DIFF_WEIGHTS: d_weight, DIFF_BIAS: d_bias})
        given = zip(ctx.fixed, (d_x, d_weight, d_bias), strict=False)
        return tuple(None if fixed else gradient for fixed, gradient in given)


def convolution(
    x: paddle.Tensor,
    weight: paddle.Tensor,
    bias: paddle.Tensor | None,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
) -> paddle.Tensor:
    """F.conv2d; the result is blocked if its channels fill whole blocks."""
    key = (tuple(x.shape), tuple(weight.shape), bias is not None, stride, padding, groups)
    plan = _convolution(*key, kind(x))
    if plan is None:
        return to_blocked(by_paddle(F.conv2d, x, weight, bias, stride, padding, groups=groups))
    return _ConvolutionLayer.apply(x.contiguous(), weight, bias, plan)


class _MaxPool:
    """Primitives of max pooling at one size; keeps which pixels were the largest."""

    def __init__(self, shape: Shape, kind: int, kernel: int, stride: int, padding: int) -> None:
        calls = onednn.loaded()
        batch, channels, *sides = plain_shape(shape)
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
        self.out_shape = blocked_shape((batch, channels, *sides))
        x, out = layout(shape, kind), layout(self.out_shape, kind)
        window = [dimensions([size] * 2) for size in (stride, kernel, 0, padding, padding)]
        how = _POOLING_MAX
        forward = calls.describe("pooling_forward", FORWARD_TRAINING, how, x, out, *window)
        back = calls.describe("pooling_backward", how, x, out, *window, forward)
        self.kept_bytes = calls.bytes_of(calls.wanted(forward, WORKSPACE))
        self.forward = Primitive(forward, {SRC: x, DST: out, WORKSPACE: None}, {DST, WORKSPACE})
        self.backward = Primitive(back, {DIFF_DST: out, DIFF_SRC: x, WORKSPACE: None}, {DIFF_SRC})


class _Upsample:
    """Primitives of nearest upsampling at one size; keeps nothing."""

    kept_bytes = 0

    def __init__(self, shape: Shape, kind: int, factor: int) -> None:
        calls = onednn.loaded()
        batch, channels, height, width = plain_shape(shape)
        self.out_shape = blocked_shape((batch, channels, height * factor, width * factor))
        x, out = layout(shape, kind), layout(self.out_shape, kind)
        forward = calls.describe("resampling_forward", FORWARD_TRAINING, _NEAREST, None, x, out)
        back = calls.describe("resampling_backward", _NEAREST, None, x, out, forward)
        self.forward = Primitive(forward, {SRC: x, DST: out}, {DST})
        self.backward = Primitive(back, {DIFF_DST: out, DIFF_SRC: x}, {DIFF_SRC})


class _Relu:
    """Primitives of a ReLU at one size; keeps its result."""

    kept_bytes = None

    def __init__(self, shape: Shape, kind: int) -> None:
        calls = onednn.loaded()
        self.out_shape = shape
        x, zero = calls.plain([math.prod(shape)], kind), ctypes.c_float(0)
        how = _RELU_BY_RESULT
        forward = calls.describe("eltwise_forward", FORWARD_TRAINING, how, x, x, zero, zero)
        back = calls.describe("eltwise_backward", how, x, x, x, zero, zero, forward)
        self.forward = Primitive(forward, {SRC: x, DST: x}, {DST})
        self.backward = Primitive(back, {DST: x, DIFF_DST: x, DIFF_SRC: x}, {DIFF_SRC})


_max_pool, _upsample, _relu = planned(_MaxPool), planned(_Upsample), planned(_Relu)


class _Pixelwise(PyLayer):
    """A layer without weights."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, plan: _MaxPool | _Upsample | _Relu) -> paddle.Tensor:
        out = empty(plan.out_shape, kind(x))
        # Not the result itself: it knows the node that holds ctx, and the circle would stay in
        # memory wherever nobody runs backward.
        kept = (
            out.detach()
            if plan.kept_bytes is None
            else paddle.empty([plan.kept_bytes], dtype="uint8")
        )
        plan.forward({SRC: x, DST: out, WORKSPACE: kept})
        ctx.plan, ctx.shape, ctx.kind = plan, x.shape, kind(x)
        ctx.save_for_backward(kept)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        (kept,) = ctx.saved_tensor()
        d_x = empty(ctx.shape, ctx.kind)
        d_out = d_out.contiguous()
        ctx.plan.backward({DST: kept, WORKSPACE: kept, DIFF_DST: d_out, DIFF_SRC: d_x})
        return d_x


def _pixelwise(
    plans: Callable[..., Any], paddles: Callable[..., paddle.Tensor], x: paddle.Tensor, *key: int
) -> paddle.Tensor:
    """By oneDNN where ``x`` is blocked and oneDNN takes it, else by Paddle's kernel."""
    plan = plans(tuple(x.shape), kind(x), *key) if is_blocked(x) else None
    if plan is None:
        return by_paddle(paddles, x, *key)
    return _Pixelwise.apply(x.contiguous(), plan)


def max_pool(x: paddle.Tensor, kernel: int, stride: int, padding: int) -> paddle.Tensor:
    """F.max_pool2d."""
    return _pixelwise(_max_pool, F.max_pool2d, x, kernel, stride, padding)


def upsample(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    """Every pixel ``factor`` times both ways."""
    return _pixelwise(_upsample, _upsample_by_paddle, x, factor)


def _upsample_by_paddle(x_BCHW: paddle.Tensor, factor: int) -> paddle.Tensor:
    """By size: with ``scale_factor`` paddle2onnx 2.1 does not export Paddle 3.3's graphs."""
    size = [side * factor for side in x_BCHW.shape[2:]]
    return F.interpolate(x_BCHW, size=size, mode="nearest")


def relu(x: paddle.Tensor) -> paddle.Tensor:
    """F.relu."""
    return _pixelwise(_relu, F.relu, x)


class _HardSwish:
    """Primitives of a hard-swish at one size; backward needs what came in."""

    def __init__(self, shape: Shape, kind: int) -> None:
        calls = onednn.loaded()
        x = calls.plain([math.prod(shape)], kind)
        how = (ctypes.c_float(1 / 6), ctypes.c_float(0.5))
        forward = calls.describe("eltwise_forward", FORWARD_TRAINING, _HARD_SWISH, x, x, *how)
        back = calls.describe("eltwise_backward", _HARD_SWISH, x, x, x, *how, forward)
        self.forward = Primitive(forward, {SRC: x, DST: x}, {DST})
        self.backward = Primitive(back, {SRC: x, DIFF_DST: x, DIFF_SRC: x}, {DIFF_SRC})


_hard_swish = planned(_HardSwish)


class _HardSwishLayer(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, plan: _HardSwish) -> paddle.Tensor:
        out = empty(x.shape, kind(x))
        plan.forward({SRC: x, DST: out})
        ctx.plan = plan
        ctx.save_for_backward(x)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        (x,) = ctx.saved_tensor()
        d_x = empty(x.shape, kind(x))
        ctx.plan.backward({SRC: x, DIFF_DST: d_out.contiguous(), DIFF_SRC: d_x})
        return d_x


def hard_swish(x: paddle.Tensor) -> paddle.Tensor:
    """F.hardswish on a CPU, in either layout."""
    plan = _hard_swish(tuple(x.shape), kind(x) if is_blocked(x) else FLOAT32)
    if plan is None:
        return together(F.hardswish, x)
    return _HardSwishLayer.apply(x.contiguous(), plan)
