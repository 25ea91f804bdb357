"""Losses of heat maps and part affinity fields: sums over all cells, masked, a part per output.

Shape letters: B batch, J heat maps, background with them, L maps of the fields, H and W cells. The
targets are ``heatmaps`` (B, J, H, W), ``pafs`` (B, L, H, W) and ``mask`` (B, H, W), 0 where nothing
is known.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/losses/bpnet_loss.py:102,
trainers/bpnet_trainer.py:262 @2ec95cb
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import StageOutput
from paddle_pose.settings import FocalSettings

NAMES = ("heatmaps", "pafs")


def masked_squares(
    outputs: Sequence[StageOutput],
    targets: Mapping[str, paddle.Tensor],
    focal: FocalSettings | None = None,
) -> dict[str, paddle.Tensor]:
    """Half the sum of (mask × error)² over an image, meaned over images, of each stage's maps.

    It is a sum over cells: rates are made for that. ``focal`` weighs errors, once more squared, by
    ``focal_weights``, whose own gradient counts.
    """
    mask_B1HW = targets["mask"].unsqueeze(1)
    parts = {}
    for stage, output in enumerate(outputs, start=1):
        for name, maps_BCHW in zip(NAMES, output, strict=True):
            wanted_BCHW = targets[name]
            _require_alike(name, maps_BCHW, wanted_BCHW)
            error_BCHW = (maps_BCHW - wanted_BCHW) * mask_B1HW
            if focal is not None:
                error_BCHW = error_BCHW * focal_weights(maps_BCHW, wanted_BCHW, focal)
            part = 0.5 * error_BCHW.square().sum() / maps_BCHW.shape[0]
            parts[f"{name}_stage{stage}"] = part
    return parts


def focal_weights(
    maps: paddle.Tensor, wanted: paddle.Tensor, focal: FocalSettings
) -> paddle.Tensor:
    """Near 0 where a cell is easy: |1 - s|^gamma.

    s is the value less ``alpha`` where the target is above ``background``, elsewhere 1 - value
    less ``beta``. Of a field all that is negative counts as background, as in the official code.

    Source: bpnet_loss.py:218 compute_focal_loss_factor
    """
    # As tensors: Paddle 2.6 takes a number for a float32, in float64 too.
    alpha, beta = (paddle.full([1], value, maps.dtype) for value in (focal.alpha, focal.beta))
    score = paddle.where(wanted > focal.background, maps - alpha, 1 - maps - beta)
    off = (1 - score).abs()
    return off if focal.gamma == 1 else off**focal.gamma


def _require_alike(name: str, maps: paddle.Tensor, wanted: paddle.Tensor) -> None:
    """Raises UserError for targets of another size."""
    ours, theirs = maps.shape[1:], wanted.shape[1:]
    if list(ours) != list(theirs):
        raise UserError(
            f"codec: its {name} are {theirs[0]} maps of {theirs[2]}×{theirs[1]} cells, the "
            f"network's {ours[0]} of {ours[2]}×{ours[1]}; give model.joints and model.limbs as "
            "many as the data have, and the codec the network's stride"
        )
