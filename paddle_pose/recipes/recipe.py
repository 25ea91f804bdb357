"""A recipe: everything that decides a number. Override, dump, read; ``configs`` loads by name.

Paths are not in a recipe: they do not decide a number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from paddle_pose.codecs.codec import Codec
from paddle_pose.codecs.cut import CutCodec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.codecs.light_paf import LightPafCodec
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.errors import UserError, nearest
from paddle_pose.metrics.bearpaw import PlainPckh
from paddle_pose.models.architectures import Architecture, Hourglass52, Whole
from paddle_pose.names import require_plain
from paddle_pose.recipes import plain_yaml
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    Metric,
    OksProtocol,
    Optimizer,
    PckhProtocol,
    Stage,
    TrainSettings,
)

KINDS: dict[str, tuple[type, ...]] = {
    "model": typing.get_args(Architecture),
    "model.of": typing.get_args(Whole),
    "codec": (
        *(HeatmapCodec, PairCodec, IntegralCodec, CombinedCodec, PafCodec, OffsetCodec),
        LightPafCodec,
        CutCodec,
    ),
    "train.optimizer": typing.get_args(Optimizer),
    "benchmarks.*.metric": (*typing.get_args(Metric), PlainPckh),
}
"""Sections whose ``kind`` names their dataclass, and those that can be read from YAML."""


RENAMED = {
    "train.weight_decay": "train.optimizer.l2",
    "benchmarks.*.thresholds": "benchmarks.N.metric.thresholds",
    **{
        f"benchmarks.*.{item.name}": f"benchmarks.N.metric.{item.name}"
        for item in dataclasses.fields(OksProtocol)
    },
}
"""Keys of older recipes, and where they stand now; files are upgraded when they are read."""


@dataclass(frozen=True)
class Recipe:
    """A run, complete: ``name`` is also its folder under ``output/``; ``seed`` decides all chance.

    ``benchmarks`` are the protocols its numbers are measured under; the first is the default.
    ``stages`` say what changes on the way. Nothing but reading YAML asks ``model`` and ``codec``
    to be of this project.
    """

    name: str
    model: Architecture = field(default_factory=Hourglass52)
    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    codec: Codec = field(default_factory=HeatmapCodec)
    train: TrainSettings = field(default_factory=TrainSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    benchmarks: tuple[Benchmark, ...] = (Benchmark(name="mpii_val"),)
    stages: tuple[Stage, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError for a name that would be a path outside its folder."""
        data = self.data
        require_plain(self.name, "name")
        for key in ("train_split", "val_split", "skeleton"):
            require_plain(getattr(data, key), f"data.{key}")
        for number, benchmark in enumerate(self.benchmarks):
            require_plain(benchmark.name, f"benchmarks.{number}.name")

    def at(self, epoch: int) -> Recipe:
        """The recipe with what its stages have changed up to that epoch; Raises UserError."""
        recipe = self
        for number, stage in enumerate(self.stages):
            for key, value in stage.changes.items() if stage.epoch <= epoch else ():
                try:
                    recipe = _set(recipe, key, key.split("."), value)
                except UserError as error:
                    raise UserError(f"stages.{number}.changes: {error}") from error
        return recipe

    def augment_by_epoch(self) -> dict[int, AugmentSettings]:
        """The augmentation from each epoch on at which a stage begins."""
        return {e: self.at(e).augment for e in (0, *(stage.epoch for stage in self.stages))}

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
            value = plain_yaml.parse(text)
        except UserError as error:
            raise UserError(f"--set {key}: '{text[:80]}' is not a YAML value ({error})") from error
        recipe = _set(recipe, key.strip(), key.strip().split("."), value)
    return recipe


def _set(node: Any, key: str, parts: list[str], value: Any) -> Any:
    name = parts[0]
    is_index = bool(re.fullmatch(r"[0-9]{1,9}", name))
    if isinstance(node, tuple) and (len(parts) == 1 or not is_index):
        whole = key.rpartition(".")[0]
        raise UserError(f"{key}: set the whole list, {whole}=[…], or a key of one of its entries")
    if isinstance(node, tuple):
        if int(name) >= len(node):
            raise UserError(f"{key}: '{name}' is not an index below {len(node)}")
        items = list(node)
        items[int(name)] = _set(items[int(name)], key, parts[1:], value)
        return tuple(items)
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        raise UserError(f"unknown key '{key}'{nearest(key, [key.rpartition('.')[0]])}")
    hints = typing.get_type_hints(type(node))
    if name not in hints:
        prefix = key[: len(key) - len(".".join(parts))]
        raise UserError(f"unknown key '{key}'{_hint(key, _keys_for(node, prefix, key))}")
    if len(parts) > 1:
        return replace(node, **{name: _set(getattr(node, name), key, parts[1:], value)})
    if dataclasses.is_dataclass(getattr(node, name)) and not _kinds(key):
        raise UserError(f"{key}: is a section; set one of its keys, for example {key}.…=…")
    return replace(node, **{name: _convert(value, hints[name], key)})


def _hint(key: str, valid: Sequence[str]) -> str:
    """Where a key stands now, or the nearest one that there is."""
    now = RENAMED.get(re.sub(r"\.\d+(?=\.)", ".*", key))
    if now is not None:
        return f"; it is {now} now"
    section = key.removesuffix(".kind")
    if section != key and _kinds(section):
        return f"; set the whole section, {section}={{kind: {_kinds(section)[0].__name__}}}"
    return nearest(key, valid)


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
    if kinds := _kinds(key):
        return _of_kind(value, kinds, key)
    if hint is Any:
        return tuple(_convert(v, Any, key) for v in value) if isinstance(value, list) else value
    if origin in (types.UnionType, typing.Union):  # something or None
        return None if value is None else _convert(value, args[0], key)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _section(value, hint, key)
    if origin is tuple and isinstance(value, list | tuple):
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(inner) != len(value):
            raise UserError(f"{key}: expected {len(inner)} values, got {value!r}")
        pairs = zip(value, inner, strict=True)
        return tuple(_convert(item, kind, f"{key}.{i}") for i, (item, kind) in enumerate(pairs))
    if origin is dict and isinstance(value, dict):
        return {_convert(k, args[0], key): _convert(v, args[1], key) for k, v in value.items()}
    if hint is float and not isinstance(value, bool):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value)
    plain = isinstance(hint, type) and isinstance(value, hint)
    if plain and not (hint is int and isinstance(value, bool)):
        return value
    expected = getattr(hint, "__name__", str(hint))
    raise UserError(f"{key}: expected {expected}, got {value!r}")


def _kinds(key: str) -> tuple[type, ...]:
    """The dataclasses that the section at a key may be; none where the annotation says it."""
    return KINDS.get(re.sub(r"\.\d+(?=\.)", ".*", key), ())


def _of_kind(value: Any, classes: tuple[type, ...], key: str) -> Any:
    kinds = {kind.__name__: kind for kind in classes}
    if not isinstance(value, dict):
        raise UserError(f"{key}: expected a section such as {{kind: {min(kinds)}}}, got {value!r}")
    found = str(value.get("kind"))
    if found not in kinds:
        raise UserError(f"{key}.kind: unknown '{found}'{nearest(found, kinds)}")
    return _section({k: v for k, v in value.items() if k != "kind"}, kinds[found], key)


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
    """The recipe as plain data, tuples as lists; a section of KINDS with its ``kind``."""

    def plain(value: Any, key: str) -> Any:
        if dataclasses.is_dataclass(value):
            kind = {"kind": type(value).__name__} if _kinds(key) else {}
            names, dot = [item.name for item in dataclasses.fields(value)], key and "."
            return kind | {n: plain(getattr(value, n), f"{key}{dot}{n}") for n in names}
        if isinstance(value, tuple | list):
            return [plain(item, f"{key}.*") for item in value]
        if isinstance(value, dict):
            return {name: plain(item, f"{key}.{name}.*") for name, item in value.items()}
        return value

    return plain(recipe, "")


def from_dict(values: dict[str, Any]) -> Recipe:
    """The inverse of ``to_dict``, also of older forms; Raises UserError naming the key."""
    return _section(_upgraded(values), Recipe, "")


def _upgraded(values: Any) -> Any:
    """Older recipes in today's form.

    Codecs had no kind, Adam's ``l2`` stood in ``train``, and a benchmark had the keys of every kind
    of score.
    """
    if not isinstance(values, dict):
        return values
    values = dict(values)
    codec, train = values.get("codec"), values.get("train")
    if isinstance(codec, dict):
        values["codec"] = {"kind": "HeatmapCodec", **codec}
    if isinstance(train, dict) and "weight_decay" in train:
        train = dict(train)
        adam = {"kind": "Adam", "l2": train.pop("weight_decay")}
        values["train"] = {"optimizer": adam, **train}
    benchmarks, data = values.get("benchmarks"), values.get("data")
    if isinstance(benchmarks, list):
        is_coco = isinstance(data, dict) and data.get("dataset") == "coco"
        kind = OksProtocol if is_coco else PckhProtocol
        values["benchmarks"] = [_with_metric(one, kind) for one in benchmarks]
    return values


def _with_metric(benchmark: Any, kind: type) -> Any:
    flat = [item.name for one in (OksProtocol, PckhProtocol) for item in dataclasses.fields(one)]
    if not isinstance(benchmark, dict) or not benchmark.keys() & set(flat):
        return benchmark
    names = [item.name for item in dataclasses.fields(kind)]
    rules = {name: benchmark[name] for name in names if name in benchmark}
    rest = {name: value for name, value in benchmark.items() if name not in flat}
    return {**rest, "metric": {"kind": kind.__name__, **rules}}


def dump_yaml(recipe: Recipe) -> str:
    """The recipe as YAML; ``read_yaml`` gives it back."""
    return yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> Recipe:
    """A recipe file; Raises UserError, with its path, if it cannot be read."""
    values = plain_yaml.read(path)
    try:
        return from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_section(path: Path, kind: type) -> Any:
    """A YAML file that holds one such dataclass; Raises UserError naming file and key."""
    values = plain_yaml.read(path)
    try:
        return _section(values, kind, "")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_plain(path: Path) -> dict[str, Any]:
    """A recipe file as ``to_dict`` has it, also of a network or codec of one's own.

    Raises:
        UserError: it cannot be read.
    """
    values = _upgraded(plain_yaml.read(path))
    own = (values.get(name) for name in ("model", "codec") if isinstance(values, dict))
    names = {kind.__name__ for name in ("model", "codec") for kind in KINDS[name]}
    if any(isinstance(one, dict) and one.get("kind") not in names for one in own):
        return values
    return to_dict(_section(values, Recipe, ""))
