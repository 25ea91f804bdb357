"""mmpose's Hourglass-52: CornerNet's wide hourglass with a 1×1 head; layers carry mmpose 0.x names.

Sources: open-mmlab/mmpose mmpose/models/ @759b39c.
"""

from __future__ import annotations

import paddle
from paddle import nn

from paddle_pose.models.architectures import Hourglass52
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    add,
    add_relu,
    conv,
    small_normal,
    upsample,
)
from paddle_pose.models.residual import BasicBlock, residual_layer

CHANNELS = (256, 256, 384, 384, 384, 512)
BLOCKS = (2, 2, 2, 2, 2, 4)


def _conv_module(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, with ``relu``, a ReLU, under mmcv's names."""
    norm = BatchNorm2D(out_channels, relu=relu)
    return nn.Sequential(("conv", conv(in_channels, out_channels, kernel, stride)), ("bn", norm))


class _HourglassModule(nn.Layer):
    """Halve with a stride, recurse, double, and add what did not go down.

    Source: backbones/hourglass.py:13
    """

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        here, below = channels[:2]
        self.up1 = residual_layer(BasicBlock, here, here, blocks[0])
        self.low1 = residual_layer(BasicBlock, here, below, blocks[0], stride=2)
        self.low2 = (
            _HourglassModule(channels[1:], blocks[1:])
            if len(channels) > 2
            else residual_layer(BasicBlock, below, below, blocks[1])
        )
        # On the way up the last block narrows, not the first.
        self.low3 = nn.Sequential(
            *(BasicBlock(below, below) for _ in range(blocks[0] - 1)), BasicBlock(below, here)
        )

    def forward(self, x: Features) -> Features:
        low = self.low3(self.low2(self.low1(x)))
        return add(self.up1(x), upsample(low, 2))


class _Backbone(nn.Layer):
    """Stem and hourglasses: (B, 3, H, W) -> one (B, 256, H/4, W/4) per stack.

    mmpose's ``inters`` holds a block even for one stack, which is never used and not built here.

    Source: backbones/hourglass.py:90
    """

    def __init__(self, stacks: int) -> None:
        super().__init__()
        width = CHANNELS[0]
        self.stem = nn.Sequential(
            _conv_module(3, 128, 7, 2), residual_layer(BasicBlock, 128, width, 1, stride=2)
        )
        self.hourglass_modules = nn.LayerList(
            [_HourglassModule(CHANNELS, BLOCKS) for _ in range(stacks)]
        )
        between = range(stacks - 1)
        self.inters = nn.LayerList([BasicBlock(width, width) for _ in between])
        self.conv1x1s = nn.LayerList([_conv_module(width, width, 1, relu=False) for _ in between])
        self.out_convs = nn.LayerList([_conv_module(width, width, 3) for _ in range(stacks)])
        self.remap_convs = nn.LayerList(
            [_conv_module(width, width, 1, relu=False) for _ in between]
        )

    def forward(self, images_BCHW: paddle.Tensor) -> list[Features]:
        x = self.stem(images_BCHW)
        features = []
        for stack, hourglass in enumerate(self.hourglass_modules):
            features.append(self.out_convs[stack](hourglass(x)))
            if stack + 1 < len(self.hourglass_modules):
                parts = self.conv1x1s[stack](x), self.remap_convs[stack](features[-1])
                x = self.inters[stack](add_relu(*parts))
        return features


class _Heads(nn.Layer):
    """One 1×1 convolution with bias per stack.

    Source: heads/heatmap_heads/cpm_head.py:21
    """

    def __init__(self, in_channels: int, joints: int, stacks: int) -> None:
        super().__init__()
        self.multi_final_layers = nn.LayerList(
            [Head(in_channels, joints, 1, weight_attr=small_normal()) for _ in range(stacks)]
        )

    def forward(self, features: list[Features]) -> list[paddle.Tensor]:
        return [layer(features[stack]) for stack, layer in enumerate(self.multi_final_layers)]


class Hourglass52Network(PoseNetwork):
    """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4) per stack.

    Weights begin normal with standard deviation 0.001, biases 0, batch norms 1 and 0.
    Source: backbones/hourglass.py:138, heads/heatmap_heads/cpm_head.py:128
    """

    size_multiple = 4 * 2 ** (len(CHANNELS) - 1)

    def __init__(self, config: Hourglass52) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config.stacks)
        self.keypoint_head = _Heads(CHANNELS[0], config.joints, config.stacks)

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 128."""
        self.check_size(images_BCHW)
        return [StageOutput(maps) for maps in self.keypoint_head(self.backbone(images_BCHW))]
