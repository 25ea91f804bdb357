"""Image files → RGB arrays, whole or reduced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.data.archives import ENDINGS
from paddle_pose.data.image_files import file_bytes, read_bytes
from paddle_pose.errors import UserError

REDUCTIONS = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
"""By which a JPEG can be decoded smaller -> OpenCV's bit for it, which goes with any colour."""

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)
"""Decode straight to RGB (OpenCV >= 4.11); None where the channels must be swapped afterwards."""


def read_rgb(path: Path | str, *, apply_exif: bool = False) -> np.ndarray:
    """A file's (H, W, 3) uint8 RGB; Raises UserError as ``decode_rgb``, or if it is missing."""
    return decode_rgb(file_bytes(Path(path)), str(path), apply_exif=apply_exif)


def read_image(root: Path, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a data set's image, from its folder or archives; Raises UserError."""
    return decode_rgb(*read_bytes(root, name))


def decode_rgb(
    data: bytes, where: str, *, apply_exif: bool = False, reduction: int = 1
) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey, CMYK, 16-bit and transparent images are converted.

    Data sets are read without the EXIF orientation, because their annotations refer to the stored
    pixels (HRNet does the same); ``apply_exif`` turns a user's photo upright. ``where`` names the
    file in messages. A ``reduction`` of 2, 4 or 8 gives an image of so many times fewer rows and
    columns, rounded up, each pixel the mean of a block (JPEG's own, from fewer frequencies).

    Raises:
        UserError: not an image, or one that ends too early (OpenCV would fill the rest of a JPEG
            with grey).
    """
    reason = _cut_short(data)
    if reason:
        raise UserError(f"{where}: this image is cut short ({reason}); copy or download it again")
    flags = cv2.IMREAD_COLOR if _RGB is None else _RGB
    flags |= REDUCTIONS[reduction]
    if not apply_exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # e.g. more pixels than OpenCV allows
        image = None
    if image is None:
        kinds = ", ".join(ending[1:] for ending in ENDINGS)
        raise UserError(f"{where}: not an image that OpenCV can read; expected one of {kinds}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if _RGB is None else image


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG as its header says; None for anything else."""
    for position, marker in _jpeg_segments(data):
        # Frame headers are C0 to CF, without tables (C4, CC) and a reserved one (C8).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return int.from_bytes(data[position + 7 : position + 9], "big"), height
    return None


def stored_size(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) of the stored pixels, EXIF not applied; Raises UserError as ``decode_rgb``.

    Of a JPEG or PNG from its header alone.
    """
    size = jpeg_size(data)
    if size is None and data.startswith(b"\x89PNG") and len(data) > 24:
        size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if size is None:
        height, width = decode_rgb(data, where).shape[:2]
        size = width, height
    return size


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
    """Position of the first scan, or of where the segments before it break off."""
    end = 2
    for position, marker in _jpeg_segments(data):
        if marker == 0xDA:
            return position
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(end, len(data))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Position and marker of each segment up to the first scan, of whatever is not a JPEG none."""
    position = 2 if data.startswith(b"\xff\xd8") else len(data)
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a marker may be preceded by fill bytes
            position += 1
            continue
        yield position, marker
        if marker == 0xDA:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
