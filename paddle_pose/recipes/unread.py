"""Values of a recipe that nothing would read: refused, not ignored."""

from __future__ import annotations

import itertools

from paddle_pose.errors import UserError
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import FocalSettings, TrainSettings

SOFT_START = "soft_start_annealing"


def require_read(recipe: Recipe) -> None:
    """Raises UserError for settings of a loss or a schedule that no part of the run has."""
    if recipe.train.focal != FocalSettings() and recipe.train.loss != "masked_focal":
        raise UserError(
            "train.focal: changes nothing without train.loss=masked_focal; set that too"
        )
    every = [recipe.at(epoch).train for epoch in recipe.augment_by_epoch()]
    if SOFT_START in {one.schedule for one in every}:
        return
    for name, one in itertools.product(("soft_start", "annealing"), every):
        if (value := getattr(one, name)) != getattr(TrainSettings, name):
            raise UserError(
                f"train.{name}={value}: changes nothing without train.schedule={SOFT_START}; "
                "set that too, or leave this out"
            )
