"""Moving average of a network's weights: a second network that is validated and kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import paddle

from paddle_pose.models.blocks import PoseNetwork


def decay_at(step: int, decay: float) -> float:
    """Weight of the past at update ``step`` (from 0): (1 + step) / (10 + step), up to ``decay``.

    Without the rise the first weights, which are chance, would stay in the average for long.

    Source: tensorflow/tensorflow tensorflow/python/training/moving_averages.py
        ExponentialMovingAverage (num_updates)
    """
    return min(decay, (1 + step) / (10 + step))


class Average:
    """Exponential moving average of every weight and running statistic.

    Attributes:
        network: holds the average; never trained.
    """

    def __init__(self, network: PoseNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval()
        self._decay = decay
        self._own = self.network.state_dict()

    @paddle.no_grad()
    def follow(self, weights: Mapping[str, paddle.Tensor], step: int) -> None:
        """Take in the ``weights`` that update ``step`` (from 0) left; nothing goes to the host."""
        share = paddle.full([1], 1 - decay_at(step, self._decay), paddle.get_default_dtype())
        for name, average in self._own.items():
            average.lerp_(weights[name], share)

    @paddle.no_grad()
    def copy(self, weights: Mapping[str, paddle.Tensor]) -> None:
        """Take over ``weights`` as they are."""
        for name, own in self._own.items():
            paddle.assign(weights[name], own)
