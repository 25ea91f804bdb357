"""Groups of rows that are no network's and no data set's alone: a method with all its parts.

A group is a file with a NAME and MODULES, or one module alone. A module of it has

* ``jobs(shared, quick)``: name, weight and maker of rows, as ``align.Job`` has them;
* ``ROOTS``: by step, the definitions that its rows judge (see ``freshness``);
* maybe ``GIVEN``: by step, the dataclasses whose numbers these are given;
* maybe ``LIVE``: its rows are made by a clone, none of recorded arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproduce.aligning import (
    bearpaw,
    bfloat16,
    bodyposenet,
    challenger,
    encodings,
    fastpose,
    half,
    lightweight,
    newell,
    paddledetection,
    pixels,
    visibility,
)

MODULES: dict[str, tuple[Any, ...]] = {
    **{one.NAME: one.MODULES for one in (fastpose, bodyposenet)},
    encodings.NAME: (encodings,),
    pixels.NAME: (pixels,),
    "paddledetection": paddledetection.MODULES,
    bfloat16.NAME: (bfloat16,),
    **{one.NAME: (one,) for one in (challenger, newell, half, visibility, lightweight, bearpaw)},
}
OF_CLONES: dict[str, tuple[Any, ...]] = {
    "mmpose": (challenger, visibility),
    "princeton": (newell,),
    "hrnet": (half,),
    "lightweight": (lightweight,),
    "bearpaw": (bearpaw,),
}
"""Kind of clone → groups of one module each whose ``rows`` ask that clone."""


def jobs(group: str, shared: Path | None, quick: bool) -> list[tuple]:
    """Of all parts."""
    return [job for module in MODULES[group] for job in module.jobs(shared, quick)]


def steps(group: str) -> set[str]:
    """That have rows."""
    return {step for module in MODULES[group] for step in module.ROOTS}


def prefix(group: str) -> str:
    """What the name of its file of rows begins with."""
    return "live_" * all(getattr(module, "LIVE", False) for module in MODULES[group])


def roots(group: str, step: str) -> tuple[str, ...]:
    """What the rows of a step judge."""
    return tuple(root for module in MODULES[group] for root in module.ROOTS.get(step, ()))


def given(group: str, step: str) -> list[Any]:
    """Dataclasses whose numbers the rows of a step judge."""
    parts = (getattr(module, "GIVEN", {}) for module in MODULES[group])
    return [one for part in parts for one in part.get(step, ())]
