"""bearpaw's Stacked Hourglass, Newell's but for the stem; layers carry its names.

Sources: bearpaw/pytorch-pose @edc7aec.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from paddle_pose.models.architectures import BearpawHourglass
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2D,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    add,
    max_pool,
    uniform_by_fan_in,
    upsample,
)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    stride: int = 1,
    kind: type[Conv2D] = Conv2D,
) -> Conv2D:
    """With a bias, and with PyTorch's default weights."""
    first = uniform_by_fan_in(in_channels * kernel * kernel)
    given: dict[str, Any] = {"weight_attr": first, "bias_attr": first}
    return kind(in_channels, out_channels, kernel, stride, padding=(kernel - 1) // 2, **given)


class _Residual(nn.Layer):
    """Pre-activated bottleneck of half width; a 1×1 convolution where widths differ.

    Source: pose/models/hourglass.py:14
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.bn1 = BatchNorm2D(in_channels, relu=True)
        self.conv1 = _conv(in_channels, middle)
        self.bn2 = BatchNorm2D(middle, relu=True)
        self.conv2 = _conv(middle, middle, 3)
        self.bn3 = BatchNorm2D(middle, relu=True)
        self.conv3 = _conv(middle, out_channels)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(_conv(in_channels, out_channels))

    def forward(self, x: Features) -> Features:
        out = self.conv1(self.bn1(x))
        out = self.conv2(self.bn2(out))
        out = self.conv3(self.bn3(out))
        return add(out, x if self.downsample is None else self.downsample(x))


def _residuals(in_channels: int, out_channels: int) -> nn.Sequential:
    """One, as ``--blocks 1`` has it."""
    return nn.Sequential(_Residual(in_channels, out_channels))


class _Hourglass(nn.Layer):
    """``hg.K`` has what stands beside, before and after level K; ``hg.0`` the middle too.

    Source: pose/models/hourglass.py:54
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.hg = nn.LayerList(
            [
                nn.LayerList([_residuals(width, width) for _ in range(3 + (level == 0))])
                for level in range(depth)
            ]
        )

    def forward(self, x: Features) -> Features:
        return self._level(len(self.hg) - 1, x)

    def _level(self, level: int, x: Features) -> Features:
        beside, before, after, *middle = self.hg[level]
        up = beside(x)
        low = before(max_pool(x, 2))
        low = self._level(level - 1, low) if level else middle[0](low)
        return add(up, upsample(after(low), 2))


class BearpawHourglassNetwork(PoseNetwork):
    """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4) per stack.

    Weights begin as PyTorch's defaults (``uniform_by_fan_in``); the reference sets none.

    Source: pose/models/hourglass.py:96
    """

    def __init__(self, config: BearpawHourglass) -> None:
        super().__init__()
        self.config = config
        self.size_multiple = 4 * 2**config.depth
        stem, width, joints = config.stem, config.features, config.joints
        stacks, between = range(config.stacks), range(config.stacks - 1)
        self.conv1 = _conv(3, stem, 7, 2)
        self.bn1 = BatchNorm2D(stem, relu=True)
        self.layer1 = _residuals(stem, 2 * stem)
        self.layer2 = _residuals(2 * stem, width)
        self.layer3 = _residuals(width, width)
        self.hg = nn.LayerList([_Hourglass(config.depth, width) for _ in stacks])
        self.res = nn.LayerList([_residuals(width, width) for _ in stacks])
        self.fc = nn.LayerList(
            [nn.Sequential(_conv(width, width), BatchNorm2D(width, relu=True)) for _ in stacks]
        )
        self.score = nn.LayerList([_conv(width, joints, kind=Head) for _ in stacks])
        self.fc_ = nn.LayerList([_conv(width, width) for _ in between])
        self.score_ = nn.LayerList([_conv(joints, width) for _ in between])

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 4 × 2^depth (64 at depth 4)."""
        self.check_size(images_BCHW)
        x = self.layer1(self.bn1(self.conv1(images_BCHW)))
        x = self.layer3(self.layer2(max_pool(x, 2)))
        outputs = []
        for stack in range(self.config.stacks):
            features = self.fc[stack](self.res[stack](self.hg[stack](x)))
            heatmaps_BJHW = self.score[stack](features)
            outputs.append(StageOutput(heatmaps_BJHW))
            if stack + 1 < self.config.stacks:
                x = add(x, self.fc_[stack](features), self.score_[stack](heatmaps_BJHW))
        return outputs
