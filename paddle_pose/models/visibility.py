"""What a network says of its joints besides their maps: how likely each can be seen in the crop."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from paddle_pose.models.blocks import normal_by


class MapsAndVisibility(NamedTuple):
    """What the last stage predicts.

    Attributes:
        heatmaps_BJHW: one map per joint.
        visible_BJ: probability of each joint.
    """

    heatmaps_BJHW: paddle.Tensor
    visible_BJ: paddle.Tensor


def visibility_head(channels: int, joints: int) -> nn.Sequential:
    """Logits from the mean of each feature map; weights begin normal (0.01), biases 0.

    The linear layer is number 2: the official one stands behind a pooling and a flattening layer.

    Source: open-mmlab/mmpose mmpose/models/heads/hybrid_heads/vis_head.py:58 @759b39c
    """
    return nn.Sequential(
        nn.Identity(), nn.Identity(), nn.Linear(channels, joints, normal_by(0.01), None)
    )
