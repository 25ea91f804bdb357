"""Blocked layout: the memory order in which oneDNN's kernels work on a CPU.

A (B, C, H, W) tensor whose channels fill whole blocks of k = 16 (8 on CPUs without AVX-512) is held
as (B, C/k, H, W, k), shape letters BcHWk. The others stay plain. ``to_blocked`` and ``to_plain``
convert; both leave alone what is so already. Plain tensors hold float32 values, and so do blocked
ones, but bfloat16 those made inside ``in_bfloat16`` and their gradients.

For a fixed number of threads equal arguments give equal bits, here and in ``layers``. There are no
second derivatives, paddle.grad takes all inputs or none, and a graph goes backward once (Paddle
ends the process at a second time, for any PyLayer): PADDLE_POSE_ONEDNN=0 for these. Where oneDNN
refuses a shape, Paddle's kernel takes over.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import paddle
from paddle import _C_ops
from paddle.autograd import PyLayer

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.library import (
    BFLOAT16,
    CONVOLUTION_DIRECT,
    DST,
    FLOAT32,
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
    """``make``, whose results are kept by its arguments; None where oneDNN refuses.

    Primitives keep the number of threads that OpenMP has when they are made. A process sets that
    number once, before Paddle is imported (``runtime``).
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
    """Channels in a block, as oneDNN wants them for a 3×3 convolution; 0: it wants no blocks."""
    calls, sizes, ones = onednn.loaded(), (1, 64, 8, 8), dimensions([1, 1])
    try:
        x, weight = calls.any(sizes), calls.any((64, 64, 3, 3))
        window = (ones, dimensions([0, 0]), ones, ones)
        how = (FORWARD_TRAINING, CONVOLUTION_DIRECT)
        convolution = calls.describe("convolution_forward", *how, x, weight, None, x, *window)
        layout = calls.wanted(convolution, DST)
        return next(k for k in (16, 8) if calls.equal(layout, calls.blocked(sizes, k)))
    except (onednn.Failed, StopIteration):
        return 0


_half = contextvars.ContextVar("_half", default=False)


@contextlib.contextmanager
def in_bfloat16(*, on: bool = True) -> Iterator[None]:
    """Within it blocked tensors are made of bfloat16; outside, or not ``on``, of float32."""
    before = _half.set(on)
    try:
        yield
    finally:
        _half.reset(before)


def kind(x: paddle.Tensor) -> int:
    """Of the values of a layer's blocked result, ``FLOAT32`` or ``BFLOAT16``, by its input."""
    half = x.dtype == paddle.bfloat16 if is_blocked(x) else _half.get()
    return BFLOAT16 if half else FLOAT32


def is_blocked(x: paddle.Tensor) -> bool:
    """Whether it is a (B, C/k, H, W, k)."""
    return x.ndim == 5


def to_blocked(x: paddle.Tensor) -> paddle.Tensor:
    """(B, C, H, W) -> (B, C/k, H, W, k) where oneDNN can and the channels fill whole blocks."""
    if is_blocked(x) or not onednn.usable(x):
        return x
    shape = blocked_shape(x.shape)
    return _Copy.apply(x, shape) if len(shape) == 5 else x


def to_plain(x: paddle.Tensor) -> paddle.Tensor:
    """(B, C/k, H, W, k) -> (B, C, H, W)."""
    return _Copy.apply(x, plain_shape(x.shape)) if is_blocked(x) else x


def alike(*tensors: paddle.Tensor) -> Sequence[paddle.Tensor]:
    """All blocked if one is and all can be, else all plain."""
    tried = [to_blocked(x) for x in tensors] if any(map(is_blocked, tensors)) else tensors
    return tried if all(map(is_blocked, tried)) else [to_plain(x) for x in tensors]


def for_paddle(*tensors: paddle.Tensor) -> Sequence[paddle.Tensor]:
    """``alike``, but plain instead of bfloat16, which few of Paddle's CPU kernels take."""
    half = any(x.dtype == paddle.bfloat16 for x in tensors)
    return [to_plain(x) for x in tensors] if half else alike(*tensors)


def by_paddle(
    function: Callable[..., paddle.Tensor], x: paddle.Tensor, *arguments: object, **named: object
) -> paddle.Tensor:
    """``function(to_plain(x), …)``; blocked, if it can be, where ``x`` was."""
    out = function(to_plain(x), *arguments, **named)
    return to_blocked(out) if is_blocked(x) else out


def together(function: Callable[..., paddle.Tensor], *parts: paddle.Tensor) -> paddle.Tensor:
    """``function(*for_paddle(*parts))``; blocked, if it can be, where one of them was."""
    out = function(*for_paddle(*parts))
    return to_blocked(out) if any(map(is_blocked, parts)) else out


def blocked_shape(shape: Shape) -> Shape:
    """(B, C, H, W) -> (B, C/k, H, W, k); as it is where channels do not fill whole blocks."""
    batch, channels, height, width = shape
    if not block() or channels % block():
        return tuple(shape)
    return (batch, channels // block(), height, width, block())


def plain_shape(shape: Shape) -> Shape:
    """(B, C, H, W) of a blocked or plain shape."""
    if len(shape) == 4:
        return tuple(shape)
    batch, blocks, height, width, inside = shape
    return (batch, blocks * inside, height, width)


def layout(shape: Shape, kind: int = FLOAT32) -> Handle:
    """Description for oneDNN of a tensor of that shape, of float32 where it is plain."""
    calls = onednn.loaded()
    if len(shape) == 5:
        return calls.blocked(plain_shape(shape), shape[-1], kind)
    return calls.plain(shape)


def empty(shape: Shape, kind: int = FLOAT32) -> paddle.Tensor:
    """Memory for a tensor of ``layout``: paddle.empty without its look at the arguments.

    That look takes longer than the rest, and a step of HRNet asks 3,000 times.
    """
    half = kind == BFLOAT16 and len(shape) == 5
    return _C_ops.empty(list(shape), paddle.bfloat16 if half else paddle.float32, _CPU)


def refuse_second_derivatives() -> None:
    """Raises NotImplementedError in a backward pass that is itself to be differentiated."""
    if paddle.is_grad_enabled():
        raise NotImplementedError("second derivatives need PADDLE_POSE_ONEDNN=0")


@planned
def _copying(source: Shape, target: Shape, kind: int) -> Primitive:
    return onednn.copying(layout(source, kind), layout(target, kind))


def _copied(x: paddle.Tensor, shape: Shape, kind: int) -> paddle.Tensor:
    """The values in the layout of ``shape``; ``kind`` is that of the blocked one of the two."""
    plan = _copying(tuple(x.shape), shape, kind)
    if plan is None:
        return _copied_by_paddle(x.astype("float32"), shape).astype(
            "bfloat16" if kind == BFLOAT16 and len(shape) == 5 else "float32"
        )
    out = empty(shape, kind)
    plan({SRC: x.contiguous(), DST: out})
    return out


def _copied_by_paddle(x: paddle.Tensor, shape: Shape) -> paddle.Tensor:
    if is_blocked(x):
        return x.transpose([0, 1, 4, 2, 3]).reshape(shape)
    batch, blocks, height, width, inside = shape
    return x.reshape([batch, blocks, inside, height, width]).transpose([0, 1, 3, 4, 2])


class _Copy(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, shape: Shape) -> paddle.Tensor:
        ctx.shape, ctx.kind = tuple(x.shape), kind(x)
        return _copied(x, shape, ctx.kind)

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        return _copied(d_out, ctx.shape, ctx.kind)
