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
    PoseNetwork,
    StageOutput,
    enlarge,
    max_pool,
    total,
    uniform_by_fan_in,
)
from paddle_pose.onednn import layout as packed


class _Conv(nn.Layer):
    """Convolution, then batch norm and ReLU if ``bn_relu``; PyTorch's default weights.

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
    ) -> None:
        super().__init__()
        fan_in = in_channels * kernel * kernel
        self.conv = Conv2D(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=(kernel - 1) // 2,
            weight_attr=uniform_by_fan_in(fan_in),
            bias_attr=uniform_by_fan_in(fan_in) if bias else False,
        )
        self.bn = BatchNorm2D(out_channels, relu=True) if bn_relu else None

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        out_BCHW = self.conv(x_BCHW)
        return out_BCHW if self.bn is None else self.bn(out_BCHW)


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

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        out_BCHW = self.conv1(self.bn1(x_BCHW))
        out_BCHW = self.conv2(self.bn2(out_BCHW))
        out_BCHW = self.conv3(self.bn3(out_BCHW))
        skip_BCHW = x_BCHW if self.skip_layer is None else self.skip_layer(x_BCHW)
        return total(out_BCHW, skip_BCHW)


class _Halve(nn.Layer):
    """Max pooling, 2×2."""

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        return max_pool(x_BCHW, 2)


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

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        low_BChw = self.low1(max_pool(x_BCHW, 2))
        low_BChw = self.low3(self.low2(low_BChw))
        return total(self.up1(x_BCHW), enlarge(low_BChw, 2))


class _Merge(nn.Layer):
    """A 1×1 convolution back into the next stack's input.

    Source: models/posenet.py:10
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _Conv(in_channels, out_channels)

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        return self.conv(x_BCHW)


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
        self.outs = nn.LayerList([_Conv(width, config.joints) for _ in stacks])
        self.merge_features = nn.LayerList([_Merge(width, width) for _ in stacks[1:]])
        self.merge_preds = nn.LayerList([_Merge(config.joints, width) for _ in stacks[1:]])

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 4 × 2^depth (64 at depth 4)."""
        self.check_size(images_BCHW)
        x_BCHW = self.pre(images_BCHW)
        outputs = []
        for stack in range(self.config.stacks):
            features_BCHW = self.features[stack](self.hgs[stack](x_BCHW))
            heatmaps_BJHW = self.outs[stack](features_BCHW)
            outputs.append(StageOutput(packed.unpack(heatmaps_BJHW)))
            if stack + 1 < self.config.stacks:
                merged_BCHW = self.merge_preds[stack](heatmaps_BJHW)
                x_BCHW = total(x_BCHW, merged_BCHW, self.merge_features[stack](features_BCHW))
        return outputs
