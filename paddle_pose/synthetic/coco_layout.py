"""Rendered people as COCO's keypoint files have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paddle_pose.skeletons import COCO17, MPII16, Skeleton
from paddle_pose.synthetic.scene import Label

FACE = 5
"""COCO's first joints are nose, eyes and ears."""
BODY = [MPII16.index(name) for name in COCO17.joints[FACE:]]
"""The others, as MPII16 has them."""
_AREA_OF_BOX = 0.53
"""What CrowdPose takes for a person's area."""


def content(
    names: Sequence[str], sizes_wh: Sequence[tuple[int, int]], people: Sequence[Sequence[Label]]
) -> dict[str, Any]:
    """A file's content: pictures, their sizes and the people on each, in order."""
    return file_of(names, sizes_wh, people, COCO17, _record)


def file_of(
    names: Sequence[str],
    sizes_wh: Sequence[tuple[int, int]],
    people: Sequence[Sequence[Any]],
    skeleton: Skeleton,
    record: Callable[[Any], dict[str, Any]],
    more: Callable[[Sequence[Any]], dict[str, Any]] = lambda _: {},
) -> dict[str, Any]:
    """A file's content in order; ``record`` says one person's facts, ``more`` a picture's own."""
    images: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for number, (name, (width, height), found) in enumerate(
        zip(names, sizes_wh, people, strict=True), start=1
    ):
        image = {"id": number, "file_name": name, "width": width, "height": height}
        images.append(image | more(found))
        for one in found:
            records.append({"id": len(records) + 1, "image_id": number, **record(one)})
    limbs = [[skeleton.index(joint) + 1 for joint in limb] for limb in skeleton.limbs]
    joints = list(skeleton.joints)
    category = {"id": 1, "name": "person", "keypoints": joints, "skeleton": limbs}
    return {"images": images, "annotations": records, "categories": [category]}


def _record(label: Label) -> dict[str, Any]:
    joints_xy = np.concatenate([label.face_xy, label.joints_xy[BODY]])
    seen = np.concatenate([label.face_seen, label.inside[BODY]])
    keypoints = np.column_stack([np.round(joints_xy, 2), np.full(len(seen), 2.0)])
    box = np.round(label.box_xywh, 2)
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box.tolist(),
        "area": round(_AREA_OF_BOX * float(box[2] * box[3]), 2),
        "num_keypoints": int(seen.sum()),
        "keypoints": (keypoints * seen[:, None]).ravel().tolist(),
    }
