"""DPG: boxes jittered as a detector's might be (AlphaPose's pose-guided proposals).

A draw is parameters first, which are then applied. In 15 % of the cases the box is a part of
itself, of at least 85 % of its sides; else its four sides move by normals whose means and
deviations AlphaPose's authors found once for one detector.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PART_FROM = 0.85
"""A uniform number above it is the part of the sides that is kept."""

MEANS = (-0.0142, 0.0043, 0.0154, -0.0013)
DEVIATIONS = (0.1158, 0.068, 0.1337, 0.0711)
"""Of left, top, right and bottom, in widths and heights of the box."""

BORDER_PX = 3
"""No side lies nearer to the image's far end."""


class Jitter(NamedTuple):
    """One draw.

    Attributes:
        part: of the sides that is kept; None where the sides move.
        place_xy: of the part in the box, from 0 at the left and top to 1.
        moves: of left, top, right and bottom, in widths and heights of the box.
    """

    part: float | None = None
    place_xy: tuple[float, float] = (0.0, 0.0)
    moves: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def draw_jitter(rng: np.random.Generator) -> Jitter:
    """A random one, drawn in AlphaPose's order."""
    part = float(rng.random())
    if part > PART_FROM:
        return Jitter(part, (float(rng.random()), float(rng.random())))
    left, top, right, bottom = (
        mean + deviation * float(rng.standard_normal())
        for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)
    )
    return Jitter(None, moves=(left, top, right, bottom))


def jittered(box_xywh: np.ndarray, jitter: Jitter, image_size_wh: tuple[int, int]) -> np.ndarray:
    """(4,) the box as jittered, x, y, width, height.

    A part grows by a pixel. Sides that moved lie from 1 to BORDER_PX before the image's far end,
    right and bottom 2 pixels behind left and top where that leaves room. A box of which nothing
    is left so stays as it was; the reference goes on with none.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/transforms.py:43 @c60106d
    """
    first, size = np.asarray(box_xywh, np.float64).reshape(2, 2)
    if jitter.part is not None:
        part = jitter.part * size
        begin = first + np.array(jitter.place_xy) * (size - part)
        return np.concatenate([begin, part + 1])
    moves = np.array(jitter.moves).reshape(2, 2) * size
    most = np.array(image_size_wh, np.float64) - BORDER_PX
    begin = np.maximum(1, np.minimum(first + moves[0], most))
    end = np.minimum(np.maximum(begin + 2, first + size + moves[1]), most)
    if (end <= begin).all():
        return np.concatenate([first, size])
    return np.concatenate([begin, end - begin])
