"""ResNet as AlphaPose builds it: squeeze-excitation, shuffled strides, deformable convolutions.

Layers carry AlphaPose's names, which are torchvision's but for what it adds.
Sources: MVIG-SJTU/AlphaPose alphapose/models/layers/ @c60106d.
"""

from __future__ import annotations

from typing import Any

from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2D,
    DeformableConv2D,
    Features,
    Head,
    add_relu,
    max_pool,
    pixel_unshuffle,
    uniform_by_fan_in,
)
from paddle_pose.models.squeeze import SqueezeExcitation

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Source: SE_Resnet.py:150."""
CHANNELS = 2048
"""That come out, at a 32nd of the size."""
TAPS = 9


def torch_conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Conv2D:
    """Convolution without bias, padded to keep the size at stride 1; PyTorch's first weights."""
    return Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=(kernel - 1) // 2,
        weight_attr=uniform_by_fan_in(in_channels * kernel**2),
        bias_attr=False,
    )


class PixelUnshuffle(nn.Layer):
    """``pixel_unshuffle`` as a layer."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C·factor², H/factor, W/factor)."""
        return pixel_unshuffle(x, self.factor)


class _Bottleneck(nn.Layer):
    """1×1, 3×3 and 1×1; the output has 4 × ``channels``.

    Args:
        in_channels, channels, stride: as ResNet's; the 3×3 carries the stride.
        changes: whether a 1×1 convolution stands on the short cut (the first block of a layer).
        squeezed: squeeze-excitation behind the last batch norm.
        shuffled: a stride becomes pixel unshuffling before the 3×3.
        offsets: numbers per pixel that move the taps of the 3×3: 18, with masks 27, or none.

    Source: SE_Resnet.py:61, ShuffleResnet.py:56
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        changes: bool,
        squeezed: bool,
        shuffled: bool,
        offsets: int,
    ) -> None:
        super().__init__()
        self.conv1 = torch_conv(in_channels, channels, 1)
        self.bn1 = BatchNorm2D(channels, relu=True)
        self.conv2_offset = None
        if offsets:
            fan_in = channels * TAPS
            attr = uniform_by_fan_in(fan_in)
            self.conv2_offset = Head(
                channels,
                offsets,
                3,
                stride,
                padding=1,
                weight_attr=attr,
                bias_attr=uniform_by_fan_in(fan_in),
            )
            self.conv2 = DeformableConv2D(
                channels, channels, 3, stride, 1, weight_attr=attr, bias_attr=False
            )
        elif shuffled and stride > 1:
            inside = channels * stride**2
            self.conv2 = nn.Sequential(PixelUnshuffle(stride), torch_conv(inside, channels, 3))
        else:
            self.conv2 = torch_conv(channels, channels, 3, stride)
        self.bn2 = BatchNorm2D(channels, relu=True)
        self.conv3 = torch_conv(channels, 4 * channels, 1)
        self.bn3 = BatchNorm2D(4 * channels)
        self.se = SqueezeExcitation(4 * channels) if squeezed else None
        self.downsample = None
        if changes:
            self.downsample = nn.Sequential(
                torch_conv(in_channels, 4 * channels, 1, stride), BatchNorm2D(4 * channels)
            )

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, 4·channels, H/stride, W/stride)."""
        out = self.bn1(self.conv1(x))
        if self.conv2_offset is None:
            out = self.conv2(out)
        else:
            out = self.conv2(out, self.conv2_offset(out))
        out = self.bn3(self.conv3(self.bn2(out)))
        if self.se is not None:
            out = self.se(out)
        return add_relu(out, x if self.downsample is None else self.downsample(x))


class AlphaResNet(nn.Layer):
    """(B, 3, H, W) -> (B, 2048, H/32, W/32).

    Args:
        layers: 50, 101 or 152.
        squeezed: squeeze-excitation in the first block of each layer.
        shuffled: strides of layers 2 to 4 by pixel unshuffling.
        deformable: which of the four layers have deformable convolutions.
        modulated: whether these weigh their taps.

    Weights begin as PyTorch's. The reference fills what it can from ImageNet weights at once.

    Raises:
        UserError: another number of layers.

    Source: SE_Resnet.py:143, ShuffleResnet.py:137, Resnet.py:132
    """

    def __init__(
        self,
        layers: int,
        *,
        squeezed: bool = True,
        shuffled: bool = False,
        deformable: tuple[bool, ...] = (False,) * 4,
        modulated: bool = False,
    ) -> None:
        super().__init__()
        if layers not in BLOCKS:
            raise UserError(f"model.layers={layers}: AlphaPose's ResNets have {sorted(BLOCKS)}")
        self.conv1 = torch_conv(3, 64, 7, 2)
        self.bn1 = BatchNorm2D(64, relu=True)
        width = 64
        for number, count in enumerate(BLOCKS[layers]):
            channels, stride = 64 * 2**number, 1 if number == 0 else 2
            offsets = (3 if modulated else 2) * TAPS if deformable[number] else 0
            how: dict[str, Any] = {"shuffled": shuffled, "offsets": offsets}
            made = [_Bottleneck(width, channels, stride, changes=True, squeezed=squeezed, **how)]
            width = 4 * channels
            made += [
                _Bottleneck(width, channels, 1, changes=False, squeezed=False, **how)
                for _ in range(count - 1)
            ]
            setattr(self, f"layer{number + 1}", nn.Sequential(*made))

    def forward(self, x: Features) -> Features:
        """(B, 3, H, W) -> (B, 2048, H/32, W/32)."""
        x = max_pool(self.bn1(self.conv1(x)), 3, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))
