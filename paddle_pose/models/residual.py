"""ResNet's residual blocks, which most backbones are made of.

Sources: HRNet is leoxiaobin/deep-high-resolution-net.pytorch @6f69e46.
"""

from __future__ import annotations

from paddle import nn

from paddle_pose.models.blocks import BatchNorm2D, Features, add_relu, conv, conv_bn


class BasicBlock(nn.Layer):
    """ResNet's two 3×3 convolutions.

    Source: HRNet lib/models/pose_hrnet.py:28 (mmpose's is the same)
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2D(channels, relu=True)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2D(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, channels, H/stride, W/stride)."""
        out = self.bn1(self.conv1(x))
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return add_relu(out, shortcut)


class Bottleneck(nn.Layer):
    """ResNet's 1×1, 3×3, 1×1; the output has 4 × ``channels``, the 3×3 carries the stride.

    Source: HRNet lib/models/pose_hrnet.py:60
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = BatchNorm2D(channels, relu=True)
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = BatchNorm2D(channels, relu=True)
        self.conv3 = conv(channels, channels * self.expansion, 1)
        self.bn3 = BatchNorm2D(channels * self.expansion)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, 4·channels, H/stride, W/stride)."""
        out = self.bn1(self.conv1(x))
        out = self.bn2(self.conv2(out))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return add_relu(out, shortcut)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """1×1 convolution and batch norm where a residual block changes width or size."""
    if stride == 1 and in_channels == out_channels:
        return None
    return conv_bn(in_channels, out_channels, 1, stride)


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    channels: int,
    blocks: int,
    stride: int = 1,
) -> nn.Sequential:
    """``blocks`` residual blocks in a row; the first changes width and size."""
    width = channels * block.expansion
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(width, channels) for _ in range(blocks - 1)))
