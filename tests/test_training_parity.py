"""Adam steps in float64 follow the official PyTorch networks, losses and optimiser.

The records in tests/parity/training start from name-seeded weights and repeat one batch. Few steps
run by default; PADDLE_POSE_ALL_STEPS=1 runs every one that can be followed (12 minutes on a busy
machine).
"""

from __future__ import annotations

import os

import numpy as np
import paddle
import pytest
from conftest import PARITY

from paddle_pose.losses import heatmap_mse, joints_mse
from paddle_pose.models.architectures import Hourglass52, HRNet, NewellHourglass
from reproduce.aligning import name_seeded

NETWORKS = {
    "newell_hg2_mpii_256": NewellHourglass(joints=16, stacks=2),
    "hourglass52_mpii_256": Hourglass52(joints=16, stacks=1),
    "hrnet_w32_mpii_256x256": HRNet(joints=16, width=32),
}
RUNS = {  # record: (people per batch, steps by default, steps that can be followed)
    "newell_hg2": (4, 3, 10),
    "newell_hg2_own_loss": (4, 2, 4),
    "hrnet_w32": (4, 3, 10),
    "hourglass52_batch8": (8, 1, 5),
}
LEARNING_RATE = 1e-3
ROUNDING = 1e-8
"""Relative. Float64 alone keeps 1e-13 (loss) to 1e-10 (gradients): the records say what a change of
1e-13 in the images does. Paddle holds batch norm's epsilon in float32, 2.5e-8 of it off, which is
2.5e-13 of a variance near 1 and acts like such a change."""
FOLLOWED = 1e-7
"""Relative, later losses: the same change grows to at most 5e-9 where a run can be followed (1.5e-7
at step 3 of the run with Newell's loss), and Paddle's epsilon is up to ten such changes."""


def batch(people: int) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Recorded images, targets and weights: (B, 3, 128, 128), (B, 16, 32, 32), (B, 16)."""
    arrays = (
        np.random.RandomState(7).standard_normal((people, 3, 128, 128)),
        np.random.RandomState(8).uniform(0, 1, (people, 16, 32, 32)),
        np.random.RandomState(9).randint(0, 2, (people, 16, 1))[:, :, 0].astype(np.float64),
    )
    images, targets, weights = (paddle.to_tensor(array) for array in arrays)
    return images, targets, weights


@pytest.fixture
def float64():
    """Paddle's default precision decides that of the learning rate and of new layers."""
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


def check_gradients(network: paddle.nn.Layer, record: dict) -> None:
    zero = set(record["parameters_with_zero_true_gradient"])
    seen = set()
    for key, parameter in network.named_parameters():
        if parameter.stop_gradient:
            continue
        name = name_seeded.official_name(key)
        seen.add(name)
        if name not in zero:
            norm = float(np.linalg.norm(parameter.grad.numpy().ravel()))
            assert norm == pytest.approx(record["grad_norm_step0"][name], rel=ROUNDING), name
    assert seen == set(record["grad_norm_step0"])


def check_parameters(network: paddle.nn.Layer, record: dict) -> None:
    # Adam's first step is nearly the sign of the gradient: where a gradient is near its epsilon
    # (1e-8) rounding shows, and the sum over a tensor gathers it. One flipped sign moves it 2e-3.
    sums = 20 * record["deviation"]["float64_perturbed_step0"]["params_sum"]
    zero = set(record["parameters_with_zero_true_gradient"])
    for key, parameter in network.named_parameters():
        name = name_seeded.official_name(key)
        if parameter.stop_gradient or name in zero:
            continue
        array = parameter.numpy()
        total, norm = record["params_after_step0"][name]
        assert float(np.linalg.norm(array.ravel())) == pytest.approx(norm, rel=ROUNDING), name
        assert float(array.sum()) == pytest.approx(total, abs=sums), name


def check_batch_norms(network: paddle.nn.Layer, record: dict, first: dict) -> None:
    seen = set()
    share = 1 - float(np.float32(0.9))  # Paddle's momentum is a float32: 2.4e-8 off
    for key, value in network.state_dict().items():
        name = name_seeded.official_name(key)
        if name == key:
            continue
        seen.add(name)
        # What an exact momentum would have made of it.
        moved = first[name] + (value.numpy() - first[name]) * (0.1 / share)
        # Means are small sums of both signs, so relative to the values rather than to their sum.
        scale = np.abs(moved).sum()
        assert moved.sum() == pytest.approx(record["bn_after_step0"][name], abs=ROUNDING * scale), (
            name
        )
    unused = {name.rpartition(".")[0] for name in record["parameters_without_gradient"]}
    expected = record["bn_after_step0"]
    assert seen == {name for name in expected if name.rpartition(".")[0] not in unused}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.usefixtures("float64")
def test_training_follows_the_reference(run):
    record = name_seeded.read_record(PARITY / "training" / f"{run}.json.gz")
    model = name_seeded.read_record(PARITY / "models" / f"{record['model']}.json.gz")
    first = name_seeded.tensors(model["state_dict"], record["gain"])
    network = NETWORKS[record["model"]].build()
    name_seeded.fill(network, first)
    adam = paddle.optimizer.Adam(LEARNING_RATE, parameters=network.parameters())
    people, few_steps, all_steps = RUNS[run]
    images, targets, weights = batch(people)
    steps = all_steps if os.environ.get("PADDLE_POSE_ALL_STEPS") == "1" else few_steps

    for step in range(steps):
        outputs = network(images)
        if run == "newell_hg2_own_loss":
            loss = heatmap_mse(outputs, targets)
        else:
            loss = joints_mse(outputs, targets, weights)
        own_chaos = 20 * record["loss_rel_diff_float64_perturbed"][step]
        tolerance = ROUNDING if step == 0 else max(FOLLOWED, own_chaos)
        print(f"{run} step {step}: off by {abs(float(loss) / record['losses'][step] - 1):.1e}")
        assert float(loss) == pytest.approx(record["losses"][step], rel=tolerance), step
        loss.backward()
        if step == 0:
            check_gradients(network, record)
        adam.step()
        adam.clear_grad()
        if step == 0:
            check_parameters(network, record)
            check_batch_norms(network, record, first)
