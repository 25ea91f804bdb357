"""AlphaPose's networks: a backbone, pixel shuffling, and maps of a quarter of the image's size.

Layers carry the official names. Sources: MVIG-SJTU/AlphaPose alphapose/models/ @c60106d. The light
network is not among them: it is put together as its author describes it.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
)
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2DTranspose,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    pixel_shuffle,
    small_normal,
)
from paddle_pose.models.mobilenet import SIZES, mobilenet_features
from paddle_pose.models.se_resnet import CHANNELS, AlphaResNet, torch_conv

DUC_BACKBONES: dict[str, dict[str, Any]] = {
    "shuffle": {"shuffled": True},
    "se-resnet": {},
    "plain": {"squeezed": False},
}
"""Source: fastpose_duc.py:27"""
DECONV_CHANNELS = 256


class PixelShuffle(nn.Layer):
    """``pixel_shuffle`` by 2 as a layer."""

    def forward(self, x: Features) -> Features:
        """(B, 4C, H, W) -> (B, C, 2H, 2W)."""
        return pixel_shuffle(x, 2)


class _Duc(nn.Layer):
    """3×3 convolution, batch norm, ReLU, then pixel shuffling: twice the size.

    Source: layers/DUC.py:9
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = torch_conv(in_channels, out_channels, 3)
        self.bn = BatchNorm2D(out_channels, relu=True)

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out/4, 2H, 2W)."""
        return pixel_shuffle(self.bn(self.conv(x)), 2)


def _conv_out(in_channels: int, joints: int, kernel: int = 3) -> Head:
    """The last layer: weights normal with standard deviation 0.001, bias 0.

    Source: fastpose.py:61, simplepose.py _initialize
    """
    return Head(in_channels, joints, kernel, padding=(kernel - 1) // 2, weight_attr=small_normal())


class _Shuffling(PoseNetwork):
    """Whose convolutions stand between pixel shuffles.

    Attributes:
        bfloat16_operators: what else must compute in it: between two of float32 a convolution
            would be one of float32 too. In graphs pixels are shuffled by reshaping.
    """

    bfloat16_operators = frozenset({"reshape2"})


class _ShuffledNetwork(_Shuffling):
    """``preact``, pixel shuffling, two DUC and ``conv_out``; a subclass makes ``preact``."""

    def add_head(self, in_channels: int, conv_dim: int, joints: int) -> None:
        """All behind ``preact``, which puts out 4 × ``in_channels``."""
        self.duc1 = _Duc(in_channels, 1024)
        self.duc2 = _Duc(256, 4 * conv_dim)
        self.conv_out = _conv_out(conv_dim, joints)

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4).

        Raises:
            UserError: sides that are not multiples of 32.
        """
        self.check_size(images_BCHW)
        x = pixel_shuffle(self.preact(images_BCHW), 2)
        return [StageOutput(self.conv_out(self.duc2(self.duc1(x))))]


class FastPoseNetwork(_ShuffledNetwork):
    """SE-ResNet under the head of ``_ShuffledNetwork``.

    Source: fastpose.py:14
    """

    def __init__(self, config: FastPose) -> None:
        super().__init__()
        if config.conv_dim not in (128, 256):
            raise UserError(f"model.conv_dim={config.conv_dim}: FastPose has 128 or 256")
        if config.modulated and not any(config.deformable):
            raise UserError("model.modulated: weighs the taps of model.deformable; no layer is")
        self.config = config
        self.preact = AlphaResNet(
            config.layers, deformable=config.deformable, modulated=config.modulated
        )
        self.add_head(CHANNELS // 4, config.conv_dim, config.joints)


class FastPoseMobileNetwork(_ShuffledNetwork):
    """MobileNetV3's features under the same head, with any ``conv_dim``.

    Source: none is public; the seed's description. Weights begin as torchvision's and FastPose's.
    """

    def __init__(self, config: FastPoseMobile) -> None:
        super().__init__()
        if config.conv_dim < 1:
            raise UserError(f"model.conv_dim={config.conv_dim}: expected at least 1")
        self.config = config
        self.preact = mobilenet_features(config.size)
        self.add_head(SIZES[config.size][1] // 4, config.conv_dim, config.joints)


class FastPoseDucNetwork(_Shuffling):
    """ResNet of three kinds, and three stages of pixel shuffling and several convolutions.

    Source: fastpose_duc.py:17
    """

    def __init__(self, config: FastPoseDuc) -> None:
        super().__init__()
        if config.backbone not in DUC_BACKBONES:
            hint = nearest(config.backbone, DUC_BACKBONES)
            kinds = ", ".join(DUC_BACKBONES)
            raise UserError(f"model.backbone='{config.backbone}': expected one of {kinds}{hint}")
        if min(config.convolutions) < 1:
            raise UserError(f"model.convolutions={list(config.convolutions)}: at least 1 each")
        self.config = config
        self.preact = AlphaResNet(config.layers, **DUC_BACKBONES[config.backbone])
        width = CHANNELS // 4
        for number, count in enumerate(config.convolutions, start=1):
            out = 2048 // 2**number
            setattr(self, f"duc{number}", _duc_stage(width, out, count))
            width = out // 4
        self.conv_out = _conv_out(out, config.joints)

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """As ``_ShuffledNetwork``."""
        self.check_size(images_BCHW)
        x = self.preact(images_BCHW)
        return [StageOutput(self.conv_out(self.duc3(self.duc2(self.duc1(x)))))]


def _duc_stage(channels: int, out_channels: int, convolutions: int) -> nn.Sequential:
    """Pixel shuffling to ``channels``, and 3×3 convolutions that keep them, but for the last."""
    layers: list[nn.Layer] = [PixelShuffle()]
    for out in (*[channels] * (convolutions - 1), out_channels):
        # The last one keeps the ReLU's number, for the official names count it.
        layers += [torch_conv(channels, out, 3), BatchNorm2D(out, relu=True), nn.Identity()]
    return nn.Sequential(*layers)


class AlphaSimplePoseNetwork(PoseNetwork):
    """A plain ResNet and three transposed convolutions: SimpleBaseline under AlphaPose's names.

    Weights of the transposed convolutions and the last layer begin normal with standard deviation
    0.001, the last bias 0.

    Source: simplepose.py:14
    """

    def __init__(self, config: AlphaSimplePose) -> None:
        super().__init__()
        self.config = config
        self.preact = AlphaResNet(config.layers, squeezed=False)
        layers: list[nn.Layer] = []
        for width in (CHANNELS, DECONV_CHANNELS, DECONV_CHANNELS):
            deconv = Conv2DTranspose(
                width,
                DECONV_CHANNELS,
                4,
                stride=2,
                padding=1,
                weight_attr=small_normal(),
                bias_attr=False,
            )
            layers += [deconv, BatchNorm2D(DECONV_CHANNELS, relu=True), nn.Identity()]
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = _conv_out(DECONV_CHANNELS, config.joints, 1)

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """As ``_ShuffledNetwork``."""
        self.check_size(images_BCHW)
        return [StageOutput(self.final_layer(self.deconv_layers(self.preact(images_BCHW))))]
