"""Newell's Stacked Hourglass as princeton-vl ported it to PyTorch; layers carry their names.

Sources: princeton-vl/pytorch_stacked_hourglass @ceedc14.
"""

from __future__ import annotations

import paddle
from paddle import nn

from paddle_pose.models.architectures import NewellHourglass
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


class _Conv(nn.Layer):
    """Convolution, then batch norm and ReLU if ``bn_relu``; PyTorch's default weights.

    ``kind`` is ``Head`` where heat maps come out.

    Source: models/layers.py:9
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        bias: bool = True,
        bn_relu: bool = False,
        kind: type[Conv2D] = Conv2D,
    ) -> None:
        super().__init__()
        fan_in = in_channels * kernel * kernel
        self.conv = kind(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=(kernel - 1) // 2,
            weight_attr=uniform_by_fan_in(fan_in),
            bias_attr=uniform_by_fan_in(fan_in) if bias else False,
        )
        self.bn = BatchNorm2D(out_channels, relu=True) if bn_relu else None

    def forward(self, x: Features) -> Features:
        out = self.conv(x)
        return out if self.bn is None else self.bn(out)


class _Residual(nn.Layer):
    """Pre-activated bottleneck; a 1×1 convolution on the short cut only where widths differ.

    The reference also makes that convolution where widths agree, and never uses it.

    Source: models/layers.py:33
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool) -> None:
        super().__init__()
        middle = out_channels // 2
        self.bn1 = BatchNorm2D(in_channels, relu=True)
        self.conv1 = _Conv(in_channels, middle, bias=bias)
        self.bn2 = BatchNorm2D(middle, relu=True)
        self.conv2 = _Conv(middle, middle, 3, bias=bias)
        self.bn3 = BatchNorm2D(middle, relu=True)
        self.conv3 = _Conv(middle, out_channels, bias=bias)
        self.skip_layer = None
        if in_channels != out_channels:
            self.skip_layer = _Conv(in_channels, out_channels, bias=bias)

    def forward(self, x: Features) -> Features:
        out = self.conv1(self.bn1(x))
        out = self.conv2(self.bn2(out))
        out = self.conv3(self.bn3(out))
        skip = x if self.skip_layer is None else self.skip_layer(x)
        return add(out, skip)


class _Halve(nn.Layer):
    """Max pooling, 2×2."""

    def forward(self, x: Features) -> Features:
        return max_pool(x, 2)


class _Hourglass(nn.Layer):
    """Halve, recurse, double, and add what did not go down.

    Source: models/layers.py:62
    """

    def __init__(self, depth: int, channels: int, bias: bool) -> None:
        super().__init__()
        self.up1 = _Residual(channels, channels, bias)
        self.low1 = _Residual(channels, channels, bias)
        inner = (_Hourglass, depth - 1) if depth > 1 else (_Residual, channels)
        self.low2 = inner[0](inner[1], channels, bias)
        self.low3 = _Residual(channels, channels, bias)

    def forward(self, x: Features) -> Features:
        low = self.low1(max_pool(x, 2))
        low = self.low3(self.low2(low))
        return add(self.up1(x), upsample(low, 2))


class NewellHourglassNetwork(PoseNetwork):
    """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4) per stack.

    Weights begin as PyTorch's defaults (``uniform_by_fan_in``); the reference sets none.
    Batch norm follows the first convolution and every ``features`` convolution although the
    reference's configuration says ``bn=False``: that argument reaches no layer there.

    Source: models/posenet.py:18
    """

    def __init__(self, config: NewellHourglass) -> None:
        super().__init__()
        self.config = config
        self.size_multiple = 4 * 2**config.depth
        width, stem, stacks = config.features, config.stem, range(config.stacks)
        bias = config.conv_bias
        self.pre = nn.Sequential(
            _Conv(3, stem, 7, 2, bias=bias, bn_relu=True),
            _Residual(stem, 2 * stem, bias),
            _Halve(),
            _Residual(2 * stem, 2 * stem, bias),
            _Residual(2 * stem, width, bias),
        )
        # Containers of one keep the official names (hgs.0.0.up1 …).
        self.hgs = nn.LayerList(
            [nn.Sequential(_Hourglass(config.depth, width, bias)) for _ in stacks]
        )
        self.features = nn.LayerList(
            [
                nn.Sequential(
                    _Residual(width, width, bias), _Conv(width, width, bias=bias, bn_relu=True)
                )
                for _ in stacks
            ]
        )
        self.outs = nn.LayerList([_Conv(width, config.joints, kind=Head) for _ in stacks])
        merges = [
            nn.LayerList([nn.Sequential(("conv", _Conv(channels, width))) for _ in stacks[1:]])
            for channels in (width, config.joints)
        ]
        self.merge_features, self.merge_preds = merges

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 4 × 2^depth (64 at depth 4)."""
        self.check_size(images_BCHW)
        x = self.pre(images_BCHW)
        outputs = []
        for stack in range(self.config.stacks):
            features = self.features[stack](self.hgs[stack](x))
            heatmaps_BJHW = self.outs[stack](features)
            outputs.append(StageOutput(heatmaps_BJHW))
            if stack + 1 < self.config.stacks:
                merged = self.merge_preds[stack](heatmaps_BJHW)
                x = add(x, merged, self.merge_features[stack](features))
        return outputs
