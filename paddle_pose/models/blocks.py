"""What the networks share: the output contract, convolutions as PyTorch begins them, batch norm.

Shape letters: B batch, C channels, H height, W width, J joints, L limb channels.

Sources: HRNet is leoxiaobin/deep-high-resolution-net.pytorch @6f69e46.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from paddle_pose import parallel
from paddle_pose.errors import UserError
from paddle_pose.models import onednn, synchronized


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
        """Raises UserError for an image size that the halvings do not divide."""
        if not paddle.in_dynamic_mode():
            return  # an exported network may leave its size open
        height, width = images_BCHW.shape[2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise UserError(
                f"{type(self).__name__}: images of {width}×{height} (width×height); "
                f"both must be multiples of {self.size_multiple}"
            )


class BatchNorm2D(nn.BatchNorm2D):
    """Batch normalisation whose running variance takes the unbiased batch variance.

    Paddle's own takes the biased one; PyTorch's, and so every published checkpoint, the unbiased
    one. With n values per channel the running variance is larger by up to n / (n - 1): 7 % for the
    16 values of 4 images at 2×2, 0.02 % for 4096. Batches are normalised alike. Momentum 0.9 here
    is 0.1 in PyTorch; Paddle holds it in float32, so float64 statistics differ by 2.4e-8. For
    n = 1, where PyTorch refuses, Paddle returns the input and the statistics stay. Sizes must be
    known when the layer trains, as they are outside static graphs.

    Source: pytorch/pytorch aten/src/ATen/native/Normalization.cpp batch_norm_cpu_update_stats

    Attributes:
        over_all_ranks: whether training normalises over the batch of all processes together.
    """

    over_all_ranks: bool = False

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C, H, W); in training the running statistics move."""
        if not self.training or self._use_global_stats:
            return nn.BatchNorm2D.forward(self, x_BCHW)  # Paddle 2.6 cannot export super()
        if self.over_all_ranks and parallel.ranks() > 1:
            return synchronized.batch_norm(
                x_BCHW,
                mean=self._mean,
                variance=self._variance,
                weight=self.weight,
                bias=self.bias,
                momentum=self._momentum,
                epsilon=self._epsilon,
            )
        count = x_BCHW.size // self._num_features
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
    """Convolution with zeros around; float32 on a CPU by oneDNN (see onednn.py), else Paddle's."""

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, out, H', W')."""
        if onednn.usable(x_BCHW, self.weight) and isinstance(self._padding, int):
            return onednn.convolution(
                x_BCHW,
                self.weight,
                self.bias,
                stride=tuple(self._stride),
                padding=(self._padding, self._padding),
                groups=self._groups,
            )
        return nn.Conv2D.forward(self, x_BCHW)  # Paddle 2.6 cannot export super()


def double_nearest(x_BCHW: paddle.Tensor) -> paddle.Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), every pixel four times.

    Exactly F.interpolate(mode="nearest"); on a CPU a transposed convolution with ones takes a
    quarter of its time.
    """
    if not (paddle.in_dynamic_mode() and x_BCHW.place.is_cpu_place()):
        return F.interpolate(x_BCHW, scale_factor=2, mode="nearest")
    ones = paddle.ones([x_BCHW.shape[1], 1, 2, 2], dtype=x_BCHW.dtype)
    return F.conv2d_transpose(x_BCHW, ones, stride=2, groups=x_BCHW.shape[1])


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
    layers = [conv(in_channels, out_channels, kernel, stride), BatchNorm2D(out_channels)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class BasicBlock(nn.Layer):
    """ResNet's two 3×3 convolutions.

    Source: HRNet lib/models/pose_hrnet.py:28 (mmpose's is the same)
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2D(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2D(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, channels, H/stride, W/stride)."""
        out_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        out_BCHW = self.bn2(self.conv2(out_BCHW))
        shortcut_BCHW = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        return F.relu(out_BCHW + shortcut_BCHW)


class Bottleneck(nn.Layer):
    """ResNet's 1×1, 3×3, 1×1; the output has 4 × ``channels``, the 3×3 carries the stride.

    Source: HRNet lib/models/pose_hrnet.py:60
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = BatchNorm2D(channels)
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = BatchNorm2D(channels)
        self.conv3 = conv(channels, channels * self.expansion, 1)
        self.bn3 = BatchNorm2D(channels * self.expansion)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, in, H, W) -> (B, 4·channels, H/stride, W/stride)."""
        out_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        out_BCHW = F.relu(self.bn2(self.conv2(out_BCHW)))
        out_BCHW = self.bn3(self.conv3(out_BCHW))
        shortcut_BCHW = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        return F.relu(out_BCHW + shortcut_BCHW)


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
