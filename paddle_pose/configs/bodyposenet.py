"""BodyPoseNet (NVIDIA TLT 3.0): everybody in an image at once, by heat maps and affinity fields."""

from __future__ import annotations

from paddle_pose.settings import Momentum, ParameterGroup

OPTIMIZER = Momentum(
    momentum=0.9,
    l1=5e-4,
    groups=(
        ParameterGroup("stage1.*.bias", rate=2, decay=0),
        ParameterGroup("stage1.*"),
        ParameterGroup("stage*.bias", rate=8, decay=0),
        ParameterGroup("stage*", rate=4),
        ParameterGroup("*_out.bias", rate=8, decay=0),
        ParameterGroup("*_out.weight", rate=4),
        ParameterGroup("*_bn_1.*", decay=0),
        ParameterGroup("*.bias", rate=2, decay=0),
    ),
)
"""Stages after the first, and whatever is last, learn four times as fast as the rest, biases twice
as fast again; L1 on kernels alone. The official code takes stages 10 … 19 for the first.

Source: models/bpnet_lite_model.py:492 get_lr_multipiers; experiment_spec_coco_4gpus.yaml @2ec95cb
"""
