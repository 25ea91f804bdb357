"""HRNet that also learns joints which nobody asks it for."""

from __future__ import annotations

from dataclasses import replace

import paddle

from paddle_pose.models.architectures import HRNetMore
from paddle_pose.models.blocks import StageOutput
from paddle_pose.models.hrnet import HRNetNetwork


class HRNetMoreNetwork(HRNetNetwork):
    """(B, 3, H, W) -> (B, J + more, H/4, W/4) in training, (B, J, H/4, W/4) else.

    Source: open-mmlab/mmpose mmpose/models/pose_estimators/topdown.py:150 @759b39c, which drops
    them from poses: each map is decoded by itself, so it is the same
    """

    def __init__(self, config: HRNetMore) -> None:
        super().__init__(replace(config, joints=config.joints + config.more))
        self.config = config

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """Raises UserError unless both sides are multiples of 32."""
        stages = super().forward(images_BCHW)
        if self.training:
            return stages
        return [StageOutput(one.heatmaps_BJHW[:, : self.config.joints]) for one in stages]
