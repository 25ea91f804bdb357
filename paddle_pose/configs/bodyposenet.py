"""BodyPoseNet (NVIDIA TLT 3.0, 2021): everybody in an image at once, by heat maps and fields.

The published AP 56.2 on COCO val2017 does not say by which of the three protocols; it is no row's.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.configs.whole_images import BENCHMARKS
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    DataSettings,
    EvalSettings,
    Momentum,
    ParameterGroup,
    SpatialSettings,
    TrainSettings,
)

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


def vgg19_coco() -> Recipe:
    """BodyPoseNet of three stages, COCO, one device: published AP 56.2, under no stated protocol.

    Protocol: whole pictures of val2017, one scale, four, or strict (``configs.whole_images``).
    Cost: 100 epochs of some 115,240 records, 1,152,400 steps of 10; begins from VGG-19 trained on
    OpenImages (not public): ``--pretrained_model vgg_19.hdf5 --allow_partial``.
    Source: NVIDIA/tao_tutorials bpnet/specs/bpnet_train_m1_coco.yaml @b7ea82a, with the 100 epochs
    of its documentation: the notebook's 20 begin from the trained network
    """
    return Recipe(
        name="vgg19_coco",
        model=BodyPoseNet(stages=3),
        data=DataSettings(
            dataset="coco",
            skeleton="bodypose18",
            image_size_wh=(256, 256),
            train_split="train2017",
            val_split="val2017",
            rgb_mean=(128 / 255,) * 3,
            rgb_std=(256 / 255,) * 3,
        ),
        augment=AugmentSettings(
            distribution="uniform",
            scale_factor=0.0,
            rotation_deg=40.0,
            rotation_probability=1.0,
            flip_probability=0.5,
            spatial=SpatialSettings(),
        ),
        codec=PafCodec(),
        train=TrainSettings(
            epochs=100,
            batch_size=10,
            learning_rate=2e-5,
            schedule="soft_start_annealing",
            optimizer=OPTIMIZER,
            loss="masked_squares",
            drop_last=True,
            validate_every=5,
            keep_every=5,
            select_metric="AP",
            pretrained="OpenImages",
        ),
        eval=EvalSettings(batch_size=8),
        benchmarks=BENCHMARKS,
    )


def vgg19_coco_4_devices() -> Recipe:
    """vgg19_coco on four devices, ten records and a rate of 2e-5 for each: published AP as there.

    Protocol: as vgg19_coco.
    Cost: 288,100 steps of 40.
    Source: nvidia_tao_tf1/cv/bpnet/experiment_specs/experiment_spec_coco_4gpus.yaml @2ec95cb
    """
    base = vgg19_coco()
    train = replace(base.train, batch_size=40, learning_rate=8e-5, keep_every=10)
    return replace(base, name="vgg19_coco_4_devices", train=train)


def vgg19_coco_8_devices() -> Recipe:
    """vgg19_coco on eight devices, the rate scaled as its documentation says: no published row.

    Protocol: as vgg19_coco.
    Cost: 144,000 steps of 80.
    """
    base = vgg19_coco()
    train = replace(
        base.train, batch_size=80, scale_learning_rate="linear", base_batch_size=10, keep_every=10
    )
    return replace(base, name="vgg19_coco_8_devices", train=train)


def two_stages() -> Recipe:
    """BodyPoseNet of two stages on eight devices, 12.4 million parameters: no published row.

    Protocol: as vgg19_coco.
    Cost: 120 epochs, 172,800 steps of 80, at a rate of 1.2e-4: less than eight times 2e-5.
    Source: nvidia_tao_tf1/cv/bpnet/experiment_specs/experiment_spec_coco_8gpus.yaml @2ec95cb
    """
    base = vgg19_coco()
    train = replace(base.train, epochs=120, batch_size=80, learning_rate=1.2e-4, keep_every=10)
    return replace(base, name="two_stages", model=BodyPoseNet(stages=2), train=train)
