"""A recipe: everything that decides a number. Override, dump, read; ``configs`` loads by name.

Paths are not in a recipe: they do not decide a number.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.architectures import Architecture, Hourglass52
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    CodecSettings,
    DataSettings,
    EvalSettings,
    TrainSettings,
)


@dataclass(frozen=True)
class Recipe:
    """A run, complete: ``name`` is also its folder under ``output/``; ``seed`` decides all chance.

    ``benchmarks`` are the protocols its numbers are measured under; the first is the default.
    """

    name: str
    model: Architecture = field(default_factory=Hourglass52)
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    codec: CodecSettings = field(default_factory=CodecSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    benchmarks: tuple[Benchmark, ...] = (Benchmark(name="mpii_val"),)
    seed: int = 0

    def benchmark(self, name: str | None = None) -> Benchmark:
        """The protocol of that name, the first for None; Raises UserError with the nearest."""
        if name is None:
            return self.benchmarks[0]
        for benchmark in self.benchmarks:
            if benchmark.name == name:
                return benchmark
        hint = nearest(name, [benchmark.name for benchmark in self.benchmarks])
        raise UserError(f"recipe '{self.name}' has no benchmark '{name}'{hint}")


def with_image_size(recipe: Recipe, size: int) -> Recipe:
    """The recipe with a square input of ``size`` pixels; Raises UserError for a bad size."""
    if size < 32 or size % 32:
        raise UserError(f"--image_size {size}: must be a multiple of 32 (128, 256, 384 …)")
    width, height = recipe.data.image_size_wh
    if (width, height) == (size, size):
        return recipe
    name = recipe.name.replace(f"{width}x{height}", f"{size}x{size}")
    name = name if name != recipe.name else f"{recipe.name}_{size}x{size}"
    return replace(recipe, name=name, data=replace(recipe.data, image_size_wh=(size, size)))


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Apply ``KEY=VALUE`` strings (``train.epochs=1``), values in YAML.

    Raises:
        UserError: unknown key (with the nearest one) or a value of the wrong type.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: expected KEY=VALUE, for example train.epochs=1")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"--set {key}: '{text}' is not a YAML value ({error})") from error
        recipe = _set(recipe, key.strip(), key.strip().split("."), value)
    return recipe


def _set(node: Any, key: str, parts: list[str], value: Any) -> Any:
    name = parts[0]
    if isinstance(node, tuple) and (len(parts) == 1 or not name.isdigit()):
        whole = key.rpartition(".")[0]
        raise UserError(f"{key}: set the whole list, {whole}=[…], or a key of one of its entries")
    if isinstance(node, tuple):
        if not name.isdigit() or int(name) >= len(node):
            raise UserError(f"{key}: '{name}' is not an index below {len(node)}")
        items = list(node)
        items[int(name)] = _set(items[int(name)], key, parts[1:], value)
        return tuple(items)
    if not dataclasses.is_dataclass(node):
        raise UserError(f"unknown key '{key}'{nearest(key, [key.rpartition('.')[0]])}")
    hints = typing.get_type_hints(type(node))
    if name not in hints:
        prefix = key[: len(key) - len(".".join(parts))]
        raise UserError(f"unknown key '{key}'{nearest(key, _keys_for(node, prefix, key))}")
    if len(parts) > 1:
        return replace(node, **{name: _set(getattr(node, name), key, parts[1:], value)})
    if dataclasses.is_dataclass(getattr(node, name)):
        raise UserError(f"{key}: is a section; set one of its keys, for example {key}.…=…")
    return replace(node, **{name: _convert(value, hints[name], key)})


def _keys_for(node: Any, prefix: str, key: str) -> list[str]:
    """Valid keys near ``key``: those of this section and, at the top, one level below."""
    keys = [prefix + item.name for item in dataclasses.fields(node)]
    for item in dataclasses.fields(node):
        child = getattr(node, item.name)
        if dataclasses.is_dataclass(child):
            keys += [f"{prefix}{item.name}.{sub.name}" for sub in dataclasses.fields(child)]
    return keys


def _convert(value: Any, hint: Any, key: str) -> Any:
    """A YAML value as the annotated type; Raises UserError on a mismatch."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(value, args, key)
    if dataclasses.is_dataclass(hint):
        return _section(value, hint, key)
    if origin is tuple and isinstance(value, list | tuple):
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(inner) != len(value):
            raise UserError(f"{key}: expected {len(inner)} values, got {value!r}")
        pairs = zip(value, inner, strict=True)
        return tuple(_convert(item, kind, f"{key}.{i}") for i, (item, kind) in enumerate(pairs))
    if origin is dict and isinstance(value, dict):
        return {_convert(k, args[0], key): _convert(v, args[1], key) for k, v in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    plain = isinstance(hint, type) and isinstance(value, hint)
    if plain and not (hint is int and isinstance(value, bool)):
        return value
    expected = getattr(hint, "__name__", str(hint))
    raise UserError(f"{key}: expected {expected}, got {value!r}")


def _convert_union(value: Any, args: tuple, key: str) -> Any:
    if value is None and type(None) in args:
        return None
    kinds = {kind.__name__: kind for kind in args if dataclasses.is_dataclass(kind)}
    if kinds:
        if not isinstance(value, dict) or value.get("kind") not in kinds:
            found = value.get("kind") if isinstance(value, dict) else value
            raise UserError(f"{key}.kind: unknown network {found!r}{nearest(str(found), kinds)}")
        rest = {name: item for name, item in value.items() if name != "kind"}
        return _section(rest, kinds[value["kind"]], key)
    inner = [kind for kind in args if kind is not type(None)]
    return _convert(value, inner[0], key)


def _section(value: Any, kind: type, key: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{key or 'recipe'}: expected a section of keys, got {value!r}")
    hints = typing.get_type_hints(kind)
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in hints:
            valid = [prefix + known for known in hints]
            raise UserError(f"unknown key '{prefix}{name}'{nearest(prefix + str(name), valid)}")
    missing = [
        item.name
        for item in dataclasses.fields(kind)
        if item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
        and item.name not in value
    ]
    if missing:
        raise UserError(f"missing key '{prefix}{missing[0]}'")
    converted = {
        name: _convert(item, hints[name], prefix + str(name)) for name, item in value.items()
    }
    return kind(**converted)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, tuples as lists; the network under ``kind``."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            items = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
            is_network = isinstance(value, typing.get_args(Architecture))
            return {"kind": type(value).__name__, **items} if is_network else items
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return dict(value) if isinstance(value, dict) else value

    return plain(recipe)


def from_dict(values: dict[str, Any]) -> Recipe:
    """The inverse of ``to_dict``; Raises UserError naming the key."""
    return _section(values, Recipe, "")


def dump_yaml(recipe: Recipe) -> str:
    """The recipe as YAML; ``read_yaml`` gives it back."""
    return yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> Recipe:
    """A recipe file; Raises UserError if it cannot be read."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read this recipe file ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({error})") from error
    return _section(values, Recipe, "")
