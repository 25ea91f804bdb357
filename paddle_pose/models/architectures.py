"""Every network as a frozen dataclass of a few numbers, readable without Paddle.

A recipe holds one of these; ``build()`` imports the network's own file and makes it. A new
network is one new file and one dataclass in the ``Architecture`` union below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddle_pose.models.blocks import PoseNetwork


@dataclass(frozen=True)
class Hourglass52:
    """mmpose's Hourglass-52 (CornerNet style, wide); not Newell's network.

    Source: open-mmlab/mmpose mmpose/models/backbones/hourglass.py @759b39c
    """

    joints: int = 16
    stacks: int = 1

    def build(self) -> PoseNetwork:
        """The network, randomly initialised as the reference does."""
        from paddle_pose.models.hourglass52 import Hourglass52Network

        return Hourglass52Network(self)


@dataclass(frozen=True)
class NewellHourglass:
    """The paper's Stacked Hourglass (Newell et al., ECCV 2016), as princeton-vl ported it.

    Attributes:
        joints: heat maps per stack.
        stacks: hourglasses in a row, each supervised.
        features: channels (256 in the paper).
        depth: halvings inside an hourglass (4 in the paper).
        stem: channels of the first convolution (64 in the paper, whatever ``features`` is).
        conv_bias: biases in the hidden convolutions, as the reference has them. Before a batch
            norm they do nothing, and they take a fifth of a training step on a CPU.

    Source: princeton-vl/pytorch_stacked_hourglass models/posenet.py @ceedc14
    """

    joints: int = 16
    stacks: int = 2
    features: int = 256
    depth: int = 4
    stem: int = 64
    conv_bias: bool = True

    def build(self) -> PoseNetwork:
        """The network, randomly initialised as the reference does."""
        from paddle_pose.models.newell_hourglass import NewellHourglassNetwork

        return NewellHourglassNetwork(self)


@dataclass(frozen=True)
class HRNet:
    """HRNet for poses (Sun et al., CVPR 2019): width 32 or 48 at the highest resolution.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py @6f69e46
    """

    joints: int = 17
    width: int = 32

    def build(self) -> PoseNetwork:
        """The network, randomly initialised as the reference does."""
        from paddle_pose.models.hrnet import HRNetNetwork

        return HRNetNetwork(self)


@dataclass(frozen=True)
class PoseResNet:
    """SimpleBaseline (Xiao et al., ECCV 2018): ResNet and three transposed convolutions.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_resnet.py @6f69e46
    """

    joints: int = 17
    layers: int = 50

    def build(self) -> PoseNetwork:
        """The network, randomly initialised as the reference does."""
        from paddle_pose.models.pose_resnet import PoseResNetNetwork

        return PoseResNetNetwork(self)


Architecture = Hourglass52 | NewellHourglass | HRNet | PoseResNet


def with_joints(architecture: Architecture, joints: int) -> Architecture:
    """The same network for another number of joints."""
    return replace(architecture, joints=joints)
