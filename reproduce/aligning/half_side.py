"""PyTorch's half precision on a CPU: loss scaling, and autocast of a network; by torch_side.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def half(
    job: dict[str, Any], folder: Path, build: Callable, load: Callable, outputs_of: Callable
) -> dict[str, np.ndarray]:
    """Scale and weights of every step; maps in float64 and under autocast."""
    arrays = dict(np.load(folder / "inputs.npz"))
    weight = torch.nn.Parameter(torch.from_numpy(arrays["first"].copy()))
    adam, scaler = torch.optim.Adam([weight], lr=job["rate"]), torch.amp.GradScaler("cpu")
    scales, masters = [], []
    for gradient in torch.from_numpy(arrays["gradients"]):
        scales.append(scaler.get_scale())
        adam.zero_grad()
        scaler.scale((weight * gradient).sum()).backward()
        scaler.step(adam)
        scaler.update()
        masters.append(weight.detach().numpy().copy())
    answers = {"scales": np.array(scales), "masters": np.stack(masters)}
    weights = dict(np.load(folder / "weights.npz"))
    for name, dtype in (("float64", torch.float64), ("half", torch.float32)):
        network = build(job).to(dtype)
        load(network, weights)
        network.eval()
        images = torch.from_numpy(arrays["images"]).to(dtype)
        autocast = torch.autocast("cpu", torch.float16, enabled=name == "half")
        with torch.no_grad(), autocast:
            answers[name] = outputs_of(network, images)[-1].double().numpy()
    return answers
