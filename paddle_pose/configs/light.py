"""Small runs of the light FastPose on a CPU; no published rows.

On LSPET's photos beside Newell's hourglass, for as much processor time; and on rendered people with
one thing changed at a time. ``python -m reproduce.light_run`` runs and compares them.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import IntegralCodec
from paddle_pose.configs.quickstart import newell_hg1_synthetic
from paddle_pose.models.architectures import FastPoseMobile
from paddle_pose.recipes.alphapose import RGB_MEAN, RGB_STD
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    OksProtocol,
    Stage,
)


def newell_hg1_lspet_96x96() -> Recipe:
    """The quickstart's hourglass, 96×96, on all of LSPET's people; no published row.

    Cost: 24 minutes of one CPU core (87 people a second).
    Source: none; the network, loss and schedule are ``quickstart:newell_hg1_synthetic``'s.
    """
    base = newell_hg1_synthetic()
    return replace(
        base,
        name="newell_hg1_lspet_96x96",
        augment=AugmentSettings(scale_factor=0.2, rotation_deg=30.0),
        train=replace(base.train, epochs=15, validate_every=3, save_every=100),
        benchmarks=(
            Benchmark(name="lspet_val", decoder="dark", source="none: no published number"),
        ),
    )


def mobile_small_lspet_96x96() -> Recipe:
    """FastPoseMobile-small by integral regression, 96×96, on all of LSPET's people.

    No published row. Pixels, codec and loss are AlphaPose's; the schedule is the hourglass's.
    Cost: as newell_hg1_lspet_96x96 (47 people a second), which the epochs are chosen for.
    Source: none; see ``fastpose:mobile_small_halpe136_256x192``.
    """
    base = newell_hg1_lspet_96x96()
    return replace(
        base,
        name="mobile_small_lspet_96x96",
        model=FastPoseMobile(joints=16, size="small", conv_dim=128),
        data=replace(base.data, rgb_mean=RGB_MEAN, rgb_std=RGB_STD),
        codec=IntegralCodec(),
        train=replace(
            base.train, epochs=8, validate_every=2, learning_rate=3e-3, loss="integral_l1"
        ),
        benchmarks=(Benchmark(name="lspet_val", source="none: no published number"),),
    )


def mobile_small_people_96x64() -> Recipe:
    """FastPoseMobile-small by integral regression, 96×64, on rendered people; no published row.

    Protocol: COCO's AP with true boxes.
    Cost: 1,600 people, 16 epochs: eight minutes of one CPU core.
    Source: none; the pictures are drawn by ``paddle_pose/synthetic/``.
    """
    lspet = mobile_small_lspet_96x96()
    return replace(
        lspet,
        name="mobile_small_people_96x64",
        model=FastPoseMobile(joints=17, size="small", conv_dim=128),
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            image_size_wh=(64, 96),
            train_split="train2017",
            val_split="val2017",
            rgb_mean=RGB_MEAN,
            rgb_std=RGB_STD,
        ),
        augment=AugmentSettings(scale_factor=0.2, rotation_deg=20.0),
        train=replace(lspet.train, epochs=16, select_metric="AP", validate_every=4, log_every=25),
        benchmarks=(
            Benchmark(
                name="people_ground_truth",
                metric=OksProtocol(score="alphapose"),
                source="none: no published number",
            ),
            Benchmark(
                name="people_detector",
                boxes="detector",
                metric=OksProtocol(score="alphapose"),
                source="none: no published number",
            ),
        ),
    )


def mobile_small_heatmap_people_96x64() -> Recipe:
    """mobile_small_people_96x64 with heat maps and their squared error; no published row."""
    base = mobile_small_people_96x64()
    return replace(
        base,
        name="mobile_small_heatmap_people_96x64",
        codec=HeatmapCodec(sigma_px=2.0),
        train=replace(base.train, loss="joints_mse"),
    )


def mobile_small_plain_people_96x64() -> Recipe:
    """mobile_small_people_96x64 with the plain gradient of the integral; no published row."""
    base = mobile_small_people_96x64()
    return replace(
        base, name="mobile_small_plain_people_96x64", codec=IntegralCodec(symmetric=False)
    )


def mobile_small_dpg_people_96x64() -> Recipe:
    """mobile_small_people_96x64, its boxes jittered (DPG) in the second half; no published row.

    The rate goes on as it is, so that boxes are all that differs.
    """
    base = mobile_small_people_96x64()
    return replace(
        base,
        name="mobile_small_dpg_people_96x64",
        stages=(Stage(base.train.epochs // 2, {"augment.dpg": True}),),
    )
