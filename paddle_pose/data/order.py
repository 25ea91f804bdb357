"""The order of an epoch, free of Paddle: the other side of a comparison reads it too."""

from __future__ import annotations

import numpy as np

_ORDER_STREAM = 0x0EDE
"""Keeps the stream of epoch orders apart from the streams of samples."""


def epoch_order(people: int, seed: int, epoch: int) -> np.ndarray:
    """(N,) permutation of one epoch, a function of its arguments alone."""
    return np.random.default_rng([seed, _ORDER_STREAM, epoch]).permutation(people)
