"""Layers as Keras has them, where Paddle's and PyTorch's differ; made of what ``blocks`` has."""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional as F

from paddle_pose.models.blocks import BatchNorm2D, Conv2D, Features, plain, sigmoid

EPSILON, MOMENTUM = 1e-3, 0.99
"""Of Keras's batch normalisation; its momentum of 0.99 is 0.01 in PyTorch."""


class SameConv2D(Conv2D):
    """Convolution without holes whose zeros make the result ceil(size / stride) pixels.

    An odd zero stands at the bottom and at the right: 3×3 at stride 2 on an even size pads there
    alone, where ``padding=1`` would pad all round and read other pixels.

    Source: tensorflow/tensorflow tensorflow/core/framework/common_shape_fns.cc
    GetWindowedOutputSizeVerbose @v1.15.5
    """

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""
        if not paddle.in_dynamic_mode():  # sizes may be open; there nothing is blocked
            return F.conv2d(x, self.weight, self.bias, self._stride, "SAME")
        if x.dtype == paddle.bfloat16:  # which Paddle joins on no CPU
            x = plain(x)
        for axis in (0, 1):
            x = _padded(x, 2 + axis, self._kernel_size[axis], self._stride[axis])
        return Conv2D.forward(self, x)


def _padded(x: Features, axis: int, kernel: int, stride: int) -> Features:
    """With the zeros of one axis, which is the same one in both layouts."""
    size = x.shape[axis]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    parts = [x]
    for at, count in ((0, total // 2), (len(parts) + 1, total - total // 2)):
        if count:
            shape = [count if one == axis else side for one, side in enumerate(x.shape)]
            parts.insert(at, paddle.zeros(shape, x.dtype))
    return paddle.concat(parts, axis) if len(parts) > 1 else x


class KerasBatchNorm2D(BatchNorm2D):
    """Batch normalisation by Keras 2.2.4: its epsilon, its momentum, its running variance.

    With n values a channel that takes biased × n / (n - 1) × n / (n - 1.001): the kernel's
    correction, then Keras's own on top of it.

    Source: keras-team/keras keras/layers/normalization.py:195 @2.2.4
    """

    def __init__(self, channels: int, *, relu: bool = False) -> None:
        super().__init__(channels, relu=relu)
        self._epsilon, self._momentum = EPSILON, MOMENTUM

    def forward(self, x: Features) -> Features:
        """As ``BatchNorm2D``."""
        count = self._values(x) if self.training and paddle.in_dynamic_mode() else 0
        if count < 2:
            return BatchNorm2D.forward(self, x)
        kept = self._variance.scale(self._momentum)
        out = BatchNorm2D.forward(self, x)
        with paddle.no_grad():
            more = (self._variance - kept).scale(1.001 / (count - 1.001))
            paddle.assign(self._variance + more, self._variance)
        return out


def tanh(x: Features) -> Features:
    """F.tanh; by way of ``sigmoid`` in graphs, for the same reason."""
    return F.tanh(x) if paddle.in_dynamic_mode() else sigmoid(x * 2.0) * 2.0 - 1.0


def glorot_uniform() -> paddle.ParamAttr:
    """Uniform in ±sqrt(6 / (fan in + fan out)): Keras's default."""
    return paddle.ParamAttr(initializer=nn.initializer.XavierUniform())
