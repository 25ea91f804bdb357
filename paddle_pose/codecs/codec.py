"""What every codec can do; a recipe may hold any object that does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from paddle_pose.codecs.views import View
from paddle_pose.geometry import crop_matrix, udp_matrix
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark


class Codec(Protocol):
    """Both directions between joints and what a network puts out."""

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """Joints (J, 2) in input pixels, and (J,) which count -> named targets of one input."""

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Outputs for B inputs under each view -> poses in image pixels."""


def is_udp(codec: object) -> bool:
    """Whether it reads and writes places as UDP does: sizes are counted without one cell."""
    return getattr(codec, "encoding", "") == "udp"


def matrix_of(codec: object) -> Callable[..., np.ndarray]:
    """What makes the matrix of a crop for that codec: ``geometry.crop_matrix``, or UDP's."""
    return udp_matrix if is_udp(codec) else crop_matrix


def maps_of(codec: object, joints: int) -> int:
    """How many maps a network puts out for so many joints: 3 of each for ``OffsetCodec``."""
    return joints * getattr(codec, "maps_per_joint", 1)
