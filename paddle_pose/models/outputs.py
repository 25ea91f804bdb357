"""The network's last step: what it puts out, as heat maps that a decoder reads."""

from __future__ import annotations

import math

import paddle
from paddle.nn import functional as F

from paddle_pose.settings import CodecSettings


def heatmaps_from(maps_BJHW: paddle.Tensor, codec: CodecSettings) -> paddle.Tensor:
    """(B, J, H, W) heat maps, about 1 at a joint that is certain.

    Logits become a distribution over the cells × 2πσ², the sum of the Gaussian of peak 1.
    """
    if codec.maps == "heatmaps":
        return maps_BJHW
    people, joints, height, width = maps_BJHW.shape
    cells_BJN = F.softmax(maps_BJHW.reshape([people, joints, height * width]), axis=-1)
    gaussian_sum = 2 * math.pi * codec.sigma_px**2
    return (cells_BJN * gaussian_sum).reshape([people, joints, height, width])
