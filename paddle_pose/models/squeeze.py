"""Squeeze-excitation: each channel × a factor that all of its map decides.

AlphaPose's and MobileNetV3's differ in layers, names and the last function.
"""

from __future__ import annotations

import math

from paddle import nn

from paddle_pose.models.blocks import (
    Conv2D,
    Features,
    global_average,
    hard_sigmoid,
    normal_by,
    relu,
    scale,
    sigmoid,
    uniform_by_fan_in,
)


class SqueezeExcitation(nn.Layer):
    """Two linear layers of all channels, then a sigmoid; PyTorch's first weights.

    Source: MVIG-SJTU/AlphaPose alphapose/models/layers/SE_module.py @c60106d, reduction 1
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        attr = uniform_by_fan_in(channels)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels, attr, attr),
            nn.ReLU(),
            nn.Linear(channels, channels, attr, attr),
        )

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C, H, W)."""
        by_BC = sigmoid(self.fc(global_average(x).flatten(1)))
        return scale(x, by_BC.unsqueeze([2, 3]))


class ConvSqueezeExcitation(nn.Layer):
    """Two 1×1 convolutions, ``hidden`` channels between, then a hard sigmoid.

    Weights begin normal, their variance 2 / outputs, biases 0.

    Source: pytorch/vision torchvision/ops/misc.py SqueezeExcitation 0.28.0
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Conv2D(channels, hidden, 1, weight_attr=normal_by(math.sqrt(2 / hidden)))
        self.fc2 = Conv2D(hidden, channels, 1, weight_attr=normal_by(math.sqrt(2 / channels)))

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C, H, W)."""
        by = relu(self.fc1(global_average(x)))
        return scale(x, hard_sigmoid(self.fc2(by)))
