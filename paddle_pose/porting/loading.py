"""A file of weights of any kind and spelling into a network; half of it only where that is asked.

Of every way to read a file's names (as ours, as a publisher spells them, behind a wrapper's prefix)
the one that fills most of the network is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import Architecture
from paddle_pose.porting.names import (
    NO_TABLE,
    OURS,
    TABLES,
    Match,
    NameTable,
    NetworkKeys,
    Spelling,
    match,
)
from paddle_pose.porting.reader import WRAPPERS, WeightFile, read_file
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import Skeleton
from paddle_pose.understood import counted
from paddle_pose.weights.checkpoint import set_weights
from paddle_pose.weights.facts import WeightFacts, differences, require_same_joints

_PARTS = WRAPPERS | {"backbone"}


@dataclass(frozen=True)
class Loaded:
    """What a loading took and left.

    Attributes:
        file: what was read.
        spelling: whose names it has.
        filled: how many tensors of the network it filled.
        missing: weights of the network that the file did not fill.
        unused: tensors of the file that the network has no place for.
        lines: what is to be said of it.
    """

    file: WeightFile
    spelling: str
    filled: int
    missing: list[str]
    unused: list[str]
    lines: list[str] = field(default_factory=list)

    @property
    def facts(self) -> WeightFacts | None:
        """What the file says of itself."""
        return self.file.facts


@dataclass(frozen=True)
class Use:
    """What weights are used for: the recipe's crops and its joints."""

    data: DataSettings
    skeleton: Skeleton | None = None


def keys_of(network: nn.Layer) -> NetworkKeys:
    """Names and shapes of a network's weights, in its own order."""
    linear = {
        f"{name}.weight"
        for name, layer in network.named_sublayers()
        if isinstance(layer, nn.Linear)
    }
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return NetworkKeys(shapes, frozenset(linear))


def load_weights(
    network: nn.Layer,
    source: Path | WeightFile,
    architecture: Architecture | None = None,
    *,
    use: Use | None = None,
    partial: bool = False,
    may_be_partial: bool = False,
) -> Loaded:
    """Fill a network from PyTorch's, Paddle's or our own file, and say what was found in it.

    Args:
        network: filled in place.
        source: ``.pth``, ``.pdparams``, ``.safetensors`` … by content; or one that is read already.
        architecture: of the network, which has the spellings of its publishers.
        use: compared with what the file says of itself; None compares nothing.
        partial: take what fits in name and shape (a pretrained backbone) and return the rest.
        may_be_partial: whether an error names ``--allow_partial``.

    Raises:
        UserError: unreadable, damaged or unsafe file; weights of other joints; missing, unexpected
            or misshapen weights unless ``partial``; nothing that fits at all.
    """
    file = source if isinstance(source, WeightFile) else read_file(source)
    path = file.path
    table = TABLES.get(type(architecture), NO_TABLE)
    wanted = keys_of(network)
    spelling, found, outside = best_match(file, table, wanted)
    lines = [f"=> {path}: {file.kind}, {spelling.name} names", *(f"   {n}" for n in file.notes)]
    lines += _compared(file, use, partial, may_be_partial)
    unused = [*found.without_place, *found.twice]
    if not found.arrays or not (found.is_complete or partial):
        raise UserError(_problem(path, found, wanted, spelling, may_be_partial))
    if outside:
        lines.append(
            f"   {counted(len(outside), 'tensor')} beside the network left out: {_few(outside)}"
        )
    set_weights(network.state_dict(), found.arrays)
    return Loaded(file, spelling.name, len(found.arrays), found.missing, unused, lines)


def _compared(file: WeightFile, use: Use | None, partial: bool, may_be_partial: bool) -> list[str]:
    """Lines about what the file says of itself; Raises UserError for other joints."""
    if use is None:
        return []
    if file.facts is None:
        return ["assumed: weights: of the recipe's joints and normalisation; the file does not say"]
    lines = []
    if use.skeleton is not None:
        try:
            require_same_joints(file.facts, use.skeleton, file.path)
        except UserError as error:
            if not partial:
                hint = (
                    "; train.py --allow_partial starts from them all the same"
                    if may_be_partial
                    else ""
                )
                raise UserError(f"{error}{hint}") from None
            lines.append(f"   {error}")
    differs = differences(file.facts, use.data)
    return lines + [f"   another normalisation: {line}" for line in differs]


def best_match(
    file: WeightFile, table: NameTable, wanted: NetworkKeys
) -> tuple[Spelling, Match, list[str]]:
    """The reading that fills most of the network, and names outside of its part of the file."""
    best: tuple[Spelling, Match, list[str]] | None = None
    for arrays, outside in _parts(file.arrays):
        for spelling in (OURS, *table.spellings):
            is_spelt = any(re.search(spelling.mark, name) for name in arrays)
            if not is_spelt or (spelling is OURS and file.kind == "PyTorch"):
                continue
            found = match(arrays, spelling, table, wanted)
            if best is None or _fit(found) > _fit(best[1]):
                best = spelling, found, outside
        if best is not None and best[1].is_complete:
            break
    if best is None:
        best = OURS, match(file.arrays, OURS, table, wanted), []
    return best


def _fit(found: Match) -> tuple[int, int]:
    return len(found.arrays), -len(found.without_place)


def _parts(
    arrays: Mapping[str, np.ndarray], depth: int = 0
) -> Iterator[tuple[Mapping[str, np.ndarray], list[str]]]:
    """All of a file, then what stands behind one wrapper's prefix, with the names beside it."""
    yield arrays, []
    firsts = dict.fromkeys(name.partition(".")[0] for name in arrays if "." in name)
    for first in firsts if depth < 3 else ():
        if first in _PARTS:
            prefix = f"{first}."
            inside = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
            beside = [n for n in arrays if not n.startswith(prefix)]
            for part, outside in _parts(inside, depth + 1):
                yield part, beside + outside


def _problem(
    path: Path, found: Match, wanted: NetworkKeys, spelling: Spelling, may_be_partial: bool
) -> str:
    parts = []
    if found.missing:
        name = found.missing[0]
        there = found.misshapen.get(name)
        shape = f"the file has {there}" if there else f"needs shape {list(wanted.shapes[name])}"
        missing = [n for n in found.missing if n != name]
        names = ", ".join([f"{name} ({shape})", *missing[:2]])
        rest = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        parts.append(f"not filled: {names}{rest}")
    unused = [*found.without_place, *found.twice]
    if unused:
        parts.append(f"not wanted: {_few(unused)}")
    if not found.arrays:
        return (
            f"{path}: weights of another network, nothing in it fits ({'; '.join(parts)}); choose "
            "the recipe it was trained with by --config"
        )
    remedy = "choose the recipe it was trained with by --config"
    if may_be_partial:
        remedy += ", or start from what fits with --allow_partial"
    return (
        f"{path}: weights of another network: {len(found.arrays)} of {len(wanted.shapes)} tensors "
        f"fit, {len(found.missing)} are not filled, {len(unused)} not wanted ({'; '.join(parts)}; "
        f"{spelling.name} names); {remedy}"
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
