"""Halpe's people, by AlphaPose's rules; and COCO-WholeBody's as Halpe's joints.

The rules hold for COCO too where a recipe says ``data.rules=alphapose``.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data.coco_people import Annotations, Found
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings, by_alphapose
from paddle_pose.skeletons import HALPE26, HALPE136
from paddle_pose.understood import Fact

DATASETS = ("halpe", "wholebody")
"""Read by these rules' special cases; the second beside the first alone."""

VISIBLE_FROM = 0.35
"""A joint of Halpe is visible where its third number, a flag or a score, is at least so large."""

WHOLE_BODY_KEYS = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
"""COCO-WholeBody's joints beside ``keypoints``, in Halpe's order of parts."""

_JOINTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21}
_JOINTS["righthand_kpts"] = 21

FEET = (0, 3, 1, 4, 2, 5)
"""Halpe's feet among COCO-WholeBody's: left and right big toe, small toe, heel."""

_FEET_AS_PUBLISHED = "wholebody_feet_as_published"


def visible(scores: np.ndarray, stated: DataSettings) -> np.ndarray:
    """(…,) 1 where a joint is visible by its third number, else 0; COCO's number up to 1.

    Source: MVIG-SJTU/AlphaPose alphapose/datasets/halpe_136.py:109, mscoco.py:98 @c60106d
    """
    if stated.dataset in DATASETS:
        return (scores >= VISIBLE_FROM).astype(np.float64)
    return np.clip(scores, 0.0, 1.0)


def labelled(people: Annotations, stated: DataSettings) -> np.ndarray:
    """(N,) bool: whose ``num_keypoints`` is not 0, and who has a visible joint.

    ``num_keypoints`` counts COCO's joints: of Halpe, people with feet, face or hands alone are
    left out.

    Source: MVIG-SJTU/AlphaPose alphapose/datasets/halpe_136.py:94 @c60106d
    """
    seen = visible(people.keypoints[..., 2], stated).sum(1) >= 1
    return seen & (people.labelled > 0)


def clean_box(box_xywh: list[float], width_px: int, height_px: int) -> list[float] | None:
    """A box one pixel smaller, then clipped to its image; None where nothing is left.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/bbox.py:38,101 @c60106d
    """
    x, y, w, h = box_xywh
    right, bottom = x + max(w - 1, 0.0), y + max(h - 1, 0.0)
    left, right = (min(width_px - 1.0, max(0.0, end)) for end in (x, right))
    top, bottom = (min(height_px - 1.0, max(0.0, end)) for end in (y, bottom))
    if right <= left or bottom <= top:
        return None
    return [left, top, right - left, bottom - top]


def prepare(
    content: dict[str, Any], people: Found, skeleton_name: str, stated: DataSettings, file: Path
) -> list[Fact]:
    """Let the people's ``keypoints`` be those of the joint set; what was done.

    Of Halpe's 136 joints the first 26 are kept for ``halpe26``; COCO-WholeBody's become Halpe's.

    Raises:
        UserError: broken joints.
    """
    facts = []
    if stated.dataset == "wholebody":
        swapped = stated.join == _FEET_AS_PUBLISHED
        lacking = {key: sum(not record.get(key) for _, _, record in people) for key in _JOINTS}
        for row, _, record in people:
            record["keypoints"] = whole_body(record, f"{file}: annotations[{row}]", swapped)
        for category in content.get("categories") or []:
            category.pop("keypoints", None)  # of the body alone
            category.pop("skeleton", None)
        text = "COCO-WholeBody's 133 as Halpe's; head, neck and hip are missing"
        text += ", the feet in AlphaPose's mistaken order" if swapped else ""
        said = ", ".join(f"{count:,} no {key}" for key, count in lacking.items() if count)
        text += f"; of {len(people):,} people have {said}: these are not visible" if said else ""
        facts.append(Fact("whole body", stated.join, text, "recipe"))
    if stated.dataset in DATASETS and skeleton_name == HALPE26.name:
        longer = [r for _, _, r in people if _numbers(r) == 3 * len(HALPE136)]
        for record in longer:
            record["keypoints"] = record["keypoints"][: 3 * len(HALPE26)]
        if longer:
            text = f"the first {len(HALPE26)} of the file's {len(HALPE136)}"
            facts.append(Fact("first joints", len(HALPE26), text, "recipe"))
    if stated.dataset in DATASETS and by_alphapose(stated):
        text = f"joints whose third number is at least {VISIBLE_FROM}, as AlphaPose has them"
        facts.append(Fact("visible", VISIBLE_FROM, text, "known name"))
    return facts


def _numbers(record: dict[str, Any]) -> int:
    """Of the ``keypoints``; 0 of what is no list, which is refused where they are read."""
    joints = record.get("keypoints")
    return len(joints) if isinstance(joints, array | list) else 0


def whole_body(record: dict[str, Any], where: str, swapped_feet: bool = False) -> array:
    """COCO-WholeBody's joints as Halpe's 136, flat; parts that a person lacks are not visible.

    ``swapped_feet`` copies the feet in their own order, as AlphaPose's multi-domain set does.

    Source: MVIG-SJTU/AlphaPose alphapose/datasets/halpe_coco_wholebody_136.py:190 @c60106d

    Raises:
        UserError: another number of joints than a part has.
    """
    parts = {}
    for key, count in _JOINTS.items():
        values = record.get(key) or array("d", bytes(8 * 3 * count))
        if not isinstance(values, array) or len(values) != 3 * count:
            raise UserError(f"{where}: {key}: expected {3 * count} numbers, got {values!r:.80}")
        parts[key] = values
    if not swapped_feet:
        feet = np.frombuffer(parts["foot_kpts"]).reshape(6, 3)[list(FEET)]
        parts["foot_kpts"] = array("d", feet.tobytes())
    whole = parts["keypoints"] + array("d", bytes(8 * 9))
    for key in WHOLE_BODY_KEYS:
        whole += parts[key]
    return whole
