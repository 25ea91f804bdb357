"""What a recipe's values must be, checked before any work: one line names key, value, limit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paddle_pose.codecs.heatmap import HeatmapCodec
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

RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "above 0 and finite": (
        lambda value: 0 < value < math.inf,
        "train.learning_rate train.optimizer.epsilon "
        "benchmarks.*.test_scales.* benchmarks.*.metric.thresholds.*",
    ),
    "0 or more and finite": (
        lambda value: 0 <= value < math.inf,
        "train.warmup_factor train.clip_norm augment.scale_factor augment.rotation_deg "
        "train.optimizer.l1 train.optimizer.l2 "
        "train.optimizer.groups.*.rate train.optimizer.groups.*.decay",
    ),
    "0 or more and below 1": (
        lambda value: 0 <= value < 1,
        "train.ema_decay train.optimizer.beta1 train.optimizer.beta2 train.optimizer.momentum",
    ),
}
"""Ranges and the keys whose values must lie in them."""


def _values(node: Any, names: Sequence[str], key: str = "") -> Iterator[tuple[str, Any]]:
    """Full keys and values of a key in which * stands for every entry; none where it is lacking."""
    if not names:
        yield key[1:], node
    elif names[0] == "*":
        for number, entry in enumerate(node):
            yield from _values(entry, names[1:], f"{key}.{number}")
    elif hasattr(node, names[0]):
        yield from _values(getattr(node, names[0]), names[1:], f"{key}.{names[0]}")


CHOICES = {
    "train.scale_learning_rate": ("none", "linear"),
    "train.amp": ("none", "O1", "O2"),
    "train.amp_dtype": HALF,
    "train.schedule": ("multistep", "one_cycle", "cosine"),
    "train.pretrained": ("none", "ImageNet"),
    "train.loss": ("joints_mse", "heatmap_mse", "cell_cross_entropy"),
    "data.dataset": ("mpii", "coco"),
    "augment.distribution": ("normal", "uniform"),
    "data.channel_order": ("rgb", "bgr"),
}
"""Keys that take one of a few words."""

STAGE_KEYS = ("learning_rate", "schedule", "milestones", "gamma", "warmup_steps", "warmup_factor")
"""What a stage may change of ``train``; and all of ``augment``."""


def _require_trainable(recipe: Recipe) -> None:
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
    l1, l2 = (getattr(settings.optimizer, name, 0) for name in ("l1", "l2"))
    if l1 and l2:
        raise UserError(f"train.optimizer: l1={l1} and l2={l2} exclude each other; set one")


def _require_in_range(recipe: Recipe) -> None:
    for key, least in AT_LEAST.items():
        for _, value in _values(recipe, key.split(".")):
            if value is not None and value < least:
                raise UserError(f"{key}: must be at least {least}, got {value}")
    for words, (inside, keys) in RANGES.items():
        for key in keys.split():
            for full, value in _values(recipe, key.split(".")):
                if not inside(value):
                    raise UserError(f"{full}: must be {words}, got {value}")


def _require_choices(recipe: Recipe) -> None:
    for key, words in CHOICES.items():
        for _, word in _values(recipe, key.split(".")):
            if word not in words:
                raise UserError(f"{key}: unknown '{word}'{nearest(str(word), words)}")


def _require_stages(recipe: Recipe) -> None:
    before = 0
    for number, stage in enumerate(recipe.stages):
        key = f"stages.{number}"
        if not before < stage.epoch < recipe.train.epochs:
            raise UserError(
                f"{key}.epoch: must be above {before} and below train.epochs="
                f"{recipe.train.epochs}, got {stage.epoch}"
            )
        before = stage.epoch
        augment = (item.name for item in dataclasses.fields(recipe.augment))
        valid = [f"train.{n}" for n in STAGE_KEYS] + [f"augment.{n}" for n in augment]
        for name in stage.changes:
            if name not in valid:
                raise UserError(f"{key}.changes: no stage changes '{name}'{nearest(name, valid)}")
        then = recipe.at(stage.epoch)
        try:
            _require_in_range(then)
            _require_choices(then)
        except UserError as error:
            raise UserError(f"{key}: {error}") from error


def require_sound(recipe: Recipe) -> None:
    """Raises UserError for the first value that no run can have."""
    _require_in_range(recipe)
    _require_choices(recipe)
    for item in dataclasses.fields(recipe.model):
        value = getattr(recipe.model, item.name)
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise UserError(f"model.{item.name}: must be at least 1, got {value}")
    width, height = recipe.data.image_size_wh
    if width < 32 or height < 32:
        raise UserError(f"data.image_size_wh: must be at least 32×32, got {width}×{height}")
    _require_trainable(recipe)
    _require_stages(recipe)
    if isinstance(recipe.codec, HeatmapCodec):  # another one checks itself when it encodes
        recipe.codec.require_sound(recipe.data.image_size_wh, recipe.train.loss)
    if not recipe.benchmarks:
        raise UserError("benchmarks: a recipe needs at least one")
    for benchmark in recipe.benchmarks:
        if benchmark.decoder not in DECODERS:
            hint = nearest(benchmark.decoder, DECODERS)
            raise UserError(f"benchmark '{benchmark.name}': unknown decoder{hint}")
