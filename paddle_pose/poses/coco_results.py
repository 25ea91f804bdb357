"""Keypoint results as COCO's server takes them: ``keypoints_<set>_results.json``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import read_json, write_json


@dataclass(frozen=True)
class CocoResults:
    """One row per pose, in any order.

    Attributes:
        image_ids: (N,) int.
        keypoints: (N, J, 3) x, y in image pixels, 0-based, and score.
        scores: (N,) of the pose.
        areas: (N,) pixels², of the box (crop) it was made in; nan where the file does not say.
        category_id: of them all.
    """

    image_ids: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    category_id: int = 1

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: np.ndarray) -> CocoResults:
        """The poses named by an index array or mask."""
        names = ("image_ids", "keypoints", "scores", "areas")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def rows(self) -> list[dict]:
        """Plain records with exactly the four fields of COCO's results format."""
        flat = self.keypoints.reshape(len(self), 3 * self.keypoints.shape[1]).tolist()
        columns = zip(self.image_ids.tolist(), flat, self.scores.tolist(), strict=True)
        return [
            {"image_id": i, "category_id": self.category_id, "keypoints": k, "score": s}
            for i, k, s in columns
        ]


def read_results(path: Path) -> CocoResults:
    """A results file, ``.json`` or ``.json.gz``; ``scale`` or ``area`` give the crops' areas.

    Raises:
        UserError: missing, not JSON, or a broken record, which is named.
    """
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise UserError(
            f"{path}: expected a list of results like "
            '[{"image_id": 1, "category_id": 1, "keypoints": [x, y, score, …], "score": 0.9}, …]'
        )
    rows = [_checked(record, f"{path}: result {row}") for row, record in enumerate(content)]
    counts = {len(keypoints) for _, _, keypoints, _, _ in rows}
    categories = {category for _, category, _, _, _ in rows}
    if len(counts) > 1 or len(categories) > 1:
        raise UserError(
            f"{path}: results of several joint sets or categories "
            f"({sorted(count // 3 for count in counts)} joints, categories {sorted(categories)})"
        )
    return CocoResults(
        image_ids=np.array([row[0] for row in rows], np.int64),
        keypoints=np.array([row[2] for row in rows], np.float64).reshape(len(rows), -1, 3),
        scores=np.array([row[3] for row in rows], np.float64),
        areas=np.array([row[4] for row in rows], np.float64),
        category_id=categories.pop(),
    )


def is_results_file(path: Path) -> bool:
    """Whether a predictions file is a list of COCO results (and not ours, a .mat or .h5)."""
    name = path.name.lower()
    if not name.endswith((".json", ".json.gz")) or not path.is_file():
        return False
    return isinstance(read_json(path), list)


def write_results(results: CocoResults, path: Path) -> None:
    """Write results for COCO's server, whole or not at all.

    Raises:
        UserError: a number is not finite, or the file cannot be written.
    """
    if not (np.isfinite(results.keypoints).all() and np.isfinite(results.scores).all()):
        bad = ~np.isfinite(results.keypoints).all((1, 2)) | ~np.isfinite(results.scores)
        raise UserError(
            f"{path}: pose {int(np.flatnonzero(bad)[0])} has numbers that are not finite"
        )
    write_json(path, results.rows(), indent=None)


def _checked(record: object, where: str) -> tuple[int, int, list[float], float, float]:
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object, got {record!r:.80}")
    try:
        image_id, category = int(record["image_id"]), int(record["category_id"])
        keypoints = [float(value) for value in record["keypoints"]]
        score = float(record["score"])
        area = float(record.get("area", np.prod(np.multiply(record.get("scale", np.nan), 200.0))))
    except KeyError as error:
        raise UserError(f"{where}: has no {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
    if not keypoints or len(keypoints) % 3 or not np.isfinite([*keypoints, score]).all():
        raise UserError(f"{where}: keypoints must be finite triples x, y, score")
    return image_id, category, keypoints, score, area
