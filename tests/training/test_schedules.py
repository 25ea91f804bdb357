"""Learning rates equal the references' at every recorded step."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from paddle_pose.errors import UserError
from paddle_pose.settings import TrainSettings
from paddle_pose.training.schedules import ONE_CYCLE_END, ONE_CYCLE_START, learning_rate

HRNET = TrainSettings(epochs=210, learning_rate=1e-3, milestones=(170, 200))
MMPOSE = replace(HRNET, learning_rate=5e-4, warmup_steps=500, warmup_factor=0.001)
# Both sides multiply a handful of float64 numbers, each with a relative error of 1.1e-16. torch
# multiplies 500 warm-up factors one after the other, which lets about 500 of them add up.
CLOSED_FORM = 1e-14
TORCH_PRODUCT = 500 * 2.3e-16


def test_hrnet_drops_at_its_milestones(reference_data):
    record = json.loads((reference_data / "parity/training/schedules.json").read_text())
    for epoch, rate in record["hrnet_mpii"]["lr_by_epoch"]:
        for step in (0, 695):
            ours = learning_rate(HRNET, epoch * 696 + step, 696)
            assert ours == pytest.approx(rate, rel=CLOSED_FORM)


@pytest.mark.parametrize(
    ("key", "tolerance"), [("lr_torch", TORCH_PRODUCT * 10), ("lr_mmcv_formula", 2e-14 * 1000)]
)
def test_mmpose_warm_up(reference_data, key, tolerance):
    # The mmcv formula subtracts numbers near 1 to get 0.001: a thousandfold of its rounding.
    record = json.loads((reference_data / "parity/training/schedules.json").read_text())
    for epoch, step, rate in record["mmpose_hourglass52_mpii"][key]:
        assert learning_rate(MMPOSE, epoch * 44 + step, 44) == pytest.approx(rate, rel=tolerance)


def test_hrnet_by_hand():
    rates = [learning_rate(HRNET, epoch * 10, 10) for epoch in (0, 169, 170, 199, 200, 209)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5], rel=CLOSED_FORM)


def test_one_cycle_starts_low_peaks_and_ends_lowest():
    settings = TrainSettings(epochs=10, learning_rate=1.0, schedule="one_cycle")
    rates = [learning_rate(settings, step, 11) for step in range(110)]
    assert rates[0] == pytest.approx(ONE_CYCLE_START)
    assert rates[-1] == pytest.approx(ONE_CYCLE_END)
    # The top, at 0.3 × 109 = 32.7, lies between two steps: at most half a step's cosine away.
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates.index(max(rates)) in (32, 33)


def test_cosine_ends_near_zero():
    settings = TrainSettings(epochs=2, learning_rate=0.5, schedule="cosine")
    assert learning_rate(settings, 0, 10) == 0.5
    assert learning_rate(settings, 10, 10) == pytest.approx(0.25)


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(UserError, match="multistep"):
        learning_rate(TrainSettings(schedule="multi_step"), 0, 1)
