"""Weights that are functions of their names, so that any framework can make the same network.

A tensor is drawn by ``RandomState(crc32(its official PyTorch name))``, in float64 and in the shape
that PyTorch stores: standard normal × gain / sqrt(fan in) for convolutions, uniform in 0.5 … 1.5
for scales and running variances, in ±0.1 for biases, normal × 0.1 for running means.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import paddle

INPUT_SEED = 20210927


def tensor(key: str, shape: Iterable[int], gain: float) -> np.ndarray:
    """The float64 tensor that PyTorch calls ``key``."""
    shape = tuple(shape)
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    kind = key.rsplit(".", 1)[-1]
    if kind == "running_mean":
        return draw.standard_normal(shape) * 0.1
    if kind == "bias":
        return draw.uniform(-0.1, 0.1, shape)
    if kind == "running_var" or len(shape) == 1:
        return draw.uniform(0.5, 1.5, shape)
    return draw.standard_normal(shape) * (gain * np.sqrt(1.0 / math.prod(shape[1:])))


def tensors(state_dict: list[tuple[str, list[int]]], gain: float) -> dict[str, np.ndarray]:
    """Every tensor of a recorded state dict of (official name, shape), in its order."""
    return {key: tensor(key, shape, gain) for key, shape in state_dict}


def sha256(arrays: dict[str, np.ndarray]) -> str:
    """Over the little-endian float32 bytes of all tensors in order."""
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def images(shape: Iterable[int]) -> np.ndarray:
    """The recorded input batch, (B, 3, H, W), float64."""
    draw = np.random.RandomState(INPUT_SEED)
    return draw.standard_normal(tuple(shape))


def official_name(key: str) -> str:
    """PyTorch's name of our ``key``: only the running statistics are called otherwise."""
    return key.replace("._mean", ".running_mean").replace("._variance", ".running_var")


def fill(network: paddle.nn.Layer, arrays: dict[str, np.ndarray]) -> set[str]:
    """Set every tensor of the network from ``arrays``; returns the names that it does not have.

    Raises:
        KeyError: the network has a tensor that ``arrays`` lacks.
        ValueError: a shape differs.
    """
    left = set(arrays)
    turned = {  # (out, in) in PyTorch
        f"{name}.weight"
        for name, layer in network.named_sublayers()
        if isinstance(layer, paddle.nn.Linear)
    }
    for key, value in network.state_dict().items():
        name = official_name(key)
        array = arrays[name].T if key in turned else arrays[name]
        if tuple(value.shape) != array.shape:
            raise ValueError(f"{key}: shape {tuple(value.shape)}, recorded {array.shape}")
        value.set_value(array.astype(str(value.numpy().dtype)))
        left.discard(name)
    return left


def read_record(path: Path) -> dict[str, Any]:
    """A gzipped JSON record."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)
