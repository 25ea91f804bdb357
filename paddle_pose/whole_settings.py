"""Settings of networks that find everybody in whole pictures: to train on, and to look at."""

from __future__ import annotations

from dataclasses import dataclass

SPATIAL_MODES = ("person_centric", "standard", "standard_with_fixed_aspect_ratio")


@dataclass(frozen=True)
class SpatialSettings:
    """How a whole picture becomes an input to train on; turned and mirrored as crops are.

    Attributes:
        mode: one of SPATIAL_MODES: main person in the middle, picture fits in, is stretched.
        person_size: height of a person in the middle, of the input's.
        shift_px: moved by up to so many whole pixels of the picture, uniformly.
        zoom_probability: that ``zoom`` is drawn: people in the middle smaller, pictures larger.
        flip_vertical_probability: upside down.
    """

    mode: str = "person_centric"
    person_size: float = 0.6
    shift_px: int = 40
    zoom_probability: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip_vertical_probability: float = 0.0


WHOLE_MODES = ("adjust", "pad", "stretch")


@dataclass(frozen=True)
class WholeImage:
    """Pictures that a network sees whole, at each of ``test_scales``; nobody says who is where.

    Attributes:
        size_hw: of the network's input, at scale 1.
        mode: ``adjust``: one side has that size, the other at least; ``pad``: grey makes the
            picture as wide as that is for its height; ``stretch``: it is made so.
        coordinates: ``exact``, or ``reference``: whole pixels, cut off, as NVIDIA's evaluation.
    """

    size_hw: tuple[int, int] = (368, 368)
    mode: str = "adjust"
    coordinates: str = "exact"
