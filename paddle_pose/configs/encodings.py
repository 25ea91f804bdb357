"""mmpose's rows with DARK and with UDP, made of the plain recipe of their network.

Training: Adam 5e-4 for 8 devices' people together, a warm-up of 500 steps, × 0.1 at epochs 170 and
200 of 210. On COCO as 1.x draws: t is a normal within ±1, scale × (1 + 0.5 t), rotation 80 t
degrees with probability 0.6, and with 0.3 the crop is moved by 0.16 t of its size; 0.x clips
normals (scale 0.5, 40 degrees up to ±80) and moves uniformly. On MPII as 0.x, whose weights 1.x
lists, without a move. mmpose's loss is twice ours, which Adam does not see but for its epsilon.

Two editions decode otherwise. At 384×288 the configurations of 1.x leave the blur at 11 cells (but
that of PoseResNet-152 with DARK), where 0.x has 17 for sigma 3; UDP's maps are mirrored beyond
their border in 0.x and 0 in 1.x.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.models.architectures import with_numbers
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, Benchmark, OksProtocol

MMPOSE_1X = AugmentSettings(
    distribution="truncated",
    scale_factor=0.5,
    rotation_deg=80.0,
    half_body_probability=0.3,
    half_body_min_joints=8,
    shift_factor=0.16,
    shift_probability=0.3,
)
"""How mmpose 1.x draws crops of COCO."""

_NOW = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/{}.md @759b39c"
_BEFORE = "open-mmlab/mmpose configs/body/2d_kpt_sview_rgb_img/topdown_heatmap/{}.md @3b81734"
_SCORES = ("AP", "AP50", "AP75", "AR", "AR50")

Row = tuple[float, float, float, float, float]
"""AP, AP50, AP75, AR, AR50."""


def dark(
    base: Recipe, page: str, now: Row, before: Row, *, people: int = 512, blur_11: bool = True
) -> Recipe:
    """A COCO recipe on DARK's targets: HRNet's crop, and a flip test with shift.

    Args:
        base: the plain one.
        page: of mmpose, without its ending.
        now: published by mmpose 1.x.
        before: published by mmpose 0.x.
        people: a step's, on all devices.
        blur_11: whether 1.x blurs by 11 cells where sigma is 3.
    """
    large = blur_11 and _heatmaps(base).sigma_px > 2
    return _coco(
        replace(base, name=f"{base.name}_dark", codec=_encoded(base, "unbiased")),
        page,
        ("dark_11" if large else "dark", now),
        ("dark", before),
        people,
    )


def udp(base: Recipe, page: str, now: Row, before: Row, *, people: int = 512) -> Recipe:
    """As ``dark``, on UDP's crops and targets, without shift."""
    large = _heatmaps(base).sigma_px > 2
    return _coco(
        replace(base, name=f"{base.name}_udp", codec=_encoded(base, "udp")),
        page,
        ("udp_11" if large else "udp", now),
        ("udp_mirrored", before),
        people,
    )


def udp_regress(base: Recipe, page: str, now: Row, before: Row, *, people: int = 512) -> Recipe:
    """As ``udp``, on a disc and two offsets of each joint."""
    joints = base.model.joints
    changed = replace(
        base,
        name=f"{base.name}_udp_regress",
        model=with_numbers(base.model, joints=3 * joints),
        codec=OffsetCodec(),
        train=replace(base.train, loss="offset_mse"),
    )
    return _coco(changed, page, ("offsets", now), ("offsets_blurred", before), people)


def dark_mpii(base: Recipe, mean: float, at_10: float, at_11: float) -> Recipe:
    """An MPII recipe on DARK's targets; one training, which three editions of a table print."""
    val = Benchmark(
        name="mpii_val",
        decoder="dark",
        published={"Mean": mean, "Mean@0.10": at_10, "Mean@0.11": at_11},
        source=f"{_NOW.format('mpii/hrnet_dark_mpii')}; @0.11: configs/top_down/darkpose/README.md "
        "@4a552d0",
    )
    changed = replace(
        base,
        name=f"{base.name}_dark",
        codec=_encoded(base, "unbiased"),
        benchmarks=(val,),
    )
    return _trained(changed, AugmentSettings(scale_factor=0.5, rotation_deg=40.0), 512)


def _encoded(base: Recipe, encoding: str) -> HeatmapCodec:
    return replace(_heatmaps(base), encoding=encoding)


def _heatmaps(recipe: Recipe) -> HeatmapCodec:
    return cast(HeatmapCodec, recipe.codec)


def _coco(
    recipe: Recipe, page: str, now: tuple[str, Row], before: tuple[str, Row], people: int
) -> Recipe:
    """With mmpose's training, and a protocol for each edition and one for true boxes."""
    shift = _heatmaps(recipe).encoding != "udp"
    detector = Benchmark(
        name="coco_val_detector",
        boxes="detector",
        shift_heatmap=shift,
        decoder=now[0],
        metric=OksProtocol(oks_nms=0.9, rescore=True),
        published=dict(zip(_SCORES, now[1], strict=True)),
        source=_NOW.format(f"coco/{page}"),
    )
    benchmarks = (
        detector,
        replace(
            detector,
            name="coco_val_detector_mmpose0",
            decoder=before[0],
            published=dict(zip(_SCORES, before[1], strict=True)),
            source=_BEFORE.format(f"coco/{page}"),
        ),
        replace(
            detector, name="coco_val_ground_truth", boxes="ground_truth", published={}, source=""
        ),
    )
    return _trained(replace(recipe, benchmarks=benchmarks), MMPOSE_1X, people)


def _trained(recipe: Recipe, augment: AugmentSettings, people: int) -> Recipe:
    train = replace(
        recipe.train,
        epochs=210,
        batch_size=people,
        learning_rate=5e-4,
        milestones=(170, 200),
        warmup_steps=500,
        warmup_factor=0.001,
    )
    data = replace(recipe.data, channel_order="rgb")
    return replace(recipe, augment=augment, train=train, data=data)
