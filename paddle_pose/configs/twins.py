"""Small runs made in both frameworks, to see whether they end alike; no published rows.

Twins share initial weights, batches, order, schedule and losses: ``reproduce/twins.py`` trains the
official PyTorch network on the recipe that ``train.py`` trains here.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.configs.quickstart import newell_hg1_synthetic
from paddle_pose.models.architectures import HRNet, NewellHourglass
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    TrainSettings,
)


def newell_hg1_lspet() -> Recipe:
    """Newell's hourglass, 1 stack of 128 features, 128×128, 3,200 LSPET people; no published row.

    Loss, optimiser and first rate are princeton's (mean squared error, Adam at 1e-3); the rate
    falls by a cosine, and the Gaussians are 1.5 cells wide, because 2,000 steps are few.
    Cost: half an hour on one CPU core in PyTorch.
    Run: ``python -m reproduce.twins`` (see there)
    Source: princeton-vl/pytorch_stacked_hourglass models/posenet.py, task/loss.py @ceedc14
    """
    return Recipe(
        name="newell_hg1_lspet",
        model=NewellHourglass(joints=16, stacks=1, features=128),
        data=DataSettings(image_size_wh=(128, 128), limit=3200),
        augment=AugmentSettings(scale_factor=0.2, rotation_deg=30.0),
        codec=HeatmapCodec(sigma_px=1.5),
        train=TrainSettings(
            epochs=10,
            batch_size=16,
            learning_rate=1e-3,
            loss="heatmap_mse",
            schedule="cosine",
            validate_every=2,
            log_every=20,
            save_every=0,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(Benchmark(name="lspet_val", source="none: no published number"),),
    )


def newell_hg1_lspet_cells() -> Recipe:
    """The same network on all 8,344 LSPET people, trained to name cells; no published row.

    Loss and rates are the quickstart's (cross-entropy over cells, Adam at 4e-3 after 50 steps, a
    cosine), which learn in fewer steps than the squared error.
    Cost: about an hour of one CPU core. Run: ``python -m reproduce.twins_run``
    Source: none for the loss; the network is princeton-vl's, as in ``newell_hg1_lspet``.
    """
    base, quick = newell_hg1_lspet(), newell_hg1_synthetic()
    return replace(
        base,
        name="newell_hg1_lspet_cells",
        data=DataSettings(image_size_wh=(128, 128)),
        codec=quick.codec,
        train=replace(quick.train, epochs=7, validate_every=1, log_every=20, save_every=100),
        benchmarks=(
            Benchmark(name="lspet_val", decoder="dark", source="none: no published number"),
        ),
    )


def hrnet_w8_lspet() -> Recipe:
    """HRNet at a quarter of W32's width (8), 64×64, 3,200 LSPET people; no published row.

    Loss, optimiser, first rate and initial weights are HRNet's for MPII (without ImageNet).
    Cost: about a quarter of an hour on one CPU core in PyTorch.
    Run: ``python -m reproduce.twins`` (see there)
    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py,
    lib/core/loss.py, experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml @6f69e46
    """
    hourglass = newell_hg1_lspet()
    return Recipe(
        name="hrnet_w8_lspet",
        model=HRNet(joints=16, width=8),
        data=DataSettings(image_size_wh=(64, 64), limit=3200),
        augment=hourglass.augment,
        codec=HeatmapCodec(sigma_px=1.5),
        train=TrainSettings(
            epochs=10,
            batch_size=16,
            learning_rate=1e-3,
            loss="joints_mse",
            schedule="cosine",
            validate_every=2,
            log_every=20,
            save_every=0,
        ),
        eval=hourglass.eval,
        benchmarks=hourglass.benchmarks,
    )
