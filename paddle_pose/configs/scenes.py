"""A small BodyPoseNet on rendered scenes, and a top-down network beside it; no published rows.

``python -m reproduce.scenes_run`` runs, prunes, quantises and compares them.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.configs.bodyposenet import two_stages
from paddle_pose.configs.pairs import hrnet_w8_pairs_96x64
from paddle_pose.configs.whole_images import SINGLE
from paddle_pose.models.architectures import BodyPoseNet, HRNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    Adam,
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    SpatialSettings,
    WholeImage,
)

_SINGLE = replace(
    SINGLE,
    name="scenes_single",
    whole=WholeImage((192, 192), "adjust", "reference"),
    source="none: no published number",
)


def vgg_scenes() -> Recipe:
    """BodyPoseNet of two stages, a fifth as wide, 192×192, on rendered scenes; no published row.

    Protocol: AP of everybody in scenes of one to eight people, one scale, four scales or strict.
    Cost: 1,700 pictures, half an hour of one CPU core.
    Source: none; the pictures are drawn by ``paddle_pose/synthetic/several.py``. Network, targets
    and loss are ``bodyposenet:two_stages``'s, the optimiser is Adam: so short a training.
    """
    base = two_stages()
    return replace(
        base,
        name="vgg_scenes",
        model=BodyPoseNet(stages=2, width=12, features=32, initializer="xavier"),
        data=replace(base.data, image_size_wh=(192, 192)),
        augment=AugmentSettings(
            distribution="uniform",
            scale_factor=0.0,
            rotation_deg=20.0,
            rotation_probability=1.0,
            flip_probability=0.5,
            spatial=SpatialSettings(zoom_probability=0.5, zoom=(0.5, 1.0)),
        ),
        train=replace(
            base.train,
            epochs=3,
            batch_size=8,
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=100,
            warmup_factor=0.01,
            optimizer=Adam(),
            validate_every=3,
            keep_every=0,
            log_every=50,
            save_every=100,
            pretrained="none",
        ),
        eval=EvalSettings(batch_size=8, bootstrap=0),
        benchmarks=(
            _SINGLE,
            replace(_SINGLE, name="scenes_multi_scale", test_scales=(0.5, 1.0, 1.5, 2.0)),
            replace(
                _SINGLE, name="scenes_strict", whole=WholeImage((192, 264), "pad", "reference")
            ),
        ),
    )


def hrnet_w8_scenes_96x64() -> Recipe:
    """HRNet at a quarter of W32's width, 96×64, on the people of the scenes; no published row.

    Protocol: COCO's AP with true boxes.
    Cost: a quarter of an hour of one CPU core.
    Source: none; as ``pairs:hrnet_w8_pairs_96x64``.
    """
    base = hrnet_w8_pairs_96x64()
    return replace(
        base,
        name="hrnet_w8_scenes_96x64",
        model=HRNet(joints=17, width=8),
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            image_size_wh=(64, 96),
            train_split="train2017",
            val_split="val2017",
        ),
        codec=HeatmapCodec(sigma_px=1.0, maps="logits"),
        train=replace(base.train, epochs=3, validate_every=3),
        benchmarks=(
            Benchmark(
                name="scenes_ground_truth",
                decoder="dark",
                metric=OksProtocol(),
                source="none: no published number",
            ),
        ),
    )
