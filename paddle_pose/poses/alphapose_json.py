"""Results in AlphaPose's three forms: its own list, and those of CMU-Pose and OpenPose.

Source: MVIG-SJTU/AlphaPose alphapose/utils/pPose_nms.py:659 @c60106d
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, Skeleton

FORMS = ("coco", "alphapose", "alphapose_eval", "cmu", "open")
"""``coco`` is COCO's results with our fields; ``_eval`` has numbers for images, others names."""

FILE, FOLDER = "alphapose-results.json", "sep-json"
VERSION = "AlphaPose v0.3"
KEYS = {"cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}

_SHOULDERS = [5, 6]
_NECK = 17
_ORDER = (0, _NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)


def require_form(form: str, skeleton: Skeleton) -> str:
    """What is to be said of a form; Raises UserError for joints that it has no place for."""
    if form not in KEYS:
        return ""
    if skeleton.joints[:_NECK] != COCO17.joints:
        raise UserError(
            f"--format {form}: needs a network whose first 17 joints are COCO's, and this one's "
            f"are those of '{skeleton.name}'; --format alphapose takes all joints"
        )
    if len(skeleton) == _NECK:
        return f"{form}: the neck is the middle of the shoulders"
    return (
        f"{form}: 18 of {len(skeleton)} joints; in the neck's place stands "
        f"'{skeleton.joints[_NECK]}', as AlphaPose has it"
    )


def records(
    image_id: str | int,
    keypoints: np.ndarray,
    scores: np.ndarray,
    boxes_xywh: np.ndarray | None = None,
    ids: Sequence[Any] | None = None,
) -> list[dict[str, Any]]:
    """One picture's poses (P, J, 3) as AlphaPose lists them.

    Args:
        image_id: base name of the file, or its number.
        keypoints: x, y in image pixels, and score.
        scores: (P,) of the poses.
        boxes_xywh: (P, 4) of the people.
        ids: of tracks.
    """
    found = []
    for row, score in enumerate(np.asarray(scores, np.float64).tolist()):
        flat = np.asarray(keypoints[row], np.float64).ravel().tolist()
        one = {"image_id": image_id, "category_id": 1, "keypoints": flat, "score": score}
        if boxes_xywh is not None:
            one["box"] = np.asarray(boxes_xywh[row], np.float64).tolist()
        if ids is not None:
            one["idx"] = ids[row]
        found.append(one)
    return found


def picture(keypoints: np.ndarray, form: str) -> dict[str, Any]:
    """One picture's poses (P, J, 3) in the form ``cmu`` or ``open``.

    The reference adds the neck behind all joints and reads place 17: the neck of 17 joints, and of
    more that joint.
    """
    many, one = KEYS[form]
    keypoints = np.asarray(keypoints, np.float64)
    neck = (keypoints[:, _SHOULDERS[:1]] + keypoints[:, _SHOULDERS[1:]]) / 2
    places = np.concatenate([keypoints, neck], 1)[:, _ORDER]
    return {"version": VERSION, many: [{one: place.ravel().tolist()} for place in places]}


def base_name(name: str) -> str:
    """What the forms call a picture."""
    return name.replace("\\", "/").rpartition("/")[2]


def stem(image_id: str) -> str:
    """What ``sep-json/NAME.json`` is called by: all before the first dot, behind its folders."""
    name = base_name(image_id)
    return flat(image_id)[: -len(name) or None] + name.partition(".")[0]


def flat(image_id: str) -> str:
    """As the name of one file."""
    return image_id.replace("\\", "/").replace("/", "_")
