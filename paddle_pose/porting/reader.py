"""A weights file of any known kind as ``{name: array}``, without torch, running nothing in it.

Known kinds, told apart by their content: PyTorch (zip and legacy), ``.pdparams``,
``.safetensors``, Keras's ``.h5`` and NumPy's ``.npz``. Of a training checkpoint only the network's
weights are taken; which of several is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose import array_files
from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS
from paddle_pose.porting import keras, torch_format
from paddle_pose.weights import tensors
from paddle_pose.weights.facts import WeightFacts, read_facts
from paddle_pose.weights.pickle_names import kind_of
from paddle_pose.weights.safe_pickle import arrays_of, load_data

WEIGHT_ENTRIES = (
    "latest_state_dict", "state_dict", "best_state_dict", "model_state_dict", "model_state",
    "model", "net", "network", "module", "params", "weights", "generator", "student",
)  # fmt: skip
"""Where a training checkpoint keeps the weights, best first; of others, in the file's order.

Source: tools/test_lambda.py:106 of rawalkhirodkar/MIPNet @245651d prefers latest_state_dict; in
HRNet's checkpoint.pth best_state_dict is, despite its name, the current model.
"""

AVERAGES = ("state_dict_ema", "model_ema", "ema_model", "ema", "params_ema", "model_state_dict_ema")
"""Entries of a moving average. It is what such trainers evaluate, and so it is taken first.

mmengine's ``ema_state_dict`` is none: its hook swaps the two when it saves, so that the average
stands in ``state_dict``. Source: open-mmlab/mmengine mmengine/hooks/ema_hook.py
``_swap_ema_state_dict``; rwightman/timm timm/models/_helpers.py ``load_state_dict`` (use_ema)
"""

WRAPPERS = frozenset((
    "module", "model", "_orig_mod", "net", "network", "ema", "ema_model", "student", "teacher",
    "generator", "state_dict", "pose_net", "pose_model", "model_without_ddp",
))  # fmt: skip
"""First parts of names that parallel wrappers, compilers and trainers put before every name."""

_NEVER = ("optim", "sched", "scaler", "message_hub", "callbacks", "loops", "rng", "criterion")
_DEPTH = 4


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        kind: ``PyTorch``, ``.pdparams``, ``.safetensors``, ``.h5`` or ``.npz``.
        arrays: names and read-only arrays, without prefixes that every name had.
        facts: what it says of itself, where it does; checked.
        notes: what was taken and what was left, a line each.
    """

    path: Path
    kind: str
    arrays: dict[str, np.ndarray]
    facts: WeightFacts | None = None
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays of ``read_file``."""
    return read_file(path).arrays


def read_file(path: Path) -> WeightFile:
    """A weights file, wrapper prefixes dropped; bfloat16 as float32.

    Raises:
        UserError: no such file, damaged, not what it says of itself, numbers that are not finite,
            a kind not known, or a pickle that asks for what no checkpoint needs.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if start[:8] == array_files.HDF5_MAGIC:
        found = _of_arrays(array_files.read_hdf5_tree(path), path, ".h5")
    elif start[:4] == torch_format.ZIP_MAGIC and array_files.is_npz(path):
        found = _of_arrays(array_files.read_npz(path), path, ".npz")
    elif start[:4] == torch_format.ZIP_MAGIC:
        found = _of_torch(torch_format.read_zip(path), path)
    elif torch_format.is_legacy(start):
        found = _of_torch(torch_format.read_legacy(path), path)
    elif start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        arrays, metadata = tensors.read_safetensors(path)
        if any(name.startswith("weights/") for name in arrays):
            raise UserError(
                f"{path}: a state for train.py --resume, not weights; give best_model/ or "
                "last/model.pdparams of its run"
            )
        facts = read_facts(tensors.said_in(metadata), arrays, path)
        found = WeightFile(path, ".safetensors", arrays, facts)
    elif start[:1] == b"\x80" or (start and path.suffix == ".pdparams"):  # protocols 0 and 1
        found = _of_paddle(path)
    else:
        raise UserError(
            f"{path}: not a weights file; expected PyTorch (.pth, .pt), .pdparams, .safetensors, "
            "Keras (.h5) or .npz"
        )
    if found.facts is None:
        found = _without_twins(_without_wrapper(found))
    tensors.require_sound(found.arrays, path)
    return found


def _of_arrays(arrays: dict[str, np.ndarray], path: Path, kind: str) -> WeightFile:
    if keras.is_keras(arrays):
        arrays = keras.as_torch(arrays)
    arrays = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    if not arrays:
        raise UserError(f"{path}: no weights found in it, by Keras's names or others")
    return WeightFile(path, kind, arrays)


def _of_paddle(path: Path) -> WeightFile:
    data = load_data(path)
    if isinstance(data, dict) and not any(_is_tensor(value) for value in data.values()):
        chosen, notes = _chosen(data, path)
        arrays, facts = arrays_of(chosen, path)[0], None
    else:
        notes, (arrays, said) = (), arrays_of(data, path)
        facts = read_facts(said, arrays, path)
    arrays = {  # Paddle writes bfloat16 as its bits
        name: tensors.from_bfloat16(array) if array.dtype == np.uint16 else array
        for name, array in arrays.items()
    }
    return WeightFile(path, ".pdparams", arrays, facts, notes)


def _of_torch(file: torch_format.TorchFile, path: Path) -> WeightFile:
    if not isinstance(file.root, dict):
        raise UserError(f"{path}: holds {kind_of(file.root)}, expected named tensors")
    found, notes = _chosen(file.root, path)
    entries = {n: t for n, t in found.items() if isinstance(t, torch_format.Tensor)}
    others = [str(name) for name in found if name not in entries]
    if others:
        notes += (f"left out, no tensors: {', '.join(others[:5])}{' …' if others[5:] else ''}",)
    LIMITS["tensors"].require(len(entries), str(path))
    total = sum(tensor.bytes for tensor in entries.values())
    LIMITS["tensor_bytes"].require(total, str(path))
    # Views that share storages may add up to more than the file, but not to much more.
    if total > 8 * path.stat().st_size + 2**20:
        raise UserError(f"{path}: its tensors are larger than the file can hold; refused")
    arrays = {str(name): file.array(tensor) for name, tensor in entries.items()}
    return WeightFile(path, "PyTorch", arrays, notes=notes)


def _is_tensor(value: Any) -> bool:
    if isinstance(value, tuple) and len(value) == 2:
        value = value[1]
    return isinstance(value, torch_format.Tensor) or (
        isinstance(value, np.ndarray) and (value.dtype.kind == "f" or value.dtype == np.uint16)
    )


def _chosen(root: dict, path: Path) -> tuple[dict, tuple[str, ...]]:
    """The weights among what a checkpoint holds, and what is to be said of it."""
    found = dict(_state_dicts(root, ""))
    if not found:
        entries = ", ".join(map(str, list(root)[:8]))[:200]
        raise UserError(f"{path}: no arrays, no state_dict found; entries: {entries or 'none'}")
    averages = [place for place in found if _is_average(place)]
    plain = [place for place in found if place not in averages]
    plain.sort(key=lambda place: "ema" in place.lower())  # mmengine's swapped copy comes last
    first = sorted(plain, key=_rank)
    place = first[0] if first else averages[0]
    for average in averages:
        # Some keep averages of the parameters alone, without running statistics.
        if len(_bare(found[average])) >= len(_bare(found[place])):
            place = average
            break
    notes = (f"its entry '{place}' is taken",) if place else ()
    others = [repr(one or "the file itself") for one in found if one != place]
    if others:
        kind = ", the moving average" if place in averages else ""
        notes = (f"{notes[0] if notes else 'its own names are taken'}{kind}; not {_few(others)}",)
    return found[place], notes


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if names[3:] else "")


def _rank(place: str) -> int:
    """Of a place ``a/b``: the best of its parts; in the file's order where none is known."""
    parts = place.split("/") if place else []
    known = [WEIGHT_ENTRIES.index(part) for part in parts if part in WEIGHT_ENTRIES]
    return min(known, default=-1 if not place else len(WEIGHT_ENTRIES)) + 100 * (
        "ema_state_dict" in parts
    )


def _is_average(place: str) -> bool:
    return any(part in AVERAGES for part in place.split("/"))


def _bare(names: Mapping[Any, Any]) -> list[str]:
    return [str(n) for n in names if not str(n).endswith("num_batches_tracked")]


def _state_dicts(node: dict, place: str, depth: int = 0) -> Iterator[tuple[str, dict]]:
    """Every dict of tensors, by its place; optimisers and the like are passed over."""
    named = [value for key, value in node.items() if isinstance(key, str) and _is_tensor(value)]
    if any(getattr(value, "shape", True) for value in named):  # a score beside is one number
        yield place, node
    for key, value in node.items():
        is_part = isinstance(key, str) and not any(word in key.lower() for word in _NEVER)
        if isinstance(value, dict) and is_part and depth < _DEPTH:
            yield from _state_dicts(value, f"{place}/{key}" if place else key, depth + 1)


def _without_wrapper(found: WeightFile) -> WeightFile:
    """The same without prefixes of WRAPPERS, as long as every name has one."""
    arrays, dropped = found.arrays, ""
    while arrays:
        firsts = {name.partition(".")[0] for name in arrays}
        if len(firsts) != 1 or not firsts <= WRAPPERS or not all("." in name for name in arrays):
            break
        prefix = f"{firsts.pop()}."
        arrays = {name[len(prefix) :]: array for name, array in arrays.items()}
        dropped += prefix
    return replace(found, arrays=arrays)


def _without_twins(found: WeightFile) -> WeightFile:
    """The same without ``ema_…`` copies, as mmcv's hook keeps them.

    It registers them as buffers, dots as underscores, and swaps the two before it saves: the
    average stands under the plain names. Source: open-mmlab/mmcv mmcv/runner/hooks/ema.py @1.x
    """
    plain = {name.replace(".", "_") for name in found.arrays} | found.arrays.keys()
    twins = [n for n in found.arrays if n.startswith("ema_") and n[4:].replace(".", "_") in plain]
    if not twins:
        return found
    kept = {name: array for name, array in found.arrays.items() if name not in set(twins)}
    note = f"{len(twins)} twins ('{twins[0]}' …) left out: the plain names hold the average"
    return replace(found, arrays=kept, notes=(*found.notes, note))
