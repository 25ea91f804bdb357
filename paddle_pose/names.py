"""Names of users that become paths: checked in one place, so that nothing leaves its folder.

A name of a recipe, benchmark, split or joint set is one plain word; a name of an image may have
folders in it, and stays below the folder that it is looked up or drawn in. No output is written
onto a file that is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS

_PLAIN = re.compile(r"\w[\w.+-]*")


def require_plain(name: str, where: str) -> str:
    """The name; Raises UserError unless it is letters, digits, ``_``, ``-``, ``+`` and ``.``."""
    if not _PLAIN.fullmatch(name) or ".." in name:
        raise UserError(
            f"{where}: '{name[:80]}' is not a plain name; use letters, digits, '_', '-', '+' "
            "and '.', beginning with a letter, digit or '_'"
        )
    LIMITS["name_bytes"].require(len(name.encode()), where)
    return name


def require_inside(name: str, where: str) -> str:
    """A relative path that stays below its folder; Raises UserError for ``..``, ``/`` or NUL.

    Args:
        name: as a file has it: ``a.jpg``, ``val2017/a.jpg``.
        where: file and record, for the message.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name)
    if not parts or absolute or ".." in parts or "\0" in name:
        raise UserError(f"{where}: '{name[:80]}' is not a relative path inside the images' folder")
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: '{name[:80]}' cannot be a file's name") from error
    LIMITS["file_name_bytes"].require(longest, where)
    LIMITS["path_bytes"].require(len(name), where)
    return name


def require_not_read(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Raises UserError if a file to write is one that is read, by any path or link.

    Args:
        outputs: files that will be written; there may be none yet.
        inputs: files that are read; None for one that is not given.
    """
    paths: set[str] = set()
    files: set[tuple[int, int]] = set()
    for path in filter(None, inputs):
        paths.add(os.path.realpath(path))
        files |= _identity(path)
    for path in outputs:
        if os.path.realpath(path) in paths or _identity(path) & files:
            raise UserError(f"{path}: would be written onto a file that is read; name another one")


def require_apart(folder: Path, inputs: Iterable[Path | None], option: str) -> None:
    """Raises UserError if a folder to write is, or holds, something that is read."""
    place = os.path.realpath(folder)
    for path in filter(None, inputs):
        read = os.path.realpath(path)
        if read == place or read.startswith(place.rstrip(os.sep) + os.sep):
            raise UserError(f"{option} {folder}: {path}, which is read, lies there; name another")


def say_replaced(outputs: Sequence[Path]) -> None:
    """One line where files of an earlier run are about to be replaced."""
    there = [path for path in outputs if path.exists()]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        print(f"=> replacing {there[0]}{more}", flush=True)


def _identity(path: Path) -> set[tuple[int, int]]:
    """Device and number of a file, whatever it is called; empty for none."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return set()
    return {(facts.st_dev, facts.st_ino)}
