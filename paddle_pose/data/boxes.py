"""Person boxes of a detector: the JSON list that COCO's server takes and HRNet ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.limits import LIMITS
from paddle_pose.plain import finite, integer, one_finite
from paddle_pose.understood import counted

_FRACTIONS_PX = 2.0


@dataclass(frozen=True)
class DetectedBoxes:
    """Boxes of one category, in the order of their file.

    Attributes:
        rows: (N,) int, position in the file.
        image_ids: (N,) int.
        boxes_xywh: (N, 4) image pixels: left, top, width, height.
        scores: (N,).
        summary: one line about what was left out.
    """

    rows: np.ndarray
    image_ids: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray
    summary: str

    def __len__(self) -> int:
        return len(self.rows)

    def outside(self, sizes_wh: Mapping[int, tuple[float, float]]) -> np.ndarray:
        """(N,) whether a box lies wholly outside of its image, whose size is known by its id."""
        sizes = np.array([sizes_wh.get(i, (np.inf, np.inf)) for i in self.image_ids.tolist()])
        begin, size = self.boxes_xywh[:, :2], self.boxes_xywh[:, 2:]
        return ((begin >= sizes.reshape(-1, 2)) | (begin + size <= 0)).any(1)


def read_boxes(path: Path, *, category_id: int = 1, min_score: float = 0.0) -> DetectedBoxes:
    """Boxes of one category that score at least ``min_score``; empty ones are left out.

    They are neither clipped nor made smaller by one pixel, unlike ground-truth boxes.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:246 @6f69e46

    Raises:
        UserError: the file is missing, not JSON or not a list of boxes; names the record.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise UserError(
            f"{path}: expected a list of boxes like "
            '[{"image_id": 1, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}, …], '
            f"got a {type(content).__name__}"
        )
    other = low = empty = 0
    kept: list[tuple[int, int, list[float], float]] = []
    for row, record in enumerate(content):
        image_id, category, box, score = _checked(record, f"{path}: box {row}")
        if category != category_id:
            other += 1
        elif score < min_score:
            low += 1
        elif box[2] == 0 or box[3] == 0:
            empty += 1
        else:
            kept.append((row, image_id, box, score))
    summary = (
        f"{Path(path).name}: {counted(len(content), 'box', 'boxes')}, left out {other} of other "
        f"categories, {low} that score below {min_score:g}, {empty} empty"
    )
    if kept and max(max(item[2]) for item in kept) <= _FRACTIONS_PX:
        summary += ", all within 2 px of the corner: are they fractions? They are read as pixels"
    return DetectedBoxes(
        rows=np.array([item[0] for item in kept], np.int64),
        image_ids=np.array([item[1] for item in kept], np.int64),
        boxes_xywh=np.array([item[2] for item in kept], np.float64).reshape(-1, 4),
        scores=np.array([item[3] for item in kept], np.float64),
        summary=summary,
    )


def _checked(record: object, where: str) -> tuple[int, int, list[float], float]:
    """The four values of a record, as numbers; Raises UserError saying what is wrong."""
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object, got {record!r:.80}")
    for key in ("image_id", "category_id", "bbox", "score"):
        if key not in record:
            raise UserError(f"{where}: has no '{key}'")
    image_id = integer(record["image_id"], f"{where}: image_id")
    category = integer(record["category_id"], f"{where}: category_id")
    box = finite(record["bbox"], f"{where}: bbox")
    score = one_finite(record["score"], f"{where}: score")
    if len(box) != 4 or min(box[2:]) < 0:
        raise UserError(f"{where}: expected bbox [x, y, width, height], found {box!r:.80}")
    LIMITS["far_px"].require(max(map(abs, box)), f"{where}: bbox")
    return image_id, category, box, score
