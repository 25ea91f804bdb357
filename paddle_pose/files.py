"""Files in and out: written whole or not at all, read with errors in one line."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from paddle_pose.errors import CannotWrite, UserError
from paddle_pose.limits import LIMITS

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp", re.DOTALL)
_BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_JSON_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def temporary_name(path: Path) -> Path:
    """``.NAME.PID.tmp`` beside a file: its name while this process writes it.

    Of a name that leaves no room for this, the beginning and a checksum.
    """
    name, whole = path.name, os.fsencode(path.name)
    if len(whole) > LIMITS["file_name_bytes"].most - 20:
        name = f"{name[:50]}.{zlib.crc32(whole):08x}"
    return path.with_name(f".{name}.{os.getpid()}.tmp")


def leftovers(folder: Path) -> list[Path]:
    """Temporary files in a folder and below, that writes left behind when they were killed.

    A write that still goes on looks the same: ask where no other process writes.
    """
    return sorted(path for path in folder.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name))


@contextlib.contextmanager
def atomic(path: Path, *, lasting: bool = True) -> Iterator[BinaryIO]:
    """A binary file that stands under its name only when it is complete and on disk.

    Its folder is made. Until then the content lies in ``temporary_name(path)``, which is removed if
    the writing fails, and stays (see ``leftovers``) if the process is killed. Not ``lasting``: it
    need not outlive a power cut, and nobody waits for the disk.

    Raises:
        UserError: the file cannot be written; the line has the path and the reason.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CannotWrite(f"{path}: cannot write this file ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which stands under its name only when all of it is written.

    Raises:
        UserError: there is something of that name already, or it cannot be written.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
            raise UserError(f"{path}: is there already; name another folder, or remove it first")
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise CannotWrite(
            f"{path}: cannot write this folder ({error.strerror or error})"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; Raises UserError, as ``atomic``."""
    with atomic(path) as file:
        file.write(content)


def as_utf8(text: str) -> bytes:
    r"""UTF-8; bytes of a file's name that are no text stay as ``\udce9``, which JSON reads back."""
    return text.encode(errors="backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; Raises UserError, as ``atomic``."""
    write_bytes(path, as_utf8(text))


def lock_folder(folder: Path) -> int:
    """Hold a folder for this process until the descriptor is closed, or the process ends.

    Where the file system has no locks, nothing is held.

    Raises:
        UserError: another process holds it.
    """
    try:
        return _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"{folder}: another process writes there; wait for it, or choose another --output_dir"
        ) from error


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a folder as ``lock_folder`` does, once no other process holds it."""
    lock = _locked(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _locked(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
    except BaseException as error:  # also a signal while it waits
        if isinstance(error, BlockingIOError) or not isinstance(error, OSError):
            os.close(descriptor)
            raise
    return descriptor


def append_line(path: Path, line: str) -> None:
    """Add a line to a UTF-8 file; Raises UserError if it cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise CannotWrite(f"{path}: cannot write this file ({error.strerror or error})") from error


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write plain data as ``json_text`` has it, whole or not at all.

    Raises:
        UserError: as ``atomic``.
    """
    write_text(path, json_text(value, indent=indent) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Plain data as JSON: letters as they are, null for nan and infinities, which JSON lacks."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The content of a JSON file, each object passed through the hook.

    It may be compressed by gzip, whatever its name. UTF-8, -16 and -32 are told apart, with or
    without a byte-order mark. ``NaN`` and ``Infinity``, which JSON lacks and Python writes, are
    numbers here: who needs finite ones checks that.

    Raises:
        UserError: missing, unreadable, too large, nested too deeply or not JSON; the line names
            the file and the place.
    """
    return parse_json(json_bytes(Path(path)), path, object_hook)


def json_bytes(path: Path) -> bytes:
    """A JSON file as ``parse_json`` takes it; Raises UserError as ``read_json``."""
    data = read_bytes(path)
    return _inflated(data, path) if data[:2] == _GZIP else data


def parse_json(
    data: bytes, path: Path | str, object_hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """As ``read_json``, of bytes that were read already; ``path`` is for messages."""
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
        if not encoding.startswith("utf-8"):
            data = text.encode()
        _require_shallow(data, path)
        del data
        return json.loads(text, object_hook=object_hook)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON ({error.msg} at line {error.lineno} column {error.colno}); "
            "is the download complete?"
        ) from error
    except UnicodeError as error:
        raise UserError(f"{path}: cannot read this file, as it is not text ({error})") from error
    except ValueError as error:  # Python converts 4,300 digits
        raise UserError(f"{path}: holds an integer of too many digits") from error


def read_bytes(path: Path) -> bytes:
    """All of a file that is no larger than a JSON file may be; Raises UserError."""
    try:
        with path.open("rb") as stream:
            LIMITS["json_bytes"].require(os.fstat(stream.fileno()).st_size, str(path))
            return stream.read()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot read this file ({reason})") from error


def _inflated(packed: bytes, path: Path) -> bytes:
    limit, content, size = LIMITS["inflated_json_bytes"], bytearray(), 0
    honest = int.from_bytes(packed[-4:], "little")  # bytes, as a whole file says at its end
    try:
        with gzip.open(io.BytesIO(packed)) as stream:
            while block := stream.read(_BLOCK_BYTES):
                size += len(block)
                limit.require(size, str(path))
                if honest <= limit.most:
                    content += block
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error
    return bytes(content)


def _require_shallow(data: bytes, path: Path | str) -> None:
    """Raises UserError where brackets are nested too deeply: the parser would run out of stack."""
    if _depth(data) > LIMITS["nesting"].most:  # brackets in texts may be why
        LIMITS["nesting"].require(_depth(_JSON_TEXT.sub(b"", data)), str(path))


def _depth(data: bytes) -> int:
    """Most brackets that are open at once; those in texts count too."""
    deepest = depth = 0
    for start in range(0, len(data), _BLOCK_BYTES):
        brackets = data[start : start + _BLOCK_BYTES].translate(None, _NO_BRACKETS)
        # "[" and "{" are 2 below their partners, and only they have bit 2 clear.
        steps = 1 - (np.frombuffer(brackets, np.uint8).astype(np.int64) & 4) // 2
        levels = depth + np.cumsum(steps)
        if len(levels):
            deepest, depth = max(deepest, int(levels.max())), int(levels[-1])
    return deepest


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file of any size; Raises UserError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot read this file ({error.strerror or error})") from error
    return digest.hexdigest()
