"""Whole pictures to the poses of everybody in them: what differs from looking into boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from paddle_pose.data.whole_images import whole_input, whole_place
from paddle_pose.errors import UserError
from paddle_pose.inference import engine as engines
from paddle_pose.inference.engine import Forward
from paddle_pose.inference.exported import Exported, make_forward
from paddle_pose.inference.people import People
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.poses.poses import Place
from paddle_pose.settings import Benchmark, DataSettings, WholeImage


def one_size(benchmark: Benchmark) -> bool:
    """Whether all pictures become inputs of one size, and so can share batches and a graph."""
    whole = benchmark.whole
    return whole is None or (
        whole.mode not in ("adjust", "height") and len(benchmark.test_scales) == 1
    )


def choose(engine: str, precision: str, benchmark: Benchmark, *, people: int) -> str:
    """As ``engine.choose``; inputs of many sizes are computed without compiling, which is said.

    Raises:
        UserError: as there, or bfloat16, which is compiled, is asked of inputs of many sizes.
    """
    if one_size(benchmark) or engine == "eager":
        return engines.choose(engine, precision, people=people)
    if precision != "float32":
        raise UserError(
            f"--precision {precision}: is compiled for one size of input; benchmark "
            f"'{benchmark.name}' has many; leave it out, or choose one with mode 'pad'"
        )
    if engine in ("onednn", "openvino"):
        print(f"=> {benchmark.name}: inputs of many sizes, computed without compiling", flush=True)
    return engines.choose("eager", precision, people=people)


def fitting(benchmark: Benchmark, network: PoseNetwork | Exported, data: DataSettings) -> Benchmark:
    """The protocol; for a network exported for one size pictures are padded, which is said."""
    whole = benchmark.whole
    if whole is None or not isinstance(network, Exported) or one_size(benchmark):
        return benchmark
    width, height = data.image_size_wh
    print(
        f"assumed: pictures: padded to {width}×{height}, the one size that the network was "
        f"exported for; '{benchmark.name}' has many",
        flush=True,
    )
    fixed = replace(whole, size_hw=(height, width), mode="pad")
    return replace(benchmark, test_scales=(1.0,), whole=fixed)


def forward_of(
    network: PoseNetwork | Exported, data: DataSettings, benchmark: Benchmark, **options: Any
) -> Forward:
    """As ``exported.make_forward``, for the inputs that the benchmark makes.

    Raises:
        UserError: as there, or an exported network is asked for inputs of many sizes.
    """
    whole = benchmark.whole
    if whole is not None and one_size(benchmark):
        height, width = whole.size_hw
        data = replace(data, image_size_wh=(width, height))
    elif isinstance(network, Exported) and not one_size(benchmark):
        raise UserError(
            f"{network.folder}: exported for one size of input; benchmark '{benchmark.name}' has "
            "many; choose one of one size, and set benchmarks.N.whole.size_hw=[H,W] to that size"
        )
    return make_forward(network, data, flip_test=benchmark.flip_test, **options)


def whole_picture(
    pixels: np.ndarray, whole: WholeImage, scales: Sequence[float], stride: int, image_id: int
) -> People:
    """(H, W, 3) uint8 RGB pixels as the one input of each scale; Raises UserError."""
    place = whole_place((pixels.shape[1], pixels.shape[0]), image_id)
    multiple = stride if len(scales) > 1 else 1
    inputs = [whole_input(pixels, whole, scale, multiple) for scale in scales]
    return People(Place.stacked([place]), [one[None] for one in inputs])
