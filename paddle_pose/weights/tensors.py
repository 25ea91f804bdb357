"""``.safetensors`` in and out, and what every file of weights is checked for: digest, soundness."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from paddle_pose.errors import CannotWrite, UserError
from paddle_pose.files import atomic, temporary_name
from paddle_pose.limits import LIMITS

OURS = "paddle_pose"
"""Key of the metadata under which this project says what the tensors are, as JSON."""

_MARK = '"normalisation": {"rgb_mean"'


def said_in(texts: Mapping[str, Any], key: str = OURS) -> str:
    """What a file says of itself: the text under a key, or one with its words; else nothing.

    A damaged key must not make it a file that says nothing, and so has no digest.
    """
    found = [t for k, t in texts.items() if isinstance(t, str) and (k == key or _MARK in t)]
    return found[0] if found else ""


_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a ``.safetensors`` file, bfloat16 as float32; Raises UserError."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata, names = file.metadata() or {}, list(file.keys())
            LIMITS["tensors"].require(len(names), str(path))
            try:
                return {name: file.get_tensor(name) for name in names}, metadata
            except TypeError:  # NumPy has no bfloat16
                return _with_bfloat16(path), metadata
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: damaged, cut short or not a .safetensors file ({error}); fetch or write it "
            "again"
        ) from error


def _with_bfloat16(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for name, entry in safetensors.deserialize(path.read_bytes()):
        if entry["dtype"] not in _DTYPES:
            raise UserError(f"{path}: '{name}' is of type {entry['dtype']}; not supported")
        array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        arrays[name] = from_bfloat16(array) if entry["dtype"] == "BF16" else array
    return arrays


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32, which holds bfloat16 exactly, of its bits as uint16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_safetensors(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    metadata: dict[str, str] | None = None,
    *,
    earlier: Path | None = None,
) -> None:
    """Write named arrays as ``.safetensors``, atomically; equal content gives equal bytes.

    ``earlier`` is where the file of that name stays, if there is one.
    """
    plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    try:
        with atomic(path) as file:
            save_file(plain, file.name, metadata)
            _sort_metadata(Path(file.name))
            if earlier is not None and path.is_file():
                _keep(path, earlier)
    except SafetensorError as error:
        raise CannotWrite(f"{path}: cannot write this file ({error})") from error


def _sort_metadata(path: Path) -> None:
    """Order the header's texts by name; the library takes them as its hash map has them."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(header["__metadata__"]) > 1 and len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def _keep(path: Path, earlier: Path) -> None:
    """A second name for a file that is about to be replaced; a copy where disks have no links."""
    temporary = temporary_name(earlier)
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        os.link(path, temporary)
    except OSError:
        shutil.copyfile(path, temporary)
    temporary.replace(earlier)
    temporary.unlink(missing_ok=True)  # it stays where both were names of one file already


def digest(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    """Hexadecimal SHA-256 of names, types, shapes and numbers, in the order of names, and a text.

    A second for 1.5 GB on a CPU with SHA instructions.
    """
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"\0{name} {array.dtype.str} {list(array.shape)}\0".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def require_sound(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raises UserError naming a tensor that is not finite, or a running variance below zero.

    Finite is what float32 can hold: networks compute in that.
    """
    LIMITS["tensors"].require(len(arrays), str(path))
    LIMITS["tensor_bytes"].require(sum(a.nbytes for a in arrays.values()), str(path))
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not array.size:
            continue
        if array.dtype.itemsize > 4:
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise UserError(
                f"{path}: '{name}' is not finite ({array[place]} at {list(place)}); these weights "
                "would give wrong numbers: take another checkpoint, or fetch the file again"
            )
        if name.endswith(("_variance", "running_var")) and (lowest := array.min()) < 0:
            raise UserError(
                f"{path}: '{name}' has a negative variance ({lowest:g}); these weights would give "
                "wrong numbers: take another checkpoint, or fetch the file again"
            )
