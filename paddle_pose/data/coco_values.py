"""Values as users' COCO files have them: numbers compared by value, never cut."""

from __future__ import annotations

from array import array
from typing import Any

from paddle_pose.errors import UserError

_PLAIN = {int, float}

LARGEST = 1e15
"""No pixel is so far away; squares of more overflow where areas are summed."""


def finite(value: Any, where: str) -> float:
    """A finite number; Raises UserError for anything else, text and true among it."""
    if type(value) not in _PLAIN or not abs(value) < LARGEST:
        raise UserError(f"{where}: {value!r:.60} is not a finite number below {LARGEST:g}")
    return float(value)


def compact_numbers(value: Any) -> Any:
    """A flat list of numbers, or one of triples, as an array; anything else as it is."""
    if not isinstance(value, list):
        return value
    flat = value
    if value and all(isinstance(triple, list) and len(triple) == 3 for triple in value):
        flat = [number for triple in value for number in triple]
    if set(map(type, flat)) - _PLAIN:
        return value
    try:
        return array("d", flat)
    except OverflowError:
        return value
