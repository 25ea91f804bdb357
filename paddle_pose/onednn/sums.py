"""Sums of branches by oneDNN, with a ReLU behind them or not, forward and backward.

Paddle adds on one thread, and its gradient of a sum copies on one thread.
"""

from __future__ import annotations

import ctypes
import math
import operator
from functools import reduce
from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from paddle_pose.onednn import library as onednn
from paddle_pose.onednn.layout import (
    Shape,
    alike,
    empty,
    is_blocked,
    kind,
    planned,
    refuse_second_derivatives,
    together,
)
from paddle_pose.onednn.library import DIFF_DST, DIFF_SRC, DST, FORWARD_TRAINING, SRC, Primitive

_SRC_1, _ADD, _RELU, _RELU_BY_RESULT = 2, 131056, 32, 256


class _Sum:
    """Primitives of a sum of tensors of one size, whatever their layout."""

    def __init__(self, shape: Shape, kind: int, relu: bool) -> None:
        calls = onednn.loaded()
        x, zero = calls.plain([math.prod(shape)], kind), ctypes.c_float(0)
        both = {SRC: x, _SRC_1: x, DST: x}
        two = calls.describe("binary", _ADD, x, x, x)
        self.add = self.add_last = Primitive(two, both, {DST})
        self.relu_backward = None
        if relu:
            behind = calls.make("post_ops_create")
            calls.call("post_ops_append_eltwise", behind, _RELU, zero, zero)
            attributes = calls.make("primitive_attr_create")
            calls.call("primitive_attr_set_post_ops", attributes, behind)
            last = calls.describe("binary", _ADD, x, x, x, attributes=attributes)
            self.add_last = Primitive(last, both, {DST})
            how = _RELU_BY_RESULT
            forward = calls.describe("eltwise_forward", FORWARD_TRAINING, how, x, x, zero, zero)
            back = calls.describe("eltwise_backward", how, x, x, x, zero, zero, forward)
            self.relu_backward = Primitive(back, {DST: x, DIFF_DST: x, DIFF_SRC: x}, {DIFF_SRC})
        self.copy = onednn.copying(x, x)


_sum = planned(_Sum)


class _SumLayer(PyLayer):
    @staticmethod
    def forward(ctx: Any, plan: _Sum, *parts: paddle.Tensor) -> paddle.Tensor:
        out, first = empty(parts[0].shape, kind(parts[0])), parts[0]
        for part in parts[1:-1]:
            plan.add({SRC: first, _SRC_1: part, DST: out})
            first = out
        plan.add_last({SRC: first, _SRC_1: parts[-1], DST: out})
        ctx.plan, ctx.fixed = plan, [part.stop_gradient for part in parts]
        if plan.relu_backward is not None:
            # Not the result itself: it knows the node that holds ctx, and the circle would stay
            # in memory wherever nobody runs backward.
            ctx.save_for_backward(out.detach())
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        """Every part's gradient has memory of its own: Paddle adds to gradients where they lie."""
        refuse_second_derivatives()
        d_out, relu_backward = d_out.contiguous(), ctx.plan.relu_backward
        gradients = [None if fixed else empty(d_out.shape, kind(d_out)) for fixed in ctx.fixed]
        for gradient in (g for g in gradients if g is not None):
            if relu_backward is None:
                ctx.plan.copy({SRC: d_out, DST: gradient})
            else:
                (out,) = ctx.saved_tensor()
                relu_backward({DST: out, DIFF_DST: d_out, DIFF_SRC: gradient})
        return tuple(gradients)


def add(*given: paddle.Tensor, relu: bool) -> paddle.Tensor:
    """Sum of two or more tensors of one size from left to right, then a ReLU if ``relu``."""
    parts = alike(*given)
    x = parts[0]
    plan = _sum(tuple(x.shape), kind(x), relu) if is_blocked(x) else None
    if plan is None:
        return together(lambda *parts: _added(parts, relu), *parts)
    return _SumLayer.apply(plan, *(part.contiguous() for part in parts))


def _added(parts: tuple[paddle.Tensor, ...], relu: bool) -> paddle.Tensor:
    out = reduce(operator.add, parts)
    return F.relu(out) if relu else out
