"""bfloat16 on a CPU: as far off float64 as PyTorch's autocast is, on the same network and batch.

Rounding to 8 bits moves a value by up to 2^-9, batch norms and ReLUs pass it on enlarged, and at
random weights gradients end far from the true ones on either side. So the size of the error is
compared: a mistake would add to it. Where the CPU has no bfloat16 no row is made, and those in the
file stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.models import blocks
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.training.losses import joints_mse
from reproduce.aligning import forward, name_seeded, training
from reproduce.aligning.networks import (
    NETWORKS,
    PARITY,
    filled,
    model_record,
    precision,
    reference_of,
)
from reproduce.aligning.rows import Row

NAME = "bfloat16"
SMALL = NewellHourglass(stacks=1, features=64, depth=1)
"""One stack of one halving: the deepest in which errors do not grow to the values themselves."""
PUBLISHED = ("newell_hg2", "hrnet_w32")
_HERE = "paddle_pose.models.blocks.in_bfloat16"
_NETWORKS = (
    "paddle_pose.models.newell_hourglass.NewellHourglassNetwork",
    "paddle_pose.models.hrnet.HRNetNetwork",
)
ROOTS = {
    "forward": (_HERE, *_NETWORKS),
    "loss": (_NETWORKS[0], "paddle_pose.training.losses.joints_mse"),
    "backward": (_HERE, _NETWORKS[0], "paddle_pose.training.losses.joints_mse"),
}
GIVEN = {
    "forward": [SMALL, *(NETWORKS[name].load().model for name in PUBLISHED)],
    "loss": [SMALL],
    "backward": [SMALL],
}

EQUAL, EQUAL_REASON = 1e-8, "float64 rounding and Paddle's float32 epsilon, as in training rows"
AUTOCAST = "; torch.autocast of PyTorch 2.13.0"
SHARE = 1.25
REASON = "1.25 × what PyTorch's autocast is off (the worse layout): its own two differ by up to 2 %"


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them; none without bfloat16."""
    if fault := blocks.bfloat16_fault():
        print(f"=> rows of bfloat16 are left alone: {fault}")
        return []
    made: list = [("small hourglass", 2, lambda tick: list(small_rows()))]
    if not quick:
        made += [(name, 2, lambda tick, n=name: list(forward_rows(n))) for name in PUBLISHED]
    return made


def recorded() -> dict[str, Any]:
    """The reference's float64 numbers, and what its autocast is off from them."""
    return json.loads((PARITY / "bfloat16" / "autocast.json").read_text("utf-8"))


def off(ours: np.ndarray, truth: np.ndarray) -> float:
    """Norm of the difference, relative to that of the truth."""
    return float(np.linalg.norm(ours - truth) / np.linalg.norm(truth))


def pass_of(record: dict[str, Any], dtype: str) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """Loss, heat maps and gradients by official name; ``dtype`` may be bfloat16."""
    stored = "float64" if dtype == "float64" else "float32"
    arrays = name_seeded.tensors(record["state_dict"], record["gain"])
    with precision(stored), blocks.in_bfloat16(on=dtype == "bfloat16"):
        network = filled(SMALL, arrays, stored)
        images, targets, weights = training.batch(4, stored)
        outputs = network(images)
        loss = joints_mse(outputs, {"heatmaps": targets, "weights": weights})["heatmaps"]
        loss.backward()
    named = {name_seeded.official_name(key): p for key, p in network.named_parameters()}
    gradients = {n: p.grad.numpy().astype(float) for n, p in named.items() if p.grad is not None}
    return float(loss), outputs[-1].heatmaps_BJHW.numpy().astype(np.float64), gradients


def small_rows() -> Iterator[Row]:
    """Float64 is the reference's; bfloat16 is off from it as autocast is."""
    record = recorded()
    reference = reference_of(record, AUTOCAST)
    loss, maps, gradients = pass_of(record, "float64")
    text = "one stack, one halving: loss, relative"
    worst = abs(loss / record["loss"] - 1)
    yield Row(NAME, "loss", "float64", text, worst, EQUAL, EQUAL_REASON, reference)
    norms = record["grad_norm"]
    names = sorted(norms.keys() - set(record["parameters_with_zero_true_gradient"]))
    worst = max(abs(np.linalg.norm(gradients[name]) / norms[name] - 1) for name in names)
    text = "one stack, one halving: norm of every gradient, relative"
    yield Row(NAME, "backward", "float64", text, float(worst), EQUAL, EQUAL_REASON, reference)
    _, rounded_maps, rounded = pass_of(record, "bfloat16")
    both = [np.concatenate([g[n].ravel() for n in names]) for g in (rounded, gradients)]
    for step, what, found in (
        ("forward", "heatmaps", off(rounded_maps, maps)),
        ("backward", "gradients", off(*both)),
    ):
        limit = SHARE * max(one[what] for one in record["autocast"].values())
        text = f"one stack, one halving: {what} in training, norm off float64's, relative"
        yield Row(NAME, step, "bfloat16", text, found, limit, REASON, reference)


def forward_rows(name: str) -> Iterator[Row]:
    """A published network in the eval mode."""
    theirs, model = recorded()["forward"][name], model_record(name)
    expected = np.load(PARITY / "models" / f"{NETWORKS[name].model}.npz")
    with blocks.in_bfloat16():
        found = forward.outputs(name, "float32")
    for stack, output in enumerate(found):
        truth = expected[f"output_{stack}"].astype(np.float64)
        limit = SHARE * max(one[stack] for one in theirs.values())
        text = f"{name}: heat maps of stack {stack + 1}, norm off float64's, relative"
        found_off = off(output[:, :, ::3, ::3], truth)
        reference = reference_of(model, AUTOCAST)
        yield Row(NAME, "forward", "bfloat16", text, found_off, limit, REASON, reference)
