"""First weights against the rules that the official code states (PEERS step 3.8)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import paddle
from paddle import nn
from scipy import special, stats

from paddle_pose.models.build import build
from reproduce.aligning.networks import HRNET, MIPNET, MMPOSE, NETWORKS, PRINCETON
from reproduce.aligning.rows import Reference, Row

KOLMOGOROV = 3.0
KOLMOGOROV_REASON = "Kolmogorov: a right rule exceeds 3 with chance 2·exp(-18) = 3e-8 per tensor"
STANDARD_ERRORS = 6.0
STANDARD_REASON = "in standard errors; a right rule exceeds 6 with chance 2e-9 per tensor"
VALUES = 100_000
"""Of a tensor, at most so many are ranked."""
SEED = 20211120

SOURCES = {
    "hourglass52": Reference(*MMPOSE, "mmpose/models/backbones/hourglass.py init_cfg Normal 0.001"),
    "newell_hg2": Reference(*PRINCETON, "models/layers.py: torch.nn.Conv2d.reset_parameters"),
    "hrnet_w32": Reference(*HRNET, "lib/models/pose_hrnet.py:462 init_weights"),
    "hrnet_w48": Reference(*HRNET, "lib/models/pose_hrnet.py:462 init_weights"),
    "mipnet": Reference(*MIPNET, "lib/models/pose_hrnet_se_lambda.py:523 init_weights"),
    "pose_resnet50": Reference(*HRNET, "lib/models/pose_resnet.py:235 init_weights"),
}
UNIFORM_WEIGHTS = {"newell_hg2"}
"""Networks that keep PyTorch's default, uniform in ±1/sqrt(fan in)."""
UNIFORM_BIASES = {"newell_hg2", "pose_resnet50"}
"""Networks whose biases keep it; they are 0 in the others."""


def distance(values: np.ndarray, cumulative: Callable[[np.ndarray], np.ndarray]) -> float:
    """Kolmogorov's distance to a distribution, times the root of the count."""
    ordered = np.sort(values[:VALUES].astype(np.float64))
    expected, count = cumulative(ordered), len(ordered)
    above = (np.arange(1, count + 1) / count - expected).max()
    below = (expected - np.arange(count) / count).max()
    return float(max(above, below) * math.sqrt(count))


def two_sample(one: np.ndarray, other: np.ndarray) -> float:
    """Smirnov's distance of two samples, times the root of their harmonic count."""
    found = stats.ks_2samp(one, other, method="asymp").statistic
    return float(found * math.sqrt(len(one) * len(other) / (len(one) + len(other))))


def _bound(layer: nn.Layer) -> float:
    return 1 / math.sqrt(math.prod(layer.weight.shape[1:]))


class _Tensors:
    """The largest deviations seen so far."""

    def __init__(self) -> None:
        self.shape = self.spread = self.excess = 0.0
        self.count = 0

    def normal(self, values: np.ndarray, deviation: float) -> None:
        self.count += 1
        error = deviation / math.sqrt(2 * values.size)
        self.spread = max(self.spread, abs(values.std(dtype=np.float64) - deviation) / error)
        self.shape = max(self.shape, distance(values, lambda x: special.ndtr(x / deviation)))

    def uniform(self, values: np.ndarray, bound: float) -> None:
        self.count += 1
        deviation = bound / math.sqrt(3)
        error = deviation * math.sqrt(0.2 / values.size)
        self.spread = max(self.spread, abs(values.std(dtype=np.float64) - deviation) / error)
        self.shape = max(self.shape, distance(values, lambda x: (x / bound + 1) / 2))
        self.excess = max(self.excess, float(np.abs(values).max() / bound - 1))


def rows(name: str) -> list[Row]:
    """Distribution of every convolution's first weights and biases; batch norms at 1 and 0."""
    paddle.seed(SEED)
    network = build(NETWORKS[name].load().model)
    weights, biases, constant = _Tensors(), [], 0.0
    for layer in network.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            off = max(
                float(np.abs(layer.weight.numpy() - 1).max()),
                float(np.abs(layer.bias.numpy()).max()),
            )
            constant = max(constant, off)
        elif isinstance(layer, nn.Conv2D | nn.Conv2DTranspose | nn.Linear):
            values = layer.weight.numpy().ravel()
            if name in UNIFORM_WEIGHTS:
                weights.uniform(values, _bound(layer))
            else:
                weights.normal(values, 0.001)
            if layer.bias is not None:
                biases.append(layer.bias.numpy() / (_bound(layer) if name in UNIFORM_BIASES else 1))
    rule = "uniform ±1/√fan in" if name in UNIFORM_WEIGHTS else "normal, deviation 0.001"
    reference = SOURCES[name]

    def row(quantity: str, difference: float, tolerance: float, because: str) -> Row:
        step = name, "initialisation", "float32", quantity
        return Row(*step, difference, tolerance, because, reference)

    gates = " and gates" if name == "mipnet" else ""
    text = f"weights of {weights.count} convolutions{gates}"
    made = [
        row(f"{text}: distance from {rule}", weights.shape, KOLMOGOROV, KOLMOGOROV_REASON),
        row(f"{text}: deviation from {rule}", weights.spread, STANDARD_ERRORS, STANDARD_REASON),
    ]
    if name in UNIFORM_WEIGHTS:
        because = "float32 rounding of the bound"
        made.append(row(f"{text}: beyond the bound, relative", weights.excess, 1e-6, because))
    together = np.concatenate(biases)
    if name in UNIFORM_BIASES:
        found = _Tensors()
        found.uniform(together, 1.0)
        text = f"{together.size} biases: distance from uniform ±1/√fan in"
        made.append(row(text, found.shape, KOLMOGOROV, KOLMOGOROV_REASON))
    else:
        constant = max(constant, float(np.abs(together).max()))
    made.append(row("constants (batch norm 1 and 0, zero biases)", constant, 0.0, "exact"))
    return made
