"""A weights file of any known kind as ``{name: array}``, without torch, running nothing in it.

Known kinds, told apart by their content: PyTorch (zip and legacy), ``.pdparams`` and
``.safetensors``. Of a training checkpoint only the network's weights are taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from paddle_pose.errors import UserError
from paddle_pose.files import write_bytes
from paddle_pose.porting import torch_format
from paddle_pose.weights.safe_pickle import load_arrays

WEIGHT_ENTRIES = ("latest_state_dict", "state_dict", "best_state_dict", "model_state_dict")
"""Where a training checkpoint keeps the weights, best first.

Source: tools/test_lambda.py:106 of rawalkhirodkar/MIPNet @245651d prefers latest_state_dict; in
HRNet's checkpoint.pth best_state_dict is, despite its name, the current model.
"""

WRAPPERS = ("model.module.", "module.", "model.")
"""Prefixes that parallel wrappers and trainers put before every name."""

_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Names and read-only arrays of a weights file, wrapper prefixes dropped; bfloat16 as float32.

    Raises:
        UserError: no such file, damaged, a kind not known, or a pickle that asks for a name
            outside the allow-list.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if start[:4] == torch_format.ZIP_MAGIC:
        weights = _of_torch(torch_format.read_zip(path), path)
    elif torch_format.is_legacy(start):
        weights = _of_torch(torch_format.read_legacy(path), path)
    elif start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
        weights = read_safetensors(path)
    elif start[:1] == b"\x80":
        weights = load_arrays(path)
    else:
        raise UserError(
            f"{path}: not a weights file; expected PyTorch (.pth, .pt), .pdparams or .safetensors"
        )
    return without_wrapper(weights)


def _of_torch(file: torch_format.TorchFile, path: Path) -> dict[str, np.ndarray]:
    tensors = _state_dict(file.root, path)
    total = sum(math.prod(tensor.shape) for tensor in tensors.values())
    # Views that share storages may add up to more than the file, but not to much more.
    if total > 8 * path.stat().st_size + 2**20:
        raise UserError(f"{path}: its tensors are larger than the file can hold; refused")
    return {name: file.array(tensor) for name, tensor in tensors.items()}


def _state_dict(root: Any, path: Path) -> dict[str, torch_format.Tensor]:
    """The weights among what the file holds."""
    if isinstance(root, dict):
        for entry in WEIGHT_ENTRIES:
            if isinstance(root.get(entry), dict):
                root = root[entry]
                break
    if not isinstance(root, dict):
        raise UserError(f"{path}: holds {type(root).__name__}, expected named tensors")
    tensors = {n: t for n, t in root.items() if isinstance(t, torch_format.Tensor)}
    others = [str(name) for name in root if name not in tensors]
    if not tensors or others or not all(isinstance(name, str) for name in tensors):
        raise UserError(
            f"{path}: no state_dict found; entries: {', '.join(map(str, list(root)[:8]))[:200]}"
        )
    return tensors


def without_wrapper(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same without a prefix of WRAPPERS that every name has."""
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in weights):
            return {name[len(prefix) :]: array for name, array in weights.items()}
    return dict(weights)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """A ``.safetensors`` file, bfloat16 as float32; Raises UserError."""
    try:
        entries = safetensors.deserialize(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"{path}: damaged or cut short ({error}); fetch it again") from error
    arrays = {}
    for name, entry in entries:
        if entry["dtype"] not in _SAFETENSORS:
            raise UserError(f"{path}: '{name}' is of type {entry['dtype']}; not supported")
        array = np.frombuffer(entry["data"], _SAFETENSORS[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = array
    return arrays


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None
) -> None:
    """Write named arrays as ``.safetensors``, atomically."""
    plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    write_bytes(path, save(plain, metadata))
