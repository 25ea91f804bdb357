"""BodyPoseNet: VGG-19 with strided convolutions, then stages of heat maps and affinity fields.

Weights have the official names, with dots for slashes. Images may have any size: every stage puts
out ceil(size / 8) cells.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/models/bpnet_lite_model.py,
bpnet_model.py, templates/vgg.py @2ec95cb
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.models.blocks import (
    Conv2D,
    Features,
    Head,
    PoseNetwork,
    StageOutput,
    concat,
    normal_by,
    relu,
    scale,
    sigmoid,
)
from paddle_pose.models.keras_layers import KerasBatchNorm2D, SameConv2D, glorot_uniform, tanh

BACKBONE = (
    ("1a", 1, 1), ("1b", 1, 1), ("2a", 2, 2), ("2b", 2, 1), ("3a", 4, 2), ("3b", 4, 1),
    ("3c", 4, 1), ("3d", 4, 1), ("4a", 8, 2), ("4b", 8, 1), ("6a", 4, 1),
)  # fmt: skip
"""Name, channels in widths of the first, stride. There is no block 5, and no pooling."""

FIRST_WEIGHTS: dict[str, Callable[[], Any]] = {
    "random_normal": partial(normal_by, 0.01),
    "xavier": glorot_uniform,
}
"""Of all after the backbone, by ``model.initializer``."""

_OUTPUTS = ("heat_branch", "paf_branch")


class BodyPoseNetNetwork(PoseNetwork):
    """BpNetLiteModel, where both branches share most of a stage, or BpNetModel, where they do not.

    Raises:
        UserError: numbers that no such network has.
    """

    size_multiple = 1

    def __init__(self, config: BodyPoseNet) -> None:
        super().__init__()
        if config.initializer not in FIRST_WEIGHTS:
            raise UserError(
                f"model.initializer={config.initializer}: must be {' or '.join(FIRST_WEIGHTS)}"
            )
        channels = 3
        for name, times, stride in BACKBONE:
            width = times * config.width
            how = {"weight_attr": glorot_uniform(), "bias_attr": False}
            conv = (
                Conv2D(channels, width, 3, padding=1, **how)
                if stride == 1
                else SameConv2D(channels, width, 3, stride, **how)
            )
            self.add_sublayer(f"block_{name}_conv_1", conv)
            self.add_sublayer(f"block_{name}_bn_1", KerasBatchNorm2D(width, relu=True))
            channels = width
        self.channel_reduction_conv = _conv(config, channels, config.features, 3)
        maps = (config.joints + 1, 2 * config.limbs)
        channels = config.features
        for number in range(1, config.stages + 1):
            stage = _Stage(config, channels, first=number == 1)
            self.add_sublayer(f"stage{number}", stage)
            heads = [_conv(config, stage.channels, count, 1, Head) for count in maps]
            if number == config.stages:
                self.heatmap_out, self.paf_out = heads
            else:
                stage.add_heads(heads)
            channels = config.features + sum(maps)
        self._names = [f"stage{number}" for number in range(1, config.stages + 1)]

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """(B, 3, H, W) -> per stage (B, joints + 1, h, w) and (B, 2 × limbs, h, w), h = H / 8 up.

        The last heat map is background; the fields are x and y of the first limb, then the second.
        """
        x = images_BCHW
        for name, _, _ in BACKBONE:
            x = self._sub_layers[f"block_{name}_bn_1"](self._sub_layers[f"block_{name}_conv_1"](x))
        features = x = relu(self.channel_reduction_conv(x))
        outputs: list[StageOutput] = []
        for name in self._names:
            stage = self._sub_layers[name]
            last = (self.heatmap_out, self.paf_out)
            heads = last if name == self._names[-1] else stage.heads()
            for_heatmaps, for_pafs = stage(x)
            outputs.append(StageOutput(heads[0](for_heatmaps), heads[1](for_pafs)))
            x = concat(features, *outputs[-1])
        return outputs


class _Stage(nn.Layer):
    """A stage up to its last layers, which are 1×1.

    Attributes:
        channels: of either branch.
    """

    def __init__(self, config: BodyPoseNet, inputs: int, *, first: bool) -> None:
        super().__init__()
        count, kernel = (3, 3) if first else (5, 7)
        self.channels = 4 * config.features if first else config.features
        self._chain = [f"conv{number}" for number in range(1, count + 1)]
        self._own = f"conv{count + 1}"
        self._shared, self._attentive = config.shared, config.attention and not first
        self._branches = ("cmap", "paf") if config.shared else _OUTPUTS

        def chain() -> dict[str, nn.Layer]:
            widths = [inputs, *[config.features] * (count - 1)]
            made = [_conv(config, width, config.features, kernel) for width in widths]
            return dict(zip(self._chain, made, strict=True))

        for name, layer in chain().items() if config.shared else ():
            self.add_sublayer(name, layer)
        for name in self._branches:
            branch = {} if config.shared else chain()
            branch[self._own] = _conv(config, config.features, self.channels, 1)
            if self._attentive:
                branch["attention_conv"] = _conv(config, self.channels, self.channels, 3)
            self.add_sublayer(name, nn.LayerDict(branch))

    def add_heads(self, heads: list[Head]) -> None:
        """The last layers of heat maps and fields, where the stage is not the network's last."""
        for name, head in zip(_OUTPUTS, heads, strict=True):
            if self._shared:
                self.add_sublayer(name, nn.LayerDict())
            self._sub_layers[name].add_sublayer("out", head)

    def heads(self) -> list[nn.Layer]:
        """What ``add_heads`` has added."""
        return [self._sub_layers[name]["out"] for name in _OUTPUTS]

    def forward(self, x: Features) -> list[Features]:
        """(B, in, H, W) -> (B, channels, H, W), for heat maps and for fields."""
        if self._shared:
            x = self._through(self, x)
        found = []
        for name, activation in ((self._branches[0], sigmoid), (self._branches[1], tanh)):
            branch = getattr(self, name)
            y = x if self._shared else self._through(branch, x)
            y = relu(getattr(branch, self._own)(y))
            if self._attentive:
                y = scale(y, activation(branch.attention_conv(y)))
            found.append(y)
        return found

    def _through(self, owner: nn.Layer, x: Features) -> Features:
        for name in self._chain:
            x = relu(getattr(owner, name)(x))
        return x


def _conv(
    config: BodyPoseNet, inputs: int, outputs: int, kernel: int, kind: type[Conv2D] = Conv2D
) -> Conv2D:
    weight = FIRST_WEIGHTS[config.initializer]()
    return kind(inputs, outputs, kernel, padding=kernel // 2, weight_attr=weight)
