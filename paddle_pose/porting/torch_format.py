"""PyTorch's two file formats, read without torch and without running anything.

``torch.save`` writes a zip archive since torch 1.6; before, and with
``_use_new_zipfile_serialization=False``, a stream of pickles followed by raw storages. In both,
a pickle describes tensors as views into numbered storages.

Source: pytorch/pytorch torch/serialization.py (``_save``, ``_legacy_save``) @v2.13.0
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.weights.pickle_machine import read_pickle
from paddle_pose.weights.pickle_names import PLAIN_NAMES, Global, Reduce, refuse_call
from paddle_pose.weights.tensors import from_bfloat16

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

BFLOAT16 = "bfloat16"
_STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": BFLOAT16,
    "torch.DoubleStorage": "<f8",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "|i1",
    "torch.ByteStorage": "|u1",
    "torch.BoolStorage": "|b1",
}

# What zipfile, struct and NumPy raise for content that is not what it says.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, TypeError, KeyError,
    IndexError, OverflowError, RuntimeError, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file: ``count`` elements from ``first`` on of storage ``key``."""

    key: str
    dtype: str
    count: int
    first: int = 0


@dataclass(frozen=True)
class Tensor:
    """A view into a storage; offset and strides in elements. ``TorchFile.array`` reads it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of all its elements, each counted."""
        kind = self.storage.dtype
        return math.prod(self.shape) * (4 if kind == BFLOAT16 else np.dtype(kind).itemsize)


def _tensor(arguments: tuple) -> Tensor:
    storage, offset, shape, strides = arguments[:4]
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor without storage or with a bad shape")
    if len(shape) != len(strides) or math.prod(shape) > storage.count:
        raise ValueError("a tensor larger than its storage")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise ValueError("a tensor that reaches beyond its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


TORCH_NAMES: dict[str, Reduce] = {
    **PLAIN_NAMES,
    **dict.fromkeys(_STORAGES, refuse_call),
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda arguments: arguments[0],
    "torch.Size": lambda arguments: tuple(arguments[0]),
}
"""The allow-list of PyTorch files."""


def _storage(persistent_id: Any) -> Storage:
    """The storage of ('storage', type, key, device, count[, view])."""
    if not isinstance(persistent_id, tuple) or persistent_id[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    kind, key, _, count = persistent_id[1:5]
    if not isinstance(kind, Global) or not isinstance(key, str) or type(count) is not int:
        raise ValueError("a storage without type, key or size")
    if kind.name not in _STORAGES or count < 0:
        raise ValueError(f"a storage of {kind.name}")
    view = persistent_id[5] if len(persistent_id) > 5 else None
    if view is None:
        return Storage(key, _STORAGES[kind.name], count)
    _, first, length = view  # torch < 0.4: a storage that is itself a part of another
    if not 0 <= first <= first + length <= count:
        raise ValueError("a storage view beyond its storage")
    return Storage(key, _STORAGES[kind.name], length, first)


class TorchFile:
    """What a PyTorch file holds: ``root`` as plain data with ``Tensor`` leaves."""

    def __init__(self, root: Any, raw: Callable[[str], bytes | memoryview], source: str) -> None:
        self.root, self._raw, self._source = root, raw, source
        self._cache: dict[str, bytes | memoryview] = {}

    def array(self, tensor: Tensor) -> np.ndarray:
        """The numbers of a tensor, read-only; bfloat16 becomes float32, which holds it exactly.

        Raises:
            UserError: its storage is missing or shorter than the file says.
        """
        storage = tensor.storage
        is_bfloat16 = storage.dtype == BFLOAT16
        dtype = np.dtype("<u2" if is_bfloat16 else storage.dtype)
        try:
            if storage.key not in self._cache:
                self._cache[storage.key] = self._raw(storage.key)
            array: np.ndarray = np.ndarray(
                tensor.shape,
                dtype,
                self._cache[storage.key],
                offset=(storage.first + tensor.offset) * dtype.itemsize
                if math.prod(tensor.shape)
                else 0,
                strides=[stride * dtype.itemsize for stride in tensor.strides],
            )
        except _DAMAGED as error:
            raise UserError(
                f"{self._source}: damaged, storage {storage.key!r} is missing or too short "
                f"({str(error)[:60]}); fetch it again"
            ) from error
        if is_bfloat16:
            array = from_bfloat16(array)
        array.flags.writeable = False
        return array


def is_legacy(start: bytes) -> bool:
    """Whether a file starts as torch wrote it before 1.6: a stream of pickles."""
    magic = LEGACY_MAGIC.to_bytes(10, "little")
    return start[:1] == b"\x80" and magic in start[:32]


def read_zip(path: Path) -> TorchFile:
    """A file of torch 1.6 or later; Raises UserError."""
    try:
        archive = zipfile.ZipFile(path)
        members = archive.infolist()
        size = path.stat().st_size
        # torch stores without compression, so honest sizes add up to less than the file.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise UserError(f"{path}: a compressed archive; torch writes uncompressed ones")
        if sum(member.file_size for member in members) > size:
            raise UserError(f"{path}: its members claim more bytes than the file has")
        pickles = [m.filename for m in members if m.filename.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise UserError(f"{path}: a zip archive without data.pkl; not a PyTorch checkpoint")
        prefix = pickles[0][: -len("data.pkl")]
        names = set(archive.namelist())
        if f"{prefix}constants.pkl" in names:
            raise UserError(f"{path}: a TorchScript program; a checkpoint of weights is needed")
        order = f"{prefix}byteorder"
        if order in names and archive.read(order) != b"little":
            raise UserError(f"{path}: written on a big-endian machine; not supported")
        with archive.open(pickles[0]) as file:
            length = archive.getinfo(pickles[0]).file_size
            root = read_pickle(file, length, str(path), TORCH_NAMES, _storage)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGED as error:  # fmt: skip
        raise UserError(
            f"{path}: damaged or cut short ({str(error)[:60]}); fetch it again"
        ) from error
    return TorchFile(root, lambda key: archive.read(f"{prefix}data/{key}"), str(path))


def read_legacy(path: Path) -> TorchFile:
    """A file of torch before 1.6 (or written so on purpose); Raises UserError."""
    places: dict[str, tuple[int, int]] = {}
    counts: dict[str, tuple[int, str]] = {}

    def storage(persistent_id: Any) -> Storage:
        found = _storage(persistent_id)
        counts[found.key] = (persistent_id[4], found.dtype)
        return found

    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = [read_pickle(file, size, str(path)) for _ in range(3)]
            if head[0] != LEGACY_MAGIC or head[1] != LEGACY_PROTOCOL:
                raise UserError(f"{path}: an unknown protocol of torch ({head[1]!r:.20})")
            if isinstance(head[2], dict) and head[2].get("little_endian") is False:
                raise UserError(f"{path}: written on a big-endian machine; not supported")
            root = read_pickle(file, size, str(path), TORCH_NAMES, storage)
            keys = read_pickle(file, size, str(path))
            for key in keys:
                (count,) = struct.unpack("<q", file.read(8))
                expected, dtype = counts[key]
                length = count * (2 if dtype == BFLOAT16 else np.dtype(dtype).itemsize)
                if count != expected or file.tell() + length > size:
                    raise ValueError(f"storage {key!r} is cut short")
                places[key] = (file.tell(), length)
                file.seek(length, 1)
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGED as error:
        raise UserError(
            f"{path}: damaged or cut short ({str(error)[:60]}); fetch it again"
        ) from error

    def raw(key: str) -> memoryview:
        start, length = places[key]
        return content[start : start + length]

    return TorchFile(root, raw, str(path))
