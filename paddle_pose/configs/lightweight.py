"""Lightweight OpenPose (Osokin 2018): everybody in an image at once, on a MobileNet.

Three trainings, each from the weights of the one before. The published 40 % AP on COCO val2017 is
of the third, which has three refinement stages, looked at through the first of them alone.

Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch README.md:42, train.py @d23c284
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.light_paf import LightPafCodec
from paddle_pose.models.architectures import LightOpenPose
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    Adam,
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    ParameterGroup,
    SpatialSettings,
    TrainSettings,
    WholeImage,
)

SINGLE = Benchmark(
    name="coco_val_height_368",
    boxes="none",
    flip_test=False,
    shift_heatmap=False,
    metric=OksProtocol(),
    whole=WholeImage((368, 368), "height", "exact"),
)
"""``val.py``: one scale, every picture 368 pixels high, no flip."""

MULTI_SCALE = replace(SINGLE, name="coco_val_height_4_scales", test_scales=(0.5, 1.0, 1.5, 2.0))
"""``val.py --multiscale``: maps of four scales averaged."""

OPTIMIZER = Adam(
    l2=5e-4,
    groups=(
        ParameterGroup("model.0.0.weight"),
        ParameterGroup("model.*.3.weight"),
        ParameterGroup("model.*.weight", decay=0),
        ParameterGroup("model.*.bias", rate=2, decay=0),
        ParameterGroup("cpm.trunk.*.0.weight", decay=0),
        ParameterGroup("cpm.*.bias", rate=2, decay=0),
        ParameterGroup("initial_stage.*.bias", rate=2, decay=0),
        ParameterGroup("refinement_stages.*.trunk.*.trunk.*.1.weight", decay=0),
        ParameterGroup("refinement_stages.*.trunk.*.trunk.*.1.bias", rate=2, decay=0),
        ParameterGroup("refinement_stages.*.weight", rate=4),
        ParameterGroup("refinement_stages.*.bias", rate=8, decay=0),
    ),
)
"""Biases learn twice as fast, convolutions of refinements four times; no decay of biases, batch
norms and convolutions of single channels. Source: train.py:41"""


def from_mobilenet_coco() -> Recipe:
    """Lightweight OpenPose, one refinement, from MobileNet: about 38 % AP, no published row.

    Protocol: whole pictures of val2017, 368 pixels high, one scale.
    Cost: 420,000 steps of 80. Begins with mobilenet_sgd_68.848.pth.tar (marvis/pytorch-mobilenet):
    ``--pretrained_model FILE --allow_partial``.
    Source: README.md:43, :53; train.py @d23c284, whose rates fall an epoch earlier in a PyTorch
    newer than the 0.4.1 that it is for
    """
    return Recipe(
        name="from_mobilenet_coco",
        model=LightOpenPose(refinements=1),
        data=DataSettings(
            dataset="coco",
            skeleton="bodypose18",
            image_size_wh=(368, 368),
            train_split="train2017",
            val_split="val2017",
            rgb_mean=(128 / 255,) * 3,
            rgb_std=(256 / 255,) * 3,
            channel_order="bgr",
        ),
        augment=AugmentSettings(
            distribution="uniform",
            scale_factor=0.0,
            rotation_deg=40.0,
            rotation_probability=1.0,
            flip_probability=0.5,
            spatial=SpatialSettings(zoom_probability=1.0, zoom=(0.5, 1.1)),
        ),
        codec=LightPafCodec(),
        train=TrainSettings(
            epochs=280,
            batch_size=80,
            learning_rate=4e-5,
            milestones=(100, 200, 260),
            gamma=0.333,
            optimizer=OPTIMIZER,
            loss="masked_squares",
            validate_every=5,
            keep_every=5,
            select_metric="AP",
            pretrained="ImageNet",
            max_steps=420_000,
        ),
        eval=EvalSettings(batch_size=1),
        benchmarks=(SINGLE, MULTI_SCALE),
    )


def again_coco() -> Recipe:
    """The same from the weights of from_mobilenet_coco: about 39 % AP, no published row.

    Protocol: as there.
    Cost: 280,000 steps of 80.
    Source: README.md:44, :55 @d23c284
    """
    base = from_mobilenet_coco()
    train = replace(base.train, pretrained="COCO", max_steps=280_000)
    return replace(base, name="again_coco", train=train)


def three_stages_coco() -> Recipe:
    """Three refinement stages, from the weights of again_coco: published AP .40.

    Protocol: as there, by the initial stage and the first refinement; the others are for training.
    Cost: 370,000 steps of 80; checkpoint_iter_370000.pth is its last.
    Source: README.md:57, :96 @d23c284
    """
    base = again_coco()
    return replace(
        base,
        name="three_stages_coco",
        model=LightOpenPose(),
        train=replace(base.train, max_steps=370_000),
    )
