"""A COCO keypoint file in the making, and what it needs that other formats do not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paddle_pose.converting.converted import assumed
from paddle_pose.skeletons import COCO17, MPII16, Skeleton
from paddle_pose.understood import Fact, counted

JOINT_BOX_GROWTH = 0.1
"""A box made of joints grows by so much of its sides, to each side: hands and feet go on."""

AREA = assumed("area", "box", "width × height of the box (COCO's own is the segment's, smaller)")
ORIGIN = assumed("pixel_origin", 0, "coordinates are kept as they are and read as 0-based")


class CocoFile:
    """Images and people of one file, all of category 1, ``person``."""

    def __init__(self, joints: Sequence[str]) -> None:
        self.joints = tuple(joints)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add_image(self, file_name: str, size_wh: tuple[int, int]) -> int:
        """Id of a further image."""
        width, height = size_wh
        image_id = len(self.images) + 1
        self.images.append(
            {"id": image_id, "file_name": file_name, "width": width, "height": height}
        )
        return image_id

    def add_person(self, image_id: int, keypoints: np.ndarray, box_xywh: Sequence[float]) -> None:
        """One person: (J, 3) x, y and 0, 1 or 2, as COCO has them."""
        labelled = keypoints[:, 2] > 0
        flat = [
            value
            for x, y, v in np.where(labelled[:, None], keypoints, 0.0)
            for value in (round(float(x), 3), round(float(y), 3), int(v))
        ]
        box = [round(float(value), 3) for value in box_xywh]
        self.annotations.append(
            {
                "id": len(self.annotations) + 1,
                "image_id": image_id,
                "category_id": 1,
                "keypoints": flat,
                "num_keypoints": int(labelled.sum()),
                "bbox": box,
                "area": round(box[2] * box[3], 3),
                "iscrowd": 0,
            }
        )

    def content(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The file; ``facts``: what was understood, kept in its ``info``."""
        category = {
            "id": 1,
            "name": "person",
            "supercategory": "person",
            "keypoints": list(self.joints),
            "skeleton": _limbs(self.joints),
        }
        return {
            "info": {"description": "converted by paddle_pose", "understood": facts},
            "images": self.images,
            "annotations": self.annotations,
            "categories": [category],
        }

    def counts(self) -> Fact:
        """How much there is."""
        counts = {"images": len(self.images), "people": len(self.annotations)}
        joints = sum(record["num_keypoints"] for record in self.annotations)
        people = counted(counts["people"], "person", "people")
        text = f"{people} on {counted(counts['images'], 'image')}, {counted(joints, 'joint')}"
        return Fact("people", counts, text, "counted")


def box_around(keypoints: np.ndarray, size_wh: tuple[int, int]) -> list[float]:
    """x, y, w, h of the labelled joints' box, grown and clipped to the image."""
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    low, high = labelled.min(0), labelled.max(0)
    grow = JOINT_BOX_GROWTH * np.maximum(high - low, 1.0)
    low, high = np.maximum(low - grow, 0), np.minimum(high + grow, np.array(size_wh))
    return [*low.tolist(), *(high - low).tolist()]


def sides_fact(joints: Sequence[str]) -> Fact:
    """Which joints are taken for mirror images of each other, by their names."""
    skeleton = Skeleton("", tuple(joints), (), ())
    pairs = [[joints[index] for index in pair] for pair in skeleton.flip_pairs]
    text = f"{counted(len(pairs), 'pair')} by the joints' names"
    if pairs:
        text += f", the left one first ({'; '.join(' - '.join(pair) for pair in pairs)})"
    else:
        text += "; mirrored training would teach wrong sides if there are any: rename the joints"
    return Fact("flip_pairs", pairs, text, "counted")


def _limbs(joints: tuple[str, ...]) -> list[list[int]]:
    """1-based pairs of the known skeleton that shares more limbs with these names."""
    known = [
        [
            [joints.index(a) + 1, joints.index(b) + 1]
            for a, b in skeleton.limbs
            if {a, b} <= set(joints)
        ]
        for skeleton in (COCO17, MPII16)
    ]
    return max(known, key=len)
