"""Rendered pairs, one person behind the other: a small HRNet, and the same network as MIPNet.

Both learn the same crops in the same order for the same number of steps, from the same weights: of
one seed, what both have begins alike. They learn to name each joint's cell (cross-entropy, as the
quickstart: the papers' squared error hardly leaves the mean pose in so few steps).
``python -m reproduce.crowd_run`` runs and compares them.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.models.architectures import HRNet, MIPNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    TrainSettings,
)


def hrnet_w8_pairs_96x64() -> Recipe:
    """HRNet at a quarter of W32's width (8), 96×64, on rendered pairs; no published row.

    Protocol: the boxes of both people, COCO's AP over CrowdPose's fourteen joints.
    Cost: 6,400 people, 3,200 steps of 16: half an hour of one CPU core.
    Source: none; the pictures are drawn by ``paddle_pose/synthetic/crowd.py``.
    """
    return Recipe(
        name="hrnet_w8_pairs_96x64",
        model=HRNet(joints=14, width=8),
        data=DataSettings(
            dataset="coco",
            skeleton="crowdpose14",
            image_size_wh=(64, 96),
            train_split="train",
            val_split="valid",
        ),
        augment=AugmentSettings(scale_factor=0.15, rotation_deg=20.0),
        codec=HeatmapCodec(sigma_px=1.0, maps="logits"),
        train=TrainSettings(
            epochs=8,
            batch_size=16,
            learning_rate=4e-3,
            loss="cell_cross_entropy",
            schedule="cosine",
            warmup_steps=50,
            warmup_factor=0.01,
            select_metric="AP",
            validate_every=8,
            log_every=50,
            save_every=100,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(
            Benchmark(
                name="pairs_ground_truth",
                decoder="dark",
                metric=OksProtocol(oks_nms=0.9, rescore=True),
                source="none: no published number",
            ),
        ),
    )


def mipnet_w8_pairs_96x64() -> Recipe:
    """hrnet_w8_pairs_96x64 as MIPNet, which is asked for both people of a box; no published row.

    Protocol: as there, both poses of every box, the second's score halved.
    Cost: as there, and a tenth more.
    Source: none; see there.
    """
    base = hrnet_w8_pairs_96x64()
    return replace(
        base,
        name="mipnet_w8_pairs_96x64",
        model=MIPNet(joints=14, width=8),
        codec=PairCodec(sigma_px=1.0, maps="logits"),
        train=replace(base.train, loss="two_people_cross_entropy"),
    )
