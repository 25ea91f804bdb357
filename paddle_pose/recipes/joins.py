"""Which data sets go beside which, and with which joints."""

from __future__ import annotations

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import whole
from paddle_pose.recipes.recipe import Recipe

JOINS = ("none", "wholebody", "wholebody_feet_as_published", "aic_merged", "aic_combined")
"""``data.join``: COCO-WholeBody's people beside Halpe's, as Halpe's joints, also with AlphaPose's
mistaken order of the feet; AI Challenger's beside COCO's, as its 17 joints or with two more."""

BESIDE_COCO = ("aic_merged", "aic_combined")
"""``data.join`` of AI Challenger; the second trains two joints more."""


def require_joined(recipe: Recipe) -> None:
    """Raises UserError where ``data.join`` and data set, joints or network do not go together."""
    data = recipe.data
    wanted = "coco" if data.join in BESIDE_COCO else "halpe"
    if data.join != "none" and data.dataset != wanted:
        raise UserError(f"data.join={data.join}: goes with data.dataset={wanted}")
    more = getattr(whole(recipe.model), "more", 0)
    other_joints = data.join in BESIDE_COCO and data.skeleton != "coco17"
    if other_joints or more != 2 * (data.join == BESIDE_COCO[1]):
        raise UserError(
            f"data.join={data.join}: goes with data.skeleton=coco17, and aic_combined (alone) with "
            "model.kind=HRNetMore, model.more=2"
        )
