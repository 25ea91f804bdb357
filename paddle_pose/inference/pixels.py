"""What a user gives as a picture -> (H, W, 3) uint8 RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError

Picture = str | Path | np.ndarray | Image.Image
"""A file, an array (H, W, 3) uint8, or one of Pillow's images."""

CHANNEL_ORDERS = ("rgb", "bgr")


def rgb_of(image: Any, channel_order: str = "rgb") -> np.ndarray:
    """(H, W, 3) uint8 RGB, of files and Pillow's images turned upright as their EXIF data says.

    Args:
        image: a ``Picture``.
        channel_order: ``bgr`` for arrays of ``cv2.imread``; of arrays only.

    Raises:
        UserError: what is no picture.
    """
    if channel_order not in CHANNEL_ORDERS:
        raise UserError(f"channel_order '{channel_order}': must be 'rgb' or 'bgr'")
    if isinstance(image, str | Path):
        return read_rgb(Path(image), apply_exif=True)
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":  # converted, they would be cut off at 255
            raise UserError(f"image: more than 8 bits (mode {image.mode}); give its file instead")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise UserError(f"image: expected a file, an array or a Pillow image, got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise UserError(
            f"image: expected (H, W, 3) uint8, RGB or with channel_order='bgr', got "
            f"{image.shape} {image.dtype}"
        )
    return image if channel_order == "rgb" else np.ascontiguousarray(image[..., ::-1])
