"""SimpleBaseline with ResNets as Caffe's first ones: the 1×1 convolution carries the stride."""

from __future__ import annotations

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import CaffePoseResNet
from paddle_pose.models.blocks import conv
from paddle_pose.models.pose_resnet import PoseResNetNetwork
from paddle_pose.models.residual import Bottleneck


class CaffePoseResNetNetwork(PoseResNetNetwork):
    """PoseResNet but for the first blocks of layers 2 to 4, which halve before their 3×3.

    Names, shapes and first weights are the same: either's weights fit the other without a word.

    Source: microsoft/human-pose-estimation.pytorch lib/models/pose_resnet.py:102 @49f3f44
    """

    def __init__(self, config: CaffePoseResNet) -> None:
        """Raises UserError unless ``layers`` is 50, 101 or 152."""
        super().__init__(config)
        for channels, layer in ((128, self.layer2), (256, self.layer3), (512, self.layer4)):
            block = layer[0]
            if not isinstance(block, Bottleneck):
                raise UserError(f"layers={config.layers}: Caffe's style is of 50, 101 and 152")
            block.conv1 = conv(2 * channels, channels, 1, 2)
            block.conv2 = conv(channels, channels, 3)
