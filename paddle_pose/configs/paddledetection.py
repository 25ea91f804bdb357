"""PaddleDetection's rows of HRNet, made of the plain recipe of their network.

Training: Adam 5e-4 for 64 people a device (32 for DARK at 384×288) on the four devices of its
README's command, a warm-up of 1,000 steps, × 0.1 at epochs 170 and 200 of 210; sigma 2 cells at
every size; scale × clip(1 + 0.5 n, 0.5, 1.5), rotation clip(40 n, ±80) with probability 0.6, half
bodies 0.3. How many devices made a published row is not stated.

Testing: annotated boxes, flip test with shift, and DARK's decoding after a blur of 3 cells
(``dark_3``), in the rows without DARK's name too.
Source: PaddlePaddle/PaddleDetection configs/keypoint/hrnet/*.yml,
ppdet/modeling/architectures/keypoint_hrnet.py:46, :198 @666f597
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, Benchmark, OksProtocol

_PAGE = "PaddlePaddle/PaddleDetection configs/keypoint/README_en.md:{} @666f597"


def paddledetection(
    base: Recipe, published: dict[str, float], line: int, *, dark: bool = False, people: int = 256
) -> Recipe:
    """A recipe of HRNet as PaddleDetection has it.

    Args:
        base: the plain one.
        published: name of a score → value.
        line: where its README has them.
        dark: whether targets stand at the joint.
        people: a step's, on all devices.
    """
    name = f"{base.name}{'_dark' * dark}_paddledetection"
    coco = base.data.dataset == "coco"
    benchmark = Benchmark(
        name="coco_val_ground_truth" if coco else "mpii_val",
        decoder="dark_3",
        published=published,
        source=_PAGE.format(line),
    )
    if coco:
        metric = OksProtocol(oks_nms=0.9, rescore=True)
        benchmark = replace(benchmark, boxes="ground_truth", metric=metric)
    return replace(
        base,
        name=name,
        data=replace(base.data, channel_order="rgb"),
        codec=HeatmapCodec(encoding="unbiased" if dark else "cell"),
        augment=AugmentSettings(
            scale_factor=0.5,
            rotation_deg=40.0,
            half_body_probability=0.3,
            half_body_min_joints=8,
        ),
        train=replace(
            base.train,
            epochs=210,
            batch_size=people,
            learning_rate=5e-4,
            milestones=(170, 200),
            warmup_steps=1000,
            warmup_factor=0.001,
        ),
        benchmarks=(
            benchmark,
            replace(benchmark, name=f"{benchmark.name}_use_dark_false", decoder="quarter_offset",
                    published={}, source=""),
        ),
    )  # fmt: skip
