"""Boxes of people: how much two share, and which of many stand for one person."""

from __future__ import annotations

import numpy as np

PERSON = ("person", "pedestrian", "human", "people")
"""What detectors call people."""


def overlaps(boxes_xywh: np.ndarray, others_xywh: np.ndarray) -> np.ndarray:
    """(N, M) intersection over union of boxes left, top, width, height."""
    a, b = boxes_xywh[:, None], others_xywh[None]
    begin = np.maximum(a[..., :2], b[..., :2])
    end = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(end - begin, 0, None).prod(-1)
    return shared / np.maximum(a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared, 1e-9)


def outside(boxes_xywh: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N,) whether a box lies wholly outside of an image (H, W, …)."""
    begin, size_wh = boxes_xywh[:, :2], pixels.shape[1::-1]
    return ((begin >= size_wh) | (begin + boxes_xywh[:, 2:] <= 0)).any(1)


def suppressed(boxes_xywh: np.ndarray, scores: np.ndarray, most_overlap: float) -> np.ndarray:
    """Indices kept, best first: none shares more than ``most_overlap`` with a better one."""
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(int(best))
        shared = overlaps(boxes_xywh[best][None], boxes_xywh[rest])[0]
        waiting = rest[shared <= most_overlap]
    return np.array(kept, np.int64)
