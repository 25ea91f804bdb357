"""Both people of a box against its owner alone: one compiled MIPNet, asked for one or for two."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Comparison, Options, Side, Target
from benchmarks.networks import load_recipe, paddle_facts
from benchmarks.worker import Work

RECIPE, TITLE, BATCH = "mipnet:w32_coco_256x192", "MIPNet-W32 @256×192", 8
MOST = 1.7


def forward(recipe: str, batch: int, both: bool, overrides: Sequence[str] = ()) -> Work:
    """Bytes of crops -> heat maps, without mirrored ones, by Paddle Inference with oneDNN."""
    chosen = load_recipe(recipe, overrides)
    import numpy as np
    import paddle

    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.blocks import PoseNetwork, StageOutput
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count
    from paddle_pose.models.instances import BothInstances, TwoPersonNetwork

    class Owner(PoseNetwork):
        def __init__(self, network: TwoPersonNetwork) -> None:
            super().__init__()
            self.network, self.size_multiple = network, network.size_multiple

        def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
            return self.network(images_BCHW, "primary")

    width, height = size_wh = chosen.data.image_size_wh
    paddle.seed(0)
    network = (BothInstances if both else Owner)(build(chosen.model))
    multiply_adds = count(network, size_wh).macs
    ready = make_forward(
        network,
        chosen.data,
        flip_test=False,
        engine="onednn",
        precision="float32",
        batch_size=batch,
    )
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)

    def run() -> None:
        ready(images)

    return Work(run, units=batch, facts=paddle_facts(multiply_adds))


def comparisons(options: Options) -> list[Comparison]:
    """One row."""
    title, batch, changed = TITLE, BATCH, {}
    if options.quick:
        title, batch = "MIPNet-W32 @128×128", 1
        changed = {"overrides": ["data.image_size_wh=[128,128]"]}
    made = {"recipe": RECIPE, "batch": batch, **changed}
    place = f"{__name__}:forward"
    return [
        Comparison(
            name="two_people_w32",
            work=f"both people of a box, {title}, batch {batch}, float32",
            ours=Side(place, "Paddle Inference with oneDNN, both", {**made, "both": True}),
            theirs=Side(place, "the same, the owner alone", {**made, "both": False}),
            target=Target("overhead", MOST),
            unit="s/box",
            pairs=15,
        )
    ]
