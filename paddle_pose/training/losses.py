"""Losses as named parts, whose sum is minimised.

Shape letters: B batch, J joints, H height, W width (of the maps). A loss takes the stages' outputs
and the codec's targets; those here read ``heatmaps`` (B, J, H, W) and ``weights`` (B, J).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import paddle
from paddle.nn import functional as F

from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import StageOutput
from paddle_pose.models.outputs import named
from paddle_pose.training import integral_losses
from paddle_pose.training.field_losses import masked_squares

if TYPE_CHECKING:
    from paddle_pose.codecs.codec import Codec
    from paddle_pose.models.instances import TwoPeople
    from paddle_pose.settings import TrainSettings

Targets = Mapping[str, paddle.Tensor]
Loss = Callable[[Sequence[Any], Targets], dict[str, paddle.Tensor]]


def joints_mse(outputs: Sequence[StageOutput], targets: Targets) -> dict[str, paddle.Tensor]:
    """Half the mean of (weight × error)², summed over the stages.

    A weight (0 or 1 in practice; no weights for all 1) multiplies prediction and target, so it
    counts squared, and the mean runs over the joints of weight 0 too. mmpose's loss has no half,
    which is twice this one.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/core/loss.py:22, lib/core/function.py:49
    @6f69e46
    """
    weights_BJ = targets.get("weights")
    losses = []
    for output in outputs:
        error_BJHW = _errors(output, targets)
        if weights_BJ is not None:
            error_BJHW = error_BJHW * weights_BJ.unsqueeze([2, 3])
        losses.append(0.5 * error_BJHW.square().mean())
    return {"heatmaps": total(losses)}


def heatmap_mse(outputs: Sequence[StageOutput], targets: Targets) -> dict[str, paddle.Tensor]:
    """Mean squared error over batch, joints and pixels, averaged over the stages; no weights.

    Source: princeton-vl/pytorch_stacked_hourglass task/loss.py:10, task/pose.py:125 @ceedc14
    """
    losses = [_errors(output, targets).square().mean() for output in outputs]
    return {"heatmaps": total(losses) / len(losses)}


def cell_cross_entropy(
    outputs: Sequence[StageOutput], targets: Targets
) -> dict[str, paddle.Tensor]:
    """Cross-entropy over the cells of each map: which cell is the joint in? Summed over stages.

    The maps are logits, the target is the Gaussian divided by its sum; the mean runs over joints
    of weight 1 whose Gaussian is not empty. It has no counterpart in the published recipes: it
    learns in fewer steps than the squared error, because the softmax leaves no background to
    unlearn. ``HeatmapCodec.maps`` must be ``logits`` for it.
    """
    targets_BJHW, weights_BJ = targets["heatmaps"], targets["weights"]
    people, joints, height, width = targets_BJHW.shape
    flat = [people, joints, height * width]
    targets_BJN = targets_BJHW.reshape(flat)
    mass_BJ = targets_BJN.sum(-1)
    weights_BJ = weights_BJ * (mass_BJ > 0).astype(weights_BJ.dtype)
    scale_BJ = weights_BJ / paddle.clip(mass_BJ, min=1e-6)
    count = paddle.clip(weights_BJ.sum(), min=1.0)
    losses = []
    for output in outputs:
        log_BJN = F.log_softmax(_fitting(output, targets).reshape(flat), axis=-1)
        losses.append(-((targets_BJN * log_BJN).sum(-1) * scale_BJ).sum() / count)
    return {"heatmaps": total(losses)}


def two_people_mse(outputs: Sequence[TwoPeople], targets: Targets) -> dict[str, paddle.Tensor]:
    """Half of ``joints_mse`` of either person: the mean over all people of a box, named apart.

    Reads ``target_primary``, ``weight_primary`` and the same of the secondary person. The official
    code draws who comes first, which changes nothing, and computes a term for the two answers to
    differ, which it does not add.

    Source: rawalkhirodkar/MIPNet lib/core/loss.py:43, lib/core/train.py:360 @245651d
    """
    parts = {}
    for name, maps_BJHW in named(outputs[-1]).items():
        given = {"heatmaps": targets[f"target_{name}"]}
        if f"weight_{name}" in targets:
            given["weights"] = targets[f"weight_{name}"]
        parts[name] = 0.5 * joints_mse([StageOutput(maps_BJHW)], given)["heatmaps"]
    return parts


def two_people_cross_entropy(
    outputs: Sequence[TwoPeople], targets: Targets
) -> dict[str, paddle.Tensor]:
    """As ``two_people_mse`` with half of ``cell_cross_entropy`` of either person; unpublished."""
    parts = {}
    for name, maps_BJHW in named(outputs[-1]).items():
        given = {"heatmaps": targets[f"target_{name}"], "weights": targets[f"weight_{name}"]}
        parts[name] = 0.5 * cell_cross_entropy([StageOutput(maps_BJHW)], given)["heatmaps"]
    return parts


def offset_mse(outputs: Sequence[StageOutput], targets: Targets) -> dict[str, paddle.Tensor]:
    """Half the mean of (weight × error)² of a joint's disc and of its two offsets, inside the disc.

    Three maps a joint, one after another; summed over the stages.

    Source: open-mmlab/mmpose mmpose/models/losses/heatmap_loss.py:122 @759b39c
    """
    people, maps, height, width = targets["heatmaps"].shape
    parts: list[tuple[paddle.Tensor, paddle.Tensor]] = []
    by_joint = [people, maps // 3, 3, height, width]
    discs_BJHW = targets["heatmaps"].reshape(by_joint)[:, :, 0]
    for output in outputs:
        error_BJ3HW = _errors(output, targets).reshape(by_joint)
        disc_BJHW, counted_BJHW = error_BJ3HW[:, :, 0], discs_BJHW
        if "weights" in targets:
            weights_BJ11 = targets["weights"].unsqueeze([2, 3])
            disc_BJHW, counted_BJHW = disc_BJHW * weights_BJ11, discs_BJHW * weights_BJ11
        offsets_BJ2HW = error_BJ3HW[:, :, 1:] * counted_BJHW.unsqueeze(2)
        parts.append((0.5 * disc_BJHW.square().mean(), offsets_BJ2HW.square().mean()))
    discs, offsets = zip(*parts, strict=True)
    return {"heatmaps": total(discs), "offsets": total(offsets)}


def maps_and_visibility(outputs: Sequence[Any], targets: Targets) -> dict[str, paddle.Tensor]:
    """``joints_mse``, and 0.0005 × the mean cross-entropy of which joints are visible.

    Of MapsAndVisibility. Visible are the joints of weight 1: labelled, hidden or not, with a
    Gaussian in the crop. Both parts are half of mmpose's. All joints count, also those that a data
    set does not have, as the mask that mmpose makes for them is lost: the codec's table of what to
    pack does not name it.

    Source: open-mmlab/mmpose mmpose/models/heads/hybrid_heads/vis_head.py:194,
    mmpose/models/losses/classification_loss.py:43, mmpose/codecs/msra_heatmap.py:50 @759b39c
    """
    visible = F.binary_cross_entropy(outputs[-1].visible_BJ, targets["weights"])
    return {**joints_mse(outputs, targets), "visible": 0.0005 * visible}


LOSSES: dict[str, Callable[..., dict[str, paddle.Tensor]]] = {
    "joints_mse": joints_mse,
    "two_people_mse": two_people_mse,
    "two_people_cross_entropy": two_people_cross_entropy,
    "heatmap_mse": heatmap_mse,
    "cell_cross_entropy": cell_cross_entropy,
    "masked_squares": masked_squares,
    "masked_focal": masked_squares,
    "integral_l1": integral_losses.integral_l1,
    "combined": partial(integral_losses.combined, heatmaps=joints_mse),
    "offset_mse": offset_mse,
    "maps_and_visibility": maps_and_visibility,
}


def loss_function(settings: TrainSettings, codec: Codec | None = None) -> Loss:
    """The recipe's loss, of its codec's coordinates; Raises UserError for an unknown name."""
    if settings.loss not in LOSSES:
        raise UserError(f"train.loss: unknown '{settings.loss}'{nearest(settings.loss, LOSSES)}")
    loss = LOSSES[settings.loss]
    if settings.loss == "masked_focal":
        return functools.partial(masked_squares, focal=settings.focal)
    if loss in (joints_mse, two_people_mse, offset_mse) and not settings.use_target_weight:
        return lambda outputs, targets: loss(
            outputs, {name: one for name, one in targets.items() if not name.startswith("weight")}
        )
    if isinstance(codec, IntegralCodec | CombinedCodec):
        return partial(loss, norm=codec.norm, symmetric=codec.symmetric)
    return loss


def total(losses: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """Their sum, from left to right."""
    result = losses[0]
    for loss in losses[1:]:
        result = result + loss
    return result


def _errors(output: StageOutput, targets: Targets) -> paddle.Tensor:
    return _fitting(output, targets) - targets["heatmaps"]


def _fitting(output: StageOutput, targets: Targets) -> paddle.Tensor:
    """The stage's maps; Raises UserError if the codec's are of another size."""
    ours, theirs = output.heatmaps_BJHW.shape, targets["heatmaps"].shape
    if list(ours) != list(theirs):
        raise UserError(
            f"codec.stride: the network puts out {ours[1]} maps of {ours[3]}×{ours[2]} cells, the "
            f"targets are {theirs[1]} of {theirs[3]}×{theirs[2]}; set the stride of the network"
        )
    return output.heatmaps_BJHW
