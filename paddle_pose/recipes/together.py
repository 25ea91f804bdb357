"""Which loss, codec and network belong together."""

from __future__ import annotations

from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import PoseResNetVisibility, whole
from paddle_pose.recipes.recipe import Recipe

BY_LOSS = {
    "integral_l1": IntegralCodec,
    "combined": CombinedCodec,
    "offset_mse": OffsetCodec,
}
"""Losses of coordinates and offsets, and the codec that each of them needs."""

VISIBILITY = "maps_and_visibility"
"""The loss of PoseResNetVisibility."""


def require_together(recipe: Recipe) -> None:
    """Raises UserError where loss, codec and network do not fit, or what the loss weighs."""
    codec = recipe.codec
    for loss, wanted in BY_LOSS.items():
        if (type(codec) is wanted) != (recipe.train.loss == loss):
            raise UserError(
                f"train.loss={recipe.train.loss}: does not go with "
                f"codec.kind={type(codec).__name__}; {loss} and {wanted.__name__} belong together"
            )
    visibility = recipe.train.loss == VISIBILITY
    if visibility != isinstance(whole(recipe.model), PoseResNetVisibility):
        raise UserError(
            f"train.loss={recipe.train.loss}: does not go with model.kind="
            f"{type(recipe.model).__name__}; {VISIBILITY} and PoseResNetVisibility belong together"
        )
    if isinstance(codec, IntegralCodec) and (codec.double_first or 0) > recipe.model.joints:
        raise UserError(
            f"codec.double_first={codec.double_first}: the network has {recipe.model.joints} joints"
        )
    weighs = visibility or isinstance(codec, IntegralCodec | CombinedCodec)
    if weighs and not recipe.train.use_target_weight:
        raise UserError(
            f"train.use_target_weight=false: train.loss={recipe.train.loss} always weighs joints"
        )
