"""Percentile bootstrap over people: how far a score would move with another sample of people."""

from __future__ import annotations

import warnings

import numpy as np

_DRAWN_AT_ONCE = 4_000_000
"""Bounds memory: people drawn in one go (32 MB of indices)."""


def resampled_rates(
    hit_counts: np.ndarray, visible_counts: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """(R, K) percentages ``100 × Σ hits / Σ visible``, each over N people drawn with replacement.

    People are drawn, not joints: the joints of one person fail together.

    Args:
        hit_counts: (N, K) hits of each person, for K scores.
        visible_counts: (N, K) how many could have been hit.
        resamples: R.
        seed: decides the draws alone.
    """
    people, columns = hit_counts.shape
    counts = np.concatenate([hit_counts, visible_counts], 1).astype(np.float64)
    rng = np.random.default_rng(seed)
    sums = np.empty((resamples, 2 * columns))
    block = max(1, _DRAWN_AT_ONCE // people)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, people, (size, people))
        times_drawn = np.stack([np.bincount(row, minlength=people) for row in drawn])
        sums[start : start + size] = times_drawn @ counts
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100.0 * sums[:, :columns] / sums[:, columns:]


def percentile_intervals(rates: np.ndarray, level: float = 0.95) -> np.ndarray:
    """(K, 2) low and high ends that hold ``level`` of the (R, K) rates; nan where all are nan."""
    tail = 50.0 * (1.0 - level)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        return np.nanpercentile(rates, [tail, 100.0 - tail], axis=0).T


def intervals(
    hit_counts: np.ndarray,
    visible_counts: np.ndarray,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> np.ndarray:
    """(K, 2) intervals in per cent; arguments as in ``resampled_rates``."""
    return percentile_intervals(resampled_rates(hit_counts, visible_counts, resamples, seed), level)
