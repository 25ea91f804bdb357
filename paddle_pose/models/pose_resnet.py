"""SimpleBaseline: a ResNet and three transposed convolutions; layers carry the official names.

Sources: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_resnet.py @6f69e46.
"""

from __future__ import annotations

import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import PoseResNet, PoseResNetVisibility
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Conv2DTranspose,
    Head,
    PoseNetwork,
    StageOutput,
    conv,
    global_pool,
    max_pool,
    sigmoid,
    small_normal,
    uniform_by_fan_in,
)
from paddle_pose.models.residual import BasicBlock, Bottleneck, residual_layer
from paddle_pose.models.visibility import MapsAndVisibility, visibility_head

BLOCKS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
"""Source: pose_resnet.py:252."""
DECONV_CHANNELS = 256


class PoseResNetNetwork(PoseNetwork):
    """(B, 3, H, W) -> one StageOutput of (B, J, H/4, W/4).

    Weights begin normal with standard deviation 0.001, batch norms 1 and 0; the bias of the last
    convolution keeps PyTorch's default, its line being commented out (:242). Published rows begin
    from ImageNet weights, and then that bias is 0.

    Source: pose_resnet.py:103; weights :235
    """

    def __init__(self, config: PoseResNet) -> None:
        super().__init__()
        if config.layers not in BLOCKS:
            raise UserError(f"layers={config.layers}: a PoseResNet has one of {sorted(BLOCKS)}")
        self.config = config
        block, counts = BLOCKS[config.layers]
        wide = 512 * block.expansion
        self.conv1 = conv(3, 64, 7, 2)
        self.bn1 = BatchNorm2D(64, relu=True)
        self.layer1 = residual_layer(block, 64, 64, counts[0])
        self.layer2 = residual_layer(block, 64 * block.expansion, 128, counts[1], stride=2)
        self.layer3 = residual_layer(block, 128 * block.expansion, 256, counts[2], stride=2)
        self.layer4 = residual_layer(block, 256 * block.expansion, 512, counts[3], stride=2)
        self.deconv_layers = nn.Sequential(
            *_double(wide), *_double(DECONV_CHANNELS), *_double(DECONV_CHANNELS)
        )
        self.final_layer = Head(
            DECONV_CHANNELS,
            config.joints,
            1,
            weight_attr=small_normal(),
            bias_attr=uniform_by_fan_in(DECONV_CHANNELS),
        )

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 32."""
        self.check_size(images_BCHW)
        x = self.bn1(self.conv1(images_BCHW))
        x = max_pool(x, 3, padding=1)
        x = self.layer2(self.layer1(x))
        x = self.layer4(self.layer3(x))
        return [StageOutput(self.final_layer(self.deconv_layers(x)))]


class PoseResNetVisibilityNetwork(PoseResNetNetwork):
    """(B, 3, H, W) -> one MapsAndVisibility: the same maps, and a probability of each joint.

    Source: open-mmlab/mmpose mmpose/models/heads/hybrid_heads/vis_head.py:15 @759b39c
    """

    def __init__(self, config: PoseResNetVisibility) -> None:
        super().__init__(config)
        wide = 512 * BLOCKS[config.layers][0].expansion
        self.vis_head = visibility_head(wide, config.joints)

    def forward(self, images_BCHW: paddle.Tensor) -> list[MapsAndVisibility]:  # type: ignore[override]
        """Raises UserError unless both sides are multiples of 32."""
        self.check_size(images_BCHW)
        x = max_pool(self.bn1(self.conv1(images_BCHW)), 3, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        visible_BJ = sigmoid(self.vis_head(global_pool(x).flatten(1)))
        return [MapsAndVisibility(self.final_layer(self.deconv_layers(x)), visible_BJ)]


def _double(in_channels: int) -> tuple[nn.Layer, nn.Layer, nn.Layer]:
    """4×4 transposed convolution of stride 2 (twice the size), batch norm, ReLU."""
    deconv = Conv2DTranspose(
        in_channels,
        DECONV_CHANNELS,
        4,
        stride=2,
        padding=1,
        weight_attr=small_normal(),
        bias_attr=False,
    )
    # The last one keeps the ReLU's number, for the official names count it.
    return deconv, BatchNorm2D(DECONV_CHANNELS, relu=True), nn.Identity()
