"""The main job on rendered people, minutes on a CPU; and the network of ``predict.py``."""

from __future__ import annotations

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    TrainSettings,
)


def newell_hg1_synthetic() -> Recipe:
    """A one-stack hourglass on 800 rendered people, scored on 250 others; no published row.

    Narrow, without the biases that batch norm undoes, and trained to name each joint's cell
    (cross-entropy, not the paper's squared error): what learns most in six minutes on two cores.
    Cost: about six minutes on 2 CPU cores in two processes. Run: ``make quickstart``
    Source: none; the pictures are drawn by ``paddle_pose/synthetic/``.
    """
    return Recipe(
        name="newell_hg1_synthetic",
        model=NewellHourglass(joints=16, stacks=1, features=96, stem=16, depth=3, conv_bias=False),
        data=DataSettings(image_size_wh=(96, 96)),
        augment=AugmentSettings(scale_factor=0.15, rotation_deg=20.0),
        codec=HeatmapCodec(sigma_px=1.0, maps="logits"),
        train=TrainSettings(
            epochs=48,
            batch_size=16,
            learning_rate=4e-3,
            loss="cell_cross_entropy",
            schedule="cosine",
            warmup_steps=50,
            warmup_factor=0.01,
            validate_every=48,
            log_every=50,
            save_every=0,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(
            Benchmark(
                name="synthetic_val",
                test_scales=(0.9, 1.0, 1.1),
                decoder="dark",
                source="none: no published number",
            ),
        ),
    )


def small_person() -> Recipe:
    """The network that ``predict.py`` brings along: two stacks of 128 features at 192×192.

    princeton-vl's network, narrower, trained to name each joint's cell (cross-entropy) on 8,344
    sports photos (LSPET in MPII layout), with pelvis and thorax taken as the middles of hips and
    shoulders, which LSPET does not label; 500 photos validate. A number on it is "PCKh,
    LSPET-derived", never "MPII".
    Cost: 17,160 steps of 64 people, seven minutes on one H200 in bfloat16; days on two CPU cores.
    Record: ``reproduce/runs/small_person``, whose training ran in PyTorch
    (``reproduce/packaged_torch.py``) and whose weights were ported.
    Run: ``python train.py --config quickstart:small_person --dataset_root lspet_mpii``
    Source: none: no published number.
    """
    return Recipe(
        name="small_person",
        model=NewellHourglass(joints=16, stacks=2, features=128),
        data=DataSettings(image_size_wh=(192, 192)),
        augment=AugmentSettings(
            scale_factor=0.3,
            rotation_deg=40.0,
            rotation_probability=0.8,
            shift_factor=0.04,
            color_jitter=0.25,
        ),
        codec=HeatmapCodec(sigma_px=1.0, maps="logits"),
        train=TrainSettings(
            epochs=132,
            batch_size=64,
            learning_rate=2.5e-3,
            ema_decay=0.999,
            loss="cell_cross_entropy",
            schedule="cosine",
            warmup_steps=500,
            warmup_factor=0.01,
            drop_last=True,
            validate_every=4,
            save_every=100,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(
            Benchmark(name="lspet_val", decoder="dark", source="none: no published number"),
        ),
    )
