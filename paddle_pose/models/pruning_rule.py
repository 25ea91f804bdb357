"""Which filters pruning leaves, by their norms; without Paddle.

Source of the rule: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/core/pruning/pruning.py @2ec95cb
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.errors import UserError, nearest

NORMALIZERS = ("max", "L2")
EQUALIZATIONS = ("union", "intersection", "arithmetic_mean", "geometric_mean")


@dataclass(frozen=True)
class PruningRule:
    """Which filters stay.

    Attributes:
        threshold: filters whose normalised norm is above it stay.
        normalizer: ``max``, norm / the layer's largest; or ``L2``, norm / the norm of all its norms
            × their number, as the official code has it (equal norms give √n).
        equalization: how layers that are added or multiplied agree: ``union`` keeps what any of
            them keeps, ``intersection`` what all do; or by the mean of their normalised norms.
        granularity: counts are rounded up to a multiple of it.
        min_filters: no layer keeps fewer, if it has as many.
        excluded: layers that stay whole, by name; whatever is added to them too.
    """

    threshold: float = 0.1
    normalizer: str = "max"
    equalization: str = "union"
    granularity: int = 8
    min_filters: int = 16
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for values that mean nothing."""
        for name, words in (("normalizer", NORMALIZERS), ("equalization", EQUALIZATIONS)):
            value = getattr(self, name)
            if value not in words:
                raise UserError(f"{name} '{value}'{nearest(value, words)}")
        if not (self.threshold >= 0 and math.isfinite(self.threshold)):
            raise UserError(f"threshold {self.threshold:g}: must be 0 or more")
        if self.normalizer == "max" and self.threshold >= 1:
            raise UserError(
                f"threshold {self.threshold:g}: no norm is above 1 by max, so that min_filters "
                "alone would say what stays; take one below 1, or the normalizer L2"
            )
        if min(self.granularity, self.min_filters) < 1:
            raise UserError("granularity, min_filters: must be at least 1")

    def normalised(self, norms: np.ndarray) -> np.ndarray:
        """(n,) norms of a layer's filters, made comparable."""
        if self.normalizer == "max":
            return norms / max(norms.max(), 1e-30)
        return norms / max(np.sqrt((norms**2).sum()), 1e-30) * len(norms)

    def together(self, norms: Sequence[np.ndarray]) -> np.ndarray:
        """Normalised norms of layers that must keep the same channels, as one."""
        stacked = np.stack(norms)
        if self.equalization == "union":
            return stacked.max(0)
        if self.equalization == "intersection":
            return stacked.min(0)
        if self.equalization == "arithmetic_mean":
            return stacked.mean(0)
        return np.exp(np.log(np.maximum(stacked, 1e-300)).mean(0))

    def kept(self, norms: np.ndarray) -> np.ndarray:
        """Places of the filters that stay, in order."""
        count = max(min(self.min_filters, len(norms)), int((norms > self.threshold).sum()))
        count = min(-(-count // self.granularity) * self.granularity, len(norms))
        return np.sort(np.argsort(-norms, kind="stable")[:count])
