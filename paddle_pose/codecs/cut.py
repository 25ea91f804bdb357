"""Heat maps as bearpaw's hourglass has them: joints are cut to whole cells, poses to whole pixels.

Sources: bearpaw/pytorch-pose @edc7aec.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec, decode
from paddle_pose.codecs.views import View
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark

TRUNCATED = ("quarter_offset_truncated", "quarter_offset_half_truncated")
"""Its decoders (CutCodec.cells)."""


@dataclass(frozen=True)
class CutCodec(HeatmapCodec):
    """As HeatmapCodec, but a Gaussian stands on the cell that a joint is cut to, not the nearest.

    Its maxima are half a cell too small in the mean, which ``quarter_offset_half_truncated`` puts
    right.
    """

    sigma_px: float = 1.0

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """As HeatmapCodec, of joints half a cell up and left.

        Source: pose/datasets/mpii.py:120, pose/utils/transforms.py:117
        """
        return super().encode(joints_xy - self.stride / 2, visible, image_size_wh)

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """As HeatmapCodec; its own decoders cut to whole pixels, then add one.

        There 1 is taken from cells and given back to pixels, whose origin is the crop's, from 1.

        Source: pose/utils/transforms.py:117
        """
        poses = super().decode(views, place, benchmark, flip_order)
        if benchmark.decoder in TRUNCATED:
            poses.keypoints[..., :2] = np.trunc(poses.keypoints[..., :2] + 1)
        return poses

    def cells(self, maps_BJHW: np.ndarray, decoder: str) -> tuple[np.ndarray, np.ndarray]:
        """As HeatmapCodec; and a quarter of a cell wherever both axes have neighbours.

        A map without a positive value gives (-1, -1). The printed tables were made so;
        ``quarter_offset_half_truncated`` adds half a cell, as that code does since 0bba099.

        Source: pose/utils/evaluation.py:13, :75
        """
        if decoder not in TRUNCATED:
            return super().cells(maps_BJHW, decoder)
        # Behind a margin, column 1 is HRNet's 2, the first that may move.
        wide = np.pad(maps_BJHW, ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=-np.inf)
        cells, scores = decode(wide, "quarter_offset", sigma_px=self.sigma_px)
        half = decoder == TRUNCATED[1]
        return cells - np.float32(1 - half / 2), scores
