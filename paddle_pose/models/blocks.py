"""What the networks share: the output contract, convolutions as PyTorch begins them, batch norm.

Shape letters: B batch, C channels, H height, W width, J joints, L limb channels.

Sources: HRNet is leoxiaobin/deep-high-resolution-net.pytorch @6f69e46.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from paddle_pose.errors import UserError
from paddle_pose.models import synchronized
from paddle_pose.onednn import (
    layers as packed_layers,
)
from paddle_pose.onednn import (
    layout as packed,
)
from paddle_pose.onednn import (
    library as onednn,
)
from paddle_pose.onednn import (
    norm as packed_norm,
)
from paddle_pose.onednn import (
    sums as packed_sums,
)
from paddle_pose.system import parallel


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

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C, H, W); in training the running statistics move."""
        if not self.training or self._use_global_stats:
            if packed.is_packed(x_BCHW):
                given = (self.weight, self.bias, (self._mean, self._variance), self._epsilon)
                return packed_norm.batch_norm_by(x_BCHW, *given, relu=self.relu)
            out_BCHW = nn.BatchNorm2D.forward(self, x_BCHW)  # Paddle 2.6 cannot export super()
        elif self.over_all_ranks and parallel.ranks() > 1:
            out_BCHW = packed.pack(self._over_all_ranks(packed.unpack(x_BCHW)))
        elif packed.is_packed(x_BCHW) and self._values(x_BCHW) > 1:
            return self._by_onednn(x_BCHW)
        else:
            out_BCHW = packed.pack(self._by_paddle(packed.unpack(x_BCHW)))
        return relu(out_BCHW) if self.relu else out_BCHW

    def _values(self, x: paddle.Tensor) -> int:
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
        out_BcHWk, mean, variance = packed_norm.batch_norm(
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
    """Convolution; oneDNN computes it where it is surrounded by zeros and has no holes."""

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, out, H', W'), as it travels (see ``packed``)."""
        if not onednn.usable(x_BCHW, self.weight) or not self._is_plain():
            # Paddle 2.6 cannot export super()
            return packed.pack(nn.Conv2D.forward(self, packed.unpack(x_BCHW)))
        return packed_layers.convolution(
            x_BCHW,
            self.weight,
            self.bias,
            stride=tuple(self._stride),
            padding=tuple(self._updated_padding),
            groups=self._groups,
        )

    def _is_plain(self) -> bool:
        return (
            self._padding_mode == "zeros"
            and self._padding_algorithm == "EXPLICIT"
            and len(self._updated_padding) == 2
            and self._dilation == [1, 1]
            and self._data_format == "NCHW"
        )


class Conv2DTranspose(nn.Conv2DTranspose):
    """Transposed convolution."""

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, out, H', W'), as it travels (see ``packed``)."""
        return packed.pack(nn.Conv2DTranspose.forward(self, packed.unpack(x_BCHW)))


class Enlarge(nn.Layer):
    """Every pixel ``factor`` times both ways: F.interpolate(mode="nearest")."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C, factor·H, factor·W)."""
        return enlarge(x_BCHW, self.factor)


def enlarge(x_BCHW: paddle.Tensor, factor: int) -> paddle.Tensor:
    """(B, C, H, W) -> (B, C, factor·H, factor·W): F.interpolate(mode="nearest")."""
    if packed.is_packed(x_BCHW):
        return packed_layers.enlarge(x_BCHW, factor)
    return F.interpolate(x_BCHW, scale_factor=factor, mode="nearest")


def max_pool(x_BCHW: paddle.Tensor, kernel: int, padding: int = 0) -> paddle.Tensor:
    """F.max_pool2d of stride 2."""
    if packed.is_packed(x_BCHW):
        return packed_layers.max_pool(x_BCHW, kernel, 2, padding)
    return F.max_pool2d(x_BCHW, kernel, 2, padding)


def relu(x_BCHW: paddle.Tensor) -> paddle.Tensor:
    """F.relu."""
    return packed_layers.relu(x_BCHW) if packed.is_packed(x_BCHW) else F.relu(x_BCHW)


def total(*parts_BCHW: paddle.Tensor, rectified: bool = False) -> paddle.Tensor:
    """Sum of branches from left to right, then a ReLU if ``rectified``."""
    if packed.is_packed(parts_BCHW[0]):
        return packed_sums.total(*parts_BCHW, rectified=rectified)
    out_BCHW = parts_BCHW[0]
    for part_BCHW in parts_BCHW[1:]:
        out_BCHW = out_BCHW + part_BCHW
    return relu(out_BCHW) if rectified else out_BCHW


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


class BasicBlock(nn.Layer):
    """ResNet's two 3×3 convolutions.

    Source: HRNet lib/models/pose_hrnet.py:28 (mmpose's is the same)
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2D(channels, relu=True)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2D(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, channels, H/stride, W/stride)."""
        out_BCHW = self.bn1(self.conv1(x_BCHW))
        out_BCHW = self.bn2(self.conv2(out_BCHW))
        shortcut_BCHW = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        return total(out_BCHW, shortcut_BCHW, rectified=True)


class Bottleneck(nn.Layer):
    """ResNet's 1×1, 3×3, 1×1; the output has 4 × ``channels``, the 3×3 carries the stride.

    Source: HRNet lib/models/pose_hrnet.py:60
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = BatchNorm2D(channels, relu=True)
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = BatchNorm2D(channels, relu=True)
        self.conv3 = conv(channels, channels * self.expansion, 1)
        self.bn3 = BatchNorm2D(channels * self.expansion)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, 4·channels, H/stride, W/stride)."""
        out_BCHW = self.bn1(self.conv1(x_BCHW))
        out_BCHW = self.bn2(self.conv2(out_BCHW))
        out_BCHW = self.bn3(self.conv3(out_BCHW))
        shortcut_BCHW = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        return total(out_BCHW, shortcut_BCHW, rectified=True)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """1×1 convolution and batch norm where a residual block changes width or size."""
    if stride == 1 and in_channels == out_channels:
        return None
    return conv_bn(in_channels, out_channels, 1, stride)


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    channels: int,
    blocks: int,
    stride: int = 1,
) -> nn.Sequential:
    """``blocks`` residual blocks in a row; the first changes width and size."""
    width = channels * block.expansion
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(width, channels) for _ in range(blocks - 1)))
