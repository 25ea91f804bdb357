"""MIPNet (Khirodkar et al., ICCV 2021): HRNet, or a ResNet, asked twice about every box.

Sizes in names are height × width, as published; ``image_size_wh`` is width, height. The published
numbers are of the networks that the paper trained; nobody published how far training again comes.
OCHuman is measured with the COCO networks (``crowds.on_ochuman``).
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.configs import hrnet
from paddle_pose.configs.crowds import CROWDPOSE, on_ochuman
from paddle_pose.models.architectures import MIPNet, MIPPoseResNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, Benchmark, EvalSettings, OksProtocol

_ZOO = "rawalkhirodkar/MIPNet MODEL_ZOO.md @245651d"


def w48_coco_384x288() -> Recipe:
    """MIPNet on HRNet-W48, COCO val2017, 384×288: published AP .788 with true boxes.

    Protocol: both poses of every annotated box, the second's score halved, flip test with shift,
    quarter offset, box × keypoint score above 0.2, OKS-NMS at 0.9 over all poses of an image. On
    test-dev2017 .757 with a detector's boxes: its own split and boxes, not beside .788.
    Cost: 110 epochs of 149,813 people, 412,060 steps of 40 (10 on each of 4 GPUs), each with both
    instances; begins from HRNet-W48's COCO weights: ``--pretrained_model FILE --allow_partial``.
    Source: scripts/train/lambda/coco/train.sh:37; experiments/coco/hrnet/
    w48_384x288_adam_lr1e-3.yaml @245651d (its batch, epochs and steps are overridden)
    """
    base = hrnet.w48_coco_384x288()
    return replace(
        base,
        model=MIPNet(joints=17, width=48),
        codec=PairCodec(sigma_px=3.0),
        train=replace(
            base.train,
            pretrained="COCO",
            epochs=110,
            batch_size=40,
            milestones=(70, 100),
            loss="two_people_mse",
        ),
        benchmarks=(
            Benchmark(
                name="coco_val_ground_truth",
                metric=OksProtocol(oks_nms=0.9, rescore=True),
                published={
                    "AP": 0.788,
                    "AP50": 0.944,
                    "AP75": 0.857,
                    "APM": 0.755,
                    "APL": 0.837,
                    "AR": 0.816,
                },
                source=_ZOO,
            ),
            Benchmark(
                name="coco_val_detector",
                boxes="detector",
                metric=OksProtocol(oks_nms=0.9, rescore=True),
            ),
        ),
    )


def w32_coco_256x192() -> Recipe:
    """MIPNet on HRNet-W32, COCO val2017, 256×192: no published row.

    Protocol: as w48_coco_384x288; sigma 2 cells.
    Cost: 110 epochs, 171,710 steps of 96 (32 on each of 3 GPUs).
    Source: scripts/train/lambda/train.sh @91d7123; experiments/coco/hrnet/
    w32_256x192_adam_lr1e-3.yaml @245651d
    """
    base = w48_coco_384x288()
    truth, detector = base.benchmarks
    return replace(
        base,
        name="w32_coco_256x192",
        model=MIPNet(joints=17, width=32),
        data=replace(base.data, image_size_wh=(192, 256)),
        codec=PairCodec(sigma_px=2.0),
        train=replace(base.train, batch_size=96),
        eval=EvalSettings(batch_size=32),
        benchmarks=(replace(truth, published={}, source=""), detector),
    )


def w48_ochuman_384x288() -> Recipe:
    """w48_coco_384x288 as it is measured on OCHuman, without training there: published AP .741.

    Protocol: OCHuman's val split with true boxes; with a detector's boxes .420 (val), .425 (test).
    Cost: as w48_coco_384x288.
    Source: MODEL_ZOO.md @245651d
    """
    return on_ochuman(w48_coco_384x288())


def w48_crowdpose_384x288() -> Recipe:
    """MIPNet on HRNet-W48, CrowdPose test, 384×288: published AP .700 with a detector's boxes.

    Protocol: as w48_coco_384x288, but no pose is suppressed, as the code has it; ``…_nms`` are ours
    with OKS-NMS at 0.9. The published code cannot score the test split.
    Cost: 210 epochs of the train split, 30 people a step (10 on each of 3 GPUs). The script begins
    from ImageNet weights; the paper began from HRNet's COCO weights (author, issue 3).
    Source: scripts/train/lambda/crowdpose/train_lambda_real.sh:7; experiments/crowdpose/hrnet/
    w48_384x288_adam_lr1e-3.yaml @245651d
    """
    base = w48_coco_384x288()
    return replace(
        base,
        name="w48_crowdpose_384x288",
        model=MIPNet(joints=14, width=48),
        data=replace(
            base.data,
            dataset="crowdpose",
            skeleton="crowdpose14",
            train_split="train",
            val_split="val",
        ),
        train=replace(
            base.train, pretrained="ImageNet", epochs=210, batch_size=30, milestones=(170, 200)
        ),
        benchmarks=CROWDPOSE,
    )


def res101_crowdpose_384x288() -> Recipe:
    """MIPNet on ResNet-101, CrowdPose, 384×288: no published row.

    Protocol: as w48_crowdpose_384x288.
    Cost: 210 epochs, 48 people a step (16 on each of 3 GPUs); the rate falls at 90 and 120, which
    was made for 140 epochs. No half bodies, and blue first (``COLOR_RGB: false``).
    Source: scripts/train/lambda/crowdpose/train_lambda_real.sh:117; experiments/crowdpose/resnet/
    res101_384x288_d256x3_adam_lr1e-3.yaml @245651d
    """
    base = w48_crowdpose_384x288()
    return replace(
        base,
        name="res101_crowdpose_384x288",
        model=MIPPoseResNet(joints=14, layers=101),
        data=replace(base.data, channel_order="bgr"),
        augment=AugmentSettings(scale_factor=0.3, rotation_deg=40.0),
        train=replace(base.train, batch_size=48, milestones=(90, 120)),
        benchmarks=tuple(replace(one, published={}, source="") for one in base.benchmarks),
    )


def res101_crowdpose_256x192() -> Recipe:
    """MIPNet on ResNet-101, CrowdPose, 256×192: no published row, and no file of the authors'.

    Protocol: as res101_crowdpose_384x288, sigma 2 cells.
    Cost: as there, with 4 / 9 of the arithmetic.
    """
    base = res101_crowdpose_384x288()
    return replace(
        base,
        name="res101_crowdpose_256x192",
        data=replace(base.data, image_size_wh=(192, 256)),
        codec=PairCodec(sigma_px=2.0),
        eval=EvalSettings(batch_size=32),
    )
