"""Whole pictures as samples: what a network takes that finds everybody in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose.codecs import light_images
from paddle_pose.codecs.whole_images import fit, resized
from paddle_pose.data.images import read_image, size_of
from paddle_pose.data.samples import Sample
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import NO_ROW, Place
from paddle_pose.settings import WholeImage

CELL_PX = 8
"""Inputs of mode ``height`` are whole cells of so many pixels at one scale as well."""


@dataclass(frozen=True)
class WholeImages:
    """Pictures of a data set in their order, at one of a benchmark's scales, without targets.

    Attributes:
        root: their folder, or its archives.
        names: of their files.
        image_ids: one each.
        sizes_wh: as annotated; None where nobody says it.
        whole: how they are resized.
        scale: of that size.
        multiple: sides of inputs are made multiples of it; 1 for no difference.
    """

    root: Path
    names: Sequence[str]
    image_ids: Sequence[int]
    sizes_wh: Sequence[tuple[int, int] | None]
    whole: WholeImage
    scale: float
    multiple: int

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Raises UserError for a picture that cannot be read, or that would become too large."""
        index = key[1] if isinstance(key, tuple | list) else key
        pixels = read_image(self.root, self.names[index], self.sizes_wh[index])
        made = whole_input(pixels, self.whole, self.scale, self.multiple)
        return Sample(made, {}, whole_place(size_of(pixels), self.image_ids[index]))

    def name_of(self, key: tuple[int, int]) -> str:
        """What a message calls that sample."""
        return self.names[key[1]]


def whole_input(
    pixels_HWC: np.ndarray, whole: WholeImage, scale: float, multiple: int
) -> np.ndarray:
    """The network's input at one scale, RGB; Raises UserError for too large a one.

    uint8, but float32 where nothing is rounded (mode ``height``).
    """
    if whole.mode == "height":
        how = light_images.fit(size_of(pixels_HWC), whole, scale, CELL_PX)
        return light_images.resized(pixels_HWC, how)
    return resized(pixels_HWC, fit(size_of(pixels_HWC), whole, scale, multiple))


def whole_place(size_wh: tuple[int, int], image_id: int) -> Place:
    """Of a picture, all of it; nobody asked for it by a row of a table."""
    size = np.array(size_wh, np.float64)
    return Place(
        center_xy=size / 2,
        scale_wh=size / UNIT_PX,
        image_id=np.asarray(image_id, np.int64),
        row=np.asarray(NO_ROW, np.int64),
        joints_xy=np.empty((0, 2)),
        visible=np.empty(0),
    )
