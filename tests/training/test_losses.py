"""Losses worked out by hand, in float64 so that only the arithmetic can differ."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import StageOutput
from paddle_pose.models.visibility import MapsAndVisibility
from paddle_pose.training.losses import (
    cell_cross_entropy,
    heatmap_mse,
    joints_mse,
    maps_and_visibility,
)

EXACT = 1e-14
"""Relative: some ten float64 operations of 1.1e-16 each, and sums of a few dozen terms."""


def tensor(values) -> paddle.Tensor:
    return paddle.to_tensor(np.asarray(values, np.float64))


def given(heatmaps, weights=None) -> dict[str, paddle.Tensor]:
    named = {"heatmaps": tensor(heatmaps)}
    return named if weights is None else {**named, "weights": tensor(weights)}


@pytest.fixture
def example():
    """Two stacks, batch 2, three joints, maps of 4×5."""
    rng = np.random.default_rng(0)
    stacks = [rng.normal(size=(2, 3, 4, 5)) for _ in range(2)]
    targets = rng.uniform(size=(2, 3, 4, 5))
    weights = np.array([[1.0, 0.0, 1.0], [0.5, 1.0, 0.0]])
    outputs = [StageOutput(tensor(stack)) for stack in stacks]
    return stacks, outputs, targets, weights


def test_one_wrong_pixel():
    prediction, target = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 2))
    prediction[0, 1, 0, 0] = 4.0
    outputs = [StageOutput(tensor(prediction))]
    # One error of 4 among 8 values: 16/8 = 2, and half of it.
    assert float(heatmap_mse(outputs, given(target))["heatmaps"]) == 2.0
    assert float(joints_mse(outputs, given(target, [[1.0, 1.0]]))["heatmaps"]) == 1.0
    assert float(joints_mse(outputs, given(target, [[1.0, 0.0]]))["heatmaps"]) == 0.0


def test_maps_of_another_size_name_the_stride(example):
    _, outputs, targets, weights = example
    for loss in (joints_mse, heatmap_mse, cell_cross_entropy):
        with pytest.raises(UserError, match=r"codec.stride: .* 3 maps of 5×4 .* are 3 of 5×2"):
            loss(outputs, given(targets[:, :, :2], weights))


def test_joints_mse_joint_by_joint(example):
    stacks, outputs, targets, weights = example
    expected = 0.0
    for stack in stacks:
        for joint in range(3):
            squares = [
                (weights[person, joint] * (stack[person, joint] - targets[person, joint])) ** 2
                for person in range(2)
            ]
            expected += 0.5 * np.mean(squares) / 3
    loss = joints_mse(outputs, given(targets, weights))["heatmaps"]
    assert float(loss) == pytest.approx(expected, rel=EXACT)
    assert loss.shape == []


def test_weights_of_one_change_nothing(example):
    _, outputs, targets, weights = example
    weighted = joints_mse(outputs, given(targets, np.ones_like(weights)))["heatmaps"]
    assert float(weighted) == float(joints_mse(outputs, given(targets))["heatmaps"])


def test_a_missing_joint_gives_no_gradient(example):
    _, outputs, targets, weights = example
    heatmaps = outputs[0].heatmaps_BJHW
    heatmaps.stop_gradient = False
    joints_mse(outputs, given(targets, weights))["heatmaps"].backward()
    gradient = heatmaps.grad.numpy()
    assert (gradient[weights == 0] == 0).all()
    # Half the mean of (w·e)² over 120 values has the gradient w²·e/120.
    error = heatmaps.numpy() - targets
    expected = weights[:, :, None, None] ** 2 * error / 120
    np.testing.assert_allclose(gradient, expected, rtol=EXACT)


def test_heatmap_mse_averages_the_stacks(example):
    stacks, outputs, targets, _ = example
    expected = np.mean([np.mean((stack - targets) ** 2) for stack in stacks])
    assert float(heatmap_mse(outputs, given(targets))["heatmaps"]) == pytest.approx(
        expected, rel=EXACT
    )


def test_the_two_losses_differ_by_half_and_by_the_stacks(example):
    _, outputs, targets, _ = example
    summed, averaged = (
        loss(outputs, given(targets))["heatmaps"] for loss in (joints_mse, heatmap_mse)
    )
    assert float(summed) == pytest.approx(0.5 * len(outputs) * float(averaged), rel=EXACT)


def test_cell_cross_entropy_by_hand():
    """Two cells, certain target: log(1 + e^-1) of logits 1 and 0; missing joints do not count."""
    logits = StageOutput(tensor(np.array([[[[1.0, 0.0]], [[5.0, 0.0]]]])))
    targets = np.array([[[[2.0, 0.0]], [[0.0, 1.0]]]])
    loss = cell_cross_entropy([logits], given(targets, np.array([[1.0, 0.0]])))["heatmaps"]
    assert float(loss) == pytest.approx(np.log1p(np.exp(-1.0)), rel=EXACT)
    twice = cell_cross_entropy([logits, logits], given(targets, np.array([[1.0, 0.0]])))["heatmaps"]
    assert float(twice) == pytest.approx(2 * float(loss), rel=EXACT)


def test_cell_cross_entropy_leaves_out_empty_targets():
    logits = StageOutput(tensor(np.array([[[[1.0, 0.0]], [[5.0, 0.0]]]])))
    targets = np.array([[[[2.0, 0.0]], [[0.0, 0.0]]]])
    loss = cell_cross_entropy([logits], given(targets, np.array([[1.0, 1.0]])))["heatmaps"]
    assert float(loss) == pytest.approx(np.log1p(np.exp(-1.0)), rel=EXACT)


def test_visibility_by_hand(example):
    """A half of mmpose's 0.001 × the mean over all joints, those that count in no map included."""
    stacks, _, targets, _ = example
    seen, weights = [[0.8, 0.2, 0.5], [0.9, 0.25, 0.0]], [[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    outputs = [MapsAndVisibility(tensor(stacks[0]), tensor(seen))]
    parts = maps_and_visibility(outputs, given(targets, weights))
    right = np.array([0.8, 1 - 0.2, 0.5, 0.9, 0.25, 1.0])
    assert float(parts["visible"]) == pytest.approx(-0.0005 * np.log(right).mean(), rel=EXACT)
    alone = joints_mse([StageOutput(tensor(stacks[0]))], given(targets, weights))
    assert float(parts["heatmaps"]) == float(alone["heatmaps"])
