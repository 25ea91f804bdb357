"""Weights and resumable states on disk: read without running code, written whole or not at all.

Weights are ``.pdparams`` (read through an allow-list) or ``.safetensors``. A resumable state is
one ``checkpoint.safetensors``: every tensor, and the position as JSON in its header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from paddle_pose.errors import UserError
from paddle_pose.files import atomic
from paddle_pose.weights.safe_pickle import load_arrays, save_arrays

STATE_FORMAT = "paddle_pose training state 1"


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """State dict of a ``.pdparams`` or ``.safetensors`` file; Raises UserError, runs nothing."""
    if not path.is_file():
        raise UserError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)[0]
    if path.suffix != ".pdparams":
        raise UserError(
            f"{path}: expected .pdparams or .safetensors; convert others with "
            "python -m paddle_pose port"
        )
    return load_arrays(path)


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except TypeError as error:
        raise UserError(
            f"{path}: holds a number type that NumPy lacks, such as bfloat16; convert it with "
            "python -m paddle_pose port"
        ) from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable .safetensors file ({error})") from error


def _short(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class Loaded(NamedTuple):
    """What a partial loading left over.

    Attributes:
        missing: weights of the network that the file did not fill.
        unused: tensors of the file that the network has no place for.
    """

    missing: list[str]
    unused: list[str]


def load_weights(network: nn.Layer, path: Path, *, partial: bool = False) -> Loaded:
    """Fill the network from a file and return what was left over on both sides.

    Args:
        network: filled in place.
        path: ``.pdparams`` or ``.safetensors``.
        partial: take what fits in name and shape (a pretrained backbone) and return the rest.

    Raises:
        UserError: unreadable or unsafe file; missing, unexpected or misshapen weights unless
            ``partial``; nothing that fits at all.
    """
    arrays = read_weights(path)
    own = network.state_dict()
    fits = [name for name in own if name in arrays and arrays[name].shape == tuple(own[name].shape)]
    missing = [name for name in own if name not in fits]
    unexpected = [name for name in arrays if name not in own]
    if not fits or ((missing or unexpected) and not partial):
        parts = []
        if missing:
            name = missing[0]
            found = f" (shape {list(arrays[name].shape)} in the file)" if name in arrays else ""
            wanted = f"{list(own[name].shape)}{found}"
            parts.append(f"not filled: {_short(missing)}; first needs shape {wanted}")
        if unexpected:
            parts.append(f"not wanted: {_short(unexpected)}")
        raise UserError(
            f"{path}: weights of another network ({'; '.join(parts)}); "
            "choose the recipe it was trained with by --config"
        )
    _set_weights(own, {name: arrays[name] for name in fits})
    return Loaded(missing, [name for name in arrays if name not in fits])


def _set_weights(own: Mapping[str, paddle.Tensor], arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        own[name].set_value(paddle.to_tensor(array).astype(own[name].dtype))


def save_weights(network: nn.Layer, path: Path) -> None:
    """Write ``.pdparams`` that ``paddle.load`` opens, atomically."""
    save_arrays(path, {name: value.numpy() for name, value in network.state_dict().items()})


def _optimizer_arrays(
    network: nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> dict[str, np.ndarray]:
    """Moments under ``<weight>/<slot>``: Paddle's own names count every layer ever made."""
    names = {value.name: key for key, value in network.state_dict().items()}
    arrays = {}
    for slot_name, value in optimizer.state_dict().items():
        if not isinstance(value, paddle.Tensor):
            continue
        owner = max((own for own in names if slot_name.startswith(own + "_")), key=len)
        arrays[f"{names[owner]}/{slot_name[len(owner) + 1 :]}"] = value.numpy()
    return arrays


def save_state(
    path: Path,
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    position: Mapping[str, Any],
    average: nn.Layer | None = None,
) -> None:
    """Write everything a run needs to go on; the old state stays until the new one is whole.

    Args:
        path: replaced.
        network: what is trained.
        optimizer: its moments, and its full-precision weights where the network's are not.
        position: plain data.
        average: moving average of the weights, where there is one.
    """
    exact = exact_weights(network, optimizer)
    arrays = {f"weights/{name}": value.numpy() for name, value in exact.items()}
    if average is not None:
        arrays |= {f"average/{name}": value.numpy() for name, value in average.state_dict().items()}
    for name, array in _optimizer_arrays(network, optimizer).items():
        arrays[f"optimizer/{name}"] = np.ascontiguousarray(array)
    metadata = {"format": STATE_FORMAT, "position": json.dumps(position)}
    try:
        with atomic(path) as file:
            save_file(arrays, file.name, metadata=metadata)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot write this file ({error})") from error


def require_state(path: Path) -> None:
    """Raises UserError unless the file is a training state of this project; runs nothing."""
    if _read_safetensors(path)[1].get("format") != STATE_FORMAT:
        raise UserError(f"{path}: not a training state of this project; give it a run folder")


def load_state(
    path: Path,
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    average: nn.Layer | None = None,
) -> dict[str, Any]:
    """Fill network, optimiser and average from ``save_state``'s file and return the position.

    Raises:
        UserError: no such file, another format, or a state of another network.
    """
    if not path.is_file():
        raise UserError(f"{path}: nothing to resume from")
    arrays, metadata = _read_safetensors(path)
    if metadata.get("format") != STATE_FORMAT:
        raise UserError(f"{path}: not a training state of this project; give it a run folder")
    if average is not None:
        _fill(average, arrays, "average/", path)
    weights = _fill(network, arrays, "weights/", path)
    own = network.state_dict()
    state: dict[str, Any] = {}
    halves = {n: v for n, v in own.items() if v.dtype in (paddle.float16, paddle.bfloat16)}
    if halves:
        copies = {value.name: paddle.to_tensor(weights[n]) for n, value in halves.items()}
        state["master_weights"] = copies
    for name, array in arrays.items():
        if name.startswith("optimizer/"):
            owner, _, slot = name[10:].rpartition("/")
            state[f"{own[owner].name}_{slot}"] = paddle.to_tensor(array)
    optimizer.set_state_dict(state)
    return json.loads(metadata["position"])


def _fill(
    network: nn.Layer, arrays: Mapping[str, np.ndarray], prefix: str, path: Path
) -> dict[str, np.ndarray]:
    """Set every weight from the arrays under ``prefix`` and return those; Raises UserError."""
    own = network.state_dict()
    weights = {n[len(prefix) :]: a for n, a in arrays.items() if n.startswith(prefix)}
    wrong = sorted(
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or weights[name].shape != tuple(own[name].shape)
    )
    if wrong:
        raise UserError(f"{path}: state of another network (differs in {_short(wrong)})")
    _set_weights(own, weights)
    return weights


def exact_weights(
    network: nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> dict[str, paddle.Tensor]:
    """``network.state_dict()`` with the optimiser's float32 copy in the place of a half weight."""
    copies = optimizer.state_dict().get("master_weights", {})
    return {name: copies.get(value.name, value) for name, value in network.state_dict().items()}
