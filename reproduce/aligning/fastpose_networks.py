"""AlphaPose's networks: outputs, parameters, and a recorded training step of the light one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddle_pose.models import squeeze
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
)
from paddle_pose.models.blocks import BatchNorm2D, PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.models.counting import count
from paddle_pose.training.integral_losses import coordinates
from paddle_pose.training.optimizers import make_optimizer
from reproduce.aligning import forward, name_seeded, training
from reproduce.aligning.networks import PARITY, filled, precision, reference_of
from reproduce.aligning.rows import Row

NAME = "fastpose"
MODELS: dict[str, tuple[Architecture, str]] = {
    "fastpose_r50_coco": (FastPose(17, 50, 128), "FastPose-50"),
    "fastpose_r50_c256_halpe136": (FastPose(136, 50, 256), "FastPose-50, 256 channels"),
    "fastpose_duc_r50_coco": (FastPoseDuc(17, 50), "FastPose-DUC-50"),
    "simplepose_r50_coco": (AlphaSimplePose(17, 50), "SimplePose-50"),
    "fastpose_mobile_large_halpe136": (FastPoseMobile(136, "large"), "FastPoseMobile large"),
    "fastpose_mobile_small_halpe136": (FastPoseMobile(136, "small"), "FastPoseMobile small"),
}
"""By their records in ``tests/parity/models``."""
TRAINED, RUN = FastPoseMobile(136, "small"), "fastpose_mobile_small"

_NETWORKS = tuple(
    f"paddle_pose.models.fastpose.{name}Network"
    for name in ("FastPose", "FastPoseDuc", "AlphaSimplePose", "FastPoseMobile")
)
_LIGHT = (*_NETWORKS[-1:], "paddle_pose.training.integral_losses.coordinates")
ROOTS = {
    "forward": (*_NETWORKS, "paddle_pose.models.counting.count"),
    "loss": _LIGHT,
    "backward": _LIGHT,
    "optimiser": (*_LIGHT, "paddle_pose.training.optimizers.make_optimizer"),
    "batch norm": _NETWORKS[-1:],
}
GIVEN: dict[str, list[Any]] = {
    "forward": [architecture for architecture, _ in MODELS.values()],
    "loss": [TRAINED],
    "backward": [TRAINED],
    "optimiser": [TRAINED, training.OPTIMIZER],
    "batch norm": [TRAINED],
}

STORED = 2**-24 + 1e-8
STORED_REASON = "record rounded to float32 (2^-24), and what is allowed for norms"


EXACT_REASON = f"{training.ROUNDING_REASON}; hard sigmoid's gradient with PyTorch's float32 sixth"


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float32",) if quick else ("float64", "float32")
    made: list = [
        (f"{model} {dtype}", 2, lambda tick, m=model, d=dtype: output_rows(m, d))
        for model in MODELS
        for dtype in dtypes
    ]
    made.append(("parameters", 6, lambda tick: parameter_rows()))
    return made + [
        (f"training {dtype}", 2, lambda tick, d=dtype: training_rows(d)) for dtype in dtypes
    ]


def record_of(model: str) -> dict[str, Any]:
    """The record of a network of MODELS."""
    return name_seeded.read_record(PARITY / "models" / f"{model}.json.gz")


def maps_of(model: str, dtype: str) -> np.ndarray:
    """Heat maps of the recorded images by name-seeded weights."""
    record = record_of(model)
    arrays = name_seeded.tensors(record["state_dict"], record["gain"])
    network = filled(MODELS[model][0], arrays, dtype)
    network.eval()
    given = record["input"]
    images = np.random.RandomState(given["seed"]).standard_normal(given["shape"])
    with precision(dtype), paddle.no_grad():
        return network(paddle.to_tensor(images.astype(dtype)))[-1].heatmaps_BJHW.numpy()


def output_rows(model: str, dtype: str) -> list[Row]:
    """The largest difference over the recorded values, of the largest value."""
    return [row_of(model, dtype, maps_of(model, dtype))]


def row_of(model: str, dtype: str, maps: np.ndarray) -> Row:
    """The same for maps made already."""
    record, exact = record_of(model), dtype == "float64"
    expected = np.load(PARITY / "models" / f"{model}.npz")["output_0"].astype(np.float64)
    kept = maps[:, :, ::3, ::3]
    off = float(np.abs(kept - expected).max() / record["outputs"][0]["max_abs"])
    size = "×".join(str(n) for n in record["input"]["shape"])
    return Row(
        NAME,
        "forward",
        dtype,
        f"heat maps of {MODELS[model][1]} for {size} images, relative to the largest",
        off,
        forward.FLOAT64_RELATIVE if exact else 4 * record["float32_error_max"],
        forward.FLOAT64_REASON if exact else forward.FLOAT32_REASON,
        reference_of(record),
        arrays=(kept, expected),
    )


def parameter_rows() -> list[Row]:
    """How far parameters and MACs of each network are from the recorded ones."""
    made = []
    for model, (architecture, name) in MODELS.items():
        record = record_of(model)
        height, width = record["input"]["shape"][2:]
        found = count(build(architecture), (width, height))
        off = abs(found.parameters - record["parameters"])
        off += abs(found.macs - round(record["gmacs_per_image"] * 1e9))
        text = f"parameters and MACs of {name}"
        row = NAME, "forward", "counts", text, float(off), 0.0, "counts", reference_of(record)
        made.append(Row(*row))
    return made


def symmetric_l1(
    maps_BJHW: paddle.Tensor, targets_BM: np.ndarray, weights_BM: np.ndarray
) -> paddle.Tensor:
    """Sum of |coordinate - target| × weight over the batch's size; a weight for each axis.

    Source: AlphaPose alphapose/models/criterion.py:85
    """
    found = coordinates(maps_BJHW, "sigmoid", symmetric=True)
    targets, weights = (
        paddle.to_tensor(one.astype(str(maps_BJHW.numpy().dtype))).reshape(found.shape)
        for one in (targets_BM, weights_BM)
    )
    return ((found - targets).abs() * weights).sum() / len(targets_BM)


@contextlib.contextmanager
def torch_sixth() -> Iterator[None]:
    """Hard sigmoid with PyTorch's gradient, whose sixth is a float32's in float64 too: 3e-8 more.

    Source: pytorch/pytorch aten/src/ATen/native/cpu/Activation.cpp hardsigmoid_backward_kernel
    """
    ours, ratio = squeeze.hard_sigmoid, 6 * float(np.float32(1 / 6))

    def hard_sigmoid(x: paddle.Tensor) -> paddle.Tensor:
        out = ours(x)
        return out * ratio + (out * (1 - ratio)).detach()

    squeeze.hard_sigmoid = hard_sigmoid
    try:
        yield
    finally:
        squeeze.hard_sigmoid = ours


def training_rows(dtype: str) -> list[Row]:
    """One Adam step of the light network from name-seeded weights."""
    record = name_seeded.read_record(PARITY / "training" / f"{RUN}.json.gz")
    stored = np.load(PARITY / "training" / f"{RUN}.npz")
    network, first = trained_network(record, dtype)
    reference, exact = reference_of(record, "; torch.optim.Adam"), dtype == "float64"
    reasons = EXACT_REASON if exact else training.FLOAT32_REASON
    made: list[Row] = []

    def add(step: str, text: str, off: float, limit: float, because: str = reasons) -> None:
        made.append(Row(NAME, step, dtype, text, float(off), limit, because, reference))

    draw = np.random.RandomState
    images = paddle.to_tensor(draw(31).standard_normal((6, 3, 128, 96)).astype(dtype))
    targets = draw(32).uniform(-0.45, 0.45, (6, 272))
    weights = draw(33).randint(0, 3, (6, 272)).astype(np.float64)
    with precision(dtype), torch_sixth():
        adam = make_optimizer(network, training.OPTIMIZER)
        network.train()
        maps = network(images)[-1].heatmaps_BJHW
        loss = symmetric_l1(maps, targets, weights)
        loss.backward()
    limit = training.ROUNDING if exact else training.FLOAT32_LOSS
    add("loss", "loss of step 0, relative", abs(float(loss) / record["loss"] - 1), limit)
    limit = training.ROUNDING if exact else training.FLOAT32_GRADIENT
    norms = {name: values[0] for name, values in record["gradients"].items()}
    for values in training.gradients(network, {**record, "grad_norm_step0": norms}, limit):
        add("backward", *values)
    if exact:
        off = max(_stored(network, stored))
        add(
            "backward", "values of 9 gradients, relative to the largest", off, STORED, STORED_REASON
        )
    statistics = dict(_moved(network, first))
    with precision(dtype):
        adam.step()
        adam.clear_grad()
        after = symmetric_l1(network(images)[-1].heatmaps_BJHW, targets, weights)
    limit = training.ROUNDING if exact else training.FLOAT32_LOSS
    if exact:
        zero = set(record["parameters_with_zero_true_gradient"])
        off = max(
            abs(float(np.linalg.norm(value.numpy().ravel())) / record["after_step"][name][1] - 1)
            for name, value in network.named_parameters()
            if not value.stop_gradient and name not in zero
        )
        add("optimiser", "norm of every parameter after one Adam step, relative", off, limit)
    off = abs(float(after) / record["loss_after_step"] - 1)
    add("optimiser", "loss after one Adam step, relative", off, limit)
    limit = training.ROUNDING if exact else training.FLOAT32_STATISTICS
    off = max(
        abs(moved.sum() - record["batch_norm"][name][0]) / np.abs(moved).sum()
        for name, moved in statistics.items()
    )
    add("batch norm", "running means and variances after one step, relative", off, limit)
    apart = statistics.keys() ^ record["batch_norm"].keys()
    add("batch norm", "running statistics on one side only", len(apart), 0.0, "names")
    return made


def trained_network(
    record: dict[str, Any], dtype: str
) -> tuple[PoseNetwork, dict[str, np.ndarray]]:
    """The light network as the recorded step began, and its weights."""
    shapes, how = record_of(f"{RUN}_halpe136")["state_dict"], record["weights"]
    arrays = name_seeded.tensors(shapes, how["gain"])
    last = "conv_out.weight"
    arrays[last] = name_seeded.tensor(last, arrays[last].shape, how["conv_out_weight_gain"])
    return filled(TRAINED, arrays, dtype), arrays


def _stored(network: nn.Layer, stored: Any) -> Iterator[float]:
    """Of each gradient that is recorded as a whole, or of its first rows."""
    found = dict(network.named_parameters())
    for key in stored.files:
        name, _, rows = key.removeprefix("grad/").partition("[:")
        if not key.startswith("grad/"):
            continue
        ours = found[name].grad.numpy()
        ours = ours[: int(rows.rstrip("]"))] if rows else ours
        yield float(np.abs(ours - stored[key]).max() / np.abs(stored[key]).max())


def _moved(network: nn.Layer, first: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Running statistics, as an exact momentum had made them: Paddle's is a float32."""
    for layer_name, layer in network.named_sublayers():
        if not isinstance(layer, BatchNorm2D):
            continue
        wanted = 1 - layer._momentum
        share = wanted / (1 - float(np.float32(layer._momentum)))
        for key in ("_mean", "_variance"):
            name = name_seeded.official_name(f"{layer_name}.{key}")
            yield name, first[name] + (getattr(layer, key).numpy() - first[name]) * share
