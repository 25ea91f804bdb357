"""Which pixels of a picture count: polygons and run lengths of COCO files, joined."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from paddle_pose.data.coco_values import finite
from paddle_pose.errors import UserError

Shapes = Sequence[np.ndarray]
"""(H, W) bool each."""


def shape_of(segmentation: Any, size_wh: tuple[int, int], where: str) -> np.ndarray | None:
    """(H, W) bool of one ``segmentation``: polygons, run lengths or their text; None for none.

    Raises:
        UserError: broken, or of another size than the picture.
    """
    width, height = size_wh
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [height, width]:
            raise UserError(
                f"{where}: segmentation of size {segmentation.get('size')!r:.60} on a picture of "
                f"{height} rows and {width} columns"
            )
        runs: Any = _from_text(counts) if isinstance(counts, str) else counts
        good = isinstance(runs, list) and all(type(run) is int and run >= 0 for run in runs)
        if not good or sum(runs) != width * height:
            raise UserError(f"{where}: segmentation: its counts are no run lengths of the picture")
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape(width, height).T
    polygons = segmentation if isinstance(segmentation, list) else [segmentation]
    checked = [_polygon(one, max(size_wh), where) for one in polygons]
    found = coco_mask.merge(coco_mask.frPyObjects(checked, height, width))
    return coco_mask.decode(found).astype(bool)


def _polygon(values: Any, reach_px: int, where: str) -> list[float]:
    if not isinstance(values, list | array) or len(values) < 6 or len(values) % 2:
        raise UserError(f"{where}: segmentation: expected polygons x, y, x, y, x, y, …")
    numbers = [finite(value, f"{where}: segmentation") for value in values]
    if min(numbers) < -reach_px or max(numbers) > 2 * reach_px:
        raise UserError(f"{where}: segmentation reaches far out of the picture")
    return numbers


def _from_text(text: str) -> list[int] | None:
    """Run lengths of COCO's text; None for other text.

    Five bits a letter and one that says whether more follow; from the fourth run on, less the run
    before the last.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode():
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 50:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return None if shift else runs


def counted(
    crowd: Shapes, labelled: Shapes, unlabelled: Shapes, size_wh: tuple[int, int]
) -> np.ndarray:
    """(H, W) uint8: 0 where nothing is known of a picture, else 255.

    Nothing is known of crowds but for labelled people in them, nor of people without labels, even
    behind labelled ones.

    Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/dataio/coco_dataset.py:299
    @2ec95cb
    """
    width, height = size_wh
    none = np.zeros((height, width), bool)
    inside, seen, unseen = (
        np.logical_or.reduce([none, *shapes]) for shapes in (crowd, labelled, unlabelled)
    )
    return np.where((inside & ~seen) | unseen, 0, 255).astype(np.uint8)
