"""HRNet (Sun et al., CVPR 2019): the official rows, and mmpose's numbers for the same networks.

Sizes in names are height × width, as published; ``image_size_wh`` is width, height.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.configs.encodings import dark, dark_mpii, udp, udp_regress
from paddle_pose.configs.paddledetection import paddledetection
from paddle_pose.models.architectures import HRNet
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import (
    AugmentSettings,
    Benchmark,
    DataSettings,
    EvalSettings,
    OksProtocol,
    TrainSettings,
)

_README = "leoxiaobin/deep-high-resolution-net.pytorch README.md @6f69e46"
_USERS = "leoxiaobin/deep-high-resolution-net.pytorch issue 174 (users; the shipped yaml's boxes)"
_MMPOSE = "open-mmlab/mmpose configs/body_2d_keypoint/topdown_heatmap @759b39c"

_SCORES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


def _coco(*published: float) -> dict[str, float]:
    """A row of the COCO table."""
    return dict(zip(_SCORES, published, strict=True))


def w32_mpii_256x256() -> Recipe:
    """HRNet-W32, MPII, 256×256: published Mean 90.3, Mean@0.11 37.7 (printed as "@0.1").

    Protocol: annotated centre and scale, flip test with shift, quarter offset. Retests of the
    published weights give 90.0, retrainings 89.8 to 90.1 (issue 163).
    Cost: 210 epochs of 22,246 people, 36,540 steps of 128; 4 P100 in the reference.
    Source: experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml @6f69e46 (its WD does not reach
    Adam: lib/utils/utils.py:69)
    """
    return Recipe(
        name="w32_mpii_256x256",
        model=HRNet(joints=16, width=32),
        data=DataSettings(dataset="mpii", skeleton="mpii16", image_size_wh=(256, 256)),
        augment=AugmentSettings(scale_factor=0.25, rotation_deg=30.0),
        codec=HeatmapCodec(sigma_px=2.0),
        train=TrainSettings(
            epochs=210,
            batch_size=128,
            learning_rate=1e-3,
            milestones=(170, 200),
            pretrained="ImageNet",
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(
            Benchmark(
                name="mpii_val",
                published={
                    "Head": 97.1,
                    "Shoulder": 95.9,
                    "Elbow": 90.3,
                    "Wrist": 86.4,
                    "Hip": 89.1,
                    "Knee": 87.1,
                    "Ankle": 83.3,
                    "Mean": 90.3,
                    "Mean@0.11": 37.7,
                },
                source=_README,
            ),
            Benchmark(
                name="mpii_val_mmpose",
                decoder="quarter_offset_per_axis",
                published={"Mean": 90.0, "Mean@0.10": 33.4},
                source=f"{_MMPOSE} mpii/hrnet_mpii.md (mmpose's own training)",
            ),
        ),
    )


def w48_mpii_256x256() -> Recipe:
    """HRNet-W48, MPII, 256×256: no published row in the official README; mmpose has 90.1.

    Protocol: as w32_mpii_256x256.
    Cost: 210 epochs, 36,540 steps of 128, 2.1 times the W32's arithmetic.
    Source: experiments/mpii/hrnet/w48_256x256_adam_lr1e-3.yaml @6f69e46
    """
    base = w32_mpii_256x256()
    official, mmpose = base.benchmarks
    return replace(
        base,
        name="w48_mpii_256x256",
        model=HRNet(joints=base.model.joints, width=48),
        benchmarks=(
            replace(official, published={}, source=""),
            replace(mmpose, published={"Mean": 90.1, "Mean@0.10": 33.7}),
        ),
    )


def w32_coco_256x192() -> Recipe:
    """HRNet-W32, COCO val2017, 256×192: published AP .744 with detector boxes (human AP 56.4).

    Protocol: flip test with shift, quarter offset, box × keypoint score above 0.2, OKS-NMS at 0.9.
    The shipped yaml says USE_GT_BBOX true, which gives users .765: benchmark
    ``coco_val_ground_truth``. Without ImageNet weights the paper has .734.
    Cost: 210 epochs of 149,813 people, 245,910 steps of 128; 4 P100 in the reference.
    Source: experiments/coco/hrnet/w32_256x192_adam_lr1e-3.yaml @6f69e46
    """
    detector = Benchmark(
        name="coco_val_detector",
        boxes="detector",
        metric=OksProtocol(oks_nms=0.9, rescore=True),
        published=_coco(0.744, 0.905, 0.819, 0.708, 0.810, 0.798, 0.942, 0.865, 0.757, 0.858),
        source=_README,
    )
    return Recipe(
        name="w32_coco_256x192",
        model=HRNet(joints=17, width=32),
        data=DataSettings(
            dataset="coco",
            skeleton="coco17",
            image_size_wh=(192, 256),
            train_split="train2017",
            val_split="val2017",
        ),
        augment=AugmentSettings(
            scale_factor=0.35,
            rotation_deg=45.0,
            half_body_probability=0.3,
            half_body_min_joints=8,
        ),
        codec=HeatmapCodec(sigma_px=2.0),
        train=TrainSettings(
            pretrained="ImageNet",
            epochs=210,
            batch_size=128,
            learning_rate=1e-3,
            milestones=(170, 200),
            select_metric="AP",
        ),
        eval=EvalSettings(batch_size=32),
        benchmarks=(
            detector,
            replace(
                detector,
                name="coco_val_ground_truth",
                boxes="ground_truth",
                published={"AP": 0.765},
                source=_USERS,
            ),
            replace(
                detector,
                name="coco_val_detector_soft_nms",
                metric=OksProtocol(oks_nms=0.9, soft_oks_nms=True, rescore=True),
                published={},
                source="",
            ),
            replace(
                detector,
                name="coco_val_detector_mmpose",
                decoder="quarter_offset_per_axis",
                published={"AP": 0.749, "AP50": 0.906, "AP75": 0.821, "AR": 0.804, "AR50": 0.945},
                source=f"{_MMPOSE} coco/hrnet_coco.md (mmpose's own training)",
            ),
        ),
    )


def w32_coco_384x288() -> Recipe:
    """HRNet-W32, COCO val2017, 384×288: published AP .758 with detector boxes; sigma 3 cells.

    Protocol: as w32_coco_256x192. The paper has 74.9 on test-dev2017 (another detector, 60.9).
    Cost: 245,910 steps of 128 with 2.25 times the arithmetic of 256×192.
    Source: experiments/coco/hrnet/w32_384x288_adam_lr1e-3.yaml @6f69e46
    """
    base = w32_coco_256x192()
    detector, ground_truth, soft, mmpose = base.benchmarks
    return replace(
        base,
        name="w32_coco_384x288",
        data=replace(base.data, image_size_wh=(288, 384)),
        codec=HeatmapCodec(sigma_px=3.0),
        benchmarks=(
            replace(
                detector,
                published=_coco(
                    0.758, 0.906, 0.825, 0.720, 0.827, 0.809, 0.943, 0.869, 0.767, 0.871
                ),
            ),
            replace(ground_truth, published={}, source=""),
            soft,
            replace(
                mmpose,
                published={"AP": 0.761, "AP50": 0.908, "AP75": 0.826, "AR": 0.811, "AR50": 0.944},
            ),
        ),
    )


def w48_coco_256x192() -> Recipe:
    """HRNet-W48, COCO val2017, 256×192: published AP .751 with detector boxes.

    Protocol: as w32_coco_256x192.
    Cost: 245,910 steps of 128, 2.1 times the W32's arithmetic.
    Source: experiments/coco/hrnet/w48_256x192_adam_lr1e-3.yaml @6f69e46
    """
    base = w32_coco_256x192()
    detector, ground_truth, soft, mmpose = base.benchmarks
    return replace(
        base,
        name="w48_coco_256x192",
        model=HRNet(joints=base.model.joints, width=48),
        benchmarks=(
            replace(
                detector,
                published=_coco(
                    0.751, 0.906, 0.822, 0.715, 0.818, 0.804, 0.943, 0.867, 0.762, 0.864
                ),
            ),
            replace(ground_truth, published={}, source=""),
            soft,
            replace(
                mmpose,
                published={"AP": 0.756, "AP50": 0.908, "AP75": 0.826, "AR": 0.809, "AR50": 0.945},
            ),
        ),
    )


def w48_coco_384x288() -> Recipe:
    """HRNet-W48, COCO val2017, 384×288: published AP .763 with detector boxes; sigma 3 cells.

    Protocol: as w32_coco_256x192. On test-dev2017 (detector 60.9) .755: predict with
    ``--set data.val_split=test-dev2017`` and send the results file to COCO's server.
    Cost: 210 epochs of 149,813 people, 327,810 steps of 96 (24 on each of 4 GPUs).
    Source: experiments/coco/hrnet/w48_384x288_adam_lr1e-3.yaml @6f69e46
    """
    base = w48_coco_256x192()
    detector, ground_truth, soft, mmpose = base.benchmarks
    return replace(
        base,
        name="w48_coco_384x288",
        data=replace(base.data, image_size_wh=(288, 384)),
        codec=HeatmapCodec(sigma_px=3.0),
        train=replace(base.train, batch_size=96),
        eval=EvalSettings(batch_size=24),
        benchmarks=(
            replace(
                detector,
                published=_coco(
                    0.763, 0.908, 0.829, 0.723, 0.834, 0.812, 0.942, 0.871, 0.767, 0.876
                ),
            ),
            ground_truth,
            soft,
            replace(
                mmpose,
                published={"AP": 0.767, "AP50": 0.911, "AP75": 0.832, "AR": 0.817, "AR50": 0.947},
            ),
        ),
    )


def w32_coco_256x192_dark() -> Recipe:
    """HRNet-W32 with DARK, COCO val2017, 256×192: published AP .757 (mmpose 1.x), .757 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192.py @759b39c
    """
    now, before = (0.757, 0.907, 0.825, 0.807, 0.943), (0.757, 0.907, 0.823, 0.808, 0.943)
    return dark(w32_coco_256x192(), "hrnet_dark_coco", now, before)


def w32_coco_384x288_dark() -> Recipe:
    """HRNet-W32 with DARK, COCO val2017, 384×288: published AP .766 (mmpose 1.x), .766 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w32_dark-8xb64-210e_coco-384x288.py @759b39c
    """
    now, before = (0.766, 0.907, 0.829, 0.815, 0.943), (0.766, 0.907, 0.831, 0.815, 0.943)
    return dark(w32_coco_384x288(), "hrnet_dark_coco", now, before)


def w32_coco_256x192_udp() -> Recipe:
    """HRNet-W32 with UDP, COCO val2017, 256×192: published AP .762 (mmpose 1.x), .760 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py @759b39c
    """
    now, before = (0.762, 0.907, 0.829, 0.810, 0.942), (0.760, 0.907, 0.827, 0.811, 0.945)
    return udp(w32_coco_256x192(), "hrnet_udp_coco", now, before)


def w32_coco_384x288_udp() -> Recipe:
    """HRNet-W32 with UDP, COCO val2017, 384×288: published AP .768 (mmpose 1.x), .769 (0.x).

    Cost: 210 epochs, 61,530 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w32_udp-8xb64-210e_coco-384x288.py @759b39c
    """
    now, before = (0.768, 0.909, 0.832, 0.815, 0.945), (0.769, 0.908, 0.833, 0.817, 0.944)
    return udp(w32_coco_384x288(), "hrnet_udp_coco", now, before)


def w48_coco_256x192_dark() -> Recipe:
    """HRNet-W48 with DARK, COCO val2017, 256×192: published AP .764 (mmpose 1.x), .764 (0.x).

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w48_dark-8xb32-210e_coco-256x192.py @759b39c
    """
    now, before = (0.764, 0.907, 0.831, 0.814, 0.942), (0.764, 0.907, 0.830, 0.814, 0.943)
    return dark(w48_coco_256x192(), "hrnet_dark_coco", now, before, people=256)


def w48_coco_384x288_dark() -> Recipe:
    """HRNet-W48 with DARK, COCO val2017, 384×288: published AP .772 (mmpose 1.x), .772 (0.x).

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w48_dark-8xb32-210e_coco-384x288.py @759b39c
    """
    now, before = (0.772, 0.911, 0.833, 0.821, 0.948), (0.772, 0.910, 0.836, 0.820, 0.946)
    return dark(w48_coco_384x288(), "hrnet_dark_coco", now, before, people=256)


def w48_coco_256x192_udp() -> Recipe:
    """HRNet-W48 with UDP, COCO val2017, 256×192: published AP .768 (mmpose 1.x), .767 (0.x).

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w48_udp-8xb32-210e_coco-256x192.py @759b39c
    """
    now, before = (0.768, 0.908, 0.833, 0.817, 0.945), (0.767, 0.906, 0.834, 0.817, 0.945)
    return udp(w48_coco_256x192(), "hrnet_udp_coco", now, before, people=256)


def w48_coco_384x288_udp() -> Recipe:
    """HRNet-W48 with UDP, COCO val2017, 384×288: published AP .773 (mmpose 1.x), .772 (0.x).

    Cost: 210 epochs, 123,060 steps of 256 (32 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288.py @759b39c
    """
    now, before = (0.773, 0.911, 0.836, 0.821, 0.946), (0.772, 0.910, 0.835, 0.820, 0.945)
    return udp(w48_coco_384x288(), "hrnet_udp_coco", now, before, people=256)


def w32_coco_256x192_udp_regress() -> Recipe:
    """HRNet-W32, UDP's offsets, COCO val2017, 256×192: published AP .759 (mmpose 1.x), .758 (0.x).

    Protocol and cost: as w32_coco_256x192_udp, but three maps a joint (model.joints=51).
    Source: mmpose td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192.py @759b39c
    """
    now, before = (0.759, 0.907, 0.827, 0.813, 0.943), (0.758, 0.908, 0.823, 0.812, 0.943)
    return udp_regress(w32_coco_256x192(), "hrnet_udp_coco", now, before)


def w32_mpii_256x256_dark() -> Recipe:
    """HRNet-W32 with DARK, MPII, 256×256: published Mean 90.4, @0.10 35.4, @0.11 39.6 (mmpose).

    Cost: 210 epochs of 22,246 people, 9,240 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w32_dark-8xb64-210e_mpii-256x256.py @759b39c
    """
    return dark_mpii(w32_mpii_256x256(), 90.4, 35.4, 39.6)


def w48_mpii_256x256_dark() -> Recipe:
    """HRNet-W48 with DARK, MPII, 256×256: published Mean 90.5, @0.10 36.0, @0.11 40.1 (mmpose).

    Cost: 210 epochs of 22,246 people, 9,240 steps of 512 (64 on each of 8 GPUs).
    Source: mmpose td-hm_hrnet-w48_dark-8xb64-210e_mpii-256x256.py @759b39c
    """
    return dark_mpii(w48_mpii_256x256(), 90.5, 36.0, 40.1)


def w32_coco_256x192_paddledetection() -> Recipe:
    """Published AP .769; cost: as the plain. Source: hrnet_w32_256x192.yml."""
    return paddledetection(w32_coco_256x192(), {"AP": 0.769}, 69)


def w32_coco_384x288_paddledetection() -> Recipe:
    """Published AP .778; cost: as the plain. Source: hrnet_w32_384x288.yml."""
    return paddledetection(w32_coco_384x288(), {"AP": 0.778}, 70)


def w32_coco_256x192_dark_paddledetection() -> Recipe:
    """Published AP .780; cost: as the plain. Source: dark_hrnet_w32_256x192.yml."""
    return paddledetection(w32_coco_256x192(), {"AP": 0.780}, 71, dark=True)


def w32_coco_384x288_dark_paddledetection() -> Recipe:
    """Published AP .783; cost: as the plain. Source: dark_hrnet_w32_384x288.yml."""
    return paddledetection(w32_coco_384x288(), {"AP": 0.783}, 72, dark=True, people=128)


def w32_mpii_256x256_paddledetection() -> Recipe:
    """Published Mean 90.6, @0.11 38.5; cost: as the plain. Source: hrnet_w32_256x256_mpii.yml."""
    return paddledetection(w32_mpii_256x256(), {"Mean": 90.6, "Mean@0.11": 38.5}, 87)
