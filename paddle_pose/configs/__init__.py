"""Recipes: one file per paper or family, one function per published row.

``hrnet:w32_mpii_256x256`` is ``hrnet.w32_mpii_256x256()``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from paddle_pose.configs import hourglass, hrnet, quickstart, simple_baseline, twins
from paddle_pose.errors import UserError, nearest
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe, override, read_yaml, with_image_size

FAMILIES: dict[str, ModuleType] = {
    "hourglass": hourglass,
    "hrnet": hrnet,
    "quickstart": quickstart,
    "simple_baseline": simple_baseline,
    "twins": twins,
}
DEFAULT_RECIPE = "hourglass:hourglass52_mpii_256x256"


def load(config: str | None = None, image_size: int | None = None) -> Recipe:
    """A recipe by ``family:name``, by ``.yaml`` file, or (None) the default one.

    Raises:
        UserError: unknown family or name (with the nearest), unreadable file, bad size.
    """
    if config is not None and config.endswith((".yaml", ".yml")):
        recipe = read_yaml(Path(config))
    else:
        if config is None and image_size is not None:
            sized = f"hourglass52_mpii_{image_size}x{image_size}"
            if sized in names_in("hourglass"):
                config = f"hourglass:{sized}"
        recipe = _function(config or DEFAULT_RECIPE)()
    return with_image_size(recipe, image_size) if image_size is not None else recipe


def chosen(
    config: str | None = None, image_size: int | None = None, assignments: Sequence[str] = ()
) -> Recipe:
    """``load`` with ``KEY=VALUE`` overrides, all of whose values are sound; Raises UserError."""
    recipe = override(load(config, image_size), assignments)
    require_sound(recipe)
    return recipe


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


def _function(config: str) -> Callable[[], Recipe]:
    family, _, name = config.partition(":")
    if family not in FAMILIES or name not in names_in(family):
        raise UserError(f"unknown recipe '{config}'{nearest(config, all_names())}")
    return getattr(FAMILIES[family], name)
