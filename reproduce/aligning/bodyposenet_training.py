"""BodyPoseNet's loss, rates, optimiser, and four updates of the official trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from paddle_pose.configs.bodyposenet import OPTIMIZER
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.models.blocks import StageOutput
from paddle_pose.models.build import build
from paddle_pose.settings import FocalSettings, Momentum, ParameterGroup, TrainSettings
from paddle_pose.training.losses import loss_function, total
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning import bodyposenet_network as networks
from reproduce.aligning.bodyposenet_network import CV, NAME, OFFICIAL, TWO, Jobs, images, record
from reproduce.aligning.networks import filled, precision
from reproduce.aligning.rows import Reference, Row

LOSS = Reference(*OFFICIAL, f"{CV}/losses/bpnet_loss.py BpNetLoss")
TRAINER = Reference(*OFFICIAL, f"{CV}/trainers/bpnet_trainer.py BpNetTrainer")
MOMENTUM = Reference(*OFFICIAL, f"{CV}/optimizers/weighted_momentum_optimizer.py")
RATES = Reference(*OFFICIAL, "nvidia_tao_tf1/core/hooks/utils.py")
MULTIPLIERS = Reference(*OFFICIAL, f"{CV}/models/bpnet_lite_model.py get_lr_multipiers")

SETTINGS = TrainSettings(
    epochs=100,
    learning_rate=1e-4,
    schedule="soft_start_annealing",
    min_learning_rate=1e-5,
    optimizer=OPTIMIZER,
    loss="masked_squares",
)
"""Of the recorded trainer, whose run has 100 steps."""
KINDS = {
    "l2": SETTINGS,
    "focal_default": replace(SETTINGS, loss="masked_focal"),
    "focal_gamma2": replace(SETTINGS, loss="masked_focal", focal=FocalSettings(gamma=2.0)),
}

_MASKED = ("paddle_pose.training.field_losses.masked_squares",)
_ALL = (*_MASKED, "paddle_pose.models.bodyposenet.BodyPoseNetNetwork")
ROOTS = {
    "loss": _MASKED,
    "learning rate": ("paddle_pose.training.schedules.learning_rate",),
    "backward": _ALL,
    "optimiser": (*_ALL, "paddle_pose.training.optimizers.make_optimizer"),
}
GIVEN: dict[str, list[Any]] = {
    "loss": [KINDS["focal_gamma2"].focal],
    "learning rate": [SETTINGS],
    "backward": [TWO, SETTINGS],
    "optimiser": [TWO, SETTINGS],
}

EXACT = {"float64": 1e-10, "float32": 2e-5}
EXACT_REASON = {
    "float64": "float64 rounding; the record has 12 digits",
    "float32": "float32 sums of 3,192 squares: its root × 2^-24, × 5",
}
FIRST, LATER = {"float64": 1e-8, "float32": 5e-7}, {"float64": 1e-6, "float32": 2.2e-4}
GRADIENT = {"float64": 1e-8, "float32": 2.5e-3}
RUN_REASON = {
    "float64": "the record's own allowance: float32 rates, ReLUs that flip",
    "float32": "5 × what TensorFlow's float32 is off from its float64 (recorded)",
}
RATE, RATE_REASON = 5e-6, "float32 exp and log in the reference: the record's own allowance"
STEP, STEP_REASON = 1e-7, "the reference holds rate and momentum in float32"


def jobs(shared: Path | None, quick: bool) -> Jobs:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float32",) if quick else ("float64", "float32")
    made: Jobs = [
        ("rates", 1, lambda tick: [*rate_rows(), *multiplier_rows()]),
        ("momentum", 1, lambda tick: momentum_rows()),
    ]
    for dtype in dtypes:
        made.append((f"loss {dtype}", 1, lambda tick, d=dtype: loss_rows(d)))
        made.append((f"training {dtype}", 4, lambda tick, d=dtype: trainer_rows(d)))
    return made


def _tensor(array: np.ndarray, dtype: str) -> paddle.Tensor:
    return paddle.to_tensor(np.asarray(array, dtype))


def targets_of(labels_BHWC: np.ndarray, mask_BHW: np.ndarray, dtype: str) -> dict[str, Any]:
    """Recorded labels, fields first, as our targets."""
    labels_BCHW = labels_BHWC.transpose(0, 3, 1, 2)
    return {
        "heatmaps": _tensor(labels_BCHW[:, 38:], dtype),
        "pafs": _tensor(labels_BCHW[:, :38], dtype),
        "mask": _tensor(mask_BHW, dtype),
    }


def loss_rows(dtype: str) -> list[Row]:
    """The loss of two stages, plain and focal twice, and its gradients."""
    words, arrays = record("training")
    targets = targets_of(arrays["loss/labels"], arrays["loss/mask"], dtype)
    made = []
    for kind, settings in KINDS.items():
        maps = {
            name: _tensor(arrays[f"loss/pred_{name}"].transpose(0, 3, 1, 2), dtype)
            for name in words["loss"]["sequence"]
        }
        for one in maps.values():
            one.stop_gradient = False
        stages = [StageOutput(maps[f"cmap{n}"], maps[f"paf{n}"]) for n in (1, 2)]
        parts = loss_function(settings)(stages, targets)
        loss = total(list(parts.values()))
        loss.backward()
        wanted = words["loss"][kind]
        order = ("heatmaps_stage1", "heatmaps_stage2", "pafs_stage1", "pafs_stage2")
        of_image = np.array([float(parts[name]) for name in order]) * words["loss"]["batch"]
        off = np.abs(of_image / wanted["per_output"] - 1).max()
        off = max(off, abs(float(loss) / wanted["sum_over_outputs_div_batch"] - 1))
        made.append(_row("loss", dtype, f"{kind}: parts and sum, relative", off, EXACT, LOSS))
        gradients = (
            (one.grad.numpy().transpose(0, 2, 3, 1), arrays[f"loss/grad_{kind}_{name}"])
            for name, one in maps.items()
        )
        off = max(np.abs(ours - theirs).max() / np.abs(theirs).max() for ours, theirs in gradients)
        text = f"{kind}: gradients, relative to the largest"
        made.append(_row("loss", dtype, text, off, EXACT, LOSS))
    return made


def _row(
    step: str, dtype: str, text: str, off: float, limits: dict[str, float], whose: Reference
) -> Row:
    why = EXACT_REASON if limits is EXACT else RUN_REASON
    return Row(NAME, step, dtype, text, float(off), limits[dtype], why[dtype], whose)


def rate_rows() -> Iterator[Row]:
    """Learning rates over three runs."""
    for run in record("training")[0]["learning_rate"]:
        settings = replace(
            SETTINGS,
            epochs=run["last_step"],
            learning_rate=run["base_learning_rate"],
            min_learning_rate=run["min_learning_rate"],
            soft_start=run["soft_start"],
            annealing=run["annealing"],
        )
        ours = np.array([learning_rate(settings, step, 1) for step in run["steps"]])
        off = float(np.abs(ours / run["lr"] - 1).max())
        text = f"soft start {run['soft_start']}, annealing {run['annealing']}, {run['last_step']}"
        row = NAME, "learning rate", "float64", f"rates of 200 steps: {text} steps, relative"
        yield Row(*row, off, RATE, RATE_REASON, RATES)


def multiplier_rows() -> Iterator[Row]:
    """What each parameter's rate is multiplied by."""
    recorded = record("training")[0]["lr_multipliers"]
    for case, wanted in recorded.items():
        network = build(BodyPoseNet(stages=int(case[0]), attention="attention" in case))
        make_optimizer(network, SETTINGS)
        ours = {
            keras_name(key): parameter.optimize_attr["learning_rate"]
            for key, parameter in network.named_parameters()
            if not parameter.stop_gradient
        }
        off = len(ours.keys() ^ wanted.keys())
        off += sum(ours[name] != wanted[name] for name in ours.keys() & wanted.keys())
        text = f"{case}: parameters of another name or multiplier"
        yield Row(NAME, "optimiser", "counts", text, float(off), 0.0, "counts", MULTIPLIERS)


def keras_name(key: str) -> str:
    """The official name of our parameter."""
    layer, _, kind = key.rpartition(".")
    norm = {"weight": "gamma", "bias": "beta"}
    words = norm if "_bn_" in layer else {"weight": "kernel", "bias": "bias"}
    return f"{layer.replace('.', '/')}/{words[kind]}"


class _Small(nn.Layer):
    """The network of the recorded momentum steps, under its official names."""

    def __init__(self, first: dict[str, np.ndarray]) -> None:
        super().__init__()
        for name, value in first.items():
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            parameter = self.create_parameter(
                value.shape, default_initializer=nn.initializer.Assign(value)
            )
            self.add_parameter(name.replace("/", "|"), parameter)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, 2, H, W) -> (B, 3, H, W)."""
        at = {name.replace("|", "/"): value for name, value in self.named_parameters()}
        for layer, pad in (("stage1/conv1", 1), ("stage2/conv1", 0)):
            x = F.relu(F.conv2d(x, at[f"{layer}/kernel"], at[f"{layer}/bias"], padding=pad))
        return F.conv2d(x, at["paf_out/kernel"]) * at["bn/gamma"].reshape([1, -1, 1, 1])


def momentum_rows() -> list[Row]:
    """Five updates by momentum, plain and Nesterov, with multipliers and L1."""
    words, arrays = record("training")
    made = []
    for kind in ("momentum", "momentum_nesterov"):
        said = words[kind]
        names = [key.split("/", 2)[2] for key in arrays.files if key.startswith(f"{kind}/step0/")]
        groups = tuple(
            ParameterGroup(
                name.replace("/", "|"), said["multipliers"].get(name, 1), float("kernel" in name)
            )
            for name in names
        )
        optimizer = Momentum(0.9, said["nesterov"], l1=1e-3, groups=groups)
        settings = replace(SETTINGS, optimizer=optimizer)
        with precision("float64"):
            network = _Small({name: arrays[f"{kind}/step0/{name}"] for name in names})
            update = make_optimizer(network, settings)
            x, y = (
                _tensor(arrays[f"{kind}/{name}"].transpose(0, 3, 1, 2), "float64") for name in "xy"
            )
            for rate in said["lr_at_step"][:5]:
                (0.5 * (network(x) - y).square().sum() / 2).backward()
                update.set_lr(rate)
                update.step()
                update.clear_grad()
        offs = []
        for name, value in network.named_parameters():
            ours = value.numpy()
            wanted = arrays[f"{kind}/step5/{name.replace('|', '/')}"]
            ours = ours.transpose(2, 3, 1, 0) if ours.ndim == 4 else ours
            offs.append(np.abs(ours - wanted).max() / np.abs(wanted).max())
        text = f"parameters after 5 updates by {kind}, relative to the largest"
        row = NAME, "optimiser", "float64", text, float(max(offs)), STEP, STEP_REASON, MOMENTUM
        made.append(Row(*row))
    return made


def steps(
    dtype: str, advance: Callable[[nn.Layer, int], None]
) -> tuple[nn.Layer, list[list[float]]]:
    """The recorded trainer's 4 updates, and the loss before each and after all.

    ``advance`` is called between backward and update. Parts are of one image, heat maps first.
    """
    words, arrays = record("training")
    said = words["trainer"]
    batch, *size = said["case"]["shape"]
    given = images([batch, *size, 3], said["case"]["seed"], dtype)
    targets = targets_of(arrays["trainer/labels"], arrays["trainer/mask"], dtype)
    network = filled(TWO, networks.weights(TWO, gain=said["gain"]), dtype)
    network.train()
    loss, found = loss_function(SETTINGS), []
    with precision(dtype):
        update = make_optimizer(network, SETTINGS)
        for step in range(said["case"]["steps"] + 1):
            parts = loss(network(given), targets)
            kernels = (p for n, p in network.named_parameters() if p.ndim == 4)
            l1 = OPTIMIZER.l1 * sum(float(one.abs().sum()) for one in kernels)
            found.append([sum(map(float, parts.values())) + l1, l1])
            if step == said["case"]["steps"]:
                break
            total(list(parts.values())).backward()
            advance(network, step)
            update.set_lr(learning_rate(SETTINGS, step, 1))
            update.step()
            update.clear_grad()
    return network, found


def trainer_rows(dtype: str) -> list[Row]:
    """Losses, first gradients and last parameters of four updates."""
    said, made = record("training")[0]["trainer"], []

    def first(network: nn.Layer, step: int) -> None:
        if step == 0:
            off = max(_gradients(network, said["gradients_step0"]))
            text = "norm and sum of every gradient, L1 in it, step 0, of the norm"
            made.append(_row("backward", dtype, text, off, GRADIENT, TRAINER))

    network, found = steps(dtype, first)
    ours, wanted = np.array(found), np.array([said["total_loss_before_step"], said["l1_loss"]]).T
    offs = np.abs(ours / wanted - 1)
    text = "loss and L1 of step 0, relative"
    made.append(_row("backward", dtype, text, offs[0].max(), FIRST, TRAINER))
    text = "losses and L1 after each of 4 updates, relative"
    made.append(_row("optimiser", dtype, text, offs[1:].max(), LATER, TRAINER))
    offs = []
    for key, parameter in network.named_parameters():
        if not parameter.stop_gradient:
            values = parameter.numpy().astype(np.float64)
            summed, norm = said["variables_after"][f"Model/{keras_name(key)}"]
            offs.append(abs(np.linalg.norm(values) / norm - 1))
            offs.append(abs(values.sum() - summed) / (norm * values.size**0.5))
    text = "norm and sum of every parameter after 4 updates, of the norm"
    made.append(_row("optimiser", dtype, text, max(offs), LATER, TRAINER))
    return made


def _gradients(network: nn.Layer, recorded: dict[str, Any]) -> Iterator[float]:
    for key, parameter in network.named_parameters():
        if parameter.stop_gradient:
            continue
        gradient = parameter.grad.numpy().astype(np.float64)
        if gradient.ndim == 4:
            gradient = gradient + OPTIMIZER.l1 * np.sign(parameter.numpy())
        norm, _, summed = recorded[f"Model/{keras_name(key)}"]
        yield abs(np.linalg.norm(gradient) / norm - 1)
        yield abs(gradient.sum() - summed) / (norm * gradient.size**0.5)
