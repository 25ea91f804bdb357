"""Loss, gradients, Adam steps and batch norm's statistics against recorded runs.

A record starts from name-seeded weights and repeats one batch of 128×128 images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.settings import TrainSettings
from paddle_pose.training.losses import heatmap_mse, joints_mse
from paddle_pose.training.optimizers import make_optimizer
from reproduce.aligning import name_seeded
from reproduce.aligning.networks import (
    NETWORKS,
    PARITY,
    model_record,
    precision,
    reference_of,
    seeded,
)
from reproduce.aligning.rows import Reference, Row

LEARNING_RATE = 1e-3
OPTIMIZER = TrainSettings()
"""Adam without weight decay and clipping, as the records were made."""
ROUNDING = 1e-8
"""Relative. Float64 alone keeps 1e-13 (loss) to 1e-10 (gradients): the records say what a change of
1e-13 in the images does. Paddle holds batch norm's epsilon in float32, 2.5e-8 of it off, which is
2.5e-13 of a variance near 1 and acts like such a change."""
FOLLOWED = 1e-7
"""Relative, later losses: the same change grows to at most 5e-9 where a run can be followed (1.5e-7
at step 3 of the run with Newell's loss), and Paddle's epsilon is up to ten such changes."""
FLOAT32_LOSS, FLOAT32_GRADIENT, FLOAT32_STATISTICS = 5e-5, 2e-2, 1e-5
"""Relative, step 0. PyTorch's own float32 is off from its float64 by up to 6e-7 (loss) and 7.7e-3
(largest of all gradient norms: ReLU and max pooling decide otherwise on rounding noise) in these
records. Paddle sums in another order: other decisions again. Statistics of one batch norm are off
by up to 4e-6 to 1.1e-5 in live runs (a quarter of those rows' tolerances). A batch norm that adds a
million values in float32 one by one is seen by both: 2.2e-2 and 1.8e-5 with Newell's hourglass."""
FLOAT32_LATER = 2e-2
"""Relative, median of ten steps at learning rate 1e-5. PyTorch's float32 against float64: 1e-3 in
the median, 5.3e-3 at most. Single steps are chance: one thread or two moves ours from 5e-3 to
1.8e-2, so the largest is not judged."""

ROUNDING_REASON = (
    "float64 rounding and Paddle's float32 batch-norm epsilon (2.5e-13), through depth"
)
FOLLOWED_REASON = "20 × what a 1e-13 change of the images does in the reference (recorded)"
FLOAT32_REASON = "several times what PyTorch's float32 is off from its float64 (recorded)"

FOLLOWABLE = {"newell_hg2": 10, "newell_hg2_own_loss": 4, "hrnet_w32": 10, "hourglass52_batch8": 5}
"""Steps before float64 itself parts (records: loss_rel_diff_float64_perturbed)."""
PEOPLE = {"hourglass52_batch8": 8}
"""Images per batch where it is not 4."""


def batch(people: int, dtype: str) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """Recorded images, targets and weights: (B, 3, 128, 128), (B, 16, 32, 32), (B, 16)."""
    arrays = (
        np.random.RandomState(7).standard_normal((people, 3, 128, 128)),
        np.random.RandomState(8).uniform(0, 1, (people, 16, 32, 32)),
        np.random.RandomState(9).randint(0, 2, (people, 16, 1))[:, :, 0],
    )
    images, targets, weights = (paddle.to_tensor(array.astype(dtype)) for array in arrays)
    return images, targets, weights


def gradients(network: paddle.nn.Layer, record: dict[str, Any], relative: float) -> Iterator[tuple]:
    """Quantity, difference and tolerance of a first backward pass."""
    zero = set(record["parameters_with_zero_true_gradient"])
    norms = record["grad_norm_step0"]
    worst, seen = 0.0, set()
    for key, parameter in network.named_parameters():
        if parameter.stop_gradient:
            continue
        name = name_seeded.official_name(key)
        seen.add(name)
        if name not in zero:
            norm = float(np.linalg.norm(parameter.grad.numpy().astype(np.float64).ravel()))
            worst = max(worst, abs(norm / norms[name] - 1))
    yield "norm of every gradient, step 0, relative", worst, relative
    yield "parameters with a gradient on one side only", len(seen ^ set(norms)), 0.0


def _parameters(network: paddle.nn.Layer, record: dict[str, Any]) -> Iterator[tuple]:
    # Adam's first step is nearly the sign of the gradient: where a gradient is near its epsilon
    # (1e-8) rounding shows, and the sum over a tensor gathers it. One flipped sign moves it 2e-3.
    zero = set(record["parameters_with_zero_true_gradient"])
    worst_norm, worst_sum = 0.0, 0.0
    for key, parameter in network.named_parameters():
        name = name_seeded.official_name(key)
        if parameter.stop_gradient or name in zero:
            continue
        array = parameter.numpy()
        total, norm = record["params_after_step0"][name]
        worst_norm = max(worst_norm, abs(float(np.linalg.norm(array.ravel())) / norm - 1))
        worst_sum = max(worst_sum, abs(float(array.sum()) - total))
    perturbed = record["deviation"]["float64_perturbed_step0"]["params_sum"]
    norms, sums = "norm of every parameter after one Adam step, relative", "sum of every parameter"
    yield norms, worst_norm, ROUNDING, ROUNDING_REASON
    yield f"{sums} after one Adam step", worst_sum, 20 * perturbed, FOLLOWED_REASON


def _statistics(
    network: paddle.nn.Layer,
    record: dict[str, Any],
    first: dict[str, np.ndarray],
    relative: float,
) -> Iterator[tuple]:
    seen, worst = set(), 0.0
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
        worst = max(worst, abs(moved.sum() - record["bn_after_step0"][name]) / scale)
    unused = {name.rpartition(".")[0] for name in record["parameters_without_gradient"]}
    expected = {n for n in record["bn_after_step0"] if n.rpartition(".")[0] not in unused}
    yield "running means and variances after one step, relative", worst, relative
    yield "running statistics on one side only", len(seen ^ expected), 0.0


def train(
    network: PoseNetwork, dtype: str, people: int, own_loss: bool, rate: float, steps: int
) -> Iterator[tuple[str, int, float]]:
    """Adam steps on the recorded batch.

    Yields:
        ``("backward", step, loss)`` while gradients stand, ``("updated", step, loss)`` after.
    """
    adam = make_optimizer(network, replace(OPTIMIZER, learning_rate=rate))
    images, targets, weights = batch(people, dtype)
    for step in range(steps):
        outputs = network(images)
        named = {"heatmaps": targets, "weights": weights}
        loss = (heatmap_mse if own_loss else joints_mse)(outputs, named)["heatmaps"]
        loss.backward()
        yield "backward", step, float(loss)
        adam.step()
        adam.clear_grad()
        yield "updated", step, float(loss)


def _reference(record: dict[str, Any], own_loss: bool) -> Reference:
    loss = "task/loss.py HeatmapLoss" if own_loss else "HRNet lib/core/loss.py JointsMSELoss"
    return reference_of(record, f"; {loss}; torch.optim.Adam")


class _Comparison:
    """Rows of one recorded run, step by step."""

    def __init__(self, name: str, run: str, dtype: str) -> None:
        self.rows: list[Row] = []
        self.record = name_seeded.read_record(PARITY / "training" / f"{run}.json.gz")
        self.own_loss = run == "newell_hg2_own_loss"
        self._row = (name, dtype)
        self._reference = _reference(self.record, self.own_loss)
        self._exact = dtype == "float64"
        self._reason = ROUNDING_REASON if self._exact else FLOAT32_REASON
        self._later: list[tuple[float, float]] = []
        self._losses: list[float] = []

    def _add(
        self,
        step: str,
        quantity: str,
        difference: float,
        tolerance: float,
        because: str,
        arrays: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        name, dtype = self._row
        text = f"{quantity} ({'Newell' if self.own_loss else 'HRNet'}'s loss)"
        row = Row(name, step, dtype, text, float(difference), tolerance, because, self._reference)
        self.rows.append(replace(row, arrays=arrays))

    def _off(self, step: int, loss: float) -> float:
        return abs(loss / self.record["losses"][step] - 1)

    def first_backward(self, network: PoseNetwork, loss: float) -> None:
        limit = ROUNDING if self._exact else FLOAT32_LOSS
        arrays = np.array([loss]), np.array(self.record["losses"][:1])
        text = "loss of step 0, relative"
        self._add("loss", text, self._off(0, loss), limit, self._reason, arrays)
        self._losses.append(loss)
        limit = ROUNDING if self._exact else FLOAT32_GRADIENT
        for values in gradients(network, self.record, limit):
            self._add("backward", *values, self._reason)

    def first_update(self, network: PoseNetwork, first: dict[str, np.ndarray]) -> None:
        if self._exact:
            for values in _parameters(network, self.record):
                self._add("optimiser", *values)
        limit = ROUNDING if self._exact else FLOAT32_STATISTICS
        for values in _statistics(network, self.record, first, limit):
            self._add("batch norm", *values, self._reason)

    def later(self, step: int, loss: float) -> None:
        chaos = 20 * self.record["loss_rel_diff_float64_perturbed"][step]
        self._losses.append(loss)
        self._later.append((self._off(step, loss), max(FOLLOWED, chaos)))

    def finish(self, steps: int) -> list[Row]:
        if self._later:
            # The step that comes nearest to its own tolerance speaks for all.
            off, tolerance = max(self._later, key=lambda pair: pair[0] / pair[1])
            text = f"losses of {steps} Adam steps, relative"
            arrays = np.array(self._losses), np.array(self.record["losses"][:steps])
            self._add("optimiser", text, off, tolerance, FOLLOWED_REASON, arrays)
        return self.rows


def follow(
    name: str, run: str, dtype: str, most_steps: int, advance: Callable[[], None] = lambda: None
) -> list[Row]:
    """Run a recorded training run and compare; float32, which soon parts, goes one step.

    Args:
        name: of NETWORKS.
        run: record in ``tests/parity/training``.
        dtype: ``float64`` or ``float32``.
        most_steps: fewer if the record cannot be followed so far (FOLLOWABLE).
        advance: called after every step, for a progress bar.
    """
    compared = _Comparison(name, run, dtype)
    steps = min(most_steps, FOLLOWABLE[run]) if dtype == "float64" else 1
    model = model_record(name)
    with precision(dtype):
        first = name_seeded.tensors(model["state_dict"], compared.record["gain"])
        network, _ = seeded(name, model, first)
        first = {key: array for key, array in first.items() if ".running_" in key}  # memory
        people = PEOPLE.get(run, 4)
        for when, step, loss in train(
            network, dtype, people, compared.own_loss, LEARNING_RATE, steps
        ):
            if when == "updated":
                advance()
                if step == 0:
                    compared.first_update(network, first)
            elif step == 0:
                compared.first_backward(network, loss)
            else:
                compared.later(step, loss)
    return compared.finish(steps)


def follow_slowly(
    name: str, shared: Path, most_steps: int, advance: Callable[[], None] = lambda: None
) -> list[Row]:
    """Float32 losses at learning rate 1e-5, where they stay near the float64 ones."""
    run = f"{NETWORKS[name].training[0]}_lr1e-5"
    record = json.loads((shared / "parity" / "training" / f"{run}.json").read_text("utf-8"))
    model = model_record(name)
    steps = min(most_steps, len(record["losses"]))
    off = []
    with precision("float32"):
        network, _ = seeded(name, model, name_seeded.tensors(model["state_dict"], record["gain"]))
        for when, step, loss in train(network, "float32", 4, False, 1e-5, steps):
            if when == "updated":
                off.append(abs(loss / record["losses"][step] - 1))
                advance()
    text = f"losses of {steps} Adam steps at learning rate 1e-5, relative to float64, median"
    because = "four times what PyTorch's float32 is off from its float64 (5.3e-3 at most)"
    row = Row(
        name,
        "optimiser",
        "float32",
        text,
        float(np.median(off)),
        FLOAT32_LATER,
        because,
        _reference(record, False),
    )
    return [row]


SLOW = ("newell_hg2", "hrnet_w32")
"""Networks with a record at learning rate 1e-5 that can be followed."""
