"""Every network as a frozen dataclass of a few numbers, readable without Paddle.

A recipe holds one of these; ``build.build`` makes the network. A new network is one new file, one
dataclass in the ``Architecture`` union below and one line in ``build``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Hourglass52:
    """mmpose's Hourglass-52 (CornerNet style, wide); not Newell's network.

    Source: open-mmlab/mmpose mmpose/models/backbones/hourglass.py @759b39c
    """

    joints: int = 16
    stacks: int = 1


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


@dataclass(frozen=True)
class BearpawHourglass:
    """Newell's network as bearpaw has it: full width already after the stem's pooling.

    Attributes:
        joints, stacks, features, depth, stem: as of NewellHourglass.

    Source: bearpaw/pytorch-pose pose/models/hourglass.py:109 @edc7aec
    """

    joints: int = 16
    stacks: int = 2
    features: int = 256
    depth: int = 4
    stem: int = 64


@dataclass(frozen=True)
class HRNet:
    """HRNet for poses (Sun et al., CVPR 2019): width 32 or 48 at the highest resolution.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py @6f69e46
    """

    joints: int = 17
    width: int = 32


@dataclass(frozen=True)
class HRNetMore(HRNet):
    """HRNet with maps of joints that are trained alone: it puts them out in training only.

    Attributes:
        more: such maps, behind those of ``joints``.

    Source: open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/coco/
    td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine.py:128 @759b39c (output_keypoint_indices)
    """

    more: int = 2


@dataclass(frozen=True)
class PoseResNet:
    """SimpleBaseline (Xiao et al., ECCV 2018): ResNet and three transposed convolutions.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_resnet.py @6f69e46
    """

    joints: int = 17
    layers: int = 50


@dataclass(frozen=True)
class MIPNet(HRNet):
    """HRNet for two people in a box (Khirodkar et al., ICCV 2021).

    Attributes:
        modulated: where the instance enters: before stage 2, 3, 4, and before the last layer.

    Source: rawalkhirodkar/MIPNet lib/models/pose_hrnet_se_lambda.py @245651d
    """

    modulated: tuple[bool, bool, bool, bool] = (False, False, True, True)


@dataclass(frozen=True)
class MIPPoseResNet(PoseResNet):
    """SimpleBaseline for two people in a box.

    Attributes:
        modulated: before which of the four layers the instance enters.

    Source: rawalkhirodkar/MIPNet lib/models/pose_resnet_se_lambda.py @245651d
    """

    modulated: tuple[bool, bool, bool, bool] = (False, False, False, True)


@dataclass(frozen=True)
class CaffePoseResNet(PoseResNet):
    """SimpleBaseline over a ResNet of Caffe's style, whose blocks halve in their first convolution.

    Source: microsoft/human-pose-estimation.pytorch lib/models/pose_resnet.py:102 @49f3f44
    """


@dataclass(frozen=True)
class PoseResNetVisibility(PoseResNet):
    """SimpleBaseline that also says how likely each joint can be seen.

    Source: open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/coco/
    td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py @759b39c
    """


@dataclass(frozen=True)
class FastPose:
    """AlphaPose's network: SE-ResNet, pixel shuffling and two upsampling convolutions.

    Attributes:
        joints: heat maps.
        layers: 50, 101 or 152.
        conv_dim: channels before the last convolution, 128 or 256.
        deformable: which of the four layers have deformable convolutions.
        modulated: whether these weigh their taps.

    Source: MVIG-SJTU/AlphaPose alphapose/models/fastpose.py @c60106d
    """

    joints: int = 17
    layers: int = 50
    conv_dim: int = 128
    deformable: tuple[bool, bool, bool, bool] = (False, False, False, False)
    modulated: bool = False


@dataclass(frozen=True)
class FastPoseDuc:
    """AlphaPose's network with three upsampling stages of several convolutions.

    Attributes:
        joints: heat maps.
        layers: 50, 101 or 152.
        backbone: ``shuffle``, ``se-resnet`` or ``plain``.
        convolutions: of each stage.

    Source: MVIG-SJTU/AlphaPose alphapose/models/fastpose_duc.py @c60106d
    """

    joints: int = 17
    layers: int = 50
    backbone: str = "shuffle"
    convolutions: tuple[int, int, int] = (4, 2, 1)


@dataclass(frozen=True)
class FastPoseMobile:
    """MobileNetV3 under FastPose's head, the light one.

    Attributes:
        joints: heat maps.
        size: ``large`` or ``small``.
        conv_dim: channels before the last convolution.

    Source: none is public; pytorch/vision torchvision/models/mobilenetv3.py 0.28.0 for the trunk
    """

    joints: int = 136
    size: str = "large"
    conv_dim: int = 256


@dataclass(frozen=True)
class AlphaSimplePose:
    """SimpleBaseline as AlphaPose has it: other names, other first weights.

    Source: MVIG-SJTU/AlphaPose alphapose/models/simplepose.py @c60106d
    """

    joints: int = 17
    layers: int = 50


@dataclass(frozen=True)
class BodyPoseNet:
    """NVIDIA's BodyPoseNet: heat maps and part affinity fields of everybody in an image.

    Attributes:
        joints: heat maps less one, which is background.
        limbs: part affinity fields, two maps each.
        stages: 1 or more; the official code has 3, or 2.
        width: channels of the first block; the others are 2, 4 and 8 times as wide.
        features: channels of what every stage sees and of its layers (4 times in the first's last).
        shared: both branches share most of a stage (BpNetLiteModel), or nothing (BpNetModel).
        attention: weigh the branches of all stages but the first by a convolution of themselves.
        initializer: of all after the backbone: ``random_normal`` (0.01) or ``xavier``.

    Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/models/bpnet_lite_model.py
    @2ec95cb
    """

    joints: int = 18
    limbs: int = 19
    stages: int = 3
    width: int = 64
    features: int = 128
    shared: bool = True
    attention: bool = False
    initializer: str = "random_normal"


@dataclass(frozen=True)
class LightOpenPose:
    """Lightweight OpenPose: MobileNet v1, an initial stage and refinement stages.

    Attributes:
        joints: heat maps less one, which is background.
        limbs: part affinity fields, two maps each.
        refinements: stages after the initial one that are trained.
        tested: how many of them a test looks through; the published number is of the first of 3.
        features: channels of what every stage sees and of its layers.

    Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch models/with_mobilenet.py
    @d23c284
    """

    joints: int = 18
    limbs: int = 19
    refinements: int = 3
    tested: int = 1
    features: int = 128


Whole = (
    Hourglass52
    | NewellHourglass
    | HRNet
    | PoseResNet
    | MIPNet
    | MIPPoseResNet
    | FastPose
    | FastPoseDuc
    | FastPoseMobile
    | AlphaSimplePose
    | BodyPoseNet
    | CaffePoseResNet
    | HRNetMore
    | PoseResNetVisibility
    | LightOpenPose
    | BearpawHourglass
)
"""Networks as their authors have them."""


@dataclass(frozen=True)
class Pruned:
    """A network without some of its filters; ``python -m paddle_pose prune`` makes it.

    Attributes:
        of: the whole network.
        filters: layer → how many of its outputs are left, of each that has fewer.
    """

    of: Whole = HRNet()
    filters: dict[str, int] = field(default_factory=dict)

    @property
    def joints(self) -> int:
        """Of the whole network."""
        return self.of.joints


Architecture = Whole | Pruned


def whole(architecture: object) -> object:
    """The network before pruning, which is what losses and codecs ask for."""
    return architecture.of if isinstance(architecture, Pruned) else architecture


_TRUNKS = {50: 23.5e6, 101: 42.5e6}
"""Parameters of a ResNet without its last layer, by ``layers``."""


def parameters_about(network: object) -> float:
    """How many parameters it will have, to a tenth; 0 for a network of one's own."""
    network = whole(network)
    match network:
        case Hourglass52():
            return 93.7e6 * network.stacks
        case NewellHourglass() | BearpawHourglass():
            width, stem = network.features, network.stem
            stacks = network.stacks * (9.75 * network.depth + 9.5) * width**2
            more = 13 * stem**2 if isinstance(network, NewellHourglass) else 3.25 * width**2
            return stacks + 14 * stem**2 + 3 * stem * width + 2.75 * width**2 + more
        case HRNet():
            return 27_500 * network.width**2 + 0.37e6
        case PoseResNet():
            return {18: 15e6, 34: 26e6, 50: 34e6, 101: 53e6}.get(network.layers, 69e6)
        case AlphaSimplePose():
            return _TRUNKS.get(network.layers, 58.1e6) + 10.5e6
        case FastPose():
            trunk = _TRUNKS.get(network.layers, 58.1e6) + 11.2e6
            return trunk + 4.7e6 + (9_216 + 9 * network.joints) * network.conv_dim
        case FastPoseDuc():
            extra = {"shuffle": 20.5e6, "se-resnet": 11.2e6}.get(network.backbone, 0)
            stages = zip(network.convolutions, (512, 256, 128), strict=True)
            heads = sum(9 * width**2 * (count + 1) for count, width in stages)
            return _TRUNKS.get(network.layers, 58.1e6) + extra + heads + 2304 * network.joints
        case FastPoseMobile():
            trunk = 5.2e6 if network.size == "large" else 2.3e6
            return trunk + (9_216 + 9 * network.joints) * network.conv_dim
        case BodyPoseNet() | LightOpenPose():
            return _of_fields(network)
    return 0


def _of_fields(network: BodyPoseNet | LightOpenPose) -> float:
    wide, maps = network.features, network.joints + 1 + 2 * network.limbs
    if isinstance(network, LightOpenPose):
        first = 1.6e6 + 1536 * wide + 39 * wide**2 + 512 * maps
        return first + network.refinements * (96 * wide**2 + wide * (wide + 2 * maps))
    attention = 18 * wide**2 if network.attention else 0
    first = (27 if network.shared else 54) * wide**2 + 8 * wide**2 + 4 * wide * maps
    chain = 49 * (4 * wide**2 + (wide + maps) * wide) * (1 if network.shared else 2)
    later = chain + 2 * wide**2 + wide * maps + attention
    stem = 1722 * network.width**2 + 36 * network.width * wide
    return stem + first + (network.stages - 1) * later


def with_joints(architecture: Architecture, joints: int) -> Architecture:
    """The same network for another number of joints, which is said."""
    if architecture.joints != joints:
        print(
            f"=> model.joints: {joints}, as the data have; the recipe's {architecture.joints} is "
            "not used",
            flush=True,
        )
    return with_numbers(architecture, joints=joints)


def with_numbers(architecture: Architecture, **numbers: Any) -> Architecture:
    """The same network with other numbers, of a pruned one those of the whole."""
    if isinstance(architecture, Pruned):
        return replace(architecture, of=replace(architecture.of, **numbers))
    return replace(architecture, **numbers)
