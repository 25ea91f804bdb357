"""How well a batch's coordinates are learnt: as AlphaPose logs it, and without its doubled weights.

Both ask whether a joint lies within 5 % of the input's width and height of the truth, each axis
divided by its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paddle_pose.codecs.codec import is_udp
from paddle_pose.codecs.heatmap import HeatmapCodec, decode
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec

if TYPE_CHECKING:
    from paddle_pose.data.loader import Batch

WITHIN = 0.05
"""Of the input's width and height: AlphaPose's 0.5, divided by 10."""

Learnt = HeatmapCodec | IntegralCodec | CombinedCodec
"""What these scores can read."""

Sum = tuple[float, float]
"""Of a score over some samples, and their number."""


@dataclass(frozen=True)
class AlphaPoseAccuracy:
    """What AlphaPose's log calls accuracy: of each joint, the share of hits; the mean of these.

    Places and truths of coordinates are multiplied by their weights first, so where a weight is 2
    a joint must be twice as near; and a joint of weight 0 is not counted, as its truth is at 0.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/metrics.py:124 @c60106d
    """

    codec: Learnt

    def __call__(self, batch: Batch, outputs: dict[str, np.ndarray]) -> Sum:
        """Accuracy × samples, and samples: the log's mean over batches is weighted so."""
        targets = {name: one.numpy() for name, one in batch.targets.items()}
        people = len(outputs["heatmaps"])
        return people * alphapose_accuracy(self.codec, outputs["heatmaps"], targets), people


def alphapose_accuracy(
    codec: Learnt, maps_BJHW: np.ndarray, targets: Mapping[str, np.ndarray]
) -> float:
    """A share of 1; 0 where no joint is counted."""
    first = targets["heatmaps"].shape[1] if "heatmaps" in targets else 0
    joints, size_wh = maps_BJHW.shape[1], np.array([maps_BJHW.shape[3], maps_BJHW.shape[2]])
    value = 0.0
    if first:
        weights_BJ11 = targets["weights"][:, :, None, None]
        found, truth = (
            decode(maps * weights_BJ11, "argmax", sigma_px=1.0)[0]
            for maps in (maps_BJHW[:, :first], targets["heatmaps"])
        )
        value += first / joints * _accuracy(found, truth, size_wh)
    if first < joints:
        weights_BJ1 = targets["coordinate_weights"][..., None]
        norm = getattr(codec, "norm", "")
        found = IntegralCodec(norm).cells(maps_BJHW[:, first:])[0] * weights_BJ1
        truth = (np.asarray(targets["coordinates"], np.float64) + 0.5) * size_wh * weights_BJ1
        value += (joints - first) / joints * _accuracy(found, truth, size_wh)
    return value


def _accuracy(found_BJ2: np.ndarray, truth_BJ2: np.ndarray, size_wh: np.ndarray) -> float:
    """The mean over joints that have any truth beyond cell 1 on both axes."""
    apart = np.linalg.norm((found_BJ2 - truth_BJ2) / size_wh, axis=2)
    counted = (truth_BJ2 > 1).all(2)
    numbers = counted.sum(0)
    hits = ((apart < WITHIN) & counted).sum(0)
    return float((hits[numbers > 0] / numbers[numbers > 0]).mean()) if numbers.any() else 0.0


@dataclass(frozen=True)
class InputPck:
    """Hits among all joints that are visible inside the input, each as near as the others."""

    codec: Learnt

    def __call__(self, batch: Batch, outputs: dict[str, np.ndarray]) -> Sum:
        """Hits and scored joints."""
        maps_BJHW, place = outputs["heatmaps"], batch.place
        if not place.joints_xy.size:
            return 0, 0
        height, width = batch.images.shape[1:3]
        cells_wh = np.array([maps_BJHW.shape[3], maps_BJHW.shape[2]])
        ends = int(is_udp(self.codec))  # by UDP a side is what its outermost centres span
        truth = place.joints_xy / [width, height]
        inside = ((truth >= 0) & (truth < 1)).all(2)
        truth = place.joints_xy / [width - ends, height - ends]
        if isinstance(self.codec, HeatmapCodec):
            found, _ = decode(maps_BJHW, "quarter_offset", sigma_px=self.codec.sigma_px)
        else:
            found, _ = self.codec.cells(maps_BJHW)
        apart = np.linalg.norm(found / (cells_wh - ends) - truth, axis=2)
        scored = (place.visible > 0) & inside
        return int((apart < WITHIN)[scored].sum()), int(scored.sum())
