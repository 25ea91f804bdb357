"""Pixel shuffling and unshuffling of blocked tensors by one copy, forward and backward.

Paddle's go through two other layouts, and permute on one thread.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.layout import (
    Shape,
    by_paddle,
    empty,
    is_blocked,
    kind,
    planned,
    refuse_second_derivatives,
)
from paddle_pose.onednn.library import DST, SRC, Handle, dimensions


class _Shuffle:
    """Copies between a blocked (B, C·f², H, W) and a blocked (B, C, f·H, f·W).

    Channel f²·c + f·i + j at (h, w) is channel c at (f·h + i, f·w + j). With c = k·o + k/f²·q + r
    (k channels in a block) both are the axes B, o, q, H, W, r, i, j in some order.
    """

    def __init__(self, deep: Shape, factor: int, kind: int) -> None:
        batch, blocks, height, width, inside = deep
        square = factor**2
        if inside % square or blocks % square:
            raise onednn.Failed("channels of part of a block")
        outer, rest = blocks // square, inside // square
        self.deep, self.wide = deep, (batch, outer, factor * height, factor * width, inside)
        sizes = (batch, outer, square, height, width, rest, factor, factor)
        image, row = inside * width * height, inside * width
        map_, line = square * image, factor * row
        strides = (outer * map_, map_, image, row, inside, square, factor, 1)
        one = self._described(sizes, strides, kind)
        strides = (outer * map_, map_, rest, factor * line, factor * inside, 1, line, inside)
        other = self._described(sizes, strides, kind)
        self.up, self.down = onednn.copying(one, other), onednn.copying(other, one)

    @staticmethod
    def _described(sizes: Shape, strides: Shape, kind: int) -> Handle:
        given = len(sizes), dimensions(sizes), kind, dimensions(strides)
        return onednn.loaded().make("memory_desc_create_with_strides", *given)


_shuffle = planned(_Shuffle)


class _ShuffleLayer(PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, plan: _Shuffle, up: bool) -> paddle.Tensor:
        ctx.plan, ctx.up = plan, up
        return _ShuffleLayer._copied(x, plan, up)

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> paddle.Tensor:
        refuse_second_derivatives()
        return _ShuffleLayer._copied(d_out.contiguous(), ctx.plan, not ctx.up)

    @staticmethod
    def _copied(x: paddle.Tensor, plan: _Shuffle, up: bool) -> paddle.Tensor:
        out = empty(plan.wide if up else plan.deep, kind(x))
        (plan.up if up else plan.down)({SRC: x, DST: out})
        return out


def pixel_shuffle(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    """F.pixel_shuffle."""
    plan = _shuffle(tuple(x.shape), factor, kind(x)) if is_blocked(x) else None
    if plan is None:
        return by_paddle(F.pixel_shuffle, x, factor)
    return _ShuffleLayer.apply(x.contiguous(), plan, True)


def pixel_unshuffle(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    """F.pixel_unshuffle."""
    plan = None
    if is_blocked(x) and not (x.shape[2] % factor or x.shape[3] % factor):
        batch, blocks, height, width, inside = x.shape
        deep = (batch, blocks * factor**2, height // factor, width // factor, inside)
        plan = _shuffle(deep, factor, kind(x))
    if plan is None:
        return by_paddle(F.pixel_unshuffle, x, factor)
    return _ShuffleLayer.apply(x.contiguous(), plan, False)
