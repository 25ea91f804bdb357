"""MIPNet's gates alone, and four of them together, in recorded cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.models.instances import InstanceGate, InstanceGates, linear_near_zero
from paddle_pose.training.losses import total
from reproduce.aligning import name_seeded
from reproduce.aligning.networks import MIPNET, precision
from reproduce.aligning.rows import Reference, Row

TOLERANCE = {"float64": 1e-7, "float32": 5.0}
REASON = {
    "float64": "Paddle's float32 epsilon and momentum of batch norm, 2.5e-8 of each, × 4",
    "float32": "5 × what PyTorch's float32 is off from its float64 (recorded)",
}


def exactly_moved(first: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What an exact momentum had made of running statistics; Paddle's is a float32, 2.4e-8 off."""
    return first + (after - first) * (0.1 / (1 - float(np.float32(0.9))))


def rows(shared: Path) -> list[Row]:
    """Gates alone and four together: outputs, gradients and statistics of recorded cases."""
    folder = shared / "parity" / "mipnet"
    record = json.loads((folder / "se_lambda.json").read_text("utf-8"))
    arrays = np.load(folder / "se_lambda.npz")
    made = []
    for dtype in ("float64", "float32"):
        worst: dict[str, tuple[float, float]] = {}
        for name, case in record["cases"].items():
            if case["mode"] == "train" and len(set(case["lam"])) == 1:
                continue  # all of one instance: the rounding of a mean, 316 times amplified
            for what, off in _gate_case(record, arrays, name, dtype):
                limit = TOLERANCE[dtype] * (1 if dtype == "float64" else _float32_error(case, what))
                before = worst.get(what, (0.0, 1.0))
                worst[what] = max(before, (off, limit), key=lambda pair: pair[0] / pair[1])
        file = "lib/models/pose_hrnet_se_lambda.py SELambdaLayer, SELambdaModule"
        for what, (off, limit) in worst.items():
            step = {"outputs": "forward", "statistics": "batch norm"}.get(what, "backward")
            text = f"gates alone: {what}, relative to the largest"
            row = "mipnet", step, dtype, text, off, limit, REASON[dtype]
            made.append(Row(*row, Reference(*MIPNET, file)))
    return made


def _float32_error(case: dict[str, Any], what: str) -> float:
    key = {"outputs": ("out",), "statistics": ("after",)}.get(what, ("grad/", "grad_x"))
    return max(case["float32_error"].get(name, 0.0) for name in key)


def _gate_case(
    record: dict[str, Any], arrays: Any, name: str, dtype: str
) -> Iterator[tuple[str, float]]:
    """What is compared of one case, and how far it is off."""
    case, spec = record["cases"][name], record["specs"][name.partition("/")[0]]
    with precision(dtype):
        gates = [InstanceGate(width, linear_near_zero) for width in spec["channels"]]
        network = gates[0] if spec["single"] else InstanceGates(gates)
        keys = [(k, s) for k, s, _ in spec["state_dict"] if not k.endswith("tracked")]
        prefixed = name_seeded.tensors([(spec["prefix"] + k, s) for k, s in keys], spec["gain"])
        name_seeded.fill(network, {k: prefixed[spec["prefix"] + k] for k, _ in keys})
    network.train() if case["mode"] == "train" else network.eval()
    draw, inputs = np.random.RandomState(spec["x_seed"]), []
    for width, size in zip(spec["channels"], spec["sizes"], strict=True):
        value = np.maximum(draw.standard_normal((spec["B"], width, *size)), 0) * 1.5
        inputs.append(paddle.to_tensor(value.astype(dtype), stop_gradient=False))
    codes = np.stack([case["lam"], 1 - np.array(case["lam"])], axis=1).astype(dtype)
    given = paddle.to_tensor(codes)
    outputs = [network(inputs[0], given)] if spec["single"] else network(inputs, given)
    draw = np.random.RandomState(spec["up_seed"])
    ups = [paddle.to_tensor(draw.standard_normal(out.shape).astype(dtype)) for out in outputs]
    total([(out * up).sum() for out, up in zip(outputs, ups, strict=True)]).backward()
    theirs = {
        k.removeprefix(f"{name}/"): arrays[k] for k in arrays.files if k.startswith(f"{name}/")
    }
    for number, out in enumerate(outputs):
        yield "outputs", _off(out, theirs[f"out{number}"])
        if f"grad_x{number}" in theirs:
            yield "gradients", _off(inputs[number].grad, theirs[f"grad_x{number}"])
    left = {*case["noise_parameters"], *case["weak_gradients"]}
    state = {name_seeded.official_name(k): v for k, v in network.state_dict().items()}
    turned = {n for n, v in state.items() if v.ndim == 2}
    for key, parameter in network.named_parameters():
        official = name_seeded.official_name(key)
        if f"grad/{official}" in theirs and official not in left:
            ours = parameter.grad.T if official in turned else parameter.grad
            yield "gradients", _off(ours, theirs[f"grad/{official}"])
    for key, wanted in theirs.items():
        if key.startswith("after1/") and not key.endswith("tracked"):
            official = key.removeprefix("after1/")
            first = prefixed[spec["prefix"] + official]
            yield "statistics", _off(exactly_moved(first, state[official].numpy()), wanted)


def _off(ours: paddle.Tensor | np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())
