"""Convolution, ReLU, pooling and enlargement by oneDNN, forward and backward.

They take tensors as they travel (see ``packed``) and give them so. One set of primitives is made
per shape and kept. Batch norm is in ``packed_norm``.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.layout import (
    Shape,
    by_paddle,
    empty,
    layout,
    logical,
    planned,
    refuse_second_derivatives,
    travelling,
)
from paddle_pose.onednn.library import (
    BIAS,
    CONVOLUTION_DIRECT,
    DIFF_BIAS,
    DIFF_DST,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    FORWARD_TRAINING,
    SRC,
    WEIGHTS,
    WORKSPACE,
    Handle,
    Primitive,
    dimensions,
)

_POOLING_MAX, _RELU_BY_RESULT, _NEAREST = 511, 256, 196592


def _describe_convolution(
    layouts: list[Handle | None], stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[Handle, Handle, Handle]:
    """Forward, gradient of the input, gradient of the weight; layouts of x, weight, bias, out."""
    calls = onednn.library()
    x, weight, _, out = layouts
    pads = dimensions(padding)
    window = (dimensions(stride), dimensions([0, 0]), pads, pads)
    kind = CONVOLUTION_DIRECT
    forward = calls.describe("convolution_forward", FORWARD_TRAINING, kind, *layouts, *window)
    to_x = calls.describe("convolution_backward_data", kind, x, weight, out, *window, forward)
    to_weight = calls.describe("convolution_backward_weights", kind, *layouts, *window, forward)
    return forward, to_x, to_weight


class _Convolution:
    """Primitives of a convolution at one size; the shapes of x and out may be packed."""

    def __init__(
        self,
        x_shape: Shape,
        weight_shape: Shape,
        has_bias: bool,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
    ) -> None:
        calls = onednn.library()
        channels, _, *kernel = weight_shape
        batch, _, *sides = logical(x_shape)
        sides = [
            (side + 2 * pad - size) // step + 1
            for side, pad, size, step in zip(sides, padding, kernel, stride, strict=True)
        ]
        sizes = (batch, channels, *sides)
        self.out_shape = travelling(sizes)
        if groups > 1:
            weight_shape = (groups, channels // groups, *weight_shape[1:])
        x, weight, out = layout(x_shape), calls.plain(weight_shape), layout(self.out_shape)
        bias = calls.plain([channels]) if has_bias else None
        wishes = [calls.any(logical(x_shape)), calls.any(weight_shape), bias, calls.any(sizes)]
        forward, to_x, to_weight = _describe_convolution(wishes, stride, padding)
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
        out = empty(plan.out_shape)
        plan.forward({SRC: x, WEIGHTS: weight, BIAS: bias, DST: out})
        ctx.plan = plan
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
            d_x = empty(x.shape)
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
    """F.conv2d; what comes out is packed where its channels fill whole blocks."""
    key = (tuple(x.shape), tuple(weight.shape), bias is not None, stride, padding, groups)
    plan = _convolution(*key)
    if plan is None:
        return by_paddle(F.conv2d, x, weight, bias, stride, padding, groups=groups)
    return _ConvolutionLayer.apply(x.contiguous(), weight, bias, plan)


class _MaxPool:
    """Primitives of max pooling at one size; keeps which pixel was the largest."""

    def __init__(self, shape: Shape, kernel: int, stride: int, padding: int) -> None:
        calls = onednn.library()
        batch, channels, *sides = logical(shape)
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
        self.out_shape = travelling((batch, channels, *sides))
        x, out = layout(shape), layout(self.out_shape)
        window = [dimensions([size] * 2) for size in (stride, kernel, 0, padding, padding)]
        kind = _POOLING_MAX
        forward = calls.describe("pooling_forward", FORWARD_TRAINING, kind, x, out, *window)
        back = calls.describe("pooling_backward", kind, x, out, *window, forward)
        self.kept_bytes = calls.bytes_of(calls.wanted(forward, WORKSPACE))
        self.forward = Primitive(forward, {SRC: x, DST: out, WORKSPACE: None}, {DST, WORKSPACE})
        self.backward = Primitive(back, {DIFF_DST: out, DIFF_SRC: x, WORKSPACE: None}, {DIFF_SRC})


class _Enlargement:
    """Primitives that repeat every pixel ``factor`` times both ways, at one size; keeps nothing."""

    kept_bytes = 0

    def __init__(self, shape: Shape, factor: int) -> None:
        calls = onednn.library()
        batch, channels, height, width = logical(shape)
        self.out_shape = travelling((batch, channels, height * factor, width * factor))
        x, out = layout(shape), layout(self.out_shape)
        forward = calls.describe("resampling_forward", FORWARD_TRAINING, _NEAREST, None, x, out)
        back = calls.describe("resampling_backward", _NEAREST, None, x, out, forward)
        self.forward = Primitive(forward, {SRC: x, DST: out}, {DST})
        self.backward = Primitive(back, {DIFF_DST: out, DIFF_SRC: x}, {DIFF_SRC})


class _Relu:
    """Primitives of a ReLU at one size; keeps its result."""

    kept_bytes = None

    def __init__(self, shape: Shape) -> None:
        calls = onednn.library()
        self.out_shape = shape
        x, zero = calls.plain([math.prod(shape)]), ctypes.c_float(0)
        kind = _RELU_BY_RESULT
        forward = calls.describe("eltwise_forward", FORWARD_TRAINING, kind, x, x, zero, zero)
        back = calls.describe("eltwise_backward", kind, x, x, x, zero, zero, forward)
        self.forward = Primitive(forward, {SRC: x, DST: x}, {DST})
        self.backward = Primitive(back, {DST: x, DIFF_DST: x, DIFF_SRC: x}, {DIFF_SRC})


_max_pool, _enlargement, _relu = planned(_MaxPool), planned(_Enlargement), planned(_Relu)


class _Pixelwise(PyLayer):
    """A layer without weights."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, plan: _MaxPool | _Enlargement | _Relu) -> paddle.Tensor:
        out = empty(plan.out_shape)
        # Not the result itself: it knows the node that holds ctx, and the circle would stay in
        # memory wherever nobody runs backward.
        kept = (
            out.detach()
            if plan.kept_bytes is None
            else paddle.empty([plan.kept_bytes], dtype="uint8")
        )
        plan.forward({SRC: x, DST: out, WORKSPACE: kept})
        ctx.plan, ctx.shape = plan, x.shape
        ctx.save_for_backward(kept)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        (kept,) = ctx.saved_tensor()
        d_x = empty(ctx.shape)
        d_out = d_out.contiguous()
        ctx.plan.backward({DST: kept, WORKSPACE: kept, DIFF_DST: d_out, DIFF_SRC: d_x})
        return d_x


def max_pool(x: paddle.Tensor, kernel: int, stride: int, padding: int) -> paddle.Tensor:
    """F.max_pool2d."""
    plan = _max_pool(tuple(x.shape), kernel, stride, padding)
    if plan is None:
        return by_paddle(F.max_pool2d, x, kernel, stride, padding)
    return _Pixelwise.apply(x.contiguous(), plan)


def enlarge(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    """F.interpolate by ``factor``, nearest."""
    plan = _enlargement(tuple(x.shape), factor)
    if plan is None:
        return by_paddle(F.interpolate, x, scale_factor=factor, mode="nearest")
    return _Pixelwise.apply(x.contiguous(), plan)


def relu(x: paddle.Tensor) -> paddle.Tensor:
    """F.relu."""
    plan = _relu(tuple(x.shape))
    return F.relu(x) if plan is None else _Pixelwise.apply(x.contiguous(), plan)
