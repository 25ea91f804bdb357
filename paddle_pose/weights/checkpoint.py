"""Weights and resumable states on disk: written whole or not at all, read without running code.

A resumable state is one ``checkpoint.safetensors``: every tensor, and in its header the position
and a digest of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.weights import tensors
from paddle_pose.weights.facts import WeightFacts
from paddle_pose.weights.safe_pickle import save_arrays

STATE_FORMAT = "paddle_pose training state 1"


def save_weights(network: nn.Layer, path: Path, facts: WeightFacts | None = None) -> None:
    """Write ``.pdparams`` that ``paddle.load`` opens, with what it says of itself, atomically."""
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    save_arrays(path, arrays, "" if facts is None else facts.text(arrays))


def set_weights(own: Mapping[str, paddle.Tensor], arrays: Mapping[str, np.ndarray]) -> None:
    """Fill tensors of a network, in its own number types."""
    for name, array in arrays.items():
        own[name].set_value(paddle.to_tensor(array).astype(own[name].dtype))


def _short(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
    *,
    earlier: Path | None = None,
) -> None:
    """Write everything a run needs to go on; the old state stays until the new one is whole.

    Args:
        path: replaced.
        network: what is trained.
        optimizer: its moments, and its full-precision weights where the network's are not.
        position: plain data.
        average: moving average of the weights, where there is one.
        earlier: where the state stays that ``path`` held.
    """
    exact = exact_weights(network, optimizer)
    arrays = {f"weights/{name}": value.numpy() for name, value in exact.items()}
    if average is not None:
        arrays |= {f"average/{name}": value.numpy() for name, value in average.state_dict().items()}
    for name, array in _optimizer_arrays(network, optimizer).items():
        arrays[f"optimizer/{name}"] = array
    found = tensors.digest(arrays, _canonical(position))
    said = {"format": STATE_FORMAT, "digest": found, "position": position}
    tensors.write_safetensors(path, arrays, {tensors.OURS: json.dumps(said)}, earlier=earlier)


def _canonical(position: Any) -> str:
    return json.dumps(position, sort_keys=True)


@dataclass(frozen=True)
class State:
    """A training state as it was read: whole, of finite numbers.

    Attributes:
        path: of the file.
        arrays: every tensor.
        position: plain data.
        has_digest: whether it was compared; states of older versions have none.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    position: Any
    has_digest: bool


def read_state(path: Path) -> State:
    """A state, without a network for it; Raises UserError if it is none, or damaged."""
    if not path.is_file():
        raise UserError(f"{path}: nothing to resume from")
    arrays, metadata = tensors.read_safetensors(path)
    try:
        said = json.loads(metadata.get(tensors.OURS, "null"))
        if said is None:  # an older version's: two texts, no digest
            said = {"format": metadata.get("format"), "position": metadata.get("position", "null")}
            said["position"] = json.loads(said["position"])
        form, position, expected = said.get("format"), said.get("position"), said.get("digest")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged: its position is not readable") from error
    if form != STATE_FORMAT:
        raise UserError(f"{path}: not a training state of this project; give it a run folder")
    if expected is not None and tensors.digest(arrays, _canonical(position)) != expected:
        raise UserError(f"{path}: damaged: its tensors are not those that were written")
    tensors.require_sound(arrays, path)
    return State(path, arrays, position, expected is not None)


def load_state(
    path: Path,
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    average: nn.Layer | None = None,
) -> Any:
    """Fill network, optimiser and average from ``save_state``'s file and return the position.

    Raises:
        UserError: no such file, damaged, another format, or a state of another network.
    """
    state = read_state(path)
    fill_from(state, network, optimizer, average)
    return state.position


def fill_from(
    found: State,
    network: nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    average: nn.Layer | None = None,
) -> None:
    """Fill network, optimiser and average; Raises UserError for a state of another network."""
    arrays, path = found.arrays, found.path
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
            if owner not in own:
                raise UserError(f"{path}: state of another network (it has moments of '{owner}')")
            state[f"{own[owner].name}_{slot}"] = paddle.to_tensor(array)
    optimizer.set_state_dict(state)


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
    set_weights(own, weights)
    return weights


def exact_weights(
    network: nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> dict[str, paddle.Tensor]:
    """``network.state_dict()`` with the optimiser's float32 copy in the place of a half weight."""
    copies = optimizer.state_dict().get("master_weights", {})
    return {name: copies.get(value.name, value) for name, value in network.state_dict().items()}
