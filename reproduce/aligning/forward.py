"""Outputs in the eval mode against the recorded ones (PEERS step: forward)."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle

from paddle_pose.models.architectures import MIPNet
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.instances import BothInstances, TwoPersonNetwork
from paddle_pose.settings import INSTANCES
from reproduce.aligning import name_seeded
from reproduce.aligning.networks import (
    NETWORKS,
    PARITY,
    model_record,
    precision,
    reference_of,
    seeded,
)
from reproduce.aligning.rows import Row

FLOAT64_RELATIVE = 2**-24 + 1e-11
"""Of the largest output. The record is rounded to float32 (2^-24 of a value). Paddle holds epsilon
in float32, off by 2.5e-13, against variances near 1: 1e-11 leaves room for depth."""
FLOAT64_REASON = "record rounded to float32 (2^-24), Paddle's float32 epsilon through depth (1e-11)"
FLOAT32_REASON = "4 × what PyTorch's float32 is off from its float64 (recorded): two draws, doubled"


def seeded_network(name: str, dtype: str) -> PoseNetwork:
    """The network with name-seeded weights, in the eval mode."""
    record = model_record(name)
    with precision(dtype):
        network, _ = seeded(name, record, name_seeded.tensors(record["state_dict"], record["gain"]))
    network.eval()
    return network


def outputs(name: str, dtype: str) -> list[np.ndarray]:
    """Heat maps of every stack for the recorded images and name-seeded weights."""
    return maps_of(seeded_network(name, dtype), model_record(name), dtype)


def maps_of(network: PoseNetwork, record: dict[str, Any], dtype: str) -> list[np.ndarray]:
    """Heat maps of every stack, or of both people, for the recorded images."""
    images = paddle.to_tensor(name_seeded.images(record["input"]["shape"]).astype(dtype))
    with precision(dtype), paddle.no_grad():
        asked = BothInstances(network) if isinstance(network, TwoPersonNetwork) else network
        return [maps.numpy() for one in asked(images) for maps in one if maps is not None]


def rows(name: str, dtype: str) -> list[Row]:
    """One row per output: the largest difference over the recorded values, of the largest value."""
    return rows_of(name, dtype, outputs(name, dtype))


def rows_of(
    name: str, dtype: str, heatmaps: list[np.ndarray], model: str = "", variant: str = ""
) -> list[Row]:
    """The same for outputs made already; ``variant`` says what was made, if another ``model``."""
    model = model or NETWORKS[name].model
    record = name_seeded.read_record(PARITY / "models" / f"{model}.json.gz")
    recorded = np.load(PARITY / "models" / f"{model}.npz")
    two = isinstance(NETWORKS[name].load().model, MIPNet)
    size = "×".join(str(n) for n in record["input"]["shape"])
    made = []
    for index, output in enumerate(heatmaps):
        if f"output_{index}" not in recorded:
            continue  # of MIPNet at width 48 one person's
        expected = recorded[f"output_{index}"].astype(np.float64)
        largest = record["outputs"][index]["max_abs"]
        kept = output[:, :, ::3, ::3]
        difference = np.abs(kept - expected).max() / largest
        exact = dtype == "float64"
        whose = f"the {INSTANCES[index]} person" if two else f"stack {index + 1}"
        made.append(
            Row(
                name,
                "forward",
                dtype,
                f"heat maps of {whose} for {size} images, relative to the largest{variant}",
                float(difference),
                FLOAT64_RELATIVE if exact else 4 * record["float32_error_max"],
                FLOAT64_REASON if exact else FLOAT32_REASON,
                reference_of(record),
                arrays=(kept, expected),
            )
        )
    return made
