"""Operations on feature maps: a closed list, equal in both layouts; networks use no other."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from paddle_pose.models import blocks, build
from paddle_pose.onednn import layout

PACKAGE = Path(blocks.__file__).parent.parent
EPS = 2.0**-24
"""Largest relative rounding error of one float32 operation."""
Function = Callable[..., paddle.Tensor]


def twins(ours: type[nn.Layer], theirs: type[nn.Layer], *arguments: int, **named: object) -> tuple:
    """Our layer and, in float64, Paddle's with the same weights."""
    paddle.seed(1)
    layer, twin = ours(*arguments, **named), theirs(*arguments, **named).to(dtype="float64")
    twin.set_state_dict({k: v.astype("float64") for k, v in layer.state_dict().items()})
    return layer, twin


class Case(NamedTuple):
    """An operation, Paddle's, channels (or shapes) of the arguments, terms of the longest sum."""

    ours: Function
    paddles: Function
    shapes: tuple
    terms: int = 0


def nearest(x: paddle.Tensor) -> paddle.Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def transposed(channels: int) -> Case:
    both = twins(blocks.Conv2DTranspose, nn.Conv2DTranspose, channels, 32, 4, stride=2, padding=1)
    return Case(*both, (channels,), 512)


def deformable(channels: int) -> Case:
    """Against itself in float64; test_fastpose.py has its definition."""
    paddle.seed(1)
    layer = blocks.DeformableConv2D(channels, 32, 3, padding=1)
    twin = blocks.DeformableConv2D(channels, 32, 3, padding=1).to(dtype="float64")
    twin.set_state_dict({k: v.astype("float64") for k, v in layer.state_dict().items()})
    return Case(layer, twin, (channels, (27, 6, 6)), 9 * channels)


CASES: dict[object, Callable[[int], Case]] = {
    blocks.Conv2D: lambda c: Case(*twins(blocks.Conv2D, nn.Conv2D, c, 32, 3), (c,), 288),
    blocks.Head: lambda c: Case(*twins(blocks.Head, nn.Conv2D, c, 16, 1), (c,), 72),
    blocks.Conv2DTranspose: transposed,
    blocks.DeformableConv2D: deformable,
    blocks.BatchNorm2D: lambda c: Case(*twins(blocks.BatchNorm2D, nn.BatchNorm2D, c), (c,), 216),
    blocks.Upsample: lambda c: Case(blocks.Upsample(2), nearest, (c,), 4),
    blocks.upsample: lambda c: Case(lambda x: blocks.upsample(x, 2), nearest, (c,), 4),
    blocks.max_pool: lambda c: Case(
        lambda x: blocks.max_pool(x, 2), lambda x: F.max_pool2d(x, 2, 2), (c,)
    ),
    blocks.relu: lambda c: Case(blocks.relu, F.relu, (c,)),
    blocks.sigmoid: lambda c: Case(blocks.sigmoid, F.sigmoid, (c,), 8),
    blocks.hard_sigmoid: lambda c: Case(
        blocks.hard_sigmoid, lambda x: paddle.clip(x / 6 + 0.5, 0, 1), (c,), 4
    ),
    blocks.hard_swish: lambda c: Case(blocks.hard_swish, F.hardswish, (c,), 4),
    blocks.add: lambda c: Case(blocks.add, lambda x, y: x + y, (c, c), 2),
    blocks.add_relu: lambda c: Case(blocks.add_relu, lambda x, y: F.relu(x + y), (c, c), 2),
    blocks.global_average: lambda c: Case(
        blocks.global_average, lambda x: F.adaptive_avg_pool2d(x, 1), (c,), 36
    ),
    blocks.scale: lambda c: Case(blocks.scale, lambda x, y: x * y, (c, (c, 1, 1)), 36),
    blocks.concat: lambda c: Case(
        blocks.concat, lambda *parts: paddle.concat(parts, 1), (c, 16, c // 2)
    ),
    blocks.twice: lambda c: Case(blocks.twice, lambda x: paddle.concat([x, x]), (c,), 2),
    blocks.pixel_shuffle: lambda c: Case(
        lambda x: blocks.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2), (4 * c,)
    ),
    blocks.pixel_unshuffle: lambda c: Case(
        lambda x: blocks.pixel_unshuffle(x, 2), lambda x: F.pixel_unshuffle(x, 2), (c,)
    ),
    blocks.plain: lambda c: Case(blocks.plain, lambda x: x, (c,)),
}
PLAIN = (blocks.Head, blocks.global_average, blocks.plain)
"""Whose results are plain."""


def outcome(function: Function, tensors: list[paddle.Tensor]) -> list[np.ndarray]:
    """Result, then gradients of the arguments and of the layer's parameters."""
    leaves = [x.detach() for x in tensors]
    for leaf in leaves:
        leaf.stop_gradient = False
    out = layout.to_plain(function(*leaves))
    d_out = np.random.default_rng(2).standard_normal(out.shape).astype(np.float32)
    out.backward(paddle.to_tensor(d_out.astype(out.numpy().dtype)))
    if isinstance(function, nn.Layer):
        leaves += [p for p in function.parameters() if not p.stop_gradient]
    return [out.numpy(), *(layout.to_plain(leaf.grad).numpy() for leaf in leaves)]


@pytest.mark.parametrize("given", ["plain", "blocked", "mixed"])
@pytest.mark.parametrize("channels", [32, 18])
@pytest.mark.parametrize("operation", CASES, ids=lambda one: one.__name__)
def test_both_layouts_give_what_paddle_gives(operation, channels, given):
    ours, paddles, shapes, terms = CASES[operation](channels)
    shapes = [shape if isinstance(shape, tuple) else (shape, 6, 6) for shape in shapes]
    random = np.random.default_rng(1)
    values = [random.standard_normal((2, *shape)).astype(np.float32) for shape in shapes]
    tensors = [paddle.to_tensor(v) for v in values]
    # Where there is no oneDNN, all of them stay plain.
    for index in {"plain": [], "blocked": range(len(tensors)), "mixed": [0]}[given]:
        tensors[index] = layout.to_blocked(tensors[index])
    blocked = any(map(layout.is_blocked, tensors))
    exact = outcome(paddles, [paddle.to_tensor(v.astype(np.float64)) for v in values])
    # A float32 sum of n normal products errs by at most (n + 4) eps times the sum of their sizes,
    # which is 0.2·sqrt(n) of the largest sum; n is at least 25 where that exceeds 1.
    bound = (terms + 4) * EPS * max(1, 0.2 * terms**0.5) if terms else 0
    for value, truth in zip(outcome(ours, tensors), exact, strict=True):
        assert value.dtype == np.float32
        assert value.shape == truth.shape
        assert abs(value - truth).max() <= bound * abs(truth).max()
    out = ours(*tensors)
    if operation in PLAIN:
        assert not layout.is_blocked(out)
    elif blocked:  # and stays so where it can
        assert tuple(out.shape) == layout.blocked_shape(layout.plain_shape(out.shape))


def test_the_list_is_complete():
    """All that takes Features, by its annotations, is in the list, and has a case above."""
    found = []
    for name, one in vars(blocks).items():
        if name.startswith("_") or getattr(one, "__module__", "") != blocks.__name__:
            continue
        function = one.forward if hasattr(one, "forward") else one
        if callable(one) and "Features" in str(inspect.signature(function)):
            found.append(one)
    assert set(found) == set(blocks.OPERATIONS) == set(CASES)


NETWORK_FILES = sorted(
    {Path(inspect.getfile(network)) for network in build.NETWORKS.values()}
    | {PACKAGE / "models" / f"{name}.py" for name in ("residual", "se_resnet", "mobilenet")}
)


@pytest.mark.parametrize("file", NETWORK_FILES, ids=lambda file: file.stem)
def test_networks_compute_with_the_list_alone(file):
    containers = {"nn.Layer", "nn.Sequential", "nn.LayerList", "nn.LayerDict", "nn.Identity"}
    allowed = {*containers, "paddle.Tensor"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            used = ast.unparse(node)
            assert used.split(".")[0] not in ("paddle", "nn") or used in allowed
            assert node.attr != "shape"  # of Features it says nothing
        if isinstance(node, ast.ImportFrom):
            assert not node.module.startswith("paddle.")


def test_only_blocks_imports_onednn():
    importers = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if "paddle_pose.onednn" in file.read_text(encoding="utf-8") and file.parent.name != "onednn"
    }
    assert importers == {"models/blocks.py"}
