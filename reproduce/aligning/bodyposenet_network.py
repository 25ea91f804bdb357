"""BodyPoseNet's network: outputs for images of any size, and batch norm as Keras has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.keras_layers import MOMENTUM
from reproduce.aligning import name_seeded
from reproduce.aligning.networks import PARITY, filled, precision
from reproduce.aligning.rows import Reference, Row

NAME = "bodyposenet"
OFFICIAL = ("NVIDIA/tao_tensorflow1_backend", "2ec95cbbe0d74d6a180ea6e989f64d2d97d97712")
CV = "nvidia_tao_tf1/cv/bpnet"
MODEL = Reference(*OFFICIAL, f"{CV}/models/bpnet_lite_model.py BpNetLiteModel.build")
TWO, THREE = BodyPoseNet(stages=2), BodyPoseNet(stages=3)
CASES = {
    "lite3_256x256": THREE,
    "lite3_184x200": THREE,
    "lite3_181x203": THREE,
    "lite2_256x256": TWO,
    "lite2_attention_96x128": replace(TWO, attention=True),
}
"""Of the record ``network``, and whose network each is."""
TRAINED = "lite2_train_2x64x72"
WEIGHTS = {THREE: "lite3_256x256", TWO: "lite2_256x256"}
"""Cases that list the weights of a network, where a case of another name does not."""

_NETWORK = ("paddle_pose.models.bodyposenet.BodyPoseNetNetwork",)
ROOTS = {"forward": _NETWORK, "batch norm": _NETWORK}
GIVEN: dict[str, list[Any]] = {"forward": list(CASES.values()), "batch norm": [TWO]}

LIMIT = 1e-7
REASON = "record rounded to float32 (2^-24), doubled for the epsilon that Paddle holds in float32"
FLOAT32_REASON = "5 × what TensorFlow's float32 is off from its float64 (recorded)"
FLOAT32_TRAINED = 5 * 9e-6
FLOAT32_TRAINED_REASON = "5 × what TensorFlow's float32 is off in training (9e-6, recorded)"
STATISTICS = {"float64": 1e-9, "float32": 5e-7}
STATISTICS_REASON = {
    "float64": "the batch's part is a hundredth: 1e-7 of it",
    "float32": "4 roundings of 2^-24, doubled: a hundredth of the batch's part adds little",
}

Jobs = list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]


def jobs(shared: Path | None, quick: bool) -> Jobs:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float32",) if quick else ("float64", "float32")
    made: Jobs = [
        (f"{case} {dtype}", 2, lambda tick, c=case, d=dtype: output_rows(c, d))
        for case in CASES
        for dtype in dtypes
    ]
    return made + [
        (f"batch norm {dtype}", 1, lambda tick, d=dtype: trained_rows(d)) for dtype in dtypes
    ]


@cache
def record(name: str) -> tuple[dict[str, Any], Any]:
    """What was recorded, in words and as arrays."""
    folder = PARITY / NAME
    return name_seeded.read_record(folder / f"{name}.json.gz"), np.load(folder / f"{name}.npz")


def weights(
    architecture: BodyPoseNet, case: str = "", gain: float | None = None
) -> dict[str, np.ndarray]:
    """Name-seeded weights under our names; Raises ValueError if they are not the recorded ones."""
    words = record("network")[0]
    listed = words["cases"][case if case in words["cases"] else WEIGHTS[architecture]]
    if "layers" not in listed:
        listed = words["cases"][WEIGHTS[architecture]]
    named = [(w[0], w[3]) for layer in listed["layers"] for w in layer["weights"]]
    found = name_seeded.tensors(named, words["gain"] if gain is None else gain)
    if gain is None and name_seeded.sha256(found) != listed["weights_sha256"]:
        raise ValueError(f"{case}: other weights than the record has")
    return {name.replace("/", "."): value for name, value in found.items()}


def images(shape_nhwc: list[int], seed: int, dtype: str) -> paddle.Tensor:
    """The recorded images (B, 3, H, W), as large as the network's own."""
    batch, height, width, _ = shape_nhwc
    drawn = np.random.RandomState(seed).standard_normal((batch, 3, height, width))
    return paddle.to_tensor((drawn * 0.25).astype(dtype))


def _worst(network: PoseNetwork, case: dict[str, Any], name: str, arrays: Any, dtype: str) -> float:
    """The largest difference of an output, of its largest value."""
    given = images(case["input_shape_nhwc"], case["input_seed"], dtype)
    with precision(dtype), paddle.no_grad():
        outputs = network(given)
    offs = []
    for stage, output in enumerate(outputs, start=1):
        for kind, maps in zip(("heat", "paf"), output, strict=True):
            key = f"{kind}_stage{stage}"
            ours = maps.numpy().transpose(0, 2, 3, 1)
            off = np.abs(ours[:, ::2, ::2] - arrays[f"{name}/{key}"]).max()
            offs.append(off / case["outputs"][key]["max_abs"])
    return float(max(offs))


def output_rows(name: str, dtype: str) -> list[Row]:
    """Heat maps and fields of all stages."""
    words, arrays = record("network")
    case, architecture = words["cases"][name], CASES[name]
    network = filled(architecture, weights(architecture, name), dtype)
    network.eval()
    off = _worst(network, case, name, arrays, dtype)
    height, width = case["input_shape_nhwc"][1:3]
    kind = ", self-attention" if architecture.attention else ""
    text = f"all maps of {architecture.stages} stages{kind} for {height}×{width} images"
    exact, why = dtype == "float64", REASON if dtype == "float64" else FLOAT32_REASON
    limit = LIMIT if exact else 5 * max(o["float32_error_max"] for o in case["outputs"].values())
    return [Row(NAME, "forward", dtype, f"{text}, relative to the largest", off, limit, why, MODEL)]


def trained_rows(dtype: str) -> list[Row]:
    """Outputs in the training mode, and moving averages after it; the record has their new part."""
    words, arrays = record("network")
    first, case = weights(TWO), words["cases"][TRAINED]
    network = filled(TWO, first, dtype)
    off, exact = _worst(network, case, TRAINED, arrays, dtype), dtype == "float64"
    why = REASON if exact else FLOAT32_TRAINED_REASON
    limit = LIMIT if exact else FLOAT32_TRAINED
    row = NAME, "batch norm", dtype, "all maps in the training mode, relative to the largest"
    made = [Row(*row, off, limit, why, MODEL)]
    offs = []
    for key, value in network.state_dict().items():
        name = name_seeded.official_name(key)
        if name == key:
            continue
        moved = exactly_moved(first[name], value.numpy())
        wanted = MOMENTUM * first[name] + (1 - MOMENTUM) * arrays[f"{TRAINED}/{name}"]
        offs.append(np.abs(moved - wanted).max() / np.abs(wanted).max())
    text = "moving averages after one update, relative to the largest"
    row = NAME, "batch norm", dtype, text, float(max(offs)), STATISTICS[dtype]
    return [*made, Row(*row, STATISTICS_REASON[dtype], MODEL)]


def exactly_moved(first: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What an exact momentum had made of moving averages; Paddle's is a float32, 9.5e-9 off."""
    return first + (after - first) * ((1 - MOMENTUM) / (1 - float(np.float32(MOMENTUM))))
