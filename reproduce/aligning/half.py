"""Half precision beside PyTorch's, as far as a CPU can show it: a group that a clone makes, live.

Paddle computes nothing in half precision on a CPU. Its loss scaling is run here all the same, its
own code with its own arithmetic; and what float16 is worth is found by rounding to it where a GPU
would. A GPU's kernels were not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import paddle
import yaml
from paddle import nn

from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.porting import network_keys, to_official
from paddle_pose.settings import TrainSettings
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.precision import Precision
from reproduce.aligning import name_seeded
from reproduce.aligning.networks import NETWORKS, filled, model_record
from reproduce.aligning.rows import Reference, Row

NAME = "half"
LIVE = True
ROOTS = {
    "forward": (
        "paddle_pose.models.hrnet.HRNetNetwork",
        "paddle_pose.models.pose_resnet.PoseResNetNetwork",
    ),
    "optimiser": (
        "paddle_pose.training.precision.Precision",
        "paddle_pose.training.optimizers.make_optimizer",
    ),
}
CONFIGS = {
    "hrnet_w32": "experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml",
    "pose_resnet50": "experiments/mpii/resnet/res50_256x256_d256x3_adam_lr1e-3.yaml",
}
STEPS, BROKEN, RATE = 2015, (3, 4, 9), 1e-3
"""Steps, of which some have a gradient that is not finite; PyTorch's scale grows after 2,000."""
MEASURED = "measured: what it is worth, not an error"


def jobs(shared: Any, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone of HRNet."""
    rng = np.random.default_rng([seed, 11])
    gradients = rng.normal(0, 1, (STEPS, 6)).astype(np.float32)
    gradients[list(BROKEN), 2] = np.inf, np.nan, -np.inf
    inputs = {"gradients": gradients, "first": rng.normal(0, 0.1, 6).astype(np.float32)}
    images = rng.normal(0, 1, (1, 3, 128, 96))
    made = []
    for name, config in CONFIGS.items():
        keys = network_keys(NETWORKS[name].load().model)
        gain = model_record(name)["gain"]
        weights = {key: _tensor(key, shape, gain) for key, shape in keys.shapes.items()}
        job = {
            **{"what": NAME, "kind": clone.kind, "clone": str(clone.folder)},
            **{"threads": threads, "rate": RATE, "joints": 16},
            "config": yaml.safe_load((clone.folder / config).read_text(encoding="utf-8")),
        }
        official = to_official(weights, keys, NAME)
        theirs = ask(job, weights=official, inputs=inputs | {"images": images})
        if not made:
            made += _scaling(inputs, theirs)
        made += _forward(name, weights, images, theirs)
        version = theirs["facts"]["torch"]
    return [
        Row(
            *(NAME, step, kind, text, float(off), limit, why),
            Reference(clone.repository, clone.commit, f"{file} (PyTorch {version})"),
            "live",
        )
        for step, kind, text, off, limit, why, file in made
    ]


Made = tuple[str, str, str, float, float | None, str, str]
"""Step, precision, quantity, difference, tolerance, its origin, and the official file."""


def _tensor(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    return np.asarray(name_seeded.tensor(name_seeded.official_name(key), shape, gain), np.float64)


def _scaling(inputs: dict[str, np.ndarray], theirs: dict) -> Iterator[Made]:
    """The scale, which steps are left out, and the float32 weights, step by step."""
    on_gpu = SimpleNamespace(_expected_place=SimpleNamespace(is_gpu_place=lambda: True))
    settings = TrainSettings(amp="O1", amp_dtype="float16", learning_rate=RATE)
    with patch("paddle.amp.grad_scaler._dygraph_tracer", lambda: on_gpu):
        precision = Precision(settings)
    layer = nn.Layer()
    layer.weight = layer.create_parameter([6])
    layer.weight.set_value(inputs["first"])
    adam = make_optimizer(layer, settings)
    scales, weights = [], []
    for gradient in inputs["gradients"]:
        with precision.computing():  # what scaling asks: float16 was entered
            pass
        scales.append(float(precision.state()["scale"][0]))
        precision.backward((layer.weight * paddle.to_tensor(gradient)).sum())
        precision.update(adam)
        adam.clear_grad()
        weights.append(layer.weight.numpy().copy())
    file = "torch/amp/grad_scaler.py GradScaler, as mmcv and mmengine call it"
    off = np.abs(np.array(scales) - theirs["scales"]).max()
    text = f"loss scale of {STEPS} steps, {len(BROKEN)} of them not finite"
    yield "optimiser", "float32", text, off, 0.0, "powers of two: equal", file
    still = [np.flatnonzero((np.diff(w, axis=0) == 0).all(1)) for w in (weights, theirs["masters"])]
    off = len(set(still[0].tolist()) ^ set(still[1].tolist()))
    yield "optimiser", "count", "steps that one side leaves out", off, 0.0, "equal", file
    off = np.abs(np.array(weights) - theirs["masters"]).max()
    limit = STEPS * 2.0**-24
    why = f"{STEPS} float32 steps of weights below 1: half a step of 2^-23 each"
    yield "optimiser", "float32", "float32 weights after every step", off, limit, why, file


def _forward(
    name: str, weights: dict[str, np.ndarray], images: np.ndarray, theirs: dict
) -> Iterator[Made]:
    """Maps when everything between the layers is rounded to float16."""
    network = filled(NETWORKS[name].load().model, _official(weights), "float32")
    network.eval()
    _round_between(network)
    with paddle.no_grad():
        ours = network(paddle.to_tensor(images.astype(np.float32)))[-1].heatmaps_BJHW.numpy()
    exact = theirs["float64"]
    off, own = (np.abs(one - exact).max() / np.abs(exact).max() for one in (ours, theirs["half"]))
    file = f"{CONFIGS[name]}, torch.autocast of float16"
    text = f"{name}: maps in float16, relative to the largest"
    why = "4 × what autocast is off from float64 in this run"
    yield "forward", "float16", text, off, 4 * own, why, file
    text = f"{name}: what half precision changes in maps, by autocast"
    yield "forward", "float16", text, own, None, MEASURED, file


def _official(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name_seeded.official_name(key): value for key, value in weights.items()}


def _half(x: Any) -> Any:
    return x.astype("float16").astype("float32") if isinstance(x, paddle.Tensor) else x


def _round_between(network: PoseNetwork) -> None:
    """Round to float16 what convolutions take, and what every layer without parts puts out."""
    for layer in network.sublayers():
        if any(True for _ in layer.children()):
            continue
        if isinstance(layer, nn.Conv2D | nn.Conv2DTranspose):
            layer.weight.set_value(_half(layer.weight))
            layer.register_forward_pre_hook(lambda one, given: tuple(map(_half, given)))
        layer.register_forward_post_hook(lambda one, given, found: _half(found))
