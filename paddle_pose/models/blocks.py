"""What networks are made of: the output contract, and every operation on feature maps.

``Features`` go from one operation to the next. They hold (B, C, H, W) values, but on a CPU not
always in that shape: see ``onednn.layout``, which this file alone imports. So a network computes
with the operations here (``OPERATIONS``) and nothing else, and ends in a ``Head`` or ``plain``.

A name that ends in shape letters is a plain tensor: B batch, C channels, H height, W width,
J joints, L limb channels.

Sources: HRNet is leoxiaobin/deep-high-resolution-net.pytorch @6f69e46.
"""

from __future__ import annotations

import math
import operator
from typing import NamedTuple, TypeAlias

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.vision.ops import deform_conv2d

from paddle_pose.errors import UserError
from paddle_pose.models import synchronized
from paddle_pose.onednn import check, layers, layout, norm, shuffle, sums
from paddle_pose.system import parallel

Features: TypeAlias = paddle.Tensor
"""Feature maps (B, C, H, W) on their way through a network; how they lie in memory is left open."""


class StageOutput(NamedTuple):
    """What one stage predicts.

    Attributes:
        heatmaps_BJHW: one map per joint.
        pafs_BLHW: part affinity fields of bottom-up networks, else None.
    """

    heatmaps_BJHW: paddle.Tensor
    pafs_BLHW: paddle.Tensor | None = None


class PoseNetwork(nn.Layer):
    """``forward(images_BCHW) -> list[StageOutput]``; the last entry is final.

    Attributes:
        size_multiple: height and width of the images must be multiples of so many pixels.
    """

    size_multiple: int = 32

    def check_size(self, images_BCHW: paddle.Tensor) -> None:
        """``require_size`` of the images; an exported network may leave its size open."""
        if paddle.in_dynamic_mode():
            height, width = images_BCHW.shape[2:]
            self.require_size((width, height))

    def require_size(self, size_wh: tuple[int, int]) -> None:
        """Raises UserError for an image size that the halvings do not divide."""
        width, height = size_wh
        if height % self.size_multiple or width % self.size_multiple:
            raise UserError(
                f"{type(self).__name__}: images of {width}×{height} (width×height); "
                f"both must be multiples of {self.size_multiple}"
            )


class BatchNorm2D(nn.BatchNorm2D):
    """Batch normalisation whose running variance takes the unbiased batch variance; maybe a ReLU.

    Paddle's own takes the biased one; PyTorch's, and so every published checkpoint, the unbiased
    one. With n values per channel the running variance is larger by up to n / (n - 1): 7 % for the
    16 values of 4 images at 2×2, 0.02 % for 4096. Batches are normalised alike. Momentum 0.9 here
    is 0.1 in PyTorch; Paddle holds it in float32, so float64 statistics differ by 2.4e-8. For
    n = 1, where PyTorch refuses, Paddle returns the input and the statistics stay. Sizes must be
    known when the layer trains, as they are outside static graphs.

    Source: pytorch/pytorch aten/src/ATen/native/Normalization.cpp batch_norm_cpu_update_stats

    Attributes:
        relu: whether a ReLU follows.
        over_all_ranks: whether training normalises over the batch of all processes together.
        counted: whether this process's part of the batch belongs to it (see ``parallel.part``).
    """

    over_all_ranks: bool = False
    counted: bool = True

    def __init__(
        self, channels: int, *, relu: bool = False, use_global_stats: bool | None = None
    ) -> None:
        super().__init__(channels, use_global_stats=use_global_stats)
        self.relu = relu

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C, H, W); in training the running statistics move."""
        if not self.training or self._use_global_stats:
            if layout.is_blocked(x):
                given = (self.weight, self.bias, (self._mean, self._variance), self._epsilon)
                return norm.batch_norm_by(x, *given, relu=self.relu)
            out = nn.BatchNorm2D.forward(self, x)  # Paddle 2.6 cannot export super()
        elif self.over_all_ranks and parallel.ranks() > 1:
            out = layout.by_paddle(self._over_all_ranks, x)
        elif layout.is_blocked(x) and self._values(x) > 1:
            return self._by_onednn(x)
        else:
            out = layout.by_paddle(self._by_paddle, x)
        return relu(out) if self.relu else out

    def _values(self, x: Features) -> int:
        """How many there are per channel."""
        return math.prod(x.shape) // self._num_features

    def _over_all_ranks(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        return synchronized.batch_norm(
            x_BCHW,
            mean=self._mean,
            variance=self._variance,
            weight=self.weight,
            bias=self.bias,
            momentum=self._momentum,
            epsilon=self._epsilon,
            counted=self.counted,
        )

    def _by_onednn(self, x_BcHWk: paddle.Tensor) -> paddle.Tensor:
        """The ReLU included."""
        out_BcHWk, mean, variance = norm.batch_norm(
            x_BcHWk, self.weight, self.bias, self._epsilon, relu=self.relu
        )
        count, new = self._values(x_BcHWk), 1 - self._momentum
        with paddle.no_grad():
            moved = self._mean.scale(self._momentum) + mean.scale(new)
            paddle.assign(moved, self._mean)
            unbiased = variance.scale(new * count / (count - 1))
            paddle.assign(self._variance.scale(self._momentum) + unbiased, self._variance)
        return out_BcHWk

    def _by_paddle(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        count = self._values(x_BCHW)
        unbiased = count / max(count - 1, 1)
        # u·(m·(v/u) + (1 - m)·biased) = m·v + (1 - m)·unbiased: two small products, no copy to the
        # host. The kernel gets a tensor of its own because the backward pass forbids changing it.
        variance = self._variance.scale(1.0 / unbiased)
        out_BCHW = F.batch_norm(
            x_BCHW,
            self._mean,
            variance,
            self.weight,
            self.bias,
            training=True,
            momentum=self._momentum,
            epsilon=self._epsilon,
            data_format=self._data_format,
        )
        paddle.assign(variance.scale(unbiased), self._variance)
        return out_BCHW


class Conv2D(nn.Conv2D):
    """Convolution; by oneDNN where zeros surround the input and the kernel has no holes."""

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, H', W')."""
        if not check.usable(x, self.weight) or not self._is_simple():
            return layout.by_paddle(self._by_paddle, x)
        return layers.convolution(
            x,
            self.weight,
            self.bias,
            stride=tuple(self._stride),
            padding=tuple(self._updated_padding),
            groups=self._groups,
        )

    def _by_paddle(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        return nn.Conv2D.forward(self, x_BCHW)  # Paddle 2.6 cannot export super()

    def _is_simple(self) -> bool:
        return (
            self._padding_mode == "zeros"
            and self._padding_algorithm == "EXPLICIT"
            and len(self._updated_padding) == 2
            and self._dilation == [1, 1]
            and self._data_format == "NCHW"
        )


class Head(Conv2D):
    """Convolution to what a network puts out: its result is plain, (B, out, H', W')."""

    def forward(self, x: Features) -> paddle.Tensor:
        """(B, in, H, W) -> (B, out, H', W')."""
        return plain(Conv2D.forward(self, x))


class Conv2DTranspose(nn.Conv2DTranspose):
    """Transposed convolution."""

    def forward(self, x: Features) -> Features:
        """(B, in, H, W) -> (B, out, H', W')."""
        return layout.by_paddle(self._by_paddle, x)

    def _by_paddle(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        return nn.Conv2DTranspose.forward(self, x_BCHW)


class DeformableConv2D(nn.Conv2D):
    """Convolution of one input whose taps move, and are weighed, by numbers at each pixel."""

    def forward(self, x: Features, moves: Features) -> Features:
        """(B, in, H, W), (B, 2 or 3 times the taps, H', W') -> (B, out, H', W').

        ``moves`` are (down, right) of each tap in pixels of x, then maybe a logit of each tap's
        weight. Outside of x there are zeros, half a pixel beside it half of its border.

        Source: open-mmlab/mmcv deform_conv, modulated_deform_conv
        """
        return layout.by_paddle(self._by_paddle, x, plain(moves))

    def _by_paddle(self, x_BCHW: paddle.Tensor, moves_BMHW: paddle.Tensor) -> paddle.Tensor:
        taps = math.prod(self._kernel_size)
        offsets_BMHW, mask_BTHW = moves_BMHW[:, : 2 * taps], None
        if moves_BMHW.shape[1] > 2 * taps:
            mask_BTHW = sigmoid(moves_BMHW[:, 2 * taps :])
        elif not paddle.in_dynamic_mode():  # paddle2onnx ends the process at one without
            mask_BTHW = paddle.ones_like(offsets_BMHW[:, :taps])
        window = self._stride, self._updated_padding
        return deform_conv2d(x_BCHW, offsets_BMHW, self.weight, self.bias, *window, mask=mask_BTHW)


class Upsample(nn.Layer):
    """``upsample`` as a layer."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Features) -> Features:
        """(B, C, H, W) -> (B, C, factor·H, factor·W)."""
        return upsample(x, self.factor)


def upsample(x: Features, factor: int) -> Features:
    """(B, C, H, W) -> (B, C, factor·H, factor·W): every pixel ``factor`` times both ways."""
    return layers.upsample(x, factor)


def max_pool(x: Features, kernel: int, padding: int = 0) -> Features:
    """F.max_pool2d of stride 2."""
    return layers.max_pool(x, kernel, 2, padding)


def relu(x: Features) -> Features:
    """F.relu."""
    return layers.relu(x)


def add(*parts: Features) -> Features:
    """Sum from left to right."""
    return sums.add(*parts, relu=False)


def add_relu(*parts: Features) -> Features:
    """Sum from left to right, then a ReLU."""
    return sums.add(*parts, relu=True)


def sigmoid(x: Features) -> Features:
    """F.sigmoid."""
    if paddle.in_dynamic_mode():
        return layout.together(F.sigmoid, x)
    # Paddle 3.3 lost it, tanh and exp in the graph format that engines and exports are saved in.
    return F.softmax(paddle.stack([x, x - x], -1))[..., 0]


def hard_swish(x: Features) -> Features:
    """F.hardswish."""
    return layers.hard_swish(x) if check.usable(x) else F.hardswish(x)


def hard_sigmoid(x: Features) -> Features:
    """min(max(x + 3, 0), 6) / 6; Paddle's own knows a sixth to seven digits only."""
    return layout.together(lambda x: F.relu6(x + 3.0) / 6.0, x)


def global_average(x: Features) -> paddle.Tensor:
    """(B, C, H, W) -> (B, C, 1, 1), plain: the mean of each map."""
    return plain(layout.for_paddle(x)[0].mean([2, 3], keepdim=True))


def global_pool(x: Features) -> paddle.Tensor:
    """``global_average`` by pooling where a graph is made: oneDNN has no fast kernel for a mean."""
    return global_average(x) if paddle.in_dynamic_mode() else F.adaptive_avg_pool2d(x, 1)


def scale(x: Features, by: Features) -> Features:
    """(B, C, H, W) × (B, C, 1, 1)."""
    return layout.together(operator.mul, x, by)


def concat(*parts: Features) -> Features:
    """Channels of all parts, one after the other."""
    return layout.together(lambda *parts: paddle.concat(list(parts), axis=1), *parts)


def twice(x: Features) -> Features:
    """(B, C, H, W) -> (2B, C, H, W): the whole batch, and again."""
    return layout.together(lambda x: paddle.concat([x, x]), x)


def pixel_shuffle(x: Features, factor: int) -> Features:
    """(B, C·factor², H, W) -> (B, C, factor·H, factor·W): F.pixel_shuffle."""
    if paddle.in_dynamic_mode():
        return shuffle.pixel_shuffle(x, factor)
    _, channels, height, width = x.shape
    if -1 in (height, width):
        return F.pixel_shuffle(x, factor)
    # Operations that have bfloat16: between others a convolution would compute in float32.
    apart = x.reshape([-1, channels // factor**2, factor, factor, height, width])
    whole = apart.transpose([0, 1, 4, 2, 5, 3])
    return whole.reshape([-1, channels // factor**2, factor * height, factor * width])


def pixel_unshuffle(x: Features, factor: int) -> Features:
    """(B, C, H, W) -> (B, C·factor², H/factor, W/factor): F.pixel_unshuffle."""
    if paddle.in_dynamic_mode():
        return shuffle.pixel_unshuffle(x, factor)
    steps = range(factor)  # paddle2onnx ends the process at Paddle's own
    parts = [x[:, :, down::factor, right::factor] for down in steps for right in steps]
    return paddle.stack(parts, 2).flatten(1, 2)


def plain(x: Features) -> paddle.Tensor:
    """A tensor of shape (B, C, H, W), for what is not in this file."""
    return layout.to_plain(x)


in_bfloat16 = layout.in_bfloat16
"""Within it networks on a CPU keep feature maps, and multiply them, in bfloat16; see ``layout``."""
bfloat16_fault = check.bfloat16_fault
"""Why that cannot be had here; empty where it can."""
FLOAT32_ONLY = (Conv2DTranspose, DeformableConv2D)
"""Layers that have no bfloat16 on a CPU: their input is converted, and their result."""

OPERATIONS = (
    *(Conv2D, Head, Conv2DTranspose, DeformableConv2D, BatchNorm2D, Upsample),
    *(upsample, max_pool, relu, sigmoid, hard_sigmoid, hard_swish, add, add_relu),
    *(global_average, global_pool, scale, concat, twice, pixel_shuffle, pixel_unshuffle, plain),
)
"""All that takes ``Features``; tests/models/test_operations.py runs each in both layouts."""


def uniform_by_fan_in(fan_in: int) -> paddle.ParamAttr:
    """Uniform in ±1/sqrt(fan_in): PyTorch's default for the weight and bias of a convolution.

    Its kaiming_uniform with a = sqrt(5) has this very bound.
    Source: pytorch/pytorch torch/nn/modules/conv.py _ConvNd.reset_parameters
    """
    bound = fan_in**-0.5
    return paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound))


def small_normal() -> paddle.ParamAttr:
    """Normal with standard deviation 0.001.

    Source: HRNet lib/models/pose_hrnet.py:467
    """
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.001))


def normal_by(deviation: float) -> paddle.ParamAttr:
    """Normal around 0 with that standard deviation."""
    return paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, deviation))


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Conv2D:
    """Convolution without bias, padded to keep the size at stride 1, weights ``small_normal``."""
    return Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=(kernel - 1) // 2,
        weight_attr=small_normal(),
        bias_attr=False,
    )


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, relu: bool = False
) -> nn.Sequential:
    """``conv`` (name 0), batch norm (name 1) and, with ``relu``, a ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, stride), BatchNorm2D(out_channels, relu=relu)
    )
