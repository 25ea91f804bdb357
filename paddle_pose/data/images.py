"""Image files → RGB arrays, and finding the file that a name means."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.errors import UserError, nearest

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)
"""Decode straight to RGB (OpenCV >= 4.11); None where the channels must be swapped afterwards."""


def read_rgb(path: Path | str, *, apply_exif: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey, CMYK, 16-bit and transparent images are converted.

    Data sets are read without the EXIF orientation, because their annotations refer to the stored
    pixels (HRNet does the same); ``apply_exif`` turns a user's photo upright.

    Raises:
        UserError: missing or unreadable file, not an image, or one that ends too early (OpenCV
            would fill the rest of a JPEG with grey).
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read this image ({error.strerror or error})") from error
    reason = _cut_short(data)
    if reason:
        raise UserError(f"{path}: this image is cut short ({reason}); copy or download it again")
    flags = cv2.IMREAD_COLOR if _RGB is None else _RGB
    if not apply_exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # e.g. more pixels than OpenCV allows
        image = None
    if image is None:
        kinds = ", ".join(ending[1:] for ending in ENDINGS)
        raise UserError(f"{path}: not an image that OpenCV can read; expected one of {kinds}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if _RGB is None else image


def _cut_short(data: bytes) -> str:
    """Why the file is incomplete, as far as its format tells cheaply; empty if it is not."""
    if not data:
        return "0 bytes"
    if data.startswith(b"\xff\xd8"):
        # Behind the header only the end marker can hold these bytes; before it, a thumbnail can.
        if data.endswith(b"\xff\xd9") or data.rfind(b"\xff\xd9", _jpeg_scan_start(data)) >= 0:
            return ""
        return f"no JPEG end marker in {len(data)} bytes"
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-4096:]:
        return f"no PNG end chunk in {len(data)} bytes"
    return ""


def _jpeg_scan_start(data: bytes) -> int:
    """Position of the first scan: where walking from segment to segment meets its marker."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xDA:
            return position
        if data[position + 1] == 0xFF:  # a marker may be preceded by fill bytes
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(position, len(data))


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
    path = Path(root) / name
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
