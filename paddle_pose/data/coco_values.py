"""Values as users' COCO files have them: numbers compared by value, never cut."""

from __future__ import annotations

import re
from array import array
from typing import Any

from paddle_pose.errors import UserError

_INT64 = 1 << 63
_DIGITS = re.compile(r"[+-]?\d{1,19}")
_PLAIN = {int, float}

LARGEST = 1e15
"""No pixel is so far away; squares of more overflow where areas are summed."""


def whole(value: Any, where: str) -> int:
    """A whole number, also as text (``"1"``) or with zeros behind the point.

    Raises:
        UserError: anything else: 1.5, true, nan, or more than 64 bits.
    """
    number: Any = value if type(value) is int else None
    text = isinstance(value, str) and _DIGITS.fullmatch(value.strip())
    if text or (isinstance(value, float) and value.is_integer()):
        number = int(value)
    if number is None or not -_INT64 <= number < _INT64:
        raise UserError(f"{where}: {value!r:.60} is not a whole number")
    return number


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
