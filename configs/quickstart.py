"""The main job on people that the project renders itself: minutes on a CPU."""

from __future__ import annotations

from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    CodecSettings,
    DataSettings,
    EvalSettings,
    TrainSettings,
)


def newell_hg1_synthetic() -> Recipe:
    """A one-stack hourglass on 800 rendered people, scored on 250 others; no published row.

    Cost: about five minutes on 2 CPU cores. Run: ``make quickstart``
    Source: none; the pictures are drawn by ``paddle_pose/data/synthetic.py``.
    """
    return Recipe(
        name="newell_hg1_synthetic",
        model=NewellHourglass(joints=16, stacks=1, features=80, stem=16, depth=3),
        data=DataSettings(image_size_wh=(96, 96)),
        augment=AugmentSettings(scale_factor=0.15, rotation_deg=20.0),
        codec=CodecSettings(sigma_px=1.5),
        train=TrainSettings(
            epochs=16,
            batch_size=8,
            learning_rate=2e-3,
            schedule="one_cycle",
            validate_every=4,
            log_every=25,
            save_every=100,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(Benchmark(name="synthetic_val", source="none: no published number"),),
    )
