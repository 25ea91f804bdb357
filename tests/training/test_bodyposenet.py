"""BodyPoseNet learns as its official trainer does; what its loss refuses."""

from __future__ import annotations

import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import StageOutput
from paddle_pose.settings import TrainSettings
from paddle_pose.training.losses import loss_function
from reproduce.aligning import bodyposenet_training as aligned


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_losses_equal_the_reference(dtype):
    rows = aligned.loss_rows(dtype)
    assert len(rows) == 6
    assert all(row.ok for row in rows), rows


def test_rates_multipliers_and_momentum_equal_the_reference():
    rows = [*aligned.rate_rows(), *aligned.multiplier_rows(), *aligned.momentum_rows()]
    assert len(rows) == 8
    assert all(row.ok for row in rows), rows


def test_four_updates_follow_the_reference():
    rows = aligned.trainer_rows("float64")
    assert {row.step for row in rows} == {"backward", "optimiser"}
    assert all(row.ok for row in rows), rows


def test_a_masked_cell_counts_nothing_and_the_mean_is_over_images():
    maps, ones = paddle.zeros([2, 3, 4, 5]), paddle.ones([2, 3, 4, 5])
    mask = paddle.ones([2, 4, 5])
    mask[0, 1, 2] = 0
    targets = {"heatmaps": ones, "pafs": 2 * ones, "mask": mask}
    parts = loss_function(TrainSettings(loss="masked_squares"))([StageOutput(maps, maps)], targets)
    # 39 of 40 cells of 3 maps, errors of 1 and of 2, halved, over two images.
    assert {name: float(part) for name, part in parts.items()} == {
        "heatmaps_stage1": 39 * 3 / 4,
        "pafs_stage1": 39 * 3 * 4 / 4,
    }


def test_targets_of_other_maps_are_named():
    maps, targets = paddle.zeros([1, 3, 4, 5]), paddle.zeros([1, 3, 4, 4])
    given = {"heatmaps": targets, "pafs": targets, "mask": paddle.ones([1, 4, 4])}
    with pytest.raises(UserError, match=r"heatmaps are 3 maps of 4×4 cells, the network's 3 of 5"):
        loss_function(TrainSettings(loss="masked_focal"))([StageOutput(maps, maps)], given)
