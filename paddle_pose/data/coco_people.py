"""People of a COCO-form file as typed arrays, each record checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data.coco_category import Category
from paddle_pose.data.coco_values import LARGEST, finite
from paddle_pose.errors import UserError
from paddle_pose.plain import integer
from paddle_pose.settings import DataSettings
from paddle_pose.understood import ASSUMED, Fact

Found = list[tuple[int, int, dict[str, Any]]]
"""Place, image id and record of each annotation of the category."""


@dataclass(frozen=True)
class Annotations:
    """The people of a file, in its order.

    Attributes:
        rows: (N,) their places in ``annotations``.
        image_ids: (N,) of images that are listed.
        boxes_xywh: (N, 4) as annotated.
        areas_px2: (N,) annotated, or from the box.
        crowd: (N,) bool.
        keypoints: (N, J, 3) x, y, visibility; zeros where nothing is labelled.
        labelled: (N,) the file's ``num_keypoints``, else how many are visible.
    """

    rows: np.ndarray
    image_ids: np.ndarray
    boxes_xywh: np.ndarray
    areas_px2: np.ndarray
    crowd: np.ndarray
    keypoints: np.ndarray
    labelled: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def boxes_alone(self) -> bool:
        """Whether no joint of anybody is labelled."""
        return not (self.keypoints[..., 2] > 0).any()

    @property
    def counted(self) -> np.ndarray:
        """(N,) bool: who can be hit or missed by COCO's rules."""
        return ~self.crowd & (self.labelled > 0)


def typed(
    found: Found, category: Category, stated: DataSettings, file: Path
) -> tuple[Annotations, Fact]:
    """Typed and checked, and where the areas are from."""
    count, joints = len(found), len(category.skeleton)
    boxes, areas = np.zeros((count, 4)), np.full(count, np.nan)
    crowd, labelled = np.zeros(count, bool), np.zeros(count, np.int64)
    keypoints = np.zeros((count, joints, 3))
    for place, (_, _, record) in enumerate(found):
        if record.get("keypoints"):
            keypoints[place] = np.frombuffer(record["keypoints"]).reshape(joints, 3)
    visible = np.sum(keypoints[:, :, 2] > 0, axis=1)
    usable = np.all(np.abs(keypoints) < LARGEST, axis=(1, 2)).tolist()
    of_box = _fraction(stated.area)
    for place, (row, _, record) in enumerate(found):
        where = f"{file}: annotations[{row}]"
        boxes[place] = _box(record, where)
        if not usable[place]:
            raise UserError(f"{where}: keypoints: expected {3 * joints} finite numbers")
        labelled[place] = _count(record, visible[place], where)
        crowd[place] = _crowd(record, where)
        if of_box is None and "area" in record:
            areas[place] = finite(record["area"], f"{where}: area")
    lacking = np.isnan(areas)
    areas[lacking] = boxes[lacking, 2:].prod(axis=1) * (of_box or category.area)
    bad = areas < 0
    if stated.dataset not in ("halpe", "wholebody"):  # whose tools take areas of 0
        bad |= (areas == 0) & (visible > 0) & ~crowd
    for place in np.flatnonzero(bad).tolist():
        row, _, record = found[place]
        raise UserError(
            f"{file}: annotations[{row}]: area {areas[place]:g}, box {record['bbox']}, "
            f"{visible[place]} labelled joints: OKS needs an area above 0 (data.area=box takes "
            "the box's)"
        )
    people = Annotations(
        rows=np.array([row for row, _, _ in found], np.int64),
        image_ids=np.array([image_id for _, image_id, _ in found], np.int64),
        boxes_xywh=boxes,
        areas_px2=areas,
        crowd=crowd,
        keypoints=keypoints,
        labelled=labelled,
    )
    return people, _area_fact(of_box, int(lacking.sum()), count, category)


def _fraction(area: Any) -> float | None:
    """The recipe's fraction of the box; None for the file's areas."""
    if area == "file":
        return None
    if area == "box":
        return 1.0
    if type(area) not in (int, float) or not 0 < area <= 10:
        raise UserError(f"data.area: expected file, box or a fraction of the box, got {area!r}")
    return float(area)


def _area_fact(of_box: float | None, lacking: int, count: int, category: Category) -> Fact:
    if of_box is not None and category.is_crowdpose and of_box == category.area:
        text = f"{of_box:g} × the box's, as CrowdPose's evaluation"
        return Fact("area", of_box, text, "known name")
    if of_box is not None:
        return Fact("area", of_box, f"{of_box:g} × the box's, as the recipe says", "recipe")
    if not lacking:
        return Fact("area", "file", "as the file says")
    text = f"{category.area:g} × the box's for {lacking:,} of {count:,} people without one"
    if category.is_crowdpose:
        return Fact("area", category.area, f"{text}, as CrowdPose's evaluation", "known name")
    return Fact("area", category.area, f"{text}; data.area sets it", ASSUMED)


def _box(record: dict[str, Any], where: str) -> list[float]:
    values = record.get("bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise UserError(f"{where}: expected bbox [x, y, width, height], got {values!r:.80}")
    where_box = f"{where}: bbox"
    box = [finite(value, where_box) for value in values]
    if min(box[2:]) < 0:
        raise UserError(f"{where}: bbox {values} has a size below zero")
    return box


def _count(record: dict[str, Any], visible: int, where: str) -> int:
    """``num_keypoints``, which decides who counts; how many are visible where it is lacking."""
    if "num_keypoints" not in record:
        return visible
    count = integer(record["num_keypoints"], f"{where}: num_keypoints")
    if count < 0 or (count and not record.get("keypoints")):
        has = "below zero" if count < 0 else "but it has no keypoints"
        raise UserError(f"{where}: num_keypoints {count}, {has}")
    return count


def _crowd(record: dict[str, Any], where: str) -> bool:
    value = record.get("iscrowd", 0)
    number = int(value) if isinstance(value, bool) else integer(value, f"{where}: iscrowd")
    if number not in (0, 1):
        raise UserError(f"{where}: iscrowd is {value!r:.60}, expected 0 or 1")
    return bool(number)


def doubts(people: Annotations, sizes_wh: np.ndarray, *, scored: bool = False) -> list[Fact]:
    """What is read as it stands, and may be meant otherwise; (N, 2) sizes, nan where unknown.

    ``scored``: the third numbers of joints may be scores, and are no doubt.
    """
    flags, seen = people.keypoints[:, :, 2], people.keypoints[:, :, 2] > 0
    begin, size = people.boxes_xywh[:, :2], people.boxes_xywh[:, 2:]
    joints, first, of_box = people.keypoints[:, :, :2], begin[:, None], size[:, None]
    far = ((joints < first - of_box) | (joints > first + 2 * of_box)).any(2) & seen
    out = ((joints < -sizes_wh[:, None] / 10) | (joints > 1.1 * sizes_wh[:, None])).any(2) & seen
    beyond = (begin < -sizes_wh / 10) | (begin + size > 1.1 * sizes_wh)
    ratio = people.areas_px2 / np.maximum(size.prod(1), 1e-9)
    found = {
        "visibility": (
            ~np.isin(flags, (0, 1, 2)).all(1) & (not scored),
            "have joints of another visibility than 0, 1, 2; above 0 is labelled, as COCO has it",
        ),
        "joints outside": (
            (2 * far.sum(1) > seen.sum(1)) | out.any(1) | (seen.any(1) & (joints.max((1, 2)) <= 2)),
            "have joints far outside their bbox or picture, or below 2 px; places are pixels",
        ),
        "boxes outside": (
            beyond.any(1),
            "have a bbox that reaches far out of the picture; it is read as x, y, width, height",
        ),
        "odd areas": (
            seen.any(1) & ((ratio > 1.1) | (ratio < 0.01)),
            "have an area above their bbox's or below a hundredth of it; OKS takes it as it is "
            "(data.area=box takes the bbox's)",
        ),
        "num_keypoints": (
            (people.labelled == 0) & seen.any(1),
            "have labelled joints but num_keypoints 0, and are not scored",
        ),
        "empty people": (
            (people.labelled > 0) & ~seen.any(1),
            "have num_keypoints above 0 but no labelled joint, and count where there is a score",
        ),
    }
    facts = [
        Fact(what, count, f"{count:,} of {len(people):,} people {text}", ASSUMED)
        for what, (who, text) in found.items()
        if (count := int((~people.crowd & who).sum()))
    ]
    same = Counter(
        (image, box.tobytes(), joints.tobytes())
        for image, box, joints, counts in zip(
            people.image_ids.tolist(),
            people.boxes_xywh,
            people.keypoints,
            people.counted,
            strict=True,
        )
        if counts
    )
    twice = sum(count - 1 for count in same.values())
    if twice:
        text = f"{twice:,} people have box and joints of another with another id; each counts"
        facts.append(Fact("copies", twice, text, ASSUMED))
    return facts
