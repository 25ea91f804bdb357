"""Files in and out: written whole or not at all, read with errors in one line."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from paddle_pose.errors import UserError

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp", re.DOTALL)
_BLOCK_BYTES = 1 << 20


def temporary_name(path: Path) -> Path:
    """``.NAME.PID.tmp`` beside a file: its name while this process writes it."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def leftovers(folder: Path) -> list[Path]:
    """Temporary files in a folder and below, that writes left behind when they were killed.

    A write that still goes on looks the same: ask where no other process writes.
    """
    return sorted(path for path in folder.rglob(".*.tmp") if _TEMPORARY.fullmatch(path.name))


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A binary file that stands under its name only when it is complete and on disk.

    Its folder is made. Until then the content lies in ``temporary_name(path)``, which is removed if
    the writing fails, and stays (see ``leftovers``) if the process is killed.

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
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot write this file ({error.strerror or error})") from error
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
        raise UserError(f"{path}: cannot write this folder ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; Raises UserError, as ``atomic``."""
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; Raises UserError, as ``atomic``."""
    write_bytes(path, text.encode())


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
    """The content of a ``.json`` or ``.json.gz`` file, each object passed through the hook.

    Raises:
        UserError: missing, unreadable or not JSON; the line names the file and the place.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                return json.load(stream, object_hook=object_hook)
        with path.open(encoding="utf-8") as stream:
            return json.load(stream, object_hook=object_hook)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON ({error.msg} at line {error.lineno} column {error.colno}); "
            "is the download complete?"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error


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
