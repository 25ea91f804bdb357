"""A network's side of a live alignment: our answers, and both sides compared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import paddle

from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import RMSprop, TrainSettings
from paddle_pose.training.losses import heatmap_mse, joints_mse
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.rmsprop import optimizer_of
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning import name_seeded
from reproduce.aligning.initialisation import KOLMOGOROV, KOLMOGOROV_REASON, two_sample
from reproduce.aligning.networks import precision
from reproduce.aligning.rates import CLOSED_FORM, CLOSED_REASON
from reproduce.aligning.rows import Reference, Row
from reproduce.aligning.training import FOLLOWED, LEARNING_RATE, OPTIMIZER, ROUNDING

EPSILON = 2.5e-13
"""What Paddle's float32 epsilon of batch norm changes in a variance of 0.5 … 1.5, halved by the
root, with room for 2^-53 roundings; errors of the layers add up at worst."""
FLOAT32_FACTOR = 4
FLOAT32_REASON = "4 × what PyTorch's float32 is off from its float64 in this run"
FLOAT32_LOSS_REASON = "a square: twice the heat maps' error, 4 × what PyTorch's float32 has of it"
CHAOS_FACTOR = 20
SAMPLE, VALUES = 20_000, "up to 20,000 values each"
"""As torch_side.py has it."""
CHAOS_REASON = (
    "20 × what batch norm's epsilon in float32, as Paddle has it, and a 1e-13 change of the images "
    "do in the reference, in this run"
)


def our_answers(
    recipe: Recipe,
    weights: dict[str, np.ndarray],
    inputs: dict[str, np.ndarray],
    dtype: str,
    own_loss: bool,
    steps: int,
) -> dict[str, np.ndarray]:
    """What the child answers, from our network; tensors under the official names."""
    answers: dict[str, np.ndarray] = {}
    with precision(dtype):
        network = build(recipe.model)
        for key, value in network.state_dict().items():
            value.set_value(weights[key].astype(dtype))
        images, batch, targets, seen = (
            paddle.to_tensor(inputs[key].astype(dtype))
            for key in ("images", "train_images", "targets", "weights")
        )
        network.eval()
        with paddle.no_grad():
            for index, out in enumerate(network(images)):
                answers[f"forward/{index}"] = out.heatmaps_BJHW.numpy()
        network.train()
        compared = steps_of(recipe)
        make = optimizer_of if isinstance(compared.optimizer, RMSprop) else make_optimizer
        adam = make(network, compared)
        losses = []
        for step in range(steps):
            outputs = network(batch)
            named = {"heatmaps": targets, "weights": seen}
            loss = (heatmap_mse if own_loss else joints_mse)(outputs, named)["heatmaps"]
            loss.backward()
            losses.append(float(loss))
            if step == 0:
                answers["maps"] = outputs[-1].heatmaps_BJHW.numpy()
                for key, parameter in network.named_parameters():
                    if parameter.grad is not None:
                        name = name_seeded.official_name(key)
                        gradient = _official(parameter.grad.numpy())
                        answers[f"gradient/{name}"] = sample(gradient)
                        answers[f"norm/{name}"] = np.linalg.norm(gradient.astype(np.float64))
            adam.step()
            adam.clear_grad()
            if step == 0:
                for key, value in network.state_dict().items():
                    after = sample(_official(value.numpy()))
                    answers[f"after/{name_seeded.official_name(key)}"] = after
        # In training mode: running statistics carry Paddle's float32 momentum, 2.4e-8 a step.
        with paddle.no_grad():
            answers["last"] = network(batch)[-1].heatmaps_BJHW.numpy()
    answers["losses"] = np.array(losses)
    return answers


def steps_of(recipe: Recipe) -> TrainSettings:
    """The settings of compared steps: Adam at one rate for all, or the recipe's RMSprop at its.

    RMSprop's first step is ten times the rate.
    """
    own = recipe.train
    rate, optimizer = LEARNING_RATE, OPTIMIZER.optimizer
    if isinstance(own.optimizer, RMSprop):
        rate, optimizer = own.learning_rate, own.optimizer
    return replace(OPTIMIZER, learning_rate=rate, optimizer=optimizer)


def _official(array: np.ndarray) -> np.ndarray:
    """A tensor in PyTorch's layout: of those with two axes, all linear weights, the transpose."""
    return array.T if array.ndim == 2 else array


def sample(array: np.ndarray) -> np.ndarray:
    """The values that the child keeps of a tensor, evenly spread."""
    flat = array.ravel()
    return flat[:: max(1, -(-len(flat) // SAMPLE))].copy()


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    other = np.asarray(other, np.float64)
    return float(np.abs(one - other).max() / np.abs(other).max())


def _relative_l2(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm((one - other).ravel()) / np.linalg.norm(np.ravel(other)))


class Comparison:
    """One network's answers against ours."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        reference: Reference,
        first: dict[str, np.ndarray],
        theirs: dict[str, Any],
    ) -> None:
        self._name, self._recipe, self._reference = name, recipe, reference
        self._first, self._theirs = first, theirs
        prefix = "float64/gradient/"
        gradients = {n[len(prefix) :]: a for n, a in theirs.items() if n.startswith(prefix)}
        total = np.sqrt(sum(float((a**2).sum()) for a in gradients.values()))
        # Biases just before a batch norm have a true gradient of zero: theirs is rounding noise.
        self._real = {n for n, a in gradients.items() if np.linalg.norm(a) > 1e-10 * total}
        self._with_gradient = set(gradients)

    def _row(
        self,
        step: str,
        dtype: str,
        quantity: str,
        difference: float,
        tolerance: float,
        because: str,
    ) -> Row:
        tail = tolerance, because, self._reference, "live"
        return Row(self._name, step, dtype, quantity, float(difference), *tail)

    def _measures(
        self, ours: dict[str, np.ndarray], *, exact: bool
    ) -> dict[tuple[str, str], float]:
        """Quantities of one run against the reference's float64.

        ``exact`` asks for those too that float32 noise decides: every gradient alone, which ReLU
        and max pooling change at random, and what follows Adam's steps, which are nearly signs.
        """
        base = self._run("float64")
        stages = sorted(n for n in ours if n.startswith("forward/"))
        measures = {
            (
                "forward",
                f"heat maps of stack {i + 1}, eval mode, relative to the largest",
            ): _apart(ours[n], base[n])
            for i, n in enumerate(stages)
        }
        measures["loss", "loss of step 0, relative"] = _apart(
            ours["losses"][:1], base["losses"][:1]
        )
        pairs = [(ours[f"gradient/{n}"], base[f"gradient/{n}"]) for n in sorted(self._real)]
        off = math.sqrt(sum(float(((one - other) ** 2).sum()) for one, other in pairs))
        norm = math.sqrt(sum(float((other**2).sum()) for _, other in pairs))
        text = f"gradients of {len(pairs)} tensors, {VALUES}, together, relative L2"
        measures["backward", text] = off / norm
        # Not those of layers that the reference builds and never uses: nothing was exported there.
        statistics = [f"after/{n}" for n in self._first if ".running_" in n]
        measures["batch norm", f"{len(statistics)} running statistics after one step, relative"] = (
            max(_relative_l2(ours[n], base[n]) for n in statistics)
        )
        if not exact:
            return measures
        text = f"gradients of {len(pairs)} tensors, {VALUES}, largest relative L2 of one"
        measures["backward", text] = max(_relative_l2(one, other) for one, other in pairs)
        text = f"norms of {len(pairs)} gradients over all values, relative"
        norms = (float(ours[f"norm/{n}"] / base[f"norm/{n}"] - 1) for n in self._real)
        measures["backward", text] = max(map(abs, norms))
        compared = steps_of(self._recipe)
        kind = type(compared.optimizer).__name__
        moved = max(
            float(np.abs(ours[f"after/{n}"] - base[f"after/{n}"]).max()) for n in self._real
        )
        measures["optimiser", f"parameters after one {kind} step, {VALUES}, in learning rates"] = (
            moved / compared.learning_rate
        )
        steps = len(base["losses"])
        off = np.abs(ours["losses"] / base["losses"] - 1).max()
        measures["optimiser", f"losses of {steps} {kind} steps, relative"] = float(off)
        text = f"heat maps after {steps} {kind} steps, relative to the largest"
        measures["optimiser", text] = _apart(ours["last"], base["last"])
        return measures

    def _run(self, run: str) -> dict[str, np.ndarray]:
        prefix = f"{run}/"
        return {n.removeprefix(prefix): a for n, a in self._theirs.items() if n.startswith(prefix)}

    def rows(self, ours: dict[str, dict[str, np.ndarray]], seed: int) -> list[Row]:
        """All rows of the network."""
        rows = [*self._float64(ours["float64"]), *self._float32(ours["float32"])]
        without = {n.rpartition(".")[0] for n in self._theirs["facts"]["without_weights"]}
        our_gradients = {n.partition("/")[2] for n in ours["float64"] if n.startswith("gradient/")}
        rows.append(
            self._row(
                "backward",
                "float64",
                f"parameters with a gradient on one side only ({len(without)} layers that the "
                "reference never uses have none)",
                len(our_gradients ^ self._with_gradient),
                0.0,
                "names",
            )
        )
        rows += self._schedule()
        if any(n.startswith("first/") for n in self._theirs):
            rows += self._initialisation(seed)
        return rows

    def _float64(self, ours: dict[str, np.ndarray]) -> Iterator[Row]:
        network = build(self._recipe.model)
        norms = sum(isinstance(layer, paddle.nn.BatchNorm2D) for layer in network.sublayers())
        chaos = self._measures(self._run("perturbed"), exact=True)
        exact = exact_momentum(ours, self._first)
        for (step, quantity), difference in self._measures(exact, exact=True).items():
            amplified = CHAOS_FACTOR * chaos.get((step, quantity), 0.0)
            if step == "forward":
                tolerance = norms * EPSILON
                because = f"Paddle's float32 epsilon, 2.5e-13 in each of {norms} batch norms"
            else:
                least = FOLLOWED if step == "optimiser" else ROUNDING
                tolerance = max(least, amplified)
                because = f"{CHAOS_REASON}, at least {least:.0e}"
            yield self._row(step, "float64", quantity, difference, tolerance, because)

    def _float32(self, ours: dict[str, np.ndarray]) -> Iterator[Row]:
        """One step: float32 parts from float64 within a few, in either framework."""
        theirs = self._measures(self._run("float32"), exact=False)
        # Deformable convolutions part further in the training mode than in the other.
        in_training = _apart(self._run("float32")["maps"], self._run("float64")["maps"])
        forward = (off for (step, _), off in theirs.items() if step == "forward")
        outputs_off = max(in_training, *forward)
        for (step, quantity), difference in self._measures(ours, exact=False).items():
            limit, because = FLOAT32_FACTOR * max(theirs[step, quantity], 2.0**-24), FLOAT32_REASON
            if step == "loss":
                limit, because = 2 * FLOAT32_FACTOR * outputs_off, FLOAT32_LOSS_REASON
            yield self._row(step, "float32", quantity, difference, limit, because)

    def _schedule(self) -> Iterator[Row]:
        if "schedule" not in self._theirs:
            return
        rates = self._theirs["schedule"]
        settings = self._recipe.train
        ours = np.array([learning_rate(settings, epoch, 1) for epoch in range(settings.epochs)])
        same = len(ours) == len(rates)
        off = float(np.abs(ours / rates - 1).max()) if same else float("inf")
        text = f"rates of {len(rates)} epochs from the yaml by PyTorch's MultiStepLR, relative"
        yield self._row("learning rate", "float64", text, off, CLOSED_FORM, CLOSED_REASON)

    def _initialisation(self, seed: int) -> Iterator[Row]:
        prefix = "first/"
        theirs = {n[len(prefix) :]: a for n, a in self._theirs.items() if n.startswith(prefix)}
        paddle.seed(seed)
        worst, constant_off, drawn, constants = 0.0, 0.0, 0, 0
        for key, value in build(self._recipe.model).state_dict().items():
            if key.startswith("keypoint_head."):  # torch_side.BackboneAndHead is not mmpose's here
                continue
            ours, other = value.numpy().ravel(), theirs[name_seeded.official_name(key)]
            if np.ptp(other) == 0 or np.ptp(ours) == 0:
                constants += 1
                constant_off = max(constant_off, float(np.abs(ours - other.flat[0]).max()))
            else:
                drawn += 1
                worst = max(worst, two_sample(sample(ours), other))
        text = f"first weights of {drawn} tensors, Kolmogorov-Smirnov of two samples"
        step = "initialisation", "float32"
        yield self._row(*step, text, worst, KOLMOGOROV, KOLMOGOROV_REASON)
        text = f"{constants} tensors that begin constant"
        yield self._row(*step, text, constant_off, 0.0, "0 and 1 are exact")


def exact_momentum(
    ours: dict[str, np.ndarray], weights: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Running statistics as an exact momentum would have moved them; Paddle's is 2.4e-8 off."""
    share = 1 - float(np.float32(0.9))
    exact = dict(ours)
    for name, after in ours.items():
        if name.startswith("after/") and ".running_" in name:
            first = weights[name.removeprefix("after/")]
            exact[name] = first + (after - first) * (0.1 / share)
    return exact
