"""Convolution, batch norm, ReLU, pooling and enlargement by oneDNN, forward and backward.

They take tensors as they travel (see ``packed``) and give them so. One set of primitives is made
per shape and kept.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import numpy as np
import paddle
from paddle.autograd import PyLayer

from paddle_pose.models import onednn
from paddle_pose.models.onednn import (
    BIAS,
    CONVOLUTION_DIRECT,
    DIFF_BIAS,
    DIFF_DST,
    DIFF_SCALE,
    DIFF_SHIFT,
    DIFF_SRC,
    DIFF_WEIGHTS,
    DST,
    FORWARD_TRAINING,
    MEAN,
    SCALE,
    SHIFT,
    SRC,
    VARIANCE,
    WEIGHTS,
    WORKSPACE,
    Handle,
    Primitive,
    dimensions,
)
from paddle_pose.models.packed import (
    PLANS,
    Shape,
    empty,
    layout,
    logical,
    refuse_second_derivatives,
    travelling,
)

_BACKWARD, _POOLING_MAX, _RELU_BY_RESULT, _NEAREST = 128, 511, 256, 196592
_GIVEN_MOMENTS, _USE_SCALE, _USE_SHIFT, _FUSE_RELU = 1, 2, 4, 8
_ADDED = 1024
"""Values that are added up in float32 before float64 takes over: their sum errs by about 4e-7."""


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


_convolution = functools.lru_cache(maxsize=PLANS)(_Convolution)


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
    return _ConvolutionLayer.apply(x.contiguous(), weight, bias, _convolution(*key))


class _Moments:
    """Primitive for the mean and variance of each channel at one size.

    oneDNN adds all values of a channel one after the other in float32, which at a million of them
    leaves 1e-4 of the variance wrong. So what it sees as channels are a few rows of one image,
    which the memory order allows, and their moments are combined in float64.
    """

    def __init__(self, shape: Shape) -> None:
        calls = onednn.library()
        batch, channels, height, width = logical(shape)
        fitting = (n for n in range(height, 1, -1) if height % n == 0 and n * width <= _ADDED)
        rows = next(fitting, 1)
        self._parts = (batch, channels // shape[-1], height // rows, shape[-1])
        parts = batch * channels * height // rows
        view, row = (1, parts // shape[-1], rows, width, shape[-1]), calls.plain([parts])
        x, how = layout(view), (ctypes.c_float(1), ctypes.c_uint(0))
        forward = calls.describe("batch_normalization_forward", FORWARD_TRAINING, x, x, *how)
        given = {SRC: x, DST: x, MEAN: row, VARIANCE: row}
        self._primitive = Primitive(forward, given, {DST, MEAN, VARIANCE})
        self._size = [parts]

    def __call__(
        self, x: paddle.Tensor, space: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Mean and biased variance (C,); ``space``, as large as x, is overwritten.

        Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for
        computing sample variances"
        """
        means, variances = empty(self._size), empty(self._size)
        self._primitive({SRC: x, DST: space, MEAN: means, VARIANCE: variances})
        means, variances = (
            part.numpy().astype(np.float64).reshape(self._parts) for part in (means, variances)
        )
        over = (0, 2)
        mean = means.mean(over)
        variance = variances.mean(over) + np.square(means - mean[None, :, None]).mean(over)
        return tuple(paddle.to_tensor(v.reshape(-1).astype(np.float32)) for v in (mean, variance))


_moments = functools.lru_cache(maxsize=PLANS)(_Moments)


class _BatchNorm:
    """Primitives of batch norm by given moments, with a ReLU behind it or not, at one size.

    ``own``: whether the moments are those of x itself, through which gradients then flow.
    """

    def __init__(self, shape: Shape, epsilon: float, relu: bool, own: bool) -> None:
        calls = onednn.library()
        x, row = layout(shape), calls.plain([logical(shape)[1]])
        flags = _USE_SCALE | _USE_SHIFT | (_FUSE_RELU if relu else 0)

        def describe(flags: int) -> tuple[Handle, Handle]:
            how = (ctypes.c_float(epsilon), ctypes.c_uint(flags))
            forward = calls.describe("batch_normalization_forward", FORWARD_TRAINING, x, x, *how)
            back = ("batch_normalization_backward", _BACKWARD, x, x, x, *how, forward)
            return forward, calls.describe(*back)

        forward, back = describe(flags | _GIVEN_MOMENTS)
        if own:
            _, back = describe(flags)
        self.mask_bytes = calls.bytes_of(calls.wanted(forward, WORKSPACE)) if relu else 0
        moments = {MEAN: row, VARIANCE: row}
        mask = {WORKSPACE: None} if relu else {}
        given = {SRC: x, DST: x, SCALE: row, SHIFT: row, **moments, **mask}
        self.forward = Primitive(forward, given, {DST, WORKSPACE})
        given = {SRC: x, DIFF_DST: x, SCALE: row, **moments, **mask}
        gradients = {DIFF_SRC: x, DIFF_SCALE: row, DIFF_SHIFT: row}
        self.backward = Primitive(back, {**given, **gradients}, set(gradients))


_batch_norm = functools.lru_cache(maxsize=PLANS)(_BatchNorm)


class _BatchNormLayer(PyLayer):
    @staticmethod
    def forward(
        ctx: Any,
        x: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor,
        plan: _BatchNorm,
        moments: list[paddle.Tensor],
    ) -> paddle.Tensor:
        """Empty ``moments`` are filled with those of x."""
        out = empty(x.shape)
        if not moments:
            moments += _moments(tuple(x.shape))(x, out)
        mean, variance = moments
        mask = paddle.empty([plan.mask_bytes], dtype="uint8")
        plan.forward(
            {
                **{SRC: x, SCALE: weight, SHIFT: bias, DST: out},
                **{MEAN: mean, VARIANCE: variance, WORKSPACE: mask},
            }
        )
        ctx.plan, ctx.fixed = plan, [t.stop_gradient for t in (x, weight, bias)]
        ctx.save_for_backward(x, weight, mean, variance, mask)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        refuse_second_derivatives()
        x, weight, mean, variance, mask = ctx.saved_tensor()
        gradients = empty(x.shape), empty(weight.shape), empty(weight.shape)
        ctx.plan.backward(
            {
                **{SRC: x, SCALE: weight, MEAN: mean, VARIANCE: variance, WORKSPACE: mask},
                **{DIFF_DST: d_out.contiguous()},
                **dict(zip((DIFF_SRC, DIFF_SCALE, DIFF_SHIFT), gradients, strict=True)),
            }
        )
        given = zip(ctx.fixed, gradients, strict=True)
        return tuple(None if fixed else gradient for fixed, gradient in given)


def batch_norm(
    x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, epsilon: float, *, relu: bool
) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Normalised by its own moments, through a ReLU if ``relu``; mean and biased variance (C,)."""
    moments: list[paddle.Tensor] = []
    plan = _batch_norm(tuple(x.shape), epsilon, relu, True)
    out = _BatchNormLayer.apply(x.contiguous(), weight, bias, plan, moments)
    return out, *moments


def batch_norm_by(
    x: paddle.Tensor,
    weight: paddle.Tensor,
    bias: paddle.Tensor,
    moments: tuple[paddle.Tensor, paddle.Tensor],
    epsilon: float,
    *,
    relu: bool,
) -> paddle.Tensor:
    """Normalised by a given mean and variance (C,), through a ReLU if ``relu``."""
    plan = _batch_norm(tuple(x.shape), epsilon, relu, False)
    return _BatchNormLayer.apply(x.contiguous(), weight, bias, plan, list(moments))


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


_Plan = _MaxPool | _Enlargement | _Relu


@functools.lru_cache(maxsize=3 * PLANS)
def _plan(kind: type[_Plan], *key: object) -> _Plan:
    return kind(*key)


class _Pixelwise(PyLayer):
    """A layer without weights."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, plan: _Plan) -> paddle.Tensor:
        out = empty(plan.out_shape)
        kept = out if plan.kept_bytes is None else paddle.empty([plan.kept_bytes], dtype="uint8")
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
    plan = _plan(_MaxPool, tuple(x.shape), kernel, stride, padding)
    return _Pixelwise.apply(x.contiguous(), plan)


def enlarge(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    """F.interpolate by ``factor``, nearest."""
    return _Pixelwise.apply(x.contiguous(), _plan(_Enlargement, tuple(x.shape), factor))


def relu(x: paddle.Tensor) -> paddle.Tensor:
    """F.relu."""
    return _Pixelwise.apply(x.contiguous(), _plan(_Relu, tuple(x.shape)))
