"""AP over seeds, as ``small_runs.mean_and_spread`` keeps it, in the cells of a table."""

from __future__ import annotations

from typing import Any

from reproduce.reporting.content import Cell
from reproduce.reporting.records import points, signed


def mean(entry: dict[str, Any] | None, record: str) -> Cell | str:
    """The mean, ± the standard deviation where there are several seeds."""
    if entry is None:
        return "not run"
    spread = f" ± {points(entry['sd'], 3)}" if "sd" in entry else ""
    return Cell(points(entry["mean"], 3) + spread, record)


def gain(entry: dict[str, Any] | None, record: str) -> Cell | str:
    """A mean difference with its interval; a dash where no seed is of both."""
    if entry is None:
        return "–"
    text = signed(entry["mean"], 3)
    if "interval" in entry:
        low, high = entry["interval"]
        text += f" ({signed(low, 3)} to {signed(high, 3)})"
    return Cell(text, record)
