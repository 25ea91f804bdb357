"""SimpleBaseline (Xiao et al., ECCV 2018): ResNet and three transposed convolutions.

Sizes in names are height × width, as published; ``image_size_wh`` is width, height. The official
networks see blue first (``COLOR_RGB: false``); mmpose's weights of the same shape want
``--set data.channel_order=rgb``, which its rows with DARK have.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.configs.encodings import dark
from paddle_pose.models.architectures import PoseResNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    TrainSettings,
)

_README = "microsoft/human-pose-estimation.pytorch README.md @49f3f44"

_GROUPS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.11")
_SCORES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


def _mpii(base: Recipe, name: str, layers: int, *published: float) -> Recipe:
    """A row of the MPII table: the same recipe with another depth."""
    row = dict(zip(_GROUPS, published, strict=True))
    return replace(
        base,
        name=name,
        model=PoseResNet(joints=base.model.joints, layers=layers),
        benchmarks=(replace(base.benchmarks[0], published=row),),
    )


def _coco(base: Recipe, name: str, layers: int, *published: float) -> Recipe:
    """A row of the COCO table: the same recipe with another depth."""
    detector, *others = base.benchmarks
    row = dict(zip(_SCORES, published, strict=True))
    return replace(
        base,
        name=name,
        model=PoseResNet(joints=base.model.joints, layers=layers),
        benchmarks=(replace(detector, published=row), *others),
    )


def res50_mpii_256x256() -> Recipe:
    """SimpleBaseline-50, MPII, 256×256: published Mean 88.53, Mean@0.11 33.91 (printed "@0.1").

    Protocol: annotated centre and scale, flip test with shift, quarter offset.
    Cost: 140 epochs of 22,246 people, 24,360 steps of 128.
    Source: leoxiaobin/deep-high-resolution-net.pytorch
    experiments/mpii/resnet/res50_256x256_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    base = Recipe(
        name="res50_mpii_256x256",
        model=PoseResNet(joints=16, layers=50),
        data=DataSettings(
            dataset="mpii", skeleton="mpii16", image_size_wh=(256, 256), channel_order="bgr"
        ),
        augment=AugmentSettings(scale_factor=0.25, rotation_deg=30.0),
        codec=HeatmapCodec(sigma_px=2.0),
        train=TrainSettings(
            epochs=140,
            batch_size=128,
            learning_rate=1e-3,
            milestones=(90, 120),
            pretrained="ImageNet",
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(Benchmark(name="mpii_val", source=_README),),
    )
    row = (96.351, 95.329, 88.989, 83.176, 88.420, 83.960, 79.594, 88.532, 33.911)
    return _mpii(base, base.name, 50, *row)


def res101_mpii_256x256() -> Recipe:
    """SimpleBaseline-101, MPII, 256×256: published Mean 89.13, Mean@0.11 34.02.

    Protocol and cost: as res50_mpii_256x256, 1.4 times the arithmetic.
    Source: experiments/mpii/resnet/res101_256x256_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (96.862, 95.873, 89.518, 84.376, 88.437, 84.486, 80.703, 89.131, 34.020)
    return _mpii(res50_mpii_256x256(), "res101_mpii_256x256", 101, *row)


def res152_mpii_256x256() -> Recipe:
    """SimpleBaseline-152, MPII, 256×256: published Mean 89.62, Mean@0.11 35.03.

    Protocol and cost: as res50_mpii_256x256, 1.8 times the arithmetic.
    Source: experiments/mpii/resnet/res152_256x256_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (97.033, 95.941, 90.046, 84.976, 89.164, 85.311, 81.271, 89.620, 35.025)
    return _mpii(res50_mpii_256x256(), "res152_mpii_256x256", 152, *row)


def res50_mpii_384x384() -> Recipe:
    """SimpleBaseline-50, MPII, 384×384: published Mean 89.07, Mean@0.11 38.05; sigma 3 cells.

    Protocol: as res50_mpii_256x256.
    Cost: 24,360 steps of 128 with 2.25 times the arithmetic of 256×256.
    Source: microsoft/human-pose-estimation.pytorch
    experiments/mpii/resnet50/384x384_d256x3_adam_lr1e-3.yaml @49f3f44 (32 on each GPU; four as in
    the paper)
    """
    small = res50_mpii_256x256()
    base = replace(
        small,
        data=replace(small.data, image_size_wh=(384, 384)),
        codec=HeatmapCodec(sigma_px=3.0),
    )
    row = (96.658, 95.754, 89.790, 84.614, 88.523, 84.666, 79.287, 89.066, 38.046)
    return _mpii(base, "res50_mpii_384x384", 50, *row)


def res101_mpii_384x384() -> Recipe:
    """SimpleBaseline-101, MPII, 384×384: published Mean 90.00, Mean@0.11 38.86; sigma 3 cells.

    Protocol and cost: as res50_mpii_384x384, 1.4 times the arithmetic.
    Source: experiments/mpii/resnet101/384x384_d256x3_adam_lr1e-3.yaml @49f3f44
    """
    row = (96.965, 95.907, 90.268, 85.780, 89.597, 85.935, 82.098, 90.003, 38.860)
    return _mpii(res50_mpii_384x384(), "res101_mpii_384x384", 101, *row)


def res152_mpii_384x384() -> Recipe:
    """SimpleBaseline-152, MPII, 384×384: published Mean 90.20, Mean@0.11 39.43; sigma 3 cells.

    Protocol: as res50_mpii_384x384.
    Cost: 140 epochs, 32,480 steps of 96 (24 on each of 4 GPUs).
    Source: experiments/mpii/resnet152/384x384_d256x3_adam_lr1e-3.yaml @49f3f44
    """
    base = res50_mpii_384x384()
    base = replace(base, train=replace(base.train, batch_size=96))
    row = (96.794, 95.618, 90.080, 86.225, 89.700, 86.862, 82.853, 90.200, 39.433)
    return _mpii(base, "res152_mpii_384x384", 152, *row)


def res50_coco_256x192() -> Recipe:
    """SimpleBaseline-50, COCO val2017, 256×192: published AP .704, detector boxes (AP 56.4).

    Protocol: flip test with shift, quarter offset, box × keypoint score above 0.2, OKS-NMS at 0.9.
    Cost: 140 epochs of 149,813 people, 163,940 steps of 128.
    Source: leoxiaobin/deep-high-resolution-net.pytorch
    experiments/coco/resnet/res50_256x192_d256x3_adam_lr1e-3.yaml @6f69e46 (no half body)
    """
    detector = Benchmark(
        name="coco_val_detector",
        boxes="detector",
        metric=OksProtocol(oks_nms=0.9, rescore=True),
        source=_README,
    )
    ground_truth = replace(detector, name="coco_val_ground_truth", boxes="ground_truth", source="")
    base = Recipe(
        name="res50_coco_256x192",
        model=PoseResNet(joints=17, layers=50),
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            channel_order="bgr",
            image_size_wh=(192, 256),
            train_split="train2017",
            val_split="val2017",
        ),
        augment=AugmentSettings(scale_factor=0.3, rotation_deg=40.0),
        codec=HeatmapCodec(sigma_px=2.0),
        train=TrainSettings(
            pretrained="ImageNet",
            epochs=140,
            batch_size=128,
            learning_rate=1e-3,
            milestones=(90, 120),
            select_metric="AP",
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(detector, ground_truth),
    )
    row = (0.704, 0.886, 0.783, 0.671, 0.772, 0.763, 0.929, 0.834, 0.721, 0.824)
    return _coco(base, base.name, 50, *row)


def res101_coco_256x192() -> Recipe:
    """SimpleBaseline-101, COCO val2017, 256×192: published AP .714 with detector boxes.

    Protocol and cost: as res50_coco_256x192, 1.4 times the arithmetic.
    Source: experiments/coco/resnet/res101_256x192_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (0.714, 0.893, 0.793, 0.681, 0.781, 0.771, 0.934, 0.840, 0.730, 0.832)
    return _coco(res50_coco_256x192(), "res101_coco_256x192", 101, *row)


def res152_coco_256x192() -> Recipe:
    """SimpleBaseline-152, COCO val2017, 256×192: published AP .720 with detector boxes.

    Protocol and cost: as res50_coco_256x192, 1.8 times the arithmetic.
    Source: experiments/coco/resnet/res152_256x192_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (0.720, 0.893, 0.798, 0.687, 0.789, 0.778, 0.934, 0.846, 0.736, 0.839)
    return _coco(res50_coco_256x192(), "res152_coco_256x192", 152, *row)


def res50_coco_384x288() -> Recipe:
    """SimpleBaseline-50, COCO val2017, 384×288: published AP .722, detector boxes; sigma 3 cells.

    Protocol: as res50_coco_256x192.
    Cost: 163,940 steps of 128 with 2.25 times the arithmetic of 256×192.
    Source: experiments/coco/resnet/res50_384x288_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    small = res50_coco_256x192()
    base = replace(
        small,
        data=replace(small.data, image_size_wh=(288, 384)),
        codec=HeatmapCodec(sigma_px=3.0),
    )
    row = (0.722, 0.893, 0.789, 0.681, 0.797, 0.776, 0.932, 0.838, 0.728, 0.846)
    return _coco(base, "res50_coco_384x288", 50, *row)


def res101_coco_384x288() -> Recipe:
    """SimpleBaseline-101, COCO val2017, 384×288: published AP .736, detector boxes; sigma 3 cells.

    Protocol and cost: as res50_coco_384x288, 1.4 times the arithmetic.
    Source: experiments/coco/resnet/res101_384x288_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (0.736, 0.896, 0.803, 0.699, 0.811, 0.791, 0.936, 0.851, 0.745, 0.858)
    return _coco(res50_coco_384x288(), "res101_coco_384x288", 101, *row)


def res152_coco_384x288() -> Recipe:
    """SimpleBaseline-152, COCO val2017, 384×288: published AP .743, detector boxes; sigma 3 cells.

    Protocol and cost: as res50_coco_384x288, 1.8 times the arithmetic. On test-dev2017
    (detector 60.9) .737.
    Source: experiments/coco/resnet/res152_384x288_d256x3_adam_lr1e-3.yaml @6f69e46
    """
    row = (0.743, 0.896, 0.811, 0.705, 0.816, 0.797, 0.937, 0.858, 0.751, 0.863)
    return _coco(res50_coco_384x288(), "res152_coco_384x288", 152, *row)


def res50_coco_256x192_dark() -> Recipe:
    """PoseResNet-50 with DARK, COCO val2017, 256×192: published AP .724 (mmpose 1.x), .724 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_res50_dark-8xb64-210e_coco-256x192.py @759b39c
    """
    now, before = (0.724, 0.897, 0.797, 0.777, 0.934), (0.724, 0.898, 0.800, 0.777, 0.936)
    return dark(res50_coco_256x192(), "resnet_dark_coco", now, before)


def res50_coco_384x288_dark() -> Recipe:
    """PoseResNet-50 with DARK, COCO val2017, 384×288: published AP .735 (mmpose 1.x), .735 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_res50_dark-8xb64-210e_coco-384x288.py @759b39c
    """
    now, before = (0.735, 0.902, 0.801, 0.786, 0.938), (0.735, 0.900, 0.801, 0.785, 0.937)
    return dark(res50_coco_384x288(), "resnet_dark_coco", now, before)


def res101_coco_256x192_dark() -> Recipe:
    """PoseResNet-101 with DARK, COCO val2017, 256×192: published AP .733 (mmpose 1.x), .732 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_res101_dark-8xb64-210e_coco-256x192.py @759b39c
    """
    now, before = (0.733, 0.900, 0.810, 0.786, 0.938), (0.732, 0.899, 0.808, 0.786, 0.938)
    return dark(res101_coco_256x192(), "resnet_dark_coco", now, before)


def res101_coco_384x288_dark() -> Recipe:
    """PoseResNet-101 with DARK, COCO val2017, 384×288: published AP .749 (mmpose 1.x), .749 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_res101_dark-8xb64-210e_coco-384x288.py @759b39c
    """
    now, before = (0.749, 0.905, 0.818, 0.799, 0.940), (0.749, 0.902, 0.816, 0.799, 0.939)
    return dark(res101_coco_384x288(), "resnet_dark_coco", now, before)


def res152_coco_256x192_dark() -> Recipe:
    """PoseResNet-152 with DARK, COCO val2017, 256×192: published AP .743 (mmpose 1.x), .745 (0.x).

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_res152_dark-8xb32-210e_coco-256x192.py @759b39c
    """
    now, before = (0.743, 0.906, 0.819, 0.796, 0.943), (0.745, 0.905, 0.821, 0.797, 0.942)
    return dark(res152_coco_256x192(), "resnet_dark_coco", now, before, people=256)


def res152_coco_384x288_dark() -> Recipe:
    """PoseResNet-152 with DARK, COCO val2017, 384×288: published AP .755 (mmpose 1.x), .757 (0.x).

    The only one of 1.x at this size whose blur is 17 cells wide (``blur_kernel_size``), as in 0.x.

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_res152_dark-8xb32-210e_coco-384x288.py:39 @759b39c
    """
    now, before = (0.755, 0.907, 0.825, 0.805, 0.943), (0.757, 0.909, 0.826, 0.806, 0.943)
    page = "resnet_dark_coco"
    return dark(res152_coco_384x288(), page, now, before, people=256, blur_11=False)
