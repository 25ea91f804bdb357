"""Losses on heat maps. Shape letters: B batch, J joints, H height, W width (of the maps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import paddle
from paddle.nn import functional as F

if TYPE_CHECKING:
    from paddle_pose.models.blocks import StageOutput


def joints_mse(
    outputs: Sequence[StageOutput],
    targets_BJHW: paddle.Tensor,
    weights_BJ: paddle.Tensor | None = None,
) -> paddle.Tensor:
    """Half the mean of (weight × error)², summed over the stages.

    A weight (0 or 1 in practice; None for all 1) multiplies prediction and target, so it counts
    squared, and the mean runs over the joints of weight 0 too. mmpose's loss has no half, which
    is twice this one.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/core/loss.py:22, lib/core/function.py:49
    @6f69e46
    """
    weights_BJ11 = None if weights_BJ is None else weights_BJ.unsqueeze([2, 3])
    losses = []
    for output in outputs:
        error_BJHW = output.heatmaps_BJHW - targets_BJHW
        if weights_BJ11 is not None:
            error_BJHW = error_BJHW * weights_BJ11
        losses.append(0.5 * error_BJHW.square().mean())
    return _sum(losses)


def heatmap_mse(outputs: Sequence[StageOutput], targets_BJHW: paddle.Tensor) -> paddle.Tensor:
    """Mean squared error over batch, joints and pixels, averaged over the stages; no weights.

    Source: princeton-vl/pytorch_stacked_hourglass task/loss.py:10, task/pose.py:125 @ceedc14
    """
    losses = [(output.heatmaps_BJHW - targets_BJHW).square().mean() for output in outputs]
    return _sum(losses) / len(losses)


def cell_cross_entropy(
    outputs: Sequence[StageOutput],
    targets_BJHW: paddle.Tensor,
    weights_BJ: paddle.Tensor,
) -> paddle.Tensor:
    """Cross-entropy over the cells of each map: which cell is the joint in? Summed over stages.

    The maps are logits, the target is the Gaussian divided by its sum; the mean runs over joints
    of weight 1 whose Gaussian is not empty. It has no counterpart in the published recipes: it
    learns in fewer steps than the squared error, because the softmax leaves no background to
    unlearn. ``CodecSettings.maps`` must be ``logits`` for it.
    """
    people, joints, height, width = targets_BJHW.shape
    flat = [people, joints, height * width]
    targets_BJN = targets_BJHW.reshape(flat)
    mass_BJ = targets_BJN.sum(-1)
    weights_BJ = weights_BJ * (mass_BJ > 0).astype(weights_BJ.dtype)
    scale_BJ = weights_BJ / paddle.clip(mass_BJ, min=1e-6)
    count = paddle.clip(weights_BJ.sum(), min=1.0)
    losses = []
    for output in outputs:
        log_BJN = F.log_softmax(output.heatmaps_BJHW.reshape(flat), axis=-1)
        losses.append(-((targets_BJN * log_BJN).sum(-1) * scale_BJ).sum() / count)
    return _sum(losses)


def _sum(losses: list[paddle.Tensor]) -> paddle.Tensor:
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total
