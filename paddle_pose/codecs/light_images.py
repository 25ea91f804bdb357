"""How a whole picture becomes the input of Lightweight OpenPose, and its maps the picture's.

Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch val.py:30, :36, :81 @d23c284
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs import whole_images
from paddle_pose.codecs.whole_images import GREY
from paddle_pose.limits import LIMITS
from paddle_pose.settings import WholeImage


class HeightFit(NamedTuple):
    """Of one picture at one scale.

    Attributes:
        zoom: input pixels a pixel of the picture.
        inner_ltrb: grey pixels of the picture's around it before it is resized.
        size_wh: of the resized picture.
        pad_ltrb: grey pixels around that.
    """

    zoom: float
    inner_ltrb: tuple[int, int, int, int]
    size_wh: tuple[int, int]
    pad_ltrb: tuple[int, int, int, int]

    def in_picture(
        self, maps_CHW: np.ndarray, stride: int, picture_wh: tuple[int, int]
    ) -> np.ndarray:
        """(H, W, C) maps of the input in pixels of the picture, enlarged by cubics twice."""
        maps = np.ascontiguousarray(maps_CHW.transpose(1, 2, 0))
        maps = cv2.resize(maps, (0, 0), fx=stride, fy=stride, interpolation=cv2.INTER_CUBIC)
        left, top, _, _ = self.pad_ltrb
        maps = maps[top : top + self.size_wh[1], left : left + self.size_wh[0]]
        left, top, right, below = self.inner_ltrb
        whole_wh = picture_wh[0] + left + right, picture_wh[1] + top + below
        maps = cv2.resize(maps, whole_wh, interpolation=cv2.INTER_CUBIC)
        return maps[top : top + picture_wh[1], left : left + picture_wh[0]]


def fit(size_wh: tuple[int, int], whole: WholeImage, scale: float, multiple: int) -> HeightFit:
    """What is done to a picture of that size; Raises UserError for too large an input.

    Mode ``height``: it becomes as high as ``size_hw`` × scale; grey on both sides makes it at least
    ``size_hw`` large, and whole cells. Other modes, of exported networks, as for every network.
    """
    if whole.mode != "height":
        how = whole_images.fit(size_wh, whole, scale)
        return HeightFit(how.zoom_xy[0], how.pad_ltrb, how.size_wh, (0, 0, *how.below_wh))
    width, height = size_wh
    zoom = scale * whole.size_hw[0] / float(height)
    made = round(width * zoom), round(height * zoom)  # of halves the even, as OpenCV
    LIMITS["image_side_px"].require(max(made), f"a picture of {width}×{height} pixels as input")
    made = max(made[0], 1), max(made[1], 1)
    wanted = max(made[0], whole.size_hw[1]), max(made[1], whole.size_hw[0])
    more = [
        math.ceil(side / multiple) * multiple - own for side, own in zip(wanted, made, strict=True)
    ]
    left, top = more[0] // 2, more[1] // 2
    return HeightFit(zoom, (0, 0, 0, 0), made, (left, top, more[0] - left, more[1] - top))


def resized(pixels_HWC: np.ndarray, how: HeightFit) -> np.ndarray:
    """The network's input, (H, W, 3) float32: cubics overshoot, and nothing is cut off or rounded.

    Mode ``height`` alone.
    """
    made = cv2.resize(
        pixels_HWC.astype(np.float64),
        (0, 0),
        fx=how.zoom,
        fy=how.zoom,
        interpolation=cv2.INTER_CUBIC,
    )
    left, top, right, below = how.pad_ltrb
    grey = (GREY,) * 3
    padded = cv2.copyMakeBorder(made, top, below, left, right, cv2.BORDER_CONSTANT, value=grey)
    return padded.astype(np.float32)
