"""Stacked Hourglass: mmpose's Hourglass-52, Newell's own network, bearpaw's; never in one row."""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.cut import CutCodec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.metrics.bearpaw import PlainPckh
from paddle_pose.models.architectures import BearpawHourglass, Hourglass52, NewellHourglass
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    PckhProtocol,
    RMSprop,
    TrainSettings,
)

_MMPOSE_MPII = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/mpii/hourglass_mpii.md"
_MMPOSE_COCO = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap/coco/hourglass_coco.md"
_PREDECESSOR = "txyugood/PaddlePose README.md"


def hourglass52_mpii_256x256() -> Recipe:
    """Hourglass-52 (one stack), MPII, 256×256: Mean .889, Mean@0.10 .317 (mmpose), 210 epochs.

    Cost: 44 h on one V100 at batch 64 (the predecessor's log).
    Run: ``python train.py --image_size 256 --dataset_root data/mpii``
    Source: mmpose td-hm_hourglass52_8xb64-210e_mpii-256x256.py @759b39c; batch 64 and learning
    rate as txyugood/PaddlePose ran it on one device.
    """
    return Recipe(
        name="hourglass52_mpii_256x256",
        model=Hourglass52(joints=16, stacks=1),
        data=DataSettings(dataset="mpii", skeleton="mpii16", image_size_wh=(256, 256)),
        augment=AugmentSettings(scale_factor=0.5, rotation_deg=40.0, flip_probability=0.5),
        codec=HeatmapCodec(sigma_px=2.0),
        train=TrainSettings(
            epochs=210,
            batch_size=64,
            learning_rate=5e-4,
            schedule="multistep",
            milestones=(170, 200),
            warmup_steps=500,
            warmup_factor=0.001,
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(
            Benchmark(
                name="mpii_val",
                decoder="quarter_offset_per_axis",
                published={"Mean": 88.9, "Mean@0.10": 31.7},
                source=_MMPOSE_MPII,
            ),
            Benchmark(
                name="mpii_val_no_shift",
                shift_heatmap=False,
                decoder="quarter_offset_per_axis",
                published={"Mean": 88.717, "Mean@0.10": 32.108},
                source=_PREDECESSOR,
            ),
        ),
    )


def hourglass52_mpii_384x384() -> Recipe:
    """Hourglass-52 (one stack), MPII, 384×384: Mean .894, Mean@0.10 .366 (mmpose), 210 epochs.

    Cost: about 54 h on one V100 at batch 64 (the predecessor's log).
    Run: ``python train.py --image_size 384 --dataset_root data/mpii``
    Source: mmpose td-hm_hourglass52_8xb32-210e_mpii-384x384.py @759b39c, which has 8 devices of 32
    people; here one. mmpose 1.x prints .367 for the same weights, 0.x .366.
    """
    base = hourglass52_mpii_256x256()
    mmpose, predecessor = base.benchmarks
    return replace(
        base,
        name="hourglass52_mpii_384x384",
        data=replace(base.data, image_size_wh=(384, 384)),
        train=replace(base.train, batch_size=32),
        benchmarks=(
            replace(mmpose, published={"Mean": 89.4, "Mean@0.10": 36.6}),
            replace(predecessor, published={"Mean": 89.139, "Mean@0.10": 37.588}),
        ),
    )


def newell_hg2_mpii_256x256() -> Recipe:
    """Newell's hourglass, 2 stacks, MPII, 256×256: 88.3 over 16 joints (princeton README).

    Cost: 200,000 steps of 16 people. Adam 1e-3, 2e-4 from step 100,000; sigma 1 cell; ±30 degrees.
    Run: ``python train.py --config hourglass:newell_hg2_mpii_256x256 --dataset_root data/mpii``
    Not as there: princeton shifts hue, saturation, brightness and contrast (data/MPII/dp.py), here
    each channel is scaled; its targets cut a joint's position to whole cells, here it is rounded.
    Source: princeton-vl/pytorch_stacked_hourglass task/pose.py, train.py @ceedc14
    """
    return Recipe(
        name="newell_hg2_mpii_256x256",
        model=NewellHourglass(joints=16, stacks=2),
        data=DataSettings(rgb_mean=(0.0, 0.0, 0.0), rgb_std=(1.0, 1.0, 1.0)),
        augment=AugmentSettings(distribution="uniform", rotation_probability=1.0, color_jitter=0.2),
        codec=HeatmapCodec(sigma_px=1.0),
        train=TrainSettings(
            epochs=144,
            batch_size=16,
            learning_rate=1e-3,
            milestones=(72,),
            gamma=0.2,
            loss="heatmap_mse",
            use_target_weight=False,
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(
            Benchmark(
                name="mpii_val",
                shift_heatmap=False,
                source="princeton-vl/pytorch_stacked_hourglass README.md (over 16 joints)",
            ),
            Benchmark(
                name="mpii_val_newell",
                shift_heatmap=False,
                decoder="quarter_offset_always",
                metric=PckhProtocol(thresholds=(0.5,), joints=16),
                published={"Mean": 88.3},
                source="princeton-vl/pytorch_stacked_hourglass README.md:52, test.py @ceedc14",
            ),
        ),
    )


def newell_hg8_mpii_256x256() -> Recipe:
    """Newell's hourglass, 8 stacks, MPII, 256×256: 90.2 over 16 joints (princeton README).

    Cost: 200,000 steps of 16 people, about four times the two-stack network.
    Source: princeton-vl/pytorch_stacked_hourglass task/pose.py @ceedc14
    """
    base = newell_hg2_mpii_256x256()
    plain, own = base.benchmarks
    own = replace(own, published={"Mean": 90.2}, source=own.source.replace(":52", ":50"))
    return replace(
        base,
        name="newell_hg8_mpii_256x256",
        model=NewellHourglass(stacks=8),
        benchmarks=(plain, own),
    )


def newell_hg1_mpii_256x256() -> Recipe:
    """Newell's hourglass, 1 stack, MPII, 256×256; no published row of this code."""
    base = newell_hg2_mpii_256x256()
    return replace(
        base,
        name="newell_hg1_mpii_256x256",
        model=NewellHourglass(stacks=1),
        benchmarks=base.benchmarks[:1],
    )


def bearpaw_hg2_mpii_256x256() -> Recipe:
    """Bearpaw's hourglass, 2 stacks, MPII, 256×256: plain mean 86.95 at its best epoch, 86.76 last.

    Cost: 220 epochs of 22,246 people, 6 a step.
    Run: ``python train.py --config hourglass:bearpaw_hg2_mpii_256x256 --dataset_root data/mpii``
    Epochs and the one step of the rate, at 150, are read from the curve beside its table
    (data/acc_curve.png). main.py has 100 epochs and steps at 60 and 90 (90 epochs, then). Error is
    unweighted as it was when the table was printed (example/mpii.py:47 @17dc840, half of it here:
    RMSprop divides by the gradient's size); since 2019 occluded joints do not count.
    Not as there: crops are cut in whole pixels and resized, here warped once; its mirrored joints
    stand a pixel too far left in the photo; colours are cut at white before the crop, here after.
    Source: bearpaw/pytorch-pose README.md:70, example/main.py, pose/datasets/mpii.py @edc7aec
    """
    table = Benchmark(
        name="mpii_val_bearpaw",
        flip_test=False,
        shift_heatmap=False,
        decoder="quarter_offset_truncated",
        metric=PlainPckh(thresholds=(0.5,)),
        published={"Mean": 86.95},
        source="bearpaw/pytorch-pose README.md:70, pose/utils/evaluation.py @17dc840",
    )
    own = replace(
        table,
        name="mpii_val",
        decoder="quarter_offset_half_truncated",
        metric=PckhProtocol(),
        published={},
        source="bearpaw/pytorch-pose pose/utils/evaluation.py:87 @edc7aec (no table)",
    )
    return Recipe(
        name="bearpaw_hg2_mpii_256x256",
        model=BearpawHourglass(joints=16, stacks=2),
        data=DataSettings(
            rgb_mean=(0.440442830324173, 0.4440267086029053, 0.4326828420162201),
            rgb_std=(1.0, 1.0, 1.0),
        ),
        augment=AugmentSettings(color_jitter=0.2),
        codec=CutCodec(),
        train=TrainSettings(
            epochs=220,
            batch_size=6,
            learning_rate=2.5e-4,
            milestones=(150,),
            optimizer=RMSprop(),
            use_target_weight=False,
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(own, table),
    )


def bearpaw_hg8_mpii_256x256() -> Recipe:
    """Bearpaw's hourglass, 8 stacks, MPII, 256×256: plain mean 88.78 at its best epoch, 88.64 last.

    Cost: as of two stacks, about four times the arithmetic.
    Source: bearpaw/pytorch-pose README.md:72 @edc7aec
    """
    base = bearpaw_hg2_mpii_256x256()
    own, table = base.benchmarks
    table = replace(table, published={"Mean": 88.78}, source=table.source.replace(":70", ":72"))
    return replace(
        base,
        name="bearpaw_hg8_mpii_256x256",
        model=BearpawHourglass(stacks=8),
        benchmarks=(own, table),
    )


def newell_hg1_lspet_128x128() -> Recipe:
    """A small Newell hourglass on LSPET in MPII layout; no published row.

    8,344 sports photos, 500 to validate on; a number on it is "PCKh, LSPET-derived", never "MPII".
    Narrower than the paper's network (80 features, stem 16), trained to name the
    cell of each joint (cross-entropy, not the paper's squared error); cosine decay from 2e-3.
    The recorded run was shortened to 9 epochs on the way, as its record says.
    Cost: about an hour on 2 CPU cores. Record: ``reproduce/runs/newell_hg1_lspet_128x128``.
    Run: ``python train.py --config hourglass:newell_hg1_lspet_128x128 --dataset_root lspet_mpii``
    Source: none; predicting the mean pose scores 4.1 there.
    """
    return Recipe(
        name="newell_hg1_lspet_128x128",
        model=NewellHourglass(joints=16, stacks=1, features=80, stem=16),
        data=DataSettings(image_size_wh=(128, 128)),
        augment=AugmentSettings(scale_factor=0.2, rotation_deg=30.0),
        codec=HeatmapCodec(sigma_px=1.5, maps="logits"),
        train=TrainSettings(
            epochs=14,
            batch_size=16,
            learning_rate=2e-3,
            loss="cell_cross_entropy",
            schedule="cosine",
            warmup_steps=300,
            warmup_factor=0.01,
            validate_every=2,
            log_every=50,
            save_every=100,
        ),
        eval=EvalSettings(batch_size=50),
        benchmarks=(Benchmark(name="lspet_val", source="none: no published number"),),
    )


def hourglass52_coco_256x256() -> Recipe:
    """Hourglass-52 (one stack), COCO val2017, 256×256: published AP .726 (mmpose), detector boxes.

    Protocol: detector of human AP 56.4, flip test with shift, quarter offset on each axis, box ×
    keypoint score above 0.2, OKS-NMS at 0.9. Not that training: mmpose moved 30 % of the crop
    centres, once for all epochs (topdown_coco_dataset.py:199 @7672061, July 2020), here none.
    Cost: 210 epochs of 149,813 people, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_hourglass52_8xb32-210e_coco-256x256.py, hourglass_coco.md @759b39c
    """
    mpii = hourglass52_mpii_256x256()
    detector = Benchmark(
        name="coco_val_detector",
        boxes="detector",
        decoder="quarter_offset_per_axis",
        metric=OksProtocol(oks_nms=0.9, rescore=True),
        published={"AP": 0.726, "AP50": 0.896, "AP75": 0.799, "AR": 0.780, "AR50": 0.934},
        source=_MMPOSE_COCO,
    )
    ground_truth = replace(
        detector, name="coco_val_ground_truth", boxes="ground_truth", published={}, source=""
    )
    return replace(
        mpii,
        name="hourglass52_coco_256x256",
        model=Hourglass52(joints=17, stacks=1),
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            image_size_wh=(256, 256),
            train_split="train2017",
            val_split="val2017",
        ),
        augment=replace(mpii.augment, half_body_probability=0.3, half_body_min_joints=8),
        train=replace(mpii.train, batch_size=256, select_metric="AP"),
        benchmarks=(detector, ground_truth),
    )


def hourglass52_coco_384x384() -> Recipe:
    """Hourglass-52 (one stack), COCO val2017, 384×384: published AP .746 (mmpose); sigma 3 cells.

    Protocol: as hourglass52_coco_256x256.
    Cost: 123,060 steps of 256 with 2.25 times the arithmetic of 256×256.
    Source: mmpose td-hm_hourglass52_8xb32-210e_coco-384x384.py, hourglass_coco.md @759b39c
    """
    base = hourglass52_coco_256x256()
    detector, ground_truth = base.benchmarks
    row = {"AP": 0.746, "AP50": 0.900, "AP75": 0.812, "AR": 0.797, "AR50": 0.939}
    return replace(
        base,
        name="hourglass52_coco_384x384",
        data=replace(base.data, image_size_wh=(384, 384)),
        codec=HeatmapCodec(sigma_px=3.0),
        benchmarks=(replace(detector, published=row), ground_truth),
    )
