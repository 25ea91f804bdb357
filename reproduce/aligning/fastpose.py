"""Light AlphaPose: whose rows stand under ``fastpose``.

A module of MODULES has

* ``jobs(shared, quick)``: name, weight and maker of rows, as ``align.Job`` has them;
* ``ROOTS``: by step, the definitions that its rows judge (see ``freshness``);
* maybe ``GIVEN``: by step, the dataclasses whose numbers these are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproduce.aligning import (
    fastpose_codec,
    fastpose_data,
    fastpose_networks,
    fastpose_scores,
    fastpose_tracking,
)

NAME = "fastpose"
MODULES: tuple[Any, ...] = (
    fastpose_codec,
    fastpose_data,
    fastpose_networks,
    fastpose_scores,
    fastpose_tracking,
)  # fmt: skip
"""A line for each part."""


def jobs(shared: Path | None, quick: bool) -> list[tuple]:
    """Of all parts."""
    return [job for module in MODULES for job in module.jobs(shared, quick)]


def steps() -> set[str]:
    """That have rows."""
    return {step for module in MODULES for step in module.ROOTS}


def roots(step: str) -> tuple[str, ...]:
    """What the rows of a step judge."""
    return tuple(root for module in MODULES for root in module.ROOTS.get(step, ()))


def given(step: str) -> list[Any]:
    """Dataclasses whose numbers the rows of a step judge."""
    return [one for module in MODULES for one in getattr(module, "GIVEN", {}).get(step, ())]
