"""HRNet for poses: up to four resolutions in parallel; layers carry the official names.

Sources: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py @6f69e46.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn

from paddle_pose.models.architectures import HRNet
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    Upsample,
    add_relu,
    conv,
    conv_bn,
    small_normal,
)
from paddle_pose.models.residual import BasicBlock, Bottleneck, residual_layer

STEM_CHANNELS = 64
MODULES_PER_STAGE = {2: 1, 3: 4, 4: 3}
"""Stage s has s branches; source: experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml:52."""
BLOCKS_PER_BRANCH = 4


class _Module(nn.Layer):
    """Four residual blocks per branch, then every branch is added to every other.

    ``outputs`` is the number of branches that come out: all, or 1 in the last module.

    Source: pose_hrnet.py:101
    """

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.LayerList(
            [residual_layer(BasicBlock, width, width, BLOCKS_PER_BRANCH) for width in channels]
        )
        self.fuse_layers = nn.LayerList(
            [
                nn.LayerDict(
                    {
                        str(source): _resample(channels, source, target)
                        for source in range(len(channels))
                        if source != target
                    }
                )
                for target in range(outputs)
            ]
        )

    def forward(self, branches: list[Features]) -> list[Features]:
        branches = [layers(branches[index]) for index, layers in enumerate(self.branches)]
        fused = []
        for target, layers in enumerate(self.fuse_layers):
            parts = [
                x if source == target else layers[str(source)](x)
                for source, x in enumerate(branches)
            ]
            fused.append(add_relu(*parts))
        return fused


def _resample(channels: Sequence[int], source: int, target: int) -> nn.Sequential:
    """From branch ``source`` to the width and resolution of branch ``target``.

    Up: 1×1 convolution, batch norm, nearest. Down: a 3×3 of stride 2 per halving, of which the
    last changes the width and has no ReLU.

    Source: pose_hrnet.py:187
    """
    if source > target:
        up = Upsample(2 ** (source - target))
        return nn.Sequential(
            conv(channels[source], channels[target], 1), BatchNorm2D(channels[target]), up
        )
    keep = [
        conv_bn(channels[source], channels[source], 3, 2, relu=True)
        for _ in range(target - source - 1)
    ]
    return nn.Sequential(*keep, conv_bn(channels[source], channels[target], 3, 2))


class HRNetNetwork(PoseNetwork):
    """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4).

    Weights begin normal with standard deviation 0.001, biases 0, batch norms 1 and 0; published
    rows begin from ImageNet weights instead.

    Source: pose_hrnet.py:274; weights :462
    """

    def __init__(self, config: HRNet) -> None:
        super().__init__()
        self.config = config
        channels = [config.width * 2**branch for branch in range(4)]
        self.conv1 = conv(3, STEM_CHANNELS, 3, 2)
        self.bn1 = BatchNorm2D(STEM_CHANNELS, relu=True)
        self.conv2 = conv(STEM_CHANNELS, STEM_CHANNELS, 3, 2)
        self.bn2 = BatchNorm2D(STEM_CHANNELS, relu=True)
        self.layer1 = residual_layer(Bottleneck, STEM_CHANNELS, STEM_CHANNELS, 4)
        # A transition holds a layer only for the branches that change (LayerDict keys are names).
        wide = STEM_CHANNELS * Bottleneck.expansion
        new_branch = nn.Sequential(conv_bn(wide, channels[1], 3, 2, relu=True))
        self.transition1 = nn.LayerDict(
            {"0": conv_bn(wide, channels[0], 3, relu=True), "1": new_branch}
        )
        self.stage2 = self._stage(channels[:2])
        self.transition2 = self._new_branch(channels, 2)
        self.stage3 = self._stage(channels[:3])
        self.transition3 = self._new_branch(channels, 3)
        self.stage4 = self._stage(channels, last=True)
        self.final_layer = Head(channels[0], config.joints, 1, weight_attr=small_normal())

    @staticmethod
    def _new_branch(channels: list[int], branch: int) -> nn.LayerDict:
        """One more branch, from the one above it at half its resolution."""
        down = conv_bn(channels[branch - 1], channels[branch], 3, 2, relu=True)
        return nn.LayerDict({str(branch): nn.Sequential(down)})

    @staticmethod
    def _stage(channels: list[int], *, last: bool = False) -> nn.Sequential:
        modules = MODULES_PER_STAGE[len(channels)]
        outputs = [len(channels)] * modules
        if last:
            outputs[-1] = 1
        return nn.Sequential(*(_Module(channels, count) for count in outputs))

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 32."""
        self.check_size(images_BCHW)
        x = self.bn1(self.conv1(images_BCHW))
        x = self.bn2(self.conv2(x))
        x = self.layer1(x)
        branches = self.stage2([self.transition1["0"](x), self.transition1["1"](x)])
        branches = self.stage3([*branches, self.transition2["2"](branches[-1])])
        branches = self.stage4([*branches, self.transition3["3"](branches[-1])])
        return [StageOutput(self.final_layer(branches[0]))]
