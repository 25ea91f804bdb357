"""Maxima of heat maps and what stands beside them, without writing merged maps out.

Merging a map with that of the mirrored image takes several times as long as finding a maximum. But
the maximum of a sum is at most the sum of the maxima: each map is cut into blocks of rows, and only
those blocks are merged whose two maxima could add up to the best cell, as a rule one of eight. What
comes out is, to the bit, the maximum of the merged maps. People are shared among as many threads as
the process was given (NumPy and OpenCV let go of Python's lock while they count).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from paddle_pose.system.runtime import thread_count

BLOCK_ROWS = 8
CHUNK_CELLS = 1 << 20
"""Cells searched at a time: few enough to stay in the cache, enough to make a thread worth it."""


@dataclass(frozen=True)
class Peaks:
    """The maxima of N maps.

    Attributes:
        cells: (N,) int64 position in the flattened map; the first of equal ones.
        values: (5, N) the maximum, and what stands right, left, below and above of it;
            meaningless where that would be outside the map.
    """

    cells: np.ndarray
    values: np.ndarray


def find(maps_BJHW: np.ndarray) -> Peaks:
    """Maxima of (B, J, H, W) float32 maps, person by person and joint by joint."""
    width, count = maps_BJHW.shape[3], maps_BJHW.shape[2] * maps_BJHW.shape[3]
    steps = np.array([0, 1, -1, width, -width])[:, None]

    def search(people: slice) -> Peaks:
        maps = maps_BJHW[people].reshape(-1, count)
        cells = maps.argmax(axis=1)
        places = cells + np.arange(len(maps)) * count + steps
        return Peaks(cells, maps.reshape(-1).take(places, mode="clip"))

    return _over_people(search, maps_BJHW.shape)


def find_merged(
    maps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, *, shift: bool
) -> Peaks:
    """``find(merge(…))``, faster."""

    def search(people: slice) -> Peaks:
        return _search_sums(maps_BJHW[people], flipped_BJHW[people], flip_order, shift)

    return _over_people(search, maps_BJHW.shape)


def merge(
    maps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, *, shift: bool
) -> np.ndarray:
    """(maps + mirrored back) / 2; see ``heatmap.merge_flip``."""
    width = maps_BJHW.shape[3]
    swapped = flipped_BJHW.take(flip_order, axis=1)
    merged = _mirrored(swapped.reshape(-1, width), shift).reshape(maps_BJHW.shape)
    np.add(maps_BJHW, merged, out=merged)
    return np.multiply(merged, np.float32(0.5), out=merged)


def _mirrored(rows_NW: np.ndarray, shift: bool) -> np.ndarray:
    """Each row turned round; with ``shift`` one cell further right, the first cell twice."""
    turned, first = np.empty_like(rows_NW), int(shift)
    cv2.flip(rows_NW[:, first:], 1, turned[:, first:])  # NumPy's [::-1] takes ten times as long
    if shift:
        turned[:, 0] = rows_NW[:, -1]
    return turned


def _search_sums(
    maps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, shift: bool
) -> Peaks:
    """Maxima of (maps + mirrored back) / 2 by bounds on blocks of rows."""
    people, joints, height, width = maps_BJHW.shape
    block_cells = math.gcd(height, BLOCK_ROWS) * width
    blocks, count = height * width // block_cells, people * joints
    every = np.arange(count)
    partner = (np.arange(people)[:, None] * joints + flip_order).reshape(-1)
    plain, mirror = maps_BJHW.reshape(-1, block_cells), flipped_BJHW.reshape(-1, block_cells)
    highest = _maxima(mirror)[1].reshape(count, blocks)[partner]
    bounds = _maxima(plain)[1].reshape(count, blocks) + highest

    def sums(row: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best cell of one block of each of those maps, and twice its merged value."""
        back = mirror.take(partner[row] * blocks + block, axis=0)
        merged = plain.take(row * blocks + block, axis=0)
        merged += _mirrored(back.reshape(-1, width), shift).reshape(merged.shape)
        cells, values = _maxima(merged)
        return cells + block * block_cells, values

    promising = bounds.argmax(axis=1)
    cells, values = sums(every, promising)
    possible = ~(bounds < values[:, None])  # not >=: a block with a nan must be looked at
    possible[every, promising] = False
    rows, others = possible.nonzero()
    if len(rows):
        more_cells, more_values = sums(rows, others)
        open_rows = np.unique(rows)
        rows = np.concatenate([open_rows, rows])
        more_cells = np.concatenate([cells[open_rows], more_cells])
        values = np.concatenate([values[open_rows], more_values])
        lowest_first = np.where(np.isnan(values), -np.inf, -values)  # argmax prefers a nan
        order = np.lexsort((more_cells, lowest_first, rows))
        cells[open_rows] = more_cells[order[np.searchsorted(rows[order], open_rows)]]
    return Peaks(cells, _merged_around(plain, mirror, cells, partner, (height, width), shift))


def _maxima(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position and value of each row's first maximum."""
    cells = rows.argmax(axis=1)
    return cells, rows.reshape(-1).take(cells + np.arange(len(rows)) * rows.shape[1])


def _merged_around(
    plain: np.ndarray,
    mirror: np.ndarray,
    cells: np.ndarray,
    partner: np.ndarray,
    size_hw: tuple[int, int],
    shift: bool,
) -> np.ndarray:
    """(5, N) merged values at cells and right, left, below and above of them."""
    height, width = size_hw
    y, x = np.divmod(cells, width)
    x = x + np.array([0, 1, -1, 0, 0])[:, None]
    y = y + np.array([0, 0, 0, 1, -1])[:, None]
    back_x = width - 1 - np.maximum(x - int(shift), 0)
    first = np.arange(len(cells)) * height
    straight = plain.reshape(-1).take((first + y) * width + x, mode="clip")
    back = mirror.reshape(-1).take((partner * height + y) * width + back_x, mode="clip")
    return (straight + back) * np.float32(0.5)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: starting them takes a tenth of the time of a batch."""
    return ThreadPoolExecutor(threads)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


def _over_people(search: Callable[[slice], Peaks], shape_BJHW: tuple[int, ...]) -> Peaks:
    """``search`` for a few people at a time, on threads where there are enough."""
    people, joints, height, width = shape_BJHW
    if not people:
        return Peaks(np.zeros(0, np.int64), np.zeros((5, 0), np.float32))
    at_once = max(1, CHUNK_CELLS // (joints * height * width))
    parts = [slice(first, min(first + at_once, people)) for first in range(0, people, at_once)]
    threads = min(thread_count(), len(parts))
    if threads == 1:
        found = [search(part) for part in parts]
    else:
        found = list(_pool(threads).map(search, parts))
    cells = np.concatenate([peaks.cells for peaks in found])
    return Peaks(cells, np.concatenate([peaks.values for peaks in found], axis=1))
