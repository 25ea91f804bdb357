"""Lightweight OpenPose: MobileNet v1 with a dilation, then stages of heat maps and fields.

Layers carry the official names. Images may have any size: stages put out ceil(size / 8) cells.

Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch models/with_mobilenet.py,
modules/conv.py @d23c284
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.activations import elu
from paddle_pose.models.architectures import LightOpenPose
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2D,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    add,
    concat,
    relu,
    uniform_by_fan_in,
)

BACKBONE = (
    (64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 1, 1),
    (512, 1, 2), (512, 1, 1), (512, 1, 1), (512, 1, 1), (512, 1, 1),
)  # fmt: skip
"""Channels, stride and dilation of the pairs of convolutions after the first one."""
FIRST, BRANCH, BLOCKS = 32, 512, 5
"""Channels of the first convolution, of the initial stage's last layers; blocks of a refinement."""


class LightOpenPoseNetwork(PoseNetwork):
    """PoseEstimationWithMobileNet; when it tests, later refinement stages may be left out.

    Raises:
        UserError: more stages tested than there are.
    """

    size_multiple = 1

    def __init__(self, config: LightOpenPose) -> None:
        super().__init__()
        if config.tested > config.refinements:
            raise UserError(
                f"model.tested={config.tested}: must not be above model.refinements="
                f"{config.refinements}"
            )
        self._tested = config.tested
        layers = [_conv(3, FIRST, 3, stride=2, bias=False, norm=True)]
        channels = FIRST
        for width, stride, dilation in BACKBONE:
            layers.append(_separable(channels, width, stride, dilation))
            channels = width
        self.model = nn.Sequential(*layers)
        self.cpm = _Cpm(channels, config.features)
        maps = (config.joints + 1, 2 * config.limbs)
        self.initial_stage = _Stage(
            nn.Sequential(*(_conv(config.features, config.features, 3) for _ in range(3))),
            (config.features, BRANCH),
            maps,
        )
        seen = [config.features + sum(maps), *[config.features] * (BLOCKS - 1)]
        self.refinement_stages = nn.LayerList(
            _Stage(
                nn.Sequential(*(_Refinement(width, config.features) for width in seen)),
                (config.features, config.features),
                maps,
            )
            for _ in range(config.refinements)
        )

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """(B, 3, H, W) -> per stage (B, joints + 1, h, w) and (B, 2 × limbs, h, w), h = H / 8 up.

        The last heat map is background; the fields are x and y of the first limb, then the second.
        """
        features = self.cpm(self.model(images_BCHW))
        outputs = [self.initial_stage(features)]
        count = len(self.refinement_stages) if self.training else self._tested
        for stage in self.refinement_stages[:count]:
            outputs.append(stage(concat(features, *outputs[-1])))
        return outputs


class _Activation(nn.Layer):
    """An operation without weights, to stand among layers."""

    def __init__(self, operation: Callable[[Features], Features]) -> None:
        super().__init__()
        self._operation = operation

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> the same."""
        return self._operation(x)


class _Cpm(nn.Layer):
    """1×1 to fewer channels, then three separable convolutions beside them."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.align = _conv(in_channels, out_channels, 1)
        self.trunk = nn.Sequential(*(_separable_elu(out_channels) for _ in range(3)))
        self.conv = _conv(out_channels, out_channels, 3)

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, H, W)."""
        x = self.align(x)
        return self.conv(add(x, self.trunk(x)))


class _Refinement(nn.Layer):
    """1×1, then two 3×3 convolutions, the second dilated, beside it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.initial = _conv(in_channels, out_channels, 1)
        self.trunk = nn.Sequential(
            _conv(out_channels, out_channels, 3, norm=True),
            _conv(out_channels, out_channels, 3, dilation=2, norm=True),
        )

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, H, W)."""
        x = self.initial(x)
        return add(x, self.trunk(x))


class _Stage(nn.Layer):
    """Layers that both outputs share, then two 1×1 convolutions for each of them."""

    def __init__(self, trunk: nn.Layer, widths: tuple[int, int], maps: tuple[int, int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heatmaps, self.pafs = (
            nn.Sequential(_conv(*widths, 1), nn.Sequential(_plain(widths[1], count, 1, kind=Head)))
            for count in maps
        )

    def forward(self, x: Features) -> StageOutput:
        """(B, in, H, W) -> its maps, plain."""
        x = self.trunk(x)
        return StageOutput(self.heatmaps(x), self.pafs(x))


def _plain(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    kind: type[Conv2D] = Conv2D,
) -> Conv2D:
    """Convolution that keeps the size at stride 1; PyTorch's first weights."""
    first = uniform_by_fan_in(in_channels // groups * kernel**2)
    return kind(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
        weight_attr=first,
        bias_attr=first if bias else False,
    )


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
    norm: bool = False,
) -> nn.Sequential:
    """Convolution (name 0), maybe a batch norm (name 1), and a ReLU."""
    given: dict[str, Any] = {"stride": stride, "dilation": dilation, "bias": bias}
    last = BatchNorm2D(out_channels, relu=True) if norm else _Activation(relu)
    return nn.Sequential(_plain(in_channels, out_channels, kernel, **given), last)


def _separable(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Sequential:
    """3×3 of each channel alone (names 0 and 1), then 1×1 (names 3 and 4)."""
    given: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": in_channels}
    given["bias"] = False
    return nn.Sequential(
        ("0", _plain(in_channels, in_channels, 3, **given)),
        ("1", BatchNorm2D(in_channels, relu=True)),
        ("3", _plain(in_channels, out_channels, 1, bias=False)),
        ("4", BatchNorm2D(out_channels, relu=True)),
    )


def _separable_elu(channels: int) -> nn.Sequential:
    """The same without batch norms, an ELU after each."""
    return nn.Sequential(
        _plain(channels, channels, 3, groups=channels, bias=False),
        _Activation(elu),
        _plain(channels, channels, 1, bias=False),
        _Activation(elu),
    )
