"""Batch normalisation over the batch of all ranks, forward and backward.

Paddle's SyncBatchNorm has no kernel for the CPU and tracks the biased variance; this one runs
wherever tensors can be gathered, and the running variance is that of ``blocks.BatchNorm2D``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle.autograd import PyLayer

_OVER = [0, 2, 3]
_PER_CHANNEL = [1, -1, 1, 1]


class _Normalize(PyLayer):
    """(x - mean) / deviation × weight + bias, with mean and deviation over all ranks.

    Every rank's gradient is that of the sum of all ranks' losses with respect to its own part, as
    ``paddle.DataParallel``, which averages gradients over ranks, expects.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_BCHW: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor,
        moments: tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor],
        epsilon: float,
        counted: bool,
    ) -> paddle.Tensor:
        """``moments``: mean, biased variance and number of values per channel, over all ranks."""
        mean, variance, count = moments
        scale = paddle.rsqrt(variance + epsilon)
        normal_BCHW = (x_BCHW - mean.reshape(_PER_CHANNEL)) * scale.reshape(_PER_CHANNEL)
        ctx.fixed, ctx.counted = [t.stop_gradient for t in (x_BCHW, weight, bias)], counted
        ctx.save_for_backward(normal_BCHW, scale, weight, count)
        return normal_BCHW * weight.reshape(_PER_CHANNEL) + bias.reshape(_PER_CHANNEL)

    @staticmethod
    def backward(ctx: Any, gradient_BCHW: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        """Gradients of input, weight and bias; None for those that were fixed."""
        normal_BCHW, scale, weight, count = ctx.saved_tensor()
        of_bias = gradient_BCHW.sum(_OVER)
        of_weight = (gradient_BCHW * normal_BCHW).sum(_OVER)
        sums = paddle.concat([of_bias, of_weight])
        paddle.distributed.all_reduce(sums)
        mean, mean_of_product = (sums / count).split(2)
        of_normal_BCHW = gradient_BCHW
        if ctx.counted:  # else the moments do not depend on this rank's part
            of_normal_BCHW = gradient_BCHW - mean.reshape(_PER_CHANNEL)
            of_normal_BCHW -= normal_BCHW * mean_of_product.reshape(_PER_CHANNEL)
        of_x_BCHW = of_normal_BCHW * (scale * weight).reshape(_PER_CHANNEL)
        given = zip(ctx.fixed, (of_x_BCHW, of_weight, of_bias), strict=True)
        return tuple(None if fixed else gradient for fixed, gradient in given)


def moments_of_all_ranks(
    x_BCHW: paddle.Tensor, counted: bool = True
) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Mean (C,), biased variance (C,) and number of values per channel (1,) over all ranks.

    One exchange: every rank's mean, sum of squared deviations and count (0 unless ``counted``),
    combined in the order of the ranks, so that all of them have the same bits.

    Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances"
    """
    channels = x_BCHW.shape[1]
    mean = x_BCHW.mean(_OVER)
    deviations = (x_BCHW - mean.reshape(_PER_CHANNEL)).square().sum(_OVER)
    count = paddle.full([1], x_BCHW.size // channels, dtype=mean.dtype)
    if not counted:
        mean, deviations, count = (paddle.zeros_like(v) for v in (mean, deviations, count))
    parts: list[paddle.Tensor] = []
    paddle.distributed.all_gather(parts, paddle.concat([mean, deviations, count]))
    means, deviations_RC, counts = paddle.stack(parts).split([channels, channels, 1], axis=1)
    whole = counts.sum(0)
    mean = (means * counts).sum(0) / whole
    deviations = deviations_RC.sum(0) + (counts * (means - mean).square()).sum(0)
    return mean, deviations / whole, whole


def batch_norm(
    x_BCHW: paddle.Tensor,
    *,
    mean: paddle.Tensor,
    variance: paddle.Tensor,
    weight: paddle.Tensor,
    bias: paddle.Tensor,
    momentum: float,
    epsilon: float,
    counted: bool = True,
) -> paddle.Tensor:
    """``x_BCHW`` normalised over all ranks; moves ``mean`` and (unbiased) ``variance``.

    A rank whose part only keeps step (``parallel.part``) is not ``counted`` in the moments.
    Half-precision input is normalised in float32. Momentum and epsilon are rounded to float32,
    as Paddle's kernel holds them, so that one process and several agree in float64 too.
    """
    momentum, epsilon = float(np.float32(momentum)), float(np.float32(epsilon))
    exact_BCHW = x_BCHW.astype(weight.dtype)
    with paddle.no_grad():
        found = moments_of_all_ranks(exact_BCHW.detach(), counted)
        unbiased = found[1] * (found[2] / paddle.clip(found[2] - 1, min=1))
        paddle.assign(mean * momentum + found[0] * (1 - momentum), mean)
        paddle.assign(variance * momentum + unbiased * (1 - momentum), variance)
    return _Normalize.apply(exact_BCHW, weight, bias, found, epsilon, counted).astype(x_BCHW.dtype)
