"""Changes of a crop's pixels after it is cut: holes, a grid of holes, other colours.

As mmpose's rows "coarsedropout", "gridmask" and "photometric" were trained. The first two call
albumentations, whose draws these are (its package wants scikit-image and scikit-learn for them).
Two editions of mmpose distort colours differently, both otherwise than their comments say:

- 0.x takes red for blue, as its pictures are red first; swaps no channels, for it throws the
  swapped picture away; and adds to the hue modulo 180.
- 1.x changes the contrast twice, or not at all; swaps channels; and adds to the hue modulo 256,
  so that a negative sum s becomes s + 256, which as a hue is s + 76, instead of s + 180.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from paddle_pose.errors import UserError, nearest

PIXEL_CHANGES = (
    "none", "coarse_dropout", "grid_mask", "photometric_mmpose0", "photometric_mmpose1",
)  # fmt: skip
CHANCE = 0.5
HOLES, HOLE_PX = (1, 8), (10, 40)
"""Least and most holes, and their sides."""
UNIT_PX = (10, 41)
"""Least and most side of a grid's unit; its configuration says 40, and the draw has one more."""
ROOM_PX = 41
"""The least side of a crop that has room for all of them."""


@dataclass(frozen=True)
class Holes:
    """Rectangles that are made black.

    Attributes:
        edges_px: left, top, right and bottom of each; the last two are outside.
    """

    edges_px: tuple[tuple[int, int, int, int], ...]

    def of(self, image_HWC: np.ndarray) -> np.ndarray:
        """A uint8 image with them."""
        changed = np.array(image_HWC)
        for left, top, right, bottom in self.edges_px:
            changed[top:bottom, left:right] = 0
        return changed


@dataclass(frozen=True)
class Colors:
    """Brightness, contrast, saturation, hue, contrast and order, each cut to whole numbers.

    Attributes:
        brightness: added.
        contrast_first, contrast_last: factors, before and after the hue.
        saturation: factor; None leaves the colours in RGB unless ``hue`` is given.
        hue: added to 0..179, half degrees.
        hues: the hue is taken modulo so many.
        order: of the channels at the end.
        blue_first: the channels stand so in the original's pictures, red first otherwise; in both
            the first is taken for blue.
    """

    brightness: float | None = None
    contrast_first: float | None = None
    saturation: float | None = None
    hue: int | None = None
    contrast_last: float | None = None
    order: tuple[int, int, int] = (0, 1, 2)
    hues: int = 180
    blue_first: bool = False

    def of(self, image_HWC: np.ndarray) -> np.ndarray:
        """A uint8 RGB image with them."""
        there = (2, 1, 0) if self.blue_first else (0, 1, 2)
        image = np.ascontiguousarray(image_HWC[..., there])
        image = _line(image, 1.0, self.brightness)
        image = _line(image, self.contrast_first, 0.0)
        if self.saturation is not None or self.hue is not None:
            hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
            hsv[..., 1] = _line(hsv[..., 1], self.saturation, 0.0)
            if self.hue is not None:
                hsv[..., 0] = (hsv[..., 0].astype(int) + self.hue) % self.hues
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        image = _line(image, self.contrast_last, 0.0)
        return np.ascontiguousarray(image[..., self.order][..., there])


def _line(values: np.ndarray, factor: float | None, add: float | None) -> np.ndarray:
    """uint8 × factor + add, clipped and cut; as they are where either is None."""
    if factor is None or add is None:
        return values
    return np.clip(values.astype(np.float32) * factor + add, 0, 255).astype(np.uint8)


def draw_pixels(
    name: str, size_wh: tuple[int, int], rng: np.random.Generator
) -> Holes | Colors | None:
    """A random change of that name of crops of that size; None: as they are.

    Raises:
        UserError: unknown name, with the nearest; or crops too small for its holes.
    """
    if name not in PIXEL_CHANGES:
        raise UserError(f"augment.pixels: unknown '{name}'{nearest(name, PIXEL_CHANGES)}")
    if name == "none":
        return None
    if name == "photometric_mmpose0":
        return colors_mmpose0(rng)
    if name == "photometric_mmpose1":
        return colors_mmpose1(rng)
    if min(size_wh) < ROOM_PX:
        raise UserError(f"augment.pixels={name}: needs crops of {ROOM_PX} px at least")
    if rng.random() >= CHANCE:
        return None
    return coarse_dropout(size_wh, rng) if name == "coarse_dropout" else grid_mask(size_wh, rng)


def coarse_dropout(size_wh: tuple[int, int], rng: np.random.Generator) -> Holes:
    """One to eight rectangles with sides of 10 to 40 px, anywhere.

    Source: albumentations 1.3.1 augmentations/dropout/coarse_dropout.py; numbers: mmpose
    td-hm_hrnet-w32_coarsedropout-8xb64-210e_coco-256x192.py @759b39c
    """
    width, height = size_wh
    edges = []
    for _ in range(_between(HOLES, rng)):
        high, wide = _between(HOLE_PX, rng), _between(HOLE_PX, rng)
        top, left = _between((0, height - high), rng), _between((0, width - wide), rng)
        edges.append((left, top, left + wide, top + high))
    return Holes(tuple(edges))


def grid_mask(size_wh: tuple[int, int], rng: np.random.Generator) -> Holes:
    """A square of half a unit in each unit of a grid, that begins within the first.

    Source: albumentations 1.3.1 augmentations/dropout/grid_dropout.py; numbers: mmpose
    td-hm_hrnet-w32_gridmask-8xb64-210e_coco-256x192.py @759b39c
    """
    width, height = size_wh
    unit = _between(UNIT_PX, rng)
    hole = unit // 2
    first_x, first_y = _between((0, unit - hole), rng), _between((0, unit - hole), rng)
    return Holes(
        tuple(
            (min(x, width), min(y, height), min(x + hole, width), min(y + hole, height))
            for x in range(first_x, first_x + width + 1, unit)
            for y in range(first_y, first_y + height + 1, unit)
        )
    )


def colors_mmpose0(rng: np.random.Generator) -> Colors:
    """As mmpose 0.x draws them, in its order.

    Source: open-mmlab/mmpose mmpose/datasets/pipelines/shared_transform.py:311 @v0.29.0
    """
    brightness = float(rng.uniform(-32, 32)) if rng.integers(2) else None
    first = bool(rng.integers(2))
    contrast = _contrast(rng) if first else None
    mode = int(rng.integers(4))
    saturation = float(rng.uniform(0.5, 1.5)) if mode in (1, 3) else None
    hue = int(rng.integers(-18, 18)) if mode in (2, 3) else None
    last = None if first else _contrast(rng)
    return Colors(brightness, contrast, saturation, hue, last)


def _contrast(rng: np.random.Generator) -> float | None:
    return float(rng.uniform(0.5, 1.5)) if rng.integers(2) else None


def colors_mmpose1(rng: np.random.Generator) -> Colors:
    """As mmpose 1.x draws them, in its order: all numbers, used or not.

    Source: open-mmlab/mmpose mmpose/datasets/transforms/common_transforms.py:712 @759b39c
    """
    twice, bright, contrasted, mode, swap = (int(rng.integers(n)) for n in (2, 2, 2, 4, 2))
    brightness = float(rng.uniform(-32, 32))
    contrast, saturation = float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.5, 1.5))
    hue = int(rng.integers(-18, 18))
    first, second, third = (int(channel) for channel in rng.permutation(3))
    used = contrast if twice and contrasted else None
    return Colors(
        brightness if bright else None,
        used,
        saturation if mode in (1, 3) else None,
        hue if mode in (2, 3) else None,
        used,
        (first, second, third) if swap else (0, 1, 2),
        hues=256,
        blue_first=True,
    )


def _between(least_most: tuple[int, int], rng: np.random.Generator) -> int:
    """Any of them, both ends with it."""
    return int(rng.integers(*least_most, endpoint=True))
