"""Writes PyTorch checkpoints without torch, in both of its formats, for whole networks in tests.

``tests/fixtures/checkpoints`` holds small files made by torch itself; these here are checked
against them (test_porting_reader), and were opened once with ``torch.load(weights_only=True)``
of torch 2.13.0.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
}


class Name:
    """A global that the pickle mentions and that need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """A pickler that writes arrays as torch tensors; their storages are collected."""

    def __init__(self, file: io.BytesIO, is_legacy: bool) -> None:
        super().__init__(file, protocol=2)
        self.is_legacy = is_legacy
        self.storages: list[np.ndarray] = []

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """As pickle's, and two more kinds of objects."""
        if isinstance(obj, Name):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, np.ndarray):
            self._save_tensor(obj)
        else:
            super().save(obj, save_persistent_id)

    def _save_tensor(self, array: np.ndarray) -> None:
        key = str(len(self.storages))
        self.storages.append(np.ascontiguousarray(array))
        strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
        self.save(Name("torch._utils", "_rebuild_tensor_v2"))
        self.write(pickle.MARK)
        identity = ("storage", Name("torch", KINDS[array.dtype.name]), key, "cpu", array.size)
        self.save(identity + ((None,) if self.is_legacy else ()))
        self.write(pickle.BINPERSID)
        for part in (0, tuple(array.shape), tuple(strides), False, {}):
            self.save(part)
        self.write(pickle.TUPLE + pickle.REDUCE)


def write(path: Path, content: Any, is_legacy: bool) -> None:
    """Write ``content``, in which every array is a tensor."""
    stream = io.BytesIO()
    pickler = Pickler(stream, is_legacy)
    pickler.dump(content)
    if is_legacy:
        with path.open("wb") as file:
            for head in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}):
                pickle.dump(head, file, protocol=2)
            file.write(stream.getvalue())
            pickle.dump([str(i) for i in range(len(pickler.storages))], file, protocol=2)
            for storage in pickler.storages:
                file.write(struct.pack("<q", storage.size))
                file.write(storage.data if storage.size else b"")
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", b"little")
        for index, storage in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{index}", storage.tobytes())
        archive.writestr("archive/version", b"3\n")


def with_prefix(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Every name behind a wrapper's prefix."""
    return {prefix + name: array for name, array in state.items()}
