"""Named arrays of ``.mat``, ``.h5`` and ``.npz`` files, checked before any large one is made.

MATLAB's version 5 is read here because damaged headers crash the process inside scipy's reader,
and because that reader inflates whatever a file holds. The rest (7.3) is HDF5.

Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format"
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS

Named = dict[str, Any]
"""Every name in a file -> the array, list of texts or text of it; None where it was not wanted."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEADER, _TAG = 128, 8
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHAR = 1, 4
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_COMPLEX = 0x800
_PEEK_BYTES = 4096
"""Of a compressed variable: enough for its name, which MATLAB keeps below 64 letters."""


def read_mat(path: Path, wanted: Collection[str]) -> Named:
    """The variables of a MATLAB file of version 5 or 7.3; Raises UserError."""
    data = _whole(path)
    if data[:8] == HDF5_MAGIC or data[124:128] in (b"\x00\x02IM", b"\x02\x00MI"):
        return read_hdf5(path, wanted)
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise UserError(f"{path}: cannot be read as a MATLAB file of version 5 or 7.3")
    found: Named = {}
    try:
        for name, content in _variables(memoryview(data), order, wanted, path):
            LIMITS["array_names"].require(len(found) + 1, str(path))
            found[name] = None if content is None else _value(content, order, f"{path}: '{name}'")
    except (struct.error, zlib.error, ValueError, LookupError) as error:
        raise UserError(
            f"{path}: cannot be read as a MATLAB file: it is damaged ({error})"
        ) from error
    return found


def _whole(path: Path) -> bytes:
    try:
        LIMITS["array_bytes"].require(path.stat().st_size, str(path))
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error


def _variables(
    data: memoryview[int], order: str, wanted: Collection[str], path: Path
) -> Iterator[tuple[str, list[Any] | None]]:
    """Name and parts of each top-level matrix; no parts where it is not wanted."""
    for kind, content in _elements(data[_HEADER:], order, aligned=False):
        if kind == _COMPRESSED:
            begin = zlib.decompressobj().decompress(content, _PEEK_BYTES)
            kind, size = struct.unpack_from(f"{order}II", begin)
            LIMITS["array_bytes"].require(size, f"{path}: a variable")
            head = memoryview(begin)[_TAG:]
        else:
            head, size = content, len(content)
        if kind != _MATRIX:
            continue
        _flags, _shape, (_, name_bytes) = islice(_elements(head, order), 3)
        name = bytes(name_bytes).decode("latin-1")
        if name not in wanted:
            yield name, None
            continue
        whole = head
        if head is not content:
            whole = memoryview(zlib.decompressobj().decompress(content, _TAG + size))[_TAG:]
            if len(whole) != size:
                raise ValueError("a variable is cut short")
        yield name, list(_elements(whole, order))


def _elements(
    data: memoryview[int], order: str, *, aligned: bool = True
) -> Iterator[tuple[int, Any]]:
    """Type and content of the elements that stand one after another."""
    at = 0
    while at + _TAG <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small one: type, length and content in 8 bytes
            kind, size, begin, after = kind & 0xFFFF, kind >> 16, at + 4, at + _TAG
            if size > 4:
                raise ValueError("a small element that is large")
        else:
            begin = at + _TAG
            after = begin + size
            if aligned or kind != _COMPRESSED:
                after += -size % 8
        if begin + size > len(data):
            raise ValueError("an element is cut short")
        yield kind, data[begin : begin + size]
        at = after


def _value(parts: list[Any], order: str, where: str) -> Any:
    """An array, a text, or the texts of a cell; Raises UserError for other classes."""
    (_, flags), (_, sizes), _name, *content = parts
    word = struct.unpack_from(f"{order}I", flags)[0]
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"a size of {shape}")
    kind, count = word & 0xFF, math.prod(shape)
    LIMITS["array_bytes"].require(8 * count, where)
    if kind == _CELL and count == len(content):
        inner = (list(_elements(item, order)) for _, item in content)
        return [_value(item, order, where) for item in inner if _is_text(item, order)]
    if kind == _CHAR:
        stored, raw = content[0]
        ending = {"<": "-le", ">": "-be"}[order] if _TEXTS[stored][:4] in ("utf-1", "utf-3") else ""
        return bytes(raw).decode(_TEXTS[stored] + ending)
    if kind not in _CLASSES or word & _COMPLEX:
        raise UserError(f"{where} is not a plain array of numbers")
    stored, raw = content[0]
    values = np.frombuffer(raw, order + _STORED[stored])
    return values.astype(_CLASSES[kind]).reshape(shape[::-1]).T


def _is_text(parts: list[Any], order: str) -> bool:
    return struct.unpack_from(f"{order}I", parts[0][1])[0] & 0xFF == _CHAR


def read_hdf5(path: Path, wanted: Collection[str]) -> Named:
    """The data sets at the top of an HDF5 file that lie in it, not in others; Raises UserError."""
    import h5py  # its own time to load, where other formats are read

    found: Named = {}
    try:
        with h5py.File(path, "r") as content:
            LIMITS["array_names"].require(len(content), str(path))
            for name in content:
                found[str(name)] = None
                if name in wanted:
                    link = content.get(name, getlink=True)
                    found[name] = _hdf5_value(content, name, link, f"{path}: '{name}'")
    except UserError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, TypeError and more
        raise UserError(f"{path}: cannot be read as an HDF5 file ({error})") from error
    return found


def _hdf5_value(content: Any, name: str, link: Any, where: str) -> np.ndarray:
    import h5py

    if isinstance(link, h5py.ExternalLink):
        raise UserError(f"{where} is a link to another file; copy the data into this one")
    array = content[name]
    if not isinstance(array, h5py.Dataset) or array.shape is None or array.dtype.kind not in "iufb":
        raise UserError(f"{where} is not a plain array of numbers")
    if array.is_virtual or array.external:
        raise UserError(f"{where} lies in another file; copy the data into this one")
    for shape in (array.shape, array.chunks or ()):
        LIMITS["array_bytes"].require(8 * math.prod(shape), where)
    return np.asarray(array[()])


def read_hdf5_tree(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers in an HDF5 file by their paths, but not through links.

    Raises:
        UserError: not such a file, damaged, too large, or data that lie in another file.
    """
    import h5py

    found: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as content:
            names: list[str] = []
            content.visit(names.append)  # follows neither soft nor external links
            LIMITS["array_names"].require(len(names), str(path))
            total = 0
            for name in names:
                item = content[name]
                if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf":
                    continue
                if item.is_virtual or item.external:
                    raise UserError(f"{path}: '{name}' lies in another file")
                for shape in (item.shape, item.chunks or ()):
                    total += item.dtype.itemsize * math.prod(shape)
                LIMITS["tensor_bytes"].require(total, str(path))
                found[name] = np.asarray(item[()])
    except UserError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, TypeError and more
        raise UserError(f"{path}: cannot be read as an HDF5 file ({error})") from error
    return found


def is_npz(path: Path) -> bool:
    """Whether a zip file holds NumPy's arrays alone; a damaged one by its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return path.suffix == ".npz"


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file, none of which may hold Python objects; Raises UserError."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            LIMITS["array_names"].require(len(members), str(path))
            LIMITS["tensor_bytes"].require(sum(one.file_size for one in members), str(path))
            for one in members:
                found[one.filename.removesuffix(".npy")] = _npy(archive.read(one))
    except UserError:
        raise
    except Exception as error:  # zipfile raises NotImplementedError, RuntimeError, EOFError, …
        raise UserError(f"{path}: cannot be read as a .npz file ({error})") from error
    return found


def _npy(data: bytes) -> np.ndarray:
    """One array; its size is checked before it is made."""
    file = io.BytesIO(data)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    shape, in_columns, dtype = read[np.lib.format.read_magic(file)[0]](file)
    if dtype.hasobject or len(data) - file.tell() != dtype.itemsize * math.prod(shape):
        raise ValueError("an array of objects, or cut short")
    values = np.frombuffer(data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if in_columns else "C")
