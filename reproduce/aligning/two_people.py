"""MIPNet besides its outputs: gates, the loss of both people, recorded steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddle_pose.models.architectures import Architecture, MIPNet, MIPPoseResNet
from paddle_pose.models.blocks import BatchNorm2D
from paddle_pose.models.instances import (
    BothInstances,
    TwoPeople,
    TwoPersonNetwork,
)
from paddle_pose.settings import INSTANCES
from paddle_pose.training.losses import LOSSES, total
from paddle_pose.training.optimizers import make_optimizer
from reproduce.aligning import forward, gates, name_seeded, training
from reproduce.aligning.networks import MIPNET, NETWORKS, PARITY, filled, precision, reference_of
from reproduce.aligning.rows import Reference, Row

NAME = "mipnet"
VARIANTS: dict[str, tuple[Architecture, str]] = {
    "mipnet_w32_coco_128x96_four_gates": (MIPNet(17, 32, (True,) * 4), " (gates at all points)"),
    "mipnet_w48_coco_384x288": (MIPNet(17, 48), " (W48)"),
    "mipnet_resnet50_coco_128x96": (MIPPoseResNet(17, 50), " (ResNet-50)"),
}
"""Records of other networks of the family."""
FOLLOWED_STEPS, ALL_STEPS = 8, 10
"""At the ninth step an argument of a ReLU is so near to 0 that Paddle's float32 epsilon changes its
sign, which changes the next losses by up to 4e-6; so does another order of batch norm's sums."""
ALL_TOLERANCE, ALL_REASON = 1e-6, "stated with the record, for later losses in float64"
EPSILON_REASON = "float64 rounding, and Paddle's float32 epsilon of batch norm: 2.5e-8 of it"
WEAK = 1e-6
WEAK_REASON = "of the order of epsilon / variance: Paddle's is 2.5e-8 off; 40 × for depth"
LOSS, LOSS_REASON = {"float64": 1e-12, "float32": 1e-6}, "stated with the record: the order of sums"


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float64", "float32")
    made: list = [("loss", 1, lambda tick: [row for d in dtypes for row in loss_rows(d)])]
    steps = 2 if quick else FOLLOWED_STEPS
    for dtype, count in (("float64", steps), ("float32", 1)):
        made.append(
            (f"training {dtype}", 2 * count, lambda tick, d=dtype, c=count: follow(d, c, tick))
        )
    if quick:
        return made
    made.append(("training, exact epsilon", 2 * ALL_STEPS, exact_rows))
    for model in VARIANTS:
        for dtype in dtypes:
            what = f"{model} forward {dtype}"
            made.append((what, 2, lambda tick, m=model, d=dtype: variant_rows(m, d)))
    if shared is not None:
        made.append(("gates", 1, lambda tick: gates.rows(shared)))
    return made


def variant_rows(model: str, dtype: str) -> list[Row]:
    """Outputs of another network of the family."""
    architecture, variant = VARIANTS[model]
    record = name_seeded.read_record(PARITY / "models" / f"{model}.json.gz")
    network = seeded(architecture, record, dtype)
    network.eval()
    return forward.rows_of(NAME, dtype, forward.maps_of(network, record, dtype), model, variant)


def seeded(architecture: Architecture, record: dict[str, Any], dtype: str) -> TwoPersonNetwork:
    """The network with the record's weights; every one of them has its place."""
    arrays = name_seeded.tensors(record["state_dict"], record["gain"])
    return filled(architecture, arrays, dtype)


def loss_rows(dtype: str) -> list[Row]:
    """The loss of each recorded case, its parts, and its gradient where that is recorded."""
    record = name_seeded.read_record(PARITY / "training" / "mipnet_loss.json.gz")
    file = "lib/core/train.py train_lambda; lib/core/loss.py JointsLambdaMSELoss"
    rows = []
    for name, case in record["cases"].items():
        draw, shape = np.random.RandomState(case["seed"]), [case[key] for key in "BKHW"]
        both = draw.standard_normal((2 * shape[0], *shape[1:]))
        targets = {f"target_{one}": draw.uniform(0, 1, shape) for one in INSTANCES}
        by_joint = np.array([1.0, 1.2, 1.5])[np.arange(shape[1]) % 3]
        for one in INSTANCES:
            weights = draw.randint(0, 2, (*shape[:2], 1))[:, :, 0].astype(np.float64)
            targets[f"weight_{one}"] = weights * (by_joint if case["joint_weights"] else 1)
        if not case["use_target_weight"]:
            targets = {key: one for key, one in targets.items() if key.startswith("target")}
        # The draw decides where an image's two answers stand.
        places = [np.flatnonzero(np.array(case["lambda"]) == one) for one in (1, 0)]
        order = [sorted(place, key=lambda row: row % shape[0]) for place in places]
        given = {key: paddle.to_tensor(one.astype(dtype)) for key, one in targets.items()}
        maps = [paddle.to_tensor(both[rows_].astype(dtype), stop_gradient=False) for rows_ in order]
        parts = LOSSES["two_people_mse"]([TwoPeople(*maps)], given)
        loss = total(list(parts.values()))
        loss.backward()
        found = {"loss": (np.array([float(loss)]), np.array([case["loss"]]))}
        for one, letter in zip(INSTANCES, "ab", strict=True):
            found[f"part of the {one} person"] = (
                np.array([float(parts[one])]), np.array([case[f"loss_{letter}_part"]]),
            )  # fmt: skip
        if "grad_output" in case:
            whole = np.zeros(both.shape)
            for rows_, one in zip(order, maps, strict=True):
                whole[rows_] = one.grad.numpy()
            found["gradient"] = whole, np.reshape(case["grad_output"], both.shape)
        for what, (ours, theirs) in found.items():
            off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            text = f"{what}, case {name.replace('_', ' ')}, relative"
            row = NAME, "loss", dtype, text, off, LOSS[dtype], LOSS_REASON
            rows.append(Row(*row, Reference(*MIPNET, file), arrays=(ours, theirs)))
    return rows


def batch(dtype: str) -> tuple[paddle.Tensor, dict[str, paddle.Tensor]]:
    """Recorded images (4, 3, 128, 96) and what both people's maps should be."""
    draw = np.random.RandomState
    arrays = {
        "images": draw(7).standard_normal((4, 3, 128, 96)),
        "target_primary": draw(8).uniform(0, 1, (4, 17, 32, 24)),
        "target_secondary": draw(9).uniform(0, 1, (4, 17, 32, 24)),
        "weight_primary": draw(10).randint(0, 2, (4, 17, 1))[:, :, 0],
        "weight_secondary": draw(11).randint(0, 2, (4, 17, 1))[:, :, 0],
    }
    tensors = {key: paddle.to_tensor(array.astype(dtype)) for key, array in arrays.items()}
    return tensors.pop("images"), tensors


@contextlib.contextmanager
def exact_epsilon() -> Iterator[None]:
    """Batch norm by its formula, with the epsilon that Paddle's kernel holds in float32."""
    kernel = BatchNorm2D._by_paddle

    def by_formula(self: BatchNorm2D, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        axes, shape = [0, 2, 3], [1, -1, 1, 1]
        mean = x_BCHW.mean(axes, keepdim=True)
        variance = ((x_BCHW - mean) ** 2).mean(axes, keepdim=True)
        scaled = (x_BCHW - mean) / (variance + 1e-5).sqrt()
        return scaled * self.weight.reshape(shape) + self.bias.reshape(shape)

    BatchNorm2D._by_paddle = by_formula
    try:
        yield
    finally:
        BatchNorm2D._by_paddle = kernel


def steps(network: TwoPersonNetwork, dtype: str, count: int) -> Iterator[tuple[str, int, float]]:
    """``("backward", step, loss)`` while gradients stand, ``("updated", …)`` after Adam's step."""
    adam = make_optimizer(network, training.OPTIMIZER)
    both, (images, targets) = BothInstances(network), batch(dtype)
    network.train()
    for step in range(count):
        loss = total(list(LOSSES["two_people_mse"](both(images), targets).values()))
        loss.backward()
        yield "backward", step, float(loss)
        adam.step()
        adam.clear_grad()
        yield "updated", step, float(loss)


class _Followed:
    """Rows of the recorded run."""

    def __init__(self, dtype: str) -> None:
        run = NETWORKS[NAME].training[0]
        self.record = name_seeded.read_record(PARITY / "training" / f"{run}.json.gz")
        file = "; lib/core/train.py train_lambda; torch.optim.Adam"
        self._reference = reference_of(self.record, file)
        self.rows: list[Row] = []
        self._dtype, self.exact = dtype, dtype == "float64"

    def add(self, step: str, text: str, off: float, tolerance: float, because: str) -> None:
        row = NAME, step, self._dtype, text, float(off), tolerance, because, self._reference
        self.rows.append(Row(*row))

    def losses(self, found: list[float], text: str, tolerance: float, because: str) -> None:
        wanted = np.array(self.record["losses"][: len(found)])
        off = np.abs(np.array(found) / wanted - 1).max()
        self.add("optimiser", text, off, tolerance, because)
        self.rows[-1] = replace(self.rows[-1], arrays=(np.array(found), wanted))

    def backward(self, network: nn.Layer, loss: float) -> None:
        record, exact = self.record, self.exact
        because = EPSILON_REASON if exact else training.FLOAT32_REASON
        limit = training.ROUNDING if exact else training.FLOAT32_LOSS
        off = abs(loss / record["losses"][0] - 1)
        self.add("loss", "loss of step 0, relative", off, limit, because)
        weak, zero = record["weak_gradients"], record["parameters_with_zero_true_gradient"]
        limit = training.ROUNDING if exact else training.FLOAT32_GRADIENT
        left = {**record, "parameters_with_zero_true_gradient": [*weak, *zero]}
        for text, off, most in training.gradients(network, left, limit):
            self.add("backward", text, off, most, because)
        if exact:
            named = {name_seeded.official_name(n): p for n, p in network.named_parameters()}
            norms = ((record["grad_norm_step0"][n], named[n].grad.numpy()) for n in weak)
            off = max(abs(float(np.linalg.norm(ours)) / norm - 1) for norm, ours in norms)
            text = f"norm of {len(weak)} gradients that a batch norm of two values all but undoes"
            self.add("backward", f"{text}, step 0, relative", off, WEAK, WEAK_REASON)

    def updated(self, network: TwoPersonNetwork, first: dict[str, np.ndarray]) -> None:
        limit = training.ROUNDING if self.exact else training.FLOAT32_STATISTICS
        because = EPSILON_REASON if self.exact else training.FLOAT32_REASON
        if self.exact:
            zero = set(self.record["parameters_with_zero_true_gradient"])
            off = 0.0
            for key, parameter in network.named_parameters():
                name = name_seeded.official_name(key)
                if not parameter.stop_gradient and name not in zero:
                    norm = self.record["params_after_step0"][name][1]
                    ours = float(np.linalg.norm(parameter.numpy().ravel()))
                    off = max(off, abs(ours / norm - 1))
            text = "norm of every parameter after one Adam step, relative"
            self.add("optimiser", text, off, limit, because)
        off, seen = _statistics(network, self.record, first)
        text = "running means and variances after one step (variances before the gates as of 2B)"
        self.add("batch norm", f"{text}, relative", off, limit, because)
        apart = seen ^ set(self.record["bn_after_step0"])
        self.add("batch norm", "running statistics on one side only", len(apart), 0.0, "names")


def _statistics(
    network: TwoPersonNetwork, record: dict[str, Any], first: dict[str, np.ndarray]
) -> tuple[float, set[str]]:
    """The largest difference of a layer's statistics, and the names of all.

    What is computed once for both people counts B images where the reference counts 2B.
    """
    counts: dict[str, int] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, given, name=name: counts.update(
                {name: given[0].size // layer._num_features}
            )
        )
        for name, layer in network.named_sublayers()
        if isinstance(layer, BatchNorm2D)
    ]
    dtype = str(network.parameters()[0].dtype).rpartition(".")[2]
    state = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    with paddle.no_grad():
        BothInstances(network)(batch(dtype)[0])
    for hook in hooks:
        hook.remove()
    network.set_state_dict(state)
    after_gates = ("stage4.", "stage3_se.", "stage4_se.")
    worst, seen = 0.0, set()
    for key, value in state.items():
        name = name_seeded.official_name(key)
        if name == key:
            continue
        seen.add(name)
        moved = gates.exactly_moved(first[name], value)
        if name.endswith("running_var") and not name.startswith(after_gates):
            n = counts[key.rpartition(".")[0]]
            batch_part = (moved - 0.9 * first[name]) * ((n - 1) / n)
            moved = 0.9 * first[name] + batch_part * (2 * n / (2 * n - 1))
        scale = np.abs(moved).sum()
        worst = max(worst, abs(moved.sum() - record["bn_after_step0"][name]) / scale)
    return worst, seen


def follow(dtype: str, count: int, advance: Callable[[], None] = lambda: None) -> list[Row]:
    """The recorded run by Paddle's own kernels; float32, which soon parts, goes one step."""
    found = _Followed(dtype)
    network = seeded(MIPNet(17, 8), found.record, dtype)
    first = name_seeded.tensors(found.record["state_dict"], found.record["gain"])
    losses = []
    with precision(dtype):
        for when, step, loss in steps(network, dtype, count):
            if when == "backward":
                losses.append(loss)
            if (when, step) == ("backward", 0):
                found.backward(network, loss)
            elif (when, step) == ("updated", 0):
                found.updated(network, first)
            advance()
    if count > 1:
        text = f"losses of {count} Adam steps, relative"
        found.losses(losses, text, training.FOLLOWED, training.FOLLOWED_REASON)
    return found.rows


def exact_rows(advance: Callable[[], None] = lambda: None) -> list[Row]:
    """All recorded steps, where batch norm's epsilon is as exact as PyTorch's."""
    found = _Followed("float64")
    network = seeded(MIPNet(17, 8), found.record, "float64")
    losses = []
    with precision("float64"), exact_epsilon():
        for when, _, loss in steps(network, "float64", ALL_STEPS):
            if when == "backward":
                losses.append(loss)
            advance()
    text = f"losses of {ALL_STEPS} Adam steps, epsilon of batch norm in float64"
    found.losses(losses, f"{text}, relative", ALL_TOLERANCE, ALL_REASON)
    return found.rows
