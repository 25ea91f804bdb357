"""Keypoint results as COCO's server takes them: ``keypoints_<set>_results.json``."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import read_json, write_json
from paddle_pose.geometry import PADDING, UNIT_PX
from paddle_pose.limits import LIMITS
from paddle_pose.plain import finite, integer, is_integer, one_finite


@dataclass(frozen=True)
class CocoResults:
    """One row per pose, in any order.

    Attributes:
        image_ids: (N,) int.
        keypoints: (N, J, 3) x, y in image pixels, 0-based, and score.
        scores: (N,) of the pose.
        areas: (N,) pixels², of the box (crop) it was made in; nan where the file does not say.
        category_id: of them all.
        notes: what was left out or looks odd, for a person: ``; 2 poses …``, or empty.
        boxes: (N, 4) each record's ``bbox`` as it is, where they were asked for and are there.
    """

    image_ids: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    category_id: int = 1
    notes: str = ""
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: np.ndarray) -> CocoResults:
        """The poses named by an index array or mask."""
        names = ["image_ids", "keypoints", "scores", "areas"]
        names += [] if self.boxes is None else ["boxes"]
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def rows(self) -> list[dict]:
        """Plain records with exactly the four fields of COCO's results format."""
        flat = self.keypoints.reshape(len(self), 3 * self.keypoints.shape[1]).tolist()
        columns = zip(self.image_ids.tolist(), flat, self.scores.tolist(), strict=True)
        return [
            {"image_id": i, "category_id": self.category_id, "keypoints": k, "score": s}
            for i, k, s in columns
        ]


def read_results(
    path: Path,
    images: Sequence[Any] = (),
    category_id: int | None = None,
    *,
    with_boxes: bool = False,
) -> CocoResults:
    """A results file, ``.json`` or ``.json.gz``; ``scale`` or ``area`` give the crops' areas.

    The list may lie in an object, as exports have it. Of AlphaPose's own form images may be named,
    ``box`` (left, top, width, height of the person) gives areas, and ``idx`` is left out.

    Args:
        path: the file.
        images: objects of id and file_name, as an annotation file lists them.
        category_id: results of others are left out and counted; by default all must be of one.
        with_boxes: read each ``bbox`` too, where the first record has one.

    Raises:
        UserError: missing, not JSON, or a broken record, which is named.
    """
    content = read_json(path)
    records = _listed(content)
    if records == []:
        raise UserError(f"{path}: holds no results")
    if records is None:
        raise UserError(
            f"{path}: expected a list of results like "
            '[{"image_id": 1, "category_id": 1, "keypoints": [x, y, score, …], "score": 0.9}, …]'
            + _hint(content)
        )
    known = _Images(path, content, images)
    rows = [_checked(record, f"{path}: result {row}", known) for row, record in enumerate(records)]
    boxes = _boxes(records, str(path)) if with_boxes else None
    for row, (image_id, category, *_) in enumerate(rows):
        if category == category_id and known.ids and image_id not in known.ids:
            raise UserError(
                f"{path}: result {row} is on image {image_id}, which the annotation file does not "
                "list; are they of one set?"
            )
    categories = Counter(category for _, category, _, _, _ in rows)
    notes = ""
    if category_id is not None and set(categories) - {category_id}:
        of_people = [row[1] == category_id for row in rows]
        rows = [row for row in rows if row[1] == category_id]
        boxes = None if boxes is None else boxes[of_people]
        others = ", ".join(map(str, sorted(set(categories) - {category_id})[:5]))
        if not rows:
            raise UserError(
                f"{path}: all {len(records)} results are of category {others}, and people are "
                f"category {category_id} in the annotations; check category_id"
            )
        notes += f"; left out {len(records) - len(rows)} of category {others}"
        categories = Counter({category_id: len(rows)})
    notes += _alphapose(records, rows)
    counts = {len(keypoints) for _, _, keypoints, _, _ in rows}
    if len(counts) > 1 or len(categories) > 1:
        raise UserError(
            f"{path}: results of several joint sets or categories "
            f"({sorted(count // 3 for count in counts)[:5]} joints, "
            f"categories {sorted(categories)[:5]})"
        )
    again = len(rows) - len({(row[0], *row[2], row[3]) for row in rows})
    if again:
        notes += f"; {again} of them are there a second time and count again"
    keypoints = np.array([row[2] for row in rows], np.float64).reshape(len(rows), -1, 3)
    if keypoints[:, :, :2].max() <= _FRACTIONS_PX:
        notes += (
            "; all joints within 2 px of the corner: are they fractions? They are read as pixels"
        )
    return CocoResults(
        image_ids=np.array([row[0] for row in rows], np.int64),
        keypoints=keypoints,
        scores=np.array([row[3] for row in rows], np.float64),
        areas=np.array([row[4] for row in rows], np.float64),
        category_id=rows[0][1],
        notes=notes,
        boxes=boxes,
    )


def _alphapose(records: list[Any], rows: list[Any]) -> str:
    """What is said of a file in AlphaPose's form, which ``box`` and ``idx`` give away."""
    boxed = [one for one in records if _has_box(one) and not {"area", "scale"} & one.keys()]
    tracked = any("idx" in one for one in records)
    names = [one["image_id"] for one in records if isinstance(one["image_id"], str)]
    named, notes = sum(not is_integer(name) for name in names), ""
    if named and (boxed or tracked):
        notes += f"; {named} name their images, which are looked up in the annotations"
    if boxed and any(math.isfinite(row[4]) for row in rows):
        notes += f"; {len(boxed)} areas are of 'box', {PADDING:g} times as wide and high"
        notes += " (OKS-NMS's)"
    return notes + ("; tracks ('idx') are not scored" if tracked else "")


def _has_box(record: dict[str, Any]) -> bool:
    """Whether ``box`` is AlphaPose's; ours is a number."""
    return isinstance(record.get("box"), list)


def is_results_file(path: Path) -> bool:
    """Whether a predictions file is COCO results, in a list or an object (not ours, .mat, .h5)."""
    name = path.name.lower()
    if not name.endswith((".json", ".json.gz")) or not path.is_file():
        return False
    content = read_json(path)
    return isinstance(content, list) or not (isinstance(content, dict) and "format" in content)


_FRACTIONS_PX = 2.0
_WRAPPERS = ("annotations", "results", "predictions")


def _listed(content: Any) -> list[Any] | None:
    """The records, wherever the file keeps them; None where that is not clear."""
    if isinstance(content, list):
        return content
    lists = [content[key] for key in _WRAPPERS if isinstance(content, dict) and key in content]
    return lists[0] if len(lists) == 1 and isinstance(lists[0], list) else None


def _ids_and_names(images: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """Those of the listed images that have both."""
    for image in images:
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            with contextlib.suppress(UserError):
                yield integer(image.get("id"), ""), image["file_name"]


def _hint(content: Any) -> str:
    first = next(iter(content.values()), None) if isinstance(content, dict) else None
    if isinstance(first, dict) and first.keys() & {"people", "bodies"}:
        return "; this is AlphaPose's 'open' or 'cmu' format: write it with --format coco"
    return ""


class _Images:
    """Finds the id of a result's image, which may be named."""

    def __init__(self, path: Path, content: Any, images: Sequence[Any]) -> None:
        self.ids = {number for number, _ in _ids_and_names(images)}
        self.by_name = {name: number for number, name in _ids_and_names(images)}
        self.by_base: dict[str, set[int]] = {}
        for name, number in self.by_name.items():
            self.by_base.setdefault(PureWindowsPath(name).name, set()).add(number)
        own = content.get("images") if isinstance(content, dict) and images else None
        self.own = dict(_ids_and_names(own if isinstance(own, list) else []))

    def id_of(self, value: Any, where: str) -> int:
        """Of an id or a name; an export's own ids go by the names that it lists."""
        named = isinstance(value, str) and (not is_integer(value) or value in self.by_name)
        if not named:
            number = integer(value, f"{where}: image_id")
            if number not in self.own:
                return number
            value = self.own[number]  # an export may count its images anew
        found = {self.by_name[value]} if value in self.by_name else None
        found = found or self.by_base.get(PureWindowsPath(str(value)).name, set())
        if len(found) != 1:
            what = "several images end in" if found else "no image is called"
            known = "the annotations" if self.by_name else "what is known without annotations"
            raise UserError(f"{where}: image_id: {what} {value!r:.80} in {known}")
        return next(iter(found))


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


def _checked(
    record: object, where: str, images: _Images
) -> tuple[int, int, list[float], float, float]:
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object, got {record!r:.80}")
    for key in ("image_id", "category_id", "keypoints", "score"):
        if key not in record:
            raise UserError(f"{where}: has no '{key}'")
    image_id = images.id_of(record["image_id"], where)
    category = integer(record["category_id"], f"{where}: category_id")
    keypoints = finite(record["keypoints"], f"{where}: keypoints")
    score = one_finite(record["score"], f"{where}: score")
    if not keypoints or len(keypoints) % 3:
        raise UserError(f"{where}: keypoints must be finite triples x, y, score")
    LIMITS["far_px"].require(max(map(abs, keypoints)), f"{where}: keypoints")
    return image_id, category, keypoints, score, _area(record, where)


def _boxes(records: list[Any], where: str) -> np.ndarray | None:
    """(N, 4); None where the first has none, as COCO's tools look at the first alone."""
    if not records[0].get("bbox"):
        return None
    boxes = []
    for row, record in enumerate(records):
        boxes.append(finite(record.get("bbox"), f"{where}: result {row}: bbox"))
        if len(boxes[-1]) != 4:
            raise UserError(f"{where}: result {row}: bbox must be four numbers, as the first's is")
    return np.array(boxes, np.float64)


def _area(record: dict[str, Any], where: str) -> float:
    """Of the crop; nan where the record does not say, or where it is not positive."""
    if record.get("area") is not None:
        area = one_finite(record["area"], f"{where}: area")
        return area if area > 0 else math.nan
    if record.get("scale") is None and _has_box(record):
        box = finite(record["box"], f"{where}: box")
        if len(box) != 4:
            raise UserError(f"{where}: box must be four numbers: left, top, width, height")
        return box[2] * box[3] * PADDING**2 if min(box[2:]) > 0 else math.nan
    if record.get("scale") is None:
        return math.nan
    scale = finite(record["scale"], f"{where}: scale")
    if len(scale) != 2:
        raise UserError(f"{where}: scale must be two numbers, width and height in units of 200 px")
    return float(np.prod(np.multiply(scale, UNIT_PX))) if min(scale) > 0 else math.nan
