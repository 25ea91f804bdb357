"""Numbers of users' files, taken by their value or refused: none is cut, rounded or made up."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from paddle_pose.errors import UserError

_INTEGER = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)
_NUMBERS = {int, float}  # a bool is of neither type


def integer(value: Any, where: str) -> int:
    """An id: 785, 785.0 and "785" are the same; Raises UserError for true, 785.9 and 2^63."""
    whole = type(value) is float and value.is_integer()
    number = int(value) if whole or (isinstance(value, str) and is_integer(value)) else value
    if type(number) is not int or not -(1 << 63) <= number < 1 << 63:
        raise UserError(f"{where}: must be an integer of 64 bits, found {value!r:.80}")
    return number


def is_integer(text: str) -> bool:
    """Whether a text is an integer that ``integer`` takes."""
    return bool(_INTEGER.fullmatch(text))


def integers(values: list[Any], where: str, name: str) -> np.ndarray:
    """Ids of records as int64, as ``integer`` takes them; a message says which record it is."""
    if set(map(type, values)) <= {int}:
        with contextlib.suppress(OverflowError):
            return np.array(values, np.int64)
    return np.array(
        [integer(v, f"{where} {row}: {name}") for row, v in enumerate(values)], np.int64
    )


def one_finite(value: Any, where: str) -> float:
    """One finite number; Raises UserError for text, true, null, nan and infinities."""
    if type(value) not in _NUMBERS or not abs(value) <= sys.float_info.max:
        raise UserError(f"{where}: must be a finite number, found {value!r:.80}")
    return float(value)


def finite(values: Any, where: str) -> list[float]:
    """A flat list of finite numbers; Raises UserError for text, true, null, nan and infinities."""
    if not isinstance(values, list | tuple) or not all_numbers(values):
        raise UserError(f"{where}: must be a list of numbers, found {_shown(values)}")
    try:
        numbers = [float(value) for value in values]
    except OverflowError:
        numbers = [math.inf]
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"{where}: a number is not finite in {_shown(values)}")
    return numbers


def all_numbers(values: Iterable[Any], depth: int = 0) -> bool:
    """Whether all are numbers and no bool; ``depth`` lists lie around each."""
    for _ in range(depth):
        values = list(values)
        if not set(map(type, values)) <= {list, tuple}:
            return False
        values = chain.from_iterable(values)
    return set(map(type, values)) <= _NUMBERS


def _shown(values: Any) -> str:
    """The beginning, as a message has it: a long list may be anything."""
    return f"{values[:8] if isinstance(values, list) else values!r:.80}" if values else repr(values)
