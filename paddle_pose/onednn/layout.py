"""Channels packed in blocks, the layout in which oneDNN's kernels work on float32 on a CPU.

Between the layers of a network a (B, C, H, W) tensor whose channels fill whole blocks of k = 16 (8
on CPUs without AVX-512) travels as (B, C/k, H, W, k), shape letters BcHWk. How a tensor travels
follows from its number of channels alone, so sums of tensors agree. ``pack`` and ``unpack`` go
between the two.

For a fixed number of threads equal arguments give equal bits, here and in ``packed_layers``. There
are no second derivatives, paddle.grad takes all inputs or none, and a graph goes backward once
(Paddle ends the process at a second time, for any PyLayer): PADDLE_POSE_ONEDNN=0 for these.
Where oneDNN refuses a shape, Paddle's kernel takes over.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import paddle
from paddle import _C_ops
from paddle.autograd import PyLayer

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.library import (
    CONVOLUTION_DIRECT,
    DST,
    FORWARD_TRAINING,
    SRC,
    Handle,
    Primitive,
    dimensions,
)

_CPU = paddle.CPUPlace()
PLANS = 1024
"""Shapes whose primitives are kept, by kind of layer; a network has up to 60."""

Shape = tuple[int, ...]
Plan = TypeVar("Plan")


def planned(make: Callable[..., Plan]) -> Callable[..., Plan | None]:
    """``make`` with what it made kept by its arguments; None where oneDNN refuses.

    Primitives are made for as many threads as OpenMP has then, and go on with so many; a process
    here sets its number once, before Paddle is imported (``runtime``).
    """

    @functools.lru_cache(maxsize=PLANS)
    def plan(*key: object) -> Plan | None:
        try:
            return make(*key)
        except onednn.Failed:
            return None

    return plan


@functools.lru_cache(maxsize=1)
def block() -> int:
    """Channels in a block, as oneDNN lays out a 3×3 convolution here; 0 where it does not pack."""
    calls, sizes, ones = onednn.library(), (1, 64, 8, 8), dimensions([1, 1])
    try:
        x, weight = calls.any(sizes), calls.any((64, 64, 3, 3))
        window = (ones, dimensions([0, 0]), ones, ones)
        how = (FORWARD_TRAINING, CONVOLUTION_DIRECT)
        convolution = calls.describe("convolution_forward", *how, x, weight, None, x, *window)
        layout = calls.wanted(convolution, DST)
        return next(k for k in (16, 8) if calls.equal(layout, calls.packed(sizes, k)))
    except (onednn.Failed, StopIteration):
        return 0


def is_packed(x: paddle.Tensor) -> bool:
    """Whether it is a (B, C/k, H, W, k)."""
    return x.ndim == 5


def pack(x_BCHW: paddle.Tensor) -> paddle.Tensor:
    """(B, C, H, W) -> (B, C/k, H, W, k) where the channels fill whole blocks, else as it is."""
    if not onednn.usable(x_BCHW) or travelling(x_BCHW.shape) == tuple(x_BCHW.shape):
        return x_BCHW
    return _Copy.apply(x_BCHW, travelling(x_BCHW.shape))


def unpack(x: paddle.Tensor) -> paddle.Tensor:
    """(B, C/k, H, W, k) -> (B, C, H, W); others as they are."""
    return _Copy.apply(x, logical(x.shape)) if is_packed(x) else x


def by_paddle(
    function: Callable[..., paddle.Tensor], x: paddle.Tensor, *arguments: object, **named: object
) -> paddle.Tensor:
    """``function`` of a tensor as it travels, by Paddle's kernels: of (B, C, H, W) to such."""
    return pack(function(unpack(x), *arguments, **named))


def travelling(shape: Shape) -> Shape:
    """Shape in which a (B, C, H, W) travels."""
    batch, channels, height, width = shape
    if not block() or channels % block():
        return tuple(shape)
    return (batch, channels // block(), height, width, block())


def logical(shape: Shape) -> Shape:
    """(B, C, H, W) of a packed or plain shape."""
    if len(shape) == 4:
        return tuple(shape)
    batch, blocks, height, width, inside = shape
    return (batch, blocks * inside, height, width)


def layout(shape: Shape) -> Handle:
    """Description for oneDNN of a tensor of that shape, packed or plain."""
    calls = onednn.library()
    return calls.packed(logical(shape), shape[-1]) if len(shape) == 5 else calls.plain(shape)


def empty(shape: Shape) -> paddle.Tensor:
    """Memory for a float32 tensor, from what paddle.empty asks after a look at its arguments.

    That look takes longer than the rest, and a step of HRNet asks 3,000 times.
    """
    return _C_ops.empty(list(shape), paddle.float32, _CPU)


def refuse_second_derivatives() -> None:
    """Raises NotImplementedError in a backward pass that is itself to be differentiated."""
    if paddle.is_grad_enabled():
        raise NotImplementedError("second derivatives need PADDLE_POSE_ONEDNN=0")


@planned
def _copying(source: Shape, target: Shape) -> Primitive:
    return onednn.copying(layout(source), layout(target))


def _copied(x: paddle.Tensor, shape: Shape) -> paddle.Tensor:
    """Packed or unpacked to ``shape``."""
    plan = _copying(tuple(x.shape), shape)
    if plan is None:
        return _turned(x, shape)
    out = empty(shape)
    plan({SRC: x.contiguous(), DST: out})
    return out


def _turned(x: paddle.Tensor, shape: Shape) -> paddle.Tensor:
    """``_copied`` by Paddle's kernels."""
    if is_packed(x):
        return x.transpose([0, 1, 4, 2, 3]).reshape(shape)
    batch, blocks, height, width, inside = shape
    return x.reshape([batch, blocks, inside, height, width]).transpose([0, 1, 3, 4, 2])


class _Copy(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, shape: Shape) -> paddle.Tensor:
        ctx.shape = tuple(x.shape)
        return _copied(x, shape)

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        return _copied(d_out, ctx.shape)
