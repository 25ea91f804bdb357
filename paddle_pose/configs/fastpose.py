"""FastPose and SimplePose of AlphaPose (Fang et al., TPAMI 2022), and the light FastPose.

Sizes in names are height × width, as published; ``image_size_wh`` is width, height. Batches are of
the four cards that the official files name (``WORLD_SIZE``; their code takes ``BATCH_SIZE`` times
the visible ones). Published on COCO and Halpe: AP with YOLOv3's boxes and flip test; which poses
were suppressed is not stated, here none is. Training logs: true boxes, no flip.

After their ``DPG`` epoch boxes are jittered as a detector's, and the rate begins again: scores fall
there and end higher (``reproduce/notes/fastpose.md``, 16 and 23).

Source: MVIG-SJTU/AlphaPose docs/MODEL_ZOO.md, configs/, docs/logs/ @c60106d
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from paddle_pose.codecs.codec import Codec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
)
from paddle_pose.recipes.alphapose import RGB_MEAN, RGB_STD, dpg_stage
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    TrainSettings,
)

_ZOO = "MVIG-SJTU/AlphaPose docs/MODEL_ZOO.md @c60106d"
_LOGS = "MVIG-SJTU/AlphaPose docs/logs @c60106d"
DCN = (False, True, True, True)
"""Layers with deformable convolutions."""


@dataclass(frozen=True)
class _Times:
    """Of a file: END_EPOCH, LR_STEP, DPG_MILESTONE, DPG_STEP, BEGIN_EPOCH."""

    epochs: int
    falls: tuple[int, int]
    dpg: int
    falls_after: tuple[int, int]
    begin: int = 0


_ONE = _Times(200, (90, 120), 140, (160, 190))
_TWO = _Times(270, (170, 200), 210, (230, 250))
_COMBINED = _Times(320, (190, 220), 230, (260, 280))
_HALPE26 = _Times(200, (50, 70), 90, (110, 130))
_LATE = replace(_TWO, begin=5)
"""The scheduler counts from 0 all the same."""

_PLAIN = AugmentSettings(scale_factor=0.3, rotation_deg=40.0)
_STRONG = AugmentSettings(
    scale_factor=0.35,
    rotation_deg=45.0,
    half_body_probability=0.3,
    half_body_min_joints=8,
)


def _benchmarks(dataset: str, published: float | None, log: float | None = None) -> tuple:
    """With a detector's boxes and flip, as the table; with true ones and none, as the logs."""
    rules = OksProtocol(score="alphapose")
    detector = Benchmark(name=f"{dataset}_val_detector", boxes="detector", metric=rules)
    truth = Benchmark(name=f"{dataset}_val_ground_truth", flip_test=False, metric=rules)
    if published is not None:
        detector = replace(detector, published={"AP": published}, source=_ZOO)
    if log is not None:
        truth = replace(truth, published={"AP": log}, source=_LOGS)
    return detector, truth


def _recipe(
    name: str,
    model: Architecture,
    codec: Codec,
    times: _Times,
    *,
    data: DataSettings,
    augment: AugmentSettings,
    batch_size: int,
    benchmarks: tuple,
    pretrained: str = "ImageNet",
) -> Recipe:
    losses = {IntegralCodec: "integral_l1", CombinedCodec: "combined"}
    return Recipe(
        name=name,
        model=model,
        data=data,
        augment=augment,
        codec=codec,
        train=TrainSettings(
            epochs=times.epochs - times.begin,
            batch_size=batch_size,
            learning_rate=1e-3,
            milestones=times.falls,
            loss=losses.get(type(codec), "joints_mse"),
            validate_every=2,
            select_metric="AP",
            pretrained=pretrained,
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=benchmarks,
        stages=(dpg_stage(times.dpg, times.falls_after, begin=times.begin),),
    )


def _coco(
    name: str,
    model: Architecture,
    times: _Times,
    augment: AugmentSettings,
    published: float | None,
    log: float | None,
) -> Recipe:
    """Heat maps of COCO's joints, 32 people a card."""
    return _recipe(
        name,
        model,
        HeatmapCodec(sigma_px=2.0),
        times,
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            image_size_wh=(192, 256),
            train_split="train2017",
            val_split="val2017",
            rgb_mean=RGB_MEAN,
            rgb_std=RGB_STD,
            rules="alphapose",
        ),
        augment=augment,
        batch_size=4 * 32,
        benchmarks=_benchmarks("coco", published, log),
    )


def _halpe(
    name: str,
    model: Architecture,
    codec: Codec,
    times: _Times,
    published: float | None,
    *,
    augment: AugmentSettings = _STRONG,
    people: int = 48,
    pretrained: str = "ImageNet",
) -> Recipe:
    """Halpe's joints, ``people`` a card."""
    return _recipe(
        name,
        model,
        codec,
        times,
        data=DataSettings(
            dataset="halpe",
            skeleton=f"halpe{model.joints}",
            image_size_wh=(192, 256),
            train_split="train",
            val_split="val",
            rgb_mean=RGB_MEAN,
            rgb_std=RGB_STD,
            rules="alphapose",
        ),
        augment=augment,
        batch_size=4 * people,
        benchmarks=_benchmarks("halpe", published),
        pretrained=pretrained,
    )


def mobile_large_halpe136_256x192() -> Recipe:
    """The light network, MobileNetV3-large: no published row, and no AP of it anywhere.

    Protocol: 136 joints by integral regression, sigmoid, symmetric gradient; figures of five parts.
    Cost: 270 epochs of Halpe, 48 people on each card; its author needed six days of eight RTX 3090
    (``--batch_size 384``). What its trunk began from is not known: here from nothing.
    Source: the author's file, field by field; AlphaPose's
    configs/halpe_136/resnet/256x192_res50_lr1e-3_2x-regression.yaml @c60106d but for the network
    """
    return _halpe(
        "mobile_large_halpe136_256x192",
        FastPoseMobile(joints=136, size="large", conv_dim=256),
        IntegralCodec(),
        _TWO,
        None,
        pretrained="none",
    )


def mobile_small_halpe136_256x192() -> Recipe:
    """The light network, MobileNetV3-small: no published row.

    Protocol and cost: as mobile_large_halpe136_256x192, with nine tenths of its arithmetic.
    """
    return replace(
        mobile_large_halpe136_256x192(),
        name="mobile_small_halpe136_256x192",
        model=FastPoseMobile(joints=136, size="small", conv_dim=256),
    )


def simple_r50_coco_256x192() -> Recipe:
    """SimplePose-50, COCO: published AP .706 (detector, flip); .715 in its log (true boxes).

    Cost: 200 epochs, 128 people a step (the log: eight cards).
    Source: configs/coco/resnet/256x192_res50_lr1e-3_1x-simple.yaml, docs/logs/
    simple_res50_256x192.log @c60106d
    """
    model = AlphaSimplePose(joints=17, layers=50)
    return _coco("simple_r50_coco_256x192", model, _ONE, _PLAIN, 0.706, 0.7147)


def r50_coco_256x192() -> Recipe:
    """FastPose-50 by the file that the table links, 200 epochs: no published row.

    Its .720 is of weights that were trained by r50_coco_256x192_2x, by their log.
    Cost: 200 epochs, 128 people a step.
    Source: configs/coco/resnet/256x192_res50_lr1e-3_1x.yaml @c60106d
    """
    return _coco("r50_coco_256x192", FastPose(), _ONE, _PLAIN, None, None)


def r50_coco_256x192_2x() -> Recipe:
    """FastPose-50, COCO: published AP .720 (detector, flip); .732 in its log (true boxes).

    Cost: 270 epochs, 128 people a step; half bodies.
    Source: configs/coco/resnet/256x192_res50_lr1e-3_2x.yaml, docs/logs/fast_res50_256x192.log
    @c60106d
    """
    return _coco("r50_coco_256x192_2x", FastPose(), _TWO, _STRONG, 0.720, 0.7318)


def r50_duc_coco_256x192() -> Recipe:
    """FastPose-DUC-50 with pixel unshuffling: published AP .724; .735 in its log (true boxes).

    Cost: 270 epochs, 128 people a step, as the log has it; the linked file has 200.
    Source: configs/coco/resnet/256x192_res50_lr1e-3_1x-duc.yaml, docs/logs/
    fast_421_res50-shuffle_256x192.log @c60106d
    """
    return _coco("r50_duc_coco_256x192", FastPoseDuc(), _TWO, _STRONG, 0.724, 0.7349)


def r50_dcn_coco_256x192() -> Recipe:
    """FastPose-50 with deformable convolutions: published AP .728; .738 in its log (true boxes).

    Cost: as r50_coco_256x192_2x, without the fast CPU path.
    Source: configs/coco/resnet/256x192_res50_lr1e-3_2x-dcn.yaml, docs/logs/
    fast_dcn_res50_256x192.log @c60106d
    """
    model = FastPose(deformable=DCN)
    return _coco("r50_dcn_coco_256x192", model, _TWO, _STRONG, 0.728, 0.7383)


def r152_duc_coco_256x192() -> Recipe:
    """FastPose-DUC-152: published AP .733; .748 in its log (true boxes).

    Cost: as r50_duc_coco_256x192; SE-ResNet as the file has it, where the log says ``resnet``.
    Source: configs/coco/resnet/256x192_res152_lr1e-3_1x-duc.yaml, docs/logs/
    fast_421_res152_256x192.log @c60106d
    """
    model = FastPoseDuc(layers=152, backbone="se-resnet")
    return _coco("r152_duc_coco_256x192", model, _TWO, _STRONG, 0.733, 0.7479)


def r50_heatmap_halpe136_256x192() -> Recipe:
    """FastPose-50, 136 heat maps: published AP of the full body .417 (detector, flip).

    Cost: 270 epochs of Halpe, 128 people a step.
    Source: configs/halpe_136/resnet/256x192_res50_lr1e-3_2x.yaml @c60106d
    """
    return _halpe(
        "r50_heatmap_halpe136_256x192",
        FastPose(joints=136, conv_dim=256),
        HeatmapCodec(sigma_px=2.0),
        _TWO,
        0.417,
        people=32,
    )


def r50_halpe136_256x192() -> Recipe:
    """FastPose-50, integral regression: published AP of the full body .441 (detector, flip).

    Cost: 265 epochs of Halpe, 192 people a step: its file begins at the sixth of 270 epochs.
    Source: configs/halpe_136/resnet/256x192_res50_lr1e-3_2x-regression.yaml @c60106d
    """
    model = FastPose(joints=136, conv_dim=256)
    return _halpe("r50_halpe136_256x192", model, IntegralCodec(), _LATE, 0.441)


def r50_dcn_halpe136_256x192() -> Recipe:
    """FastPose-DCN-50, integral regression: published AP of the full body .462.

    Cost: 270 epochs of Halpe, 192 people a step.
    Source: configs/halpe_136/resnet/256x192_res50_lr1e-3_2x-dcn-regression.yaml @c60106d
    """
    model = FastPose(joints=136, conv_dim=256, deformable=DCN)
    return _halpe("r50_dcn_halpe136_256x192", model, IntegralCodec(), _TWO, 0.462)


def r50_dcn_combined_halpe136_256x192() -> Recipe:
    """FastPose-DCN-50, heat maps for body and feet, integral for face and hands: published .454.

    The table's .472 weighs hands ten times, which no file says how.
    Cost: 320 epochs of Halpe, 192 people a step.
    Source: configs/halpe_136/resnet/256x192_res50_lr1e-3_2x-dcn-combined.yaml @c60106d
    """
    model = FastPose(joints=136, conv_dim=256, deformable=DCN)
    return _halpe("r50_dcn_combined_halpe136_256x192", model, CombinedCodec(), _COMBINED, 0.454)


def r152_halpe136_256x192() -> Recipe:
    """FastPose-152, integral regression: published AP of the full body .451.

    The table says DUC; its file builds the plain head.
    Cost: 270 epochs of Halpe, 128 people a step, no half bodies.
    Source: configs/halpe_136/resnet/256x192_res152_lr1e-3_1x-duc.yaml @c60106d
    """
    model = FastPose(joints=136, layers=152, conv_dim=256)
    codec = IntegralCodec()
    return _halpe("r152_halpe136_256x192", model, codec, _TWO, 0.451, augment=_PLAIN, people=32)


def r50_halpe26_256x192() -> Recipe:
    """FastPose-50, Halpe's first 26 joints as heat maps: no published row ("–").

    Cost: 200 epochs of Halpe, 192 people a step.
    Source: configs/halpe_26/resnet/256x192_res50_lr1e-3_1x.yaml @c60106d
    """
    model, codec = FastPose(joints=26), HeatmapCodec(sigma_px=2.0)
    return _halpe("r50_halpe26_256x192", model, codec, _HALPE26, None, augment=_PLAIN)


def r50_multi_domain_256x192() -> Recipe:
    """FastPose-50 on Halpe and COCO-WholeBody: published AP of Halpe's full body .501.

    Whose weights also learnt from a teacher, which is not published. Feet in Halpe's order, where
    the official code mixes COCO-WholeBody's up.
    Cost: 265 epochs of Halpe six times and COCO-WholeBody once, 192 people a step.
    Source: configs/halpe_coco_wholebody_136/resnet/256x192_res50_lr1e-3_2x-regression.yaml @c60106d
    """
    base = _halpe("r50_multi_domain_256x192", FastPose(joints=136), IntegralCodec(), _LATE, 0.501)
    return replace(base, data=replace(base.data, join="wholebody", repeat=6))
