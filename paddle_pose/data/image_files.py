"""Which file, or which member of an archive, an image's name means; without OpenCV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from paddle_pose.data.archives import ENDINGS, open_archives
from paddle_pose.errors import UserError, nearest
from paddle_pose.limits import LIMITS
from paddle_pose.names import require_inside


def read_bytes(root: Path, name: str) -> tuple[bytes, str]:
    """An image's bytes and where they lie, for messages: a file, or a member of an archive.

    Raises:
        UserError: there is no such image, or it cannot be read.
    """
    path = Path(root) / require_inside(name, str(root))
    if not path.is_file():
        archives = open_archives(root)
        if archives is not None:
            return archives.read(name)
        path = find_image(root, name)
    return file_bytes(path), str(path)


def file_bytes(path: Path) -> bytes:
    """All of a file; Raises UserError."""
    try:
        LIMITS["image_file_bytes"].require(path.stat().st_size, str(path))
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot read this image ({reason})") from error


@lru_cache(maxsize=16)
def _names_by_stem(folder: Path, modified_ns: int) -> dict[str, list[str]]:
    """Lower-case stem -> image file names in that folder, as it was when last modified."""
    del modified_ns  # part of the cache's key only
    names: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in ENDINGS:
            names.setdefault(file.stem.lower(), []).append(file.name)
    return names


def find_image(root: Path, name: str) -> Path:
    """The file ``name`` under ``root``, or the one that differs only in case or ending.

    Raises:
        UserError: there is none; names the folder and the nearest file name.
    """
    path = Path(root) / require_inside(name, str(root))
    if path.is_file():
        return path
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; check the data folder")
    names = _names_by_stem(path.parent, path.parent.stat().st_mtime_ns)
    candidates = names.get(path.stem.lower(), [])
    if candidates:
        same_name = [file for file in candidates if file.lower() == path.name.lower()]
        return path.parent / (same_name or candidates)[0]
    if not names:
        raise UserError(f"{path}: the folder {path.parent} holds no images; unpack them there")
    files = [file for group in names.values() for file in group]
    hint = nearest(path.name, files) if len(files) <= 1000 else ""
    raise UserError(f"{path}: image not found among {len(files)} images in its folder{hint}")


def missing(root: Path, names: Sequence[str]) -> list[str]:
    """Those of the names that ``read_bytes`` would not find, in order.

    Folders and archives are listed once, so 25,000 names cost well under a second.

    Raises:
        UserError: neither a folder nor an archive is there, or an archive is broken.
    """
    archives = open_archives(root)
    if archives is None and not root.is_dir():
        raise UserError(
            f"{root}: no such folder (nor {root.name}.zip or .tar beside it); "
            "it must hold the images"
        )
    exact: dict[str, set[str]] = {}
    stems: dict[str, set[str]] = {}
    absent = []
    for name in names:
        folder, base = os.path.split(require_inside(name, str(root)))
        if folder not in exact:
            path = root / folder
            exact[folder] = set(os.listdir(path)) if path.is_dir() else set()
        if base in exact[folder]:
            continue
        if archives is not None:
            if archives.find(name) is None:
                absent.append(name)
            continue
        if folder not in stems:
            split = (os.path.splitext(file.lower()) for file in exact[folder])
            stems[folder] = {stem for stem, ending in split if ending in ENDINGS}
        if os.path.splitext(base.lower())[0] not in stems[folder]:
            absent.append(name)
    return absent
