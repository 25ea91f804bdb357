"""Recipes: one file per paper or family, one function per published row.

``hrnet:w32_mpii_256x256`` is ``hrnet.w32_mpii_256x256()``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from paddle_pose.codecs.integral import IntegralCodec
from paddle_pose.configs import (
    bodyposenet,
    fastpose,
    hourglass,
    hrnet,
    light,
    lightweight,
    mipnet,
    mmpose,
    pairs,
    quickstart,
    scenes,
    simple_baseline,
    twins,
)
from paddle_pose.errors import UserError, nearest
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe, override, read_yaml, with_image_size
from paddle_pose.settings import Benchmark
from paddle_pose.understood import ASSUMED, NOTHING, Fact, Understood

FAMILIES: dict[str, ModuleType] = {
    "fastpose": fastpose,
    "bodyposenet": bodyposenet,
    "hourglass": hourglass,
    "hrnet": hrnet,
    "light": light,
    "lightweight": lightweight,
    "mipnet": mipnet,
    "mmpose": mmpose,
    "pairs": pairs,
    "quickstart": quickstart,
    "scenes": scenes,
    "simple_baseline": simple_baseline,
    "twins": twins,
}
DEFAULT_RECIPE = "hourglass:hourglass52_mpii_256x256"


def load(config: str | None = None, image_size: int | None = None) -> Recipe:
    """A recipe by ``family:name`` (or a name of one alone), ``.yaml`` file, or (None) the default.

    Raises:
        UserError: unknown family or name (with the nearest), unreadable file, unsound values.
    """
    return chosen(config, image_size)


def chosen(
    config: str | None = None, image_size: int | None = None, assignments: Sequence[str] = ()
) -> Recipe:
    """``load`` with ``KEY=VALUE`` overrides, all of whose values are sound; Raises UserError."""
    found = _found(config, image_size)
    recipe, shorter = _reached(override(found, assignments), found)
    require_sound(recipe)
    if shorter.facts:
        shorter.tell()
    _say_unread(recipe)
    return recipe


def _say_unread(recipe: Recipe) -> None:
    """Which decoders of heat maps have nothing to read; the default is nobody's wish."""
    if not isinstance(recipe.codec, IntegralCodec):
        return
    for number, benchmark in enumerate(recipe.benchmarks):
        if (name := benchmark.decoder) != Benchmark.decoder:
            text = f"benchmarks.{number}.decoder={name} is for heat maps; IntegralCodec has none"
            Understood((Fact("decoder", name, text, ASSUMED),)).tell()


def _reached(recipe: Recipe, before: Recipe) -> tuple[Recipe, Understood]:
    """Without the stages that fewer epochs do not reach any more, and what is to be said."""
    epochs = recipe.train.epochs
    if recipe.stages != before.stages or not epochs < before.train.epochs:
        return recipe, NOTHING
    kept = tuple(stage for stage in recipe.stages if stage.epoch < epochs)
    facts = []
    for stage in recipe.stages[len(kept) :]:
        changes = ", ".join(stage.changes)
        text = (
            f"train.epochs={epochs} ends before epoch {stage.epoch}, where {changes} would change"
        )
        facts.append(Fact("stages", stage.epoch, text, ASSUMED))
    return replace(recipe, stages=kept), Understood(tuple(facts))


def _found(config: str | None, image_size: int | None) -> Recipe:
    if config is not None and config.endswith((".yaml", ".yml")):
        recipe = read_yaml(Path(config))
    else:
        if config is None and image_size is not None:
            sized = f"hourglass52_mpii_{image_size}x{image_size}"
            if sized in names_in("hourglass"):
                config = f"hourglass:{sized}"
        recipe = _function(DEFAULT_RECIPE if config is None else config)()
    return with_image_size(recipe, image_size) if image_size is not None else recipe


def names_in(family: str) -> list[str]:
    """Recipe functions of one family."""
    module = FAMILIES[family]
    return sorted(
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    )


def all_names() -> list[str]:
    """Every ``family:name``."""
    return [f"{family}:{name}" for family in FAMILIES for name in names_in(family)]


def full_name(config: str) -> str:
    """``family:name`` of a name alone, where one recipe has it, which is said; else the words.

    Raises:
        UserError: several recipes have it.
    """
    found = [full for full in all_names() if full.partition(":")[2] == config]
    if len(found) > 1:
        raise UserError(f"recipe '{config}': of that name there are {' and '.join(found)}")
    if len(found) != 1:
        return config
    _say(found[0])
    return found[0]


@cache
def _say(full: str) -> None:
    text = f"{full}, the only one of that name"
    Understood((Fact("recipe", full, text, ASSUMED),)).tell()


def _function(config: str) -> Callable[[], Recipe]:
    config = full_name(config)
    family, _, name = config.partition(":")
    if family not in FAMILIES or name not in names_in(family):
        raise UserError(f"unknown recipe '{config[:80]}'{_hint(config, family)}")
    return getattr(FAMILIES[family], name)


def _hint(config: str, family: str) -> str:
    """A file's ending, that family's recipes, or the nearest."""
    if config and os.path.isfile(config):
        return "; a recipe's file must end in .yaml"
    names = all_names()
    if family in FAMILIES:
        return nearest(config, [full for full in names if full.startswith(f"{family}:")])
    if ":" not in config:
        names = [*FAMILIES, *(name.partition(":")[2] for name in names)]
    return nearest(config, names, "python -m paddle_pose recipes lists all")
