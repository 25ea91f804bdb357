"""The whole learning-rate curve of each recipe against the official one (PEERS step 3.5)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paddle_pose.settings import TrainSettings
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning.networks import HRNET, MIPNET, MMPOSE, NETWORKS, PARITY, PRINCETON
from reproduce.aligning.rows import Reference, Row

CLOSED_FORM = 1e-14
CLOSED_REASON = "a handful of float64 products, 1.1e-16 each"
TORCH_PRODUCT = 500 * 2.3e-16 * 10
TORCH_REASON = "PyTorch multiplies 500 warm-up factors one after the other, 2.3e-16 each, × 10"
MMCV_FORMULA = 2e-14 * 1000
MMCV_REASON = "mmcv's formula subtracts numbers near 1 to get 0.001: 1000 × rounding"


@dataclass(frozen=True)
class Rule:
    """What an official configuration states; steps of an epoch are constant after warm-up.

    Attributes:
        file: where it stands.
        repository: and its commit.
        rate, epochs, milestones, gamma: as TrainSettings has them.
        warmup_steps, warmup_factor: linear warm-up, if any.
        steps_per_epoch: MPII's 22,246 or COCO's 149,813 training people by the batch size.
    """

    file: str
    repository: tuple[str, str]
    rate: float
    epochs: int
    milestones: tuple[int, ...]
    steps_per_epoch: int
    gamma: float = 0.1
    warmup_steps: int = 0
    warmup_factor: float = 1.0


RULES = {
    "hourglass52": Rule(
        "configs/body_2d_keypoint/topdown_heatmap/mpii/"
        "td-hm_hourglass52_8xb64-210e_mpii-256x256.py",
        MMPOSE,
        5e-4,
        210,
        (170, 200),
        44,
        warmup_steps=500,
        warmup_factor=0.001,
    ),
    "hrnet_w32": Rule(
        "experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml; tools/train.py:176-183",
        HRNET,
        1e-3,
        210,
        (170, 200),
        174,
    ),
    "hrnet_w48": Rule(
        "experiments/coco/hrnet/w48_384x288_adam_lr1e-3.yaml; tools/train.py:176-183",
        HRNET,
        1e-3,
        210,
        (170, 200),
        1561,
    ),
    "pose_resnet50": Rule(
        "experiments/mpii/resnet/res50_256x256_d256x3_adam_lr1e-3.yaml; tools/train.py:176-183",
        HRNET,
        1e-3,
        140,
        (90, 120),
        174,
    ),
    "mipnet": Rule(
        "scripts/train/lambda/train.sh; tools/lambda/train_lambda_real.py:215-234",
        MIPNET,
        1e-3,
        110,
        (70, 100),
        1561,
    ),
}


RECORDED = {"hrnet_w32": "hrnet_mpii", "mipnet": "mipnet_coco"}
"""Whose scheduler was run, and its points in ``schedules.json``."""


def stated_curve(rule: Rule) -> np.ndarray:
    """The rate of every step, multiplied up as a scheduler does it."""
    rates, rate = [], rule.rate
    for epoch in range(rule.epochs):
        if epoch in rule.milestones:
            rate *= rule.gamma
        rates += [rate] * rule.steps_per_epoch
    curve = np.array(rates)
    warm = np.linspace(rule.warmup_factor, 1, rule.warmup_steps + 1)[:-1]
    curve[: len(warm)] *= warm
    return curve


def our_curve(settings: TrainSettings, steps_per_epoch: int) -> np.ndarray:
    """The rate of every step of a run of ours."""
    steps = range(settings.epochs * steps_per_epoch)
    return np.array([learning_rate(settings, step, steps_per_epoch) for step in steps])


def relative(ours: np.ndarray, theirs: Sequence[float] | np.ndarray) -> float:
    """Largest relative difference; infinite for curves of different lengths."""
    if len(ours) != len(theirs):
        return float("inf")
    return float(np.abs(ours / np.asarray(theirs) - 1).max())


def rows(name: str) -> list[Row]:
    """The curve of a network's recipe against the stated rule and against recorded points."""
    settings = NETWORKS[name].load().train
    if name == "newell_hg2":
        return [_newell(settings)]
    rule = RULES[name]
    curve = our_curve(settings, rule.steps_per_epoch)
    reference = Reference(*rule.repository, rule.file)
    row = Row(
        name,
        "learning rate",
        "float64",
        f"rate of all {len(curve):,} steps of {rule.epochs} epochs, relative",
        relative(curve, stated_curve(rule)),
        TORCH_PRODUCT if rule.warmup_steps else CLOSED_FORM,
        TORCH_REASON if rule.warmup_steps else CLOSED_REASON,
        reference,
    )
    recorded = json.loads((PARITY / "training" / "schedules.json").read_text("utf-8"))
    made = [row]
    if name in RECORDED:
        points = recorded[RECORDED[name]]["lr_by_epoch"]
        ours = curve[[epoch * rule.steps_per_epoch for epoch, _ in points]]
        off = relative(ours, [rate for _, rate in points])
        text = f"rates that the reference's scheduler gave in {len(points)} epochs, relative"
        made.append(replace(row, quantity=text, difference=off))
    elif name == "hourglass52":
        for key, whose, tolerance, because in (
            ("lr_torch", "PyTorch's schedulers", TORCH_PRODUCT, TORCH_REASON),
            ("lr_mmcv_formula", "mmcv's formula", MMCV_FORMULA, MMCV_REASON),
        ):
            points = recorded["mmpose_hourglass52_mpii"][key]
            ours = curve[[epoch * rule.steps_per_epoch + step for epoch, step, _ in points]]
            off = relative(ours, [rate for _, _, rate in points])
            text = f"rates that {whose} gave at {len(points)} steps, relative"
            point_row = replace(row, quantity=text, difference=off, tolerance=tolerance)
            made.append(replace(point_row, tolerance_source=because))
    return made


def _newell(settings: TrainSettings) -> Row:
    """Princeton counts steps, a recipe here epochs, so its drop falls on the next epoch."""
    steps_per_epoch = -(-22_246 // settings.batch_size)
    curve = our_curve(settings, steps_per_epoch)
    at = int(np.argmax(curve < 1e-3))
    stated = np.where(np.arange(len(curve)) < at, 1e-3, 2e-4)
    wrong = relative(curve, stated)
    return Row(
        "newell_hg2",
        "learning rate",
        "float64",
        "step at which 1e-3 becomes 2e-4, steps from 100,000",
        abs(at - 100_000) if wrong < CLOSED_FORM else float("inf"),
        float(steps_per_epoch),
        "the drop falls on a whole epoch, 1,391 steps of 16 people",
        Reference(*PRINCETON, "task/pose.py decay_iters, decay_lr"),
    )
