"""MIPNet: HRNet or a PoseResNet asked twice about a box, whose it is and who is in it besides.

Sources: rawalkhirodkar/MIPNet lib/models/pose_hrnet_se_lambda.py, pose_resnet_se_lambda.py
@245651d.
"""

from __future__ import annotations

import paddle

from paddle_pose.models.architectures import MIPNet, MIPPoseResNet
from paddle_pose.models.blocks import max_pool
from paddle_pose.models.hrnet import HRNetNetwork
from paddle_pose.models.instances import (
    TwoPersonNetwork,
    linear_near_zero,
    linear_of_torch,
)
from paddle_pose.models.pose_resnet import BLOCKS, PoseResNetNetwork


class MIPNetNetwork(TwoPersonNetwork, HRNetNetwork):
    """HRNet with gates before stages 2, 3 and 4 and before the last layer.

    Weights of gates begin as HRNet's do, normal with standard deviation 0.001, biases 0.

    Source: pose_hrnet_se_lambda.py:334; weights :523
    """

    def __init__(self, config: MIPNet) -> None:
        HRNetNetwork.__init__(self, config)
        widths = [config.width * 2**branch for branch in range(4)]
        channels = {
            "stage1_se": widths[:2],
            "stage2_se": widths[:3],
            "stage3_se": widths,
            "stage4_se": widths[:1],
        }
        self.add_gates(config.modulated, channels, linear_near_zero)

    def heatmaps(self, images_BCHW: paddle.Tensor, instance: str) -> paddle.Tensor:
        """As ``TwoPersonNetwork`` has it."""
        x = self.bn1(self.conv1(images_BCHW))
        x = self.layer1(self.bn2(self.conv2(x)))
        branches = [self.transition1["0"](x), self.transition1["1"](x)]
        branches = self.stage2(self.gated("stage1_se", branches, instance))
        branches = [*branches, self.transition2["2"](branches[-1])]
        branches = self.stage3(self.gated("stage2_se", branches, instance))
        branches = [*branches, self.transition3["3"](branches[-1])]
        branches = self.stage4(self.gated("stage3_se", branches, instance))
        (x,) = self.gated("stage4_se", branches, instance)
        return self.final_layer(x)


class MIPPoseResNetNetwork(TwoPersonNetwork, PoseResNetNetwork):
    """SimpleBaseline with gates before its four layers.

    Weights of gates keep PyTorch's default, as nobody sets them there.

    Source: pose_resnet_se_lambda.py:125; weights :258
    """

    def __init__(self, config: MIPPoseResNet) -> None:
        PoseResNetNetwork.__init__(self, config)
        expansion = BLOCKS[config.layers][0].expansion
        widths = (64, 64 * expansion, 128 * expansion, 256 * expansion)
        channels = {f"layer{number}_se": [width] for number, width in enumerate(widths, start=1)}
        self.add_gates(config.modulated, channels, linear_of_torch)

    def heatmaps(self, images_BCHW: paddle.Tensor, instance: str) -> paddle.Tensor:
        """As ``TwoPersonNetwork`` has it."""
        x = max_pool(self.bn1(self.conv1(images_BCHW)), 3, padding=1)
        (x,) = self.gated("layer1_se", [x], instance)
        (x,) = self.gated("layer2_se", [self.layer1(x)], instance)
        (x,) = self.gated("layer3_se", [self.layer2(x)], instance)
        (x,) = self.gated("layer4_se", [self.layer3(x)], instance)
        x = self.layer4(x)
        return self.final_layer(self.deconv_layers(x))
