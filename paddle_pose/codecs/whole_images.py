"""How a whole picture becomes the input of a network, and where that lies in the picture.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/inferencer/utils.py:31 @2ec95cb
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from paddle_pose.codecs.codec import Codec
from paddle_pose.limits import LIMITS
from paddle_pose.settings import WholeImage

GREY = 128
"""Around pictures: 0 once a network's (x / 256 - 0.5) is applied."""


class WholeCodec(Codec, Protocol):
    """Reads the maps of whole pictures, of ``stride`` input pixels a cell."""

    stride: int


class Fit(NamedTuple):
    """Of one picture at one scale.

    Attributes:
        zoom_xy: input pixels a pixel of the picture.
        pad_ltrb: grey pixels around the picture before it is resized.
        size_wh: of the resized picture.
        below_wh: grey pixels right of and below it, so that cells come out even.
    """

    zoom_xy: tuple[float, float]
    pad_ltrb: tuple[int, int, int, int]
    size_wh: tuple[int, int]
    below_wh: tuple[int, int]

    def to_image(self, xy: np.ndarray) -> np.ndarray:
        """(…, 2) input pixels -> pixels of the picture.

        Pixels are counted from their corners here, as NVIDIA's training does with joints: there is
        no half pixel to be put right.
        """
        return xy * (1 / np.array(self.zoom_xy)) - np.array(self.pad_ltrb[:2], np.float64)


def fit(size_wh: tuple[int, int], whole: WholeImage, scale: float, multiple: int = 1) -> Fit:
    """What is done to a picture of that size.

    Args:
        size_wh: of the picture.
        whole: of the benchmark.
        scale: of the input's nominal size.
        multiple: the input's sides are made multiples of it.

    Raises:
        UserError: the input would be too large.
    """
    width, height = size_wh
    high, wide = (side * scale for side in whole.size_hw)
    left = top = right = bottom = 0
    zoom = wide / width, high / height
    if whole.mode == "adjust":
        zoom = (high / height,) * 2 if width / height > wide / high else (wide / width,) * 2
    elif whole.mode == "pad":
        beside = max(int(height * (wide / high) - width), 0)
        above = max(int(width / (wide / high) - height), 0)
        if width / height > wide / high:
            top, bottom = above // 2, above - above // 2
        elif width / height < wide / high:
            left, right = beside // 2, beside - beside // 2
        zoom = wide / (width + left + right), high / (height + top + bottom)
    sides = (width + left + right) * zoom[0], (height + top + bottom) * zoom[1]
    LIMITS["image_side_px"].require(max(sides), f"a picture of {width}×{height} pixels as input")
    made = max(round(sides[0]), 1), max(round(sides[1]), 1)
    below = -made[0] % multiple, -made[1] % multiple
    return Fit(zoom, (left, top, right, bottom), made, below)


def resized(pixels_HWC: np.ndarray, how: Fit) -> np.ndarray:
    """The network's input, (H, W, 3) uint8."""
    import cv2

    def bordered(pixels: np.ndarray, ltrb: tuple[int, int, int, int]) -> np.ndarray:
        left, top, right, bottom = ltrb
        if not any(ltrb):
            return pixels
        sides = (top, bottom, left, right)
        return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=(GREY,) * 3)

    padded = bordered(pixels_HWC, how.pad_ltrb)
    # The nominal zoom, not the ratio of whole sizes: OpenCV takes pixels where it says.
    made = cv2.resize(
        padded, None, fx=how.zoom_xy[0], fy=how.zoom_xy[1], interpolation=cv2.INTER_CUBIC
    )
    return bordered(made, (0, 0, *how.below_wh))
