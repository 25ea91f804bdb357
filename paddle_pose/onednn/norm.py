"""Batch norm by oneDNN with a ReLU behind it or not, forward and backward.

It takes both layouts (see ``layout``) and keeps them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.layout import (
    Shape,
    by_paddle,
    empty,
    is_blocked,
    kind,
    layout,
    plain_shape,
    planned,
    refuse_second_derivatives,
)
from paddle_pose.onednn.library import (
    DIFF_DST,
    DIFF_SCALE,
    DIFF_SHIFT,
    DIFF_SRC,
    DST,
    FORWARD_TRAINING,
    MEAN,
    SCALE,
    SHIFT,
    SRC,
    VARIANCE,
    WORKSPACE,
    Made,
    Primitive,
)

_BACKWARD = 128
_GIVEN_MOMENTS, _USE_SCALE, _USE_SHIFT, _FUSE_RELU = 1, 2, 4, 8
_ADDED = 1024
"""So many values are added in float32 (their sum errs by about 4e-7), the sums in float64."""


class _Moments:
    """Primitive for the mean and variance of each channel at one size.

    oneDNN adds all values of a channel one after the other in float32, which at a million of them
    leaves 1e-4 of the variance wrong. So what it sees as channels are a few rows of one image,
    which the memory order allows, and their moments are combined in float64.
    """

    def __init__(self, shape: Shape, kind: int) -> None:
        calls = onednn.loaded()
        batch, channels, height, width = plain_shape(shape)
        fitting = (n for n in range(height, 1, -1) if height % n == 0 and n * width <= _ADDED)
        rows = next(fitting, 1)
        self._parts = (batch, channels // shape[-1], height // rows, shape[-1])
        parts = batch * channels * height // rows
        view, row = (1, parts // shape[-1], rows, width, shape[-1]), calls.plain([parts])
        x, how = layout(view, kind), (ctypes.c_float(1), ctypes.c_uint(0))
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
        means, variances = empty(tuple(self._size)), empty(tuple(self._size))
        self._primitive({SRC: x, DST: space, MEAN: means, VARIANCE: variances})
        means, variances = (
            part.numpy().astype(np.float64).reshape(self._parts) for part in (means, variances)
        )
        over = (0, 2)
        with np.errstate(all="ignore"):  # of values that are not finite the loss will speak
            mean = means.mean(over)
            variance = variances.mean(over) + np.square(means - mean[None, :, None]).mean(over)
            found = [v.reshape(-1).astype(np.float32) for v in (mean, variance)]
        return paddle.to_tensor(found[0]), paddle.to_tensor(found[1])


_moments = planned(_Moments)


class _BatchNorm:
    """Primitives of batch norm by given moments, with a ReLU behind it or not, at one size.

    ``own``: whether the moments are those of x itself, through which gradients then flow. oneDNN
    adds up those of weight and bias in float32: of a million values they are off by up to 1e-4,
    and the gradient of x, which has their means in it, by 2e-5 (Paddle's kernel: weight worse, the
    others better).
    """

    def __init__(self, shape: Shape, kind: int, epsilon: float, relu: bool, own: bool) -> None:
        calls = onednn.loaded()
        x, row = layout(shape, kind), calls.plain([plain_shape(shape)[1]])
        flags = _USE_SCALE | _USE_SHIFT | (_FUSE_RELU if relu else 0)

        def describe(flags: int) -> tuple[Made, Made]:
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


_batch_norm = planned(_BatchNorm)


class _BatchNormLayer(PyLayer):
    @staticmethod
    def forward(
        ctx: Any,
        x: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor,
        plan: _BatchNorm,
        measure: _Moments | None,
        moments: list[paddle.Tensor],
    ) -> paddle.Tensor:
        """``measure`` fills ``moments`` with those of x."""
        out = empty(x.shape, kind(x))
        if measure is not None:
            moments += measure(x, out)
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
        gradients = empty(x.shape, kind(x)), empty(weight.shape), empty(weight.shape)
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
    if is_blocked(x):
        moments: list[paddle.Tensor] = []
        key = tuple(x.shape), kind(x)
        plan, measure = _batch_norm(*key, epsilon, relu, True), _moments(*key)
        if plan is not None and measure is not None:
            out = _BatchNormLayer.apply(x.contiguous(), weight, bias, plan, measure, moments)
            return out, *moments
    moments = [paddle.zeros_like(weight).detach(), paddle.zeros_like(bias).detach()]
    # Without momentum the running statistics become those of x.
    named = {"training": True, "momentum": 0.0, "epsilon": epsilon}
    return by_paddle(_with_relu(relu), x, *moments, weight, bias, **named), *moments


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
    plan = None
    if is_blocked(x):
        plan = _batch_norm(tuple(x.shape), kind(x), epsilon, relu, False)
    if plan is not None:
        return _BatchNormLayer.apply(x.contiguous(), weight, bias, plan, None, list(moments))
    named = {"use_global_stats": True, "epsilon": epsilon}
    return by_paddle(_with_relu(relu), x, *moments, weight, bias, **named)


def _with_relu(relu: bool) -> Callable[..., paddle.Tensor]:
    """F.batch_norm, through a ReLU if ``relu``."""
    return (lambda *given, **named: F.relu(F.batch_norm(*given, **named))) if relu else F.batch_norm
