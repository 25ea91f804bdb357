"""Maxima of heat maps and what stands beside them, each map read from memory once.

A batch of maps is larger than a processor's cache. So a few people at a time are merged with their
mirror image, searched and looked up while they lie in the cache, on as many threads as the process
was given (NumPy and OpenCV let go of Python's lock meanwhile). The sums are those of merging first
and searching afterwards: a map's maximum does not depend on its neighbours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

CHUNK_CELLS = 1 << 17
"""Cells taken at a time: 512 kB of float32, so that two such buffers fit a core's cache."""

CELLS_PER_THREAD = 1 << 20
"""Below this, starting a thread takes longer than it saves."""


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
    """Maxima of (B, J, H, W) maps, person by person and joint by joint."""

    def unchanged(people: slice, scratch: np.ndarray) -> np.ndarray:
        del scratch
        return np.ascontiguousarray(maps_BJHW[people])

    return _find(maps_BJHW, unchanged)


def find_merged(
    maps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, *, shift: bool
) -> Peaks:
    """Maxima of ``merge(…)`` of both, which is never written out."""

    def summed(people: slice, scratch: np.ndarray) -> np.ndarray:
        count = people.stop - people.start
        maps, flipped = maps_BJHW[people], flipped_BJHW[people]
        return _add_mirrored(maps, flipped, flip_order, shift, *scratch[:, :count])

    found = _find(maps_BJHW, summed)
    return Peaks(found.cells, found.values * np.float32(0.5))  # exact, so no matter when


def merge(
    maps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, *, shift: bool
) -> np.ndarray:
    """(maps + mirrored back) / 2; see ``heatmap.merge_flip``."""
    swapped, merged = np.empty((2, *maps_BJHW.shape), np.float32)
    _add_mirrored(maps_BJHW, flipped_BJHW, flip_order, shift, swapped, merged)
    return np.multiply(merged, np.float32(0.5), out=merged)


def _add_mirrored(
    maps_BJHW: np.ndarray,
    flipped_BJHW: np.ndarray,
    flip_order: np.ndarray,
    shift: bool,
    swapped_BJHW: np.ndarray,
    out_BJHW: np.ndarray,
) -> np.ndarray:
    """Maps plus those of the mirrored image, mirrored back, in the last of two buffers."""
    np.take(flipped_BJHW, flip_order, axis=1, out=swapped_BJHW, mode="clip")
    width, first = out_BJHW.shape[-1], int(shift)
    source, rows = swapped_BJHW.reshape(-1, width), out_BJHW.reshape(-1, width)
    cv2.flip(source[:, first:], 1, rows[:, first:])  # NumPy's [::-1] is not vectorised: 10x slower
    if shift:
        rows[:, 0] = source[:, -1]
    return np.add(maps_BJHW, out_BJHW, out=out_BJHW)


def thread_count() -> int:
    """Threads this process was given (``runtime`` sets OMP_NUM_THREADS), else its cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))


def _find(maps_BJHW: np.ndarray, prepare: Callable[[slice, np.ndarray], np.ndarray]) -> Peaks:
    """``prepare`` gives the (P, J, H, W) maps of some people, in a scratch buffer if it likes."""
    people, joints, height, width = maps_BJHW.shape
    cells = np.empty(people * joints, np.int64)
    values = np.empty((5, people * joints), np.float32)
    steps = np.array([0, 1, -1, width, -width])[:, None]
    at_once = max(1, CHUNK_CELLS // (joints * height * width))

    def search(begin: int, end: int) -> None:
        scratch = np.empty((2, at_once, joints, height, width), np.float32)
        for first in range(begin, end, at_once):
            last = min(first + at_once, end)
            maps = prepare(slice(first, last), scratch).reshape(-1, height * width)
            found = slice(first * joints, last * joints)
            cells[found] = maps.argmax(axis=1)
            places = cells[found] + np.arange(len(maps)) * (height * width) + steps
            maps.reshape(-1).take(places, out=values[:, found], mode="clip")

    threads = min(thread_count(), max(1, maps_BJHW.size // CELLS_PER_THREAD), max(1, people))
    if threads == 1:
        search(0, people)
    else:
        bounds = np.linspace(0, people, threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(search, bounds[:-1], bounds[1:]))
    return Peaks(cells, values)
