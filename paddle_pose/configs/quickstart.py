"""The main job on people that the project renders itself: minutes on a CPU."""

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
