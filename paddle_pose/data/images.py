"""Image files → RGB arrays, whole or reduced."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.data.archives import ENDINGS
from paddle_pose.data.image_files import file_bytes, read_bytes
from paddle_pose.data.image_sizes import wrong_size
from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS

REDUCTIONS = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
"""By which a JPEG can be decoded smaller -> OpenCV's bit for it, which goes with any colour."""

_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
"""How a TIFF begins -> its byte order."""

_PNG = b"\x89PNG\r\n\x1a\n"
_BARE_MARKERS = {0x00, 0x01, 0xFF, *range(0xD0, 0xD9)}

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)
"""Decode straight to RGB (OpenCV >= 4.11); None where the channels must be swapped afterwards."""


def read_rgb(path: Path | str, *, apply_exif: bool = False) -> np.ndarray:
    """A file's (H, W, 3) uint8 RGB; Raises UserError as ``decode_rgb``, or if it is missing."""
    return decode_rgb(file_bytes(Path(path)), str(path), apply_exif=apply_exif)


def read_image(root: Path, name: str, size_wh: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a data set's image, from its folder or archives; Raises UserError.

    ``size_wh`` as in ``decode_as_annotated``.
    """
    return decode_as_annotated(*read_bytes(root, name), size_wh)[0]


def decode_as_annotated(
    data: bytes, where: str, size_wh: tuple[int, int] | None, *, reduction: int = 1
) -> tuple[np.ndarray, int]:
    """A data set's image as it was annotated, and the width that it has unreduced.

    Stored pixels where they are as many as the annotation file says, or where it says nothing; else
    turned upright as its EXIF data says. Only a JPEG is reduced: ``reduction`` is 1 for others.

    Args:
        data: content of the file.
        where: names the file in messages.
        size_wh: the image's size as annotated; None where nobody says it.
        reduction: see ``decode_rgb``.

    Raises:
        UserError: as ``decode_rgb``; or another size, turned or not.
    """
    stored_wh = jpeg_size(data) if reduction > 1 or size_wh else None
    turn = bool(stored_wh and size_wh and stored_wh != size_wh)
    if stored_wh and size_wh and size_wh not in (stored_wh, stored_wh[::-1]):
        raise wrong_size(where, stored_wh, size_wh)
    if reduction > 1 and stored_wh:
        pixels = decode_rgb(data, where, apply_exif=turn, reduction=reduction)
        wanted_wh = size_wh or stored_wh
        if turn and size_of(pixels) != tuple(-(-side // reduction) for side in wanted_wh):
            raise wrong_size(where, stored_wh, wanted_wh)
        return pixels, wanted_wh[0]
    pixels = decode_rgb(data, where, apply_exif=turn)
    if size_wh and not turn and size_of(pixels) != size_wh:
        pixels = decode_rgb(data, where, apply_exif=True)
    if size_wh and size_of(pixels) != size_wh:
        raise wrong_size(where, size_of(pixels), size_wh)
    return pixels, pixels.shape[1]


def size_of(pixels_HWC: np.ndarray) -> tuple[int, int]:
    """Width and height of an image."""
    return pixels_HWC.shape[1], pixels_HWC.shape[0]


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
    _require_few_pixels(data, where)
    if not apply_exif and data[:4] in _TIFF:
        data = _unturned_tiff(data)
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


def _unturned_tiff(data: bytes) -> bytes:
    """A TIFF without its orientation, which OpenCV applies whatever it is told."""
    order, tag = _TIFF[data[:4]], 274
    with contextlib.suppress(struct.error):
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            if struct.unpack_from(f"{order}H", data, entry)[0] == tag:
                return data[: entry + 8] + struct.pack(f"{order}HH", 1, 0) + data[entry + 12 :]
    return data


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
    return _broken_png(data) if data.startswith(_PNG) else ""


def _broken_png(data: bytes) -> str:
    """Which chunk that pixels need is damaged or missing; OpenCV reads on without a word."""
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content, end = data[at + 4 : at + 8 + length], at + 12 + length
        if len(data) < end:
            return f"no PNG end chunk in {len(data)} bytes"
        if kind[:1].isupper() and zlib.crc32(content) != int.from_bytes(data[end - 4 : end], "big"):
            return f"a damaged PNG chunk at byte {at}"
        at = end
    return ""


def _require_few_pixels(data: bytes, where: str) -> None:
    """Raises UserError for a picture that would take gigabytes, by its header alone."""
    width, height = jpeg_size(data) or _header_size(data)
    LIMITS["image_pixels"].require(width * height, where)


def _header_size(data: bytes) -> tuple[int, int]:
    """Width and height as the header says; (0, 0) where Pillow cannot tell: OpenCV decides."""
    from PIL import Image  # JPEGs need it not

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                return picture.size
    except Image.DecompressionBombError:
        return LIMITS["image_pixels"].most + 1, 1
    except Exception:  # whatever broken files bring about in its many readers
        return 0, 0


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
    # Decoders skip to the next marker over bytes that belong nowhere, and over those of no length.
    while 0 <= (position := data.find(b"\xff", position)) <= len(data) - 4:
        marker = data[position + 1]
        if marker in _BARE_MARKERS:  # a marker may be preceded by fill bytes
            position += 1
            continue
        yield position, marker
        if marker == 0xDA:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
