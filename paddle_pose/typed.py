"""Plain data, as JSON has it, read into dataclasses: every key there, every value of its kind."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from paddle_pose.errors import UserError

T = TypeVar("T")


def from_plain(kind: type[T], value: Any, where: str) -> T:
    """A dataclass of plain data; keys that it does not know are left out.

    Args:
        kind: fields of int, float, str, bool, Any, dataclasses, and lists, tuples, dicts and
            ``| None`` of those. A field with a default may be absent.
        value: as ``json.loads`` gives it.
        where: file and place, for the message.

    Raises:
        UserError: a key that is missing, or a value of another kind.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, got {_shown(value)}")
    hints = typing.get_type_hints(kind)
    found = {}
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        if item.name in value:
            found[item.name] = _converted(hints[item.name], value[item.name], where, item.name)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: '{item.name}' is missing")
    return kind(**found)


def _converted(hint: Any, value: Any, where: str, key: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _converted(inner[0], value, where, key)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value, f"{where}: {key}")
    if origin is dict and isinstance(value, dict):
        return {k: _converted(inner[1], v, where, f"{key}.{k}") for k, v in value.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        is_row = origin is tuple and Ellipsis not in inner
        if not is_row or len(inner) == len(value):
            each = inner if is_row else [inner[0]] * len(value)
            pairs = enumerate(zip(each, value, strict=True))
            return origin(_converted(h, v, where, f"{key}.{i}") for i, (h, v) in pairs)
    if isinstance(hint, type) and origin is None and not (hint in (int, float) and value is True):
        if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
            return value
        if hint is float and type(value) is int and abs(value) < 2**1000:
            return float(value)
    name = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise UserError(f"{where}: '{key}' must be {name}, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"
