"""MobileNetV3's features: inverted bottlenecks with depthwise convolutions and hard-swish.

Layers carry torchvision's names. Source: pytorch/vision torchvision/models/mobilenetv3.py 0.28.0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2D,
    Features,
    add,
    hard_swish,
    normal_by,
)
from paddle_pose.models.squeeze import ConvSqueezeExcitation

STEM = 16
EPSILON, MOMENTUM = 1e-3, 0.99
"""Of batch norms; PyTorch's momentum is 0.01. Source: mobilenetv3.py:146"""


class _Step(NamedTuple):
    """An inverted bottleneck; a row of the paper's tables 1 and 2."""

    kernel: int
    inside: int
    out: int
    squeezed: bool
    swish: bool
    stride: int


SIZES: dict[str, tuple[tuple[_Step, ...], int]] = {
    "large": (
        (
            _Step(3, 16, 16, False, False, 1),
            _Step(3, 64, 24, False, False, 2),
            _Step(3, 72, 24, False, False, 1),
            _Step(5, 72, 40, True, False, 2),
            _Step(5, 120, 40, True, False, 1),
            _Step(5, 120, 40, True, False, 1),
            _Step(3, 240, 80, False, True, 2),
            _Step(3, 200, 80, False, True, 1),
            _Step(3, 184, 80, False, True, 1),
            _Step(3, 184, 80, False, True, 1),
            _Step(3, 480, 112, True, True, 1),
            _Step(3, 672, 112, True, True, 1),
            _Step(5, 672, 160, True, True, 2),
            _Step(5, 960, 160, True, True, 1),
            _Step(5, 960, 160, True, True, 1),
        ),
        960,
    ),
    "small": (
        (
            _Step(3, 16, 16, True, False, 2),
            _Step(3, 72, 24, False, False, 2),
            _Step(3, 88, 24, False, False, 1),
            _Step(5, 96, 40, True, True, 2),
            _Step(5, 240, 40, True, True, 1),
            _Step(5, 240, 40, True, True, 1),
            _Step(5, 120, 48, True, True, 1),
            _Step(5, 144, 48, True, True, 1),
            _Step(5, 288, 96, True, True, 2),
            _Step(5, 576, 96, True, True, 1),
            _Step(5, 576, 96, True, True, 1),
        ),
        576,
    ),
}
"""Steps, and channels that come out at a 32nd of the size. Source: Howard et al., ICCV 2019."""


def _eighths(channels: float) -> int:
    """The nearest multiple of 8, that is not more than a tenth below.

    Source: pytorch/vision torchvision/models/_utils.py _make_divisible
    """
    nearest_8 = max(8, int(channels + 4) // 8 * 8)
    return nearest_8 + 8 if nearest_8 < 0.9 * channels else nearest_8


class HardSwish(nn.Layer):
    """``hard_swish`` as a layer."""

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C, H, W)."""
        return hard_swish(x)


def _conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    *,
    depthwise: bool = False,
    then: str = "",
) -> nn.Sequential:
    """Convolution without bias, batch norm, and ``relu`` or ``swish``.

    Weights begin normal, their variance 2 / (out · kernel²).

    Source: mobilenetv3.py:217
    """
    norm = BatchNorm2D(out_channels, relu=then == "relu")
    norm._epsilon, norm._momentum = EPSILON, MOMENTUM
    convolution = Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=(kernel - 1) // 2,
        groups=in_channels if depthwise else 1,
        weight_attr=normal_by(math.sqrt(2 / (out_channels * kernel**2))),
        bias_attr=False,
    )
    return nn.Sequential(convolution, norm, *([HardSwish()] if then == "swish" else []))


class _InvertedBottleneck(nn.Layer):
    """1×1 to more channels, depthwise, squeeze-excitation, 1×1 to fewer.

    Source: mobilenetv3.py:72
    """

    def __init__(self, in_channels: int, step: _Step) -> None:
        super().__init__()
        inside, then = step.inside, "swish" if step.swish else "relu"
        parts = [_conv_norm(in_channels, inside, 1, then=then)] if inside != in_channels else []
        parts.append(
            _conv_norm(inside, inside, step.kernel, step.stride, depthwise=True, then=then)
        )
        if step.squeezed:
            hidden = _eighths(inside / 4)
            parts.append(ConvSqueezeExcitation(inside, hidden))
        self.block = nn.Sequential(*parts, _conv_norm(inside, step.out, 1))
        self._around = step.stride == 1 and in_channels == step.out

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        out = self.block(x)
        return add(out, x) if self._around else out


def mobilenet_features(size: str) -> nn.Sequential:
    """(B, 3, H, W) -> (B, 960 or 576, H/32, W/32); Raises UserError unless large or small."""
    if size not in SIZES:
        raise UserError(
            f"model.size='{size}': a MobileNetV3 is large or small{nearest(size, SIZES)}"
        )
    steps, last = SIZES[size]
    made: list[nn.Layer] = [_conv_norm(3, STEM, 3, 2, then="swish")]
    width = STEM
    for step in steps:
        made.append(_InvertedBottleneck(width, step))
        width = step.out
    return nn.Sequential(*made, _conv_norm(width, last, 1, then="swish"))
