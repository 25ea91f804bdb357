"""What a recipe's values must be, checked before any work: one line names key, value, limit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from paddle_pose.errors import UserError, nearest
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import DECODERS, HALF

AT_LEAST = {
    "seed": 0,
    "data.limit": 1,
    "train.epochs": 1,
    "train.batch_size": 1,
    "train.base_batch_size": 0,
    "train.accumulate_steps": 1,
    "train.log_every": 1,
    "train.save_every": 0,
    "train.validate_every": 1,
    "train.warmup_steps": 0,
    "eval.batch_size": 1,
    "eval.bootstrap": 0,
}
"""Smallest allowed values; None passes where the key allows it."""

FROM_ZERO = (
    "train.warmup_factor",
    "train.weight_decay",
    "train.clip_norm",
    "augment.scale_factor",
    "augment.rotation_deg",
)
"""Keys whose values are finite and not negative; None passes where the key allows it."""

OUTPUT_STRIDE = 4
"""Every network here puts out maps of a quarter of its input."""


def _value(recipe: Recipe, key: str) -> Any:
    node: Any = recipe
    for name in key.split("."):
        node = getattr(node, name)
    return node


MAPS = ("heatmaps", "logits")
"""What a network may put out (CodecSettings.maps)."""


def require_maps(recipe: Recipe) -> None:
    """Raises UserError for unknown maps, or maps that the recipe's loss does not train."""
    maps, loss = recipe.codec.maps, recipe.train.loss
    if maps not in MAPS:
        raise UserError(f"codec.maps: unknown '{maps}'{nearest(maps, MAPS)}")
    if (maps == "logits") != (loss == "cell_cross_entropy"):
        raise UserError(
            f"codec.maps={maps} does not go with train.loss={loss}: "
            "logits and cell_cross_entropy belong together"
        )


CHOICES = {
    "train.scale_learning_rate": ("none", "linear"),
    "train.amp": ("none", "O1", "O2"),
    "train.amp_dtype": HALF,
}
"""Keys that take one of a few words."""


def _require_trainable(recipe: Recipe) -> None:
    for key, words in CHOICES.items():
        if (word := _value(recipe, key)) not in words:
            raise UserError(f"{key}: unknown '{word}'{nearest(str(word), words)}")
    settings = recipe.train
    if settings.scale_learning_rate == "linear" and settings.base_batch_size < 1:
        raise UserError(
            "train.scale_learning_rate=linear: set train.base_batch_size to the batch that "
            "train.learning_rate was chosen for"
        )
    if settings.base_batch_size and settings.scale_learning_rate == "none":
        raise UserError(
            f"train.base_batch_size={settings.base_batch_size}: changes nothing without "
            "train.scale_learning_rate=linear; set that too, or leave this at 0"
        )
    if not 0 <= settings.ema_decay < 1:
        raise UserError(
            f"train.ema_decay: must be 0 (none) or below 1, such as 0.999, got {settings.ema_decay}"
        )


def _require_in_range(recipe: Recipe) -> None:
    for key, least in AT_LEAST.items():
        value = _value(recipe, key)
        if value is not None and value < least:
            raise UserError(f"{key}: must be at least {least}, got {value}")
    for key in FROM_ZERO:
        value = _value(recipe, key)
        if value is not None and not 0 <= value < math.inf:
            raise UserError(f"{key}: must be 0 or more and finite, got {value}")
    if not 0 < recipe.train.learning_rate < math.inf:
        raise UserError(
            f"train.learning_rate: must be above 0 and finite, got {recipe.train.learning_rate}"
        )


def require_sound(recipe: Recipe) -> None:
    """Raises UserError for the first value that no run can have."""
    _require_in_range(recipe)
    for item in dataclasses.fields(recipe.model):
        value = getattr(recipe.model, item.name)
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise UserError(f"model.{item.name}: must be at least 1, got {value}")
    _require_sound_pictures(recipe)
    _require_trainable(recipe)
    require_maps(recipe)
    if not recipe.benchmarks:
        raise UserError("benchmarks: a recipe needs at least one")
    for benchmark in recipe.benchmarks:
        if benchmark.decoder not in DECODERS:
            hint = nearest(benchmark.decoder, DECODERS)
            raise UserError(f"benchmark '{benchmark.name}': unknown decoder{hint}")


def _require_sound_pictures(recipe: Recipe) -> None:
    width, height = recipe.data.image_size_wh
    if width < 32 or height < 32:
        raise UserError(f"data.image_size_wh: must be at least 32×32, got {width}×{height}")
    widest = max(width, height) / OUTPUT_STRIDE
    if not 0 < recipe.codec.sigma_px <= widest:
        raise UserError(
            f"codec.sigma_px: must be above 0 and at most the map's {widest:g} cells, "
            f"got {recipe.codec.sigma_px}"
        )
    if recipe.codec.stride != OUTPUT_STRIDE:
        raise UserError(
            f"codec.stride: must be {OUTPUT_STRIDE}, which every network here has, "
            f"got {recipe.codec.stride}"
        )
    if recipe.data.channel_order not in ("rgb", "bgr"):
        raise UserError(
            f"data.channel_order: must be rgb or bgr, got '{recipe.data.channel_order}'"
        )
