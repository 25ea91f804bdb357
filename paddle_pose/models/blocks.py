"""What the networks share: the output contract and batch normalisation as PyTorch tracks it.

Shape letters: B batch, C channels, H height, W width, J joints, L limb channels.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn


class StageOutput(NamedTuple):
    """What one stage predicts.

    Attributes:
        heatmaps_BJHW: one map per joint.
        pafs_BLHW: part affinity fields of bottom-up networks, else None.
    """

    heatmaps_BJHW: paddle.Tensor
    pafs_BLHW: paddle.Tensor | None = None


class PoseNetwork(nn.Layer):
    """``forward(images_BCHW) -> list[StageOutput]``; the last entry is final."""


class BatchNorm2D(nn.BatchNorm2D):
    """Batch normalisation whose running variance takes the unbiased batch variance.

    Paddle's own tracks the biased one; PyTorch's, and so every published checkpoint, the unbiased
    one. With n values per channel the two differ by the factor n / (n - 1).
    """

    def forward(self, x_BCHW: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C, H, W); in training the running statistics move."""
        if not self.training or self._use_global_stats:
            return super().forward(x_BCHW)
        count = x_BCHW.shape[0] * x_BCHW.shape[2] * x_BCHW.shape[3]
        before = self._variance.clone()
        out = super().forward(x_BCHW)
        with paddle.no_grad():
            decayed = before * self._momentum
            batch = self._variance - decayed
            self._variance.set_value(decayed + batch * (count / max(count - 1, 1)))
        return out
