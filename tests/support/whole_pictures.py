"""A small COCO data set with crowds and unlabelled people, in the official layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose.skeletons import COCO17

SIZE_WH = 160, 120


def person(image: int, box: list[float], labelled: int = 17, **fields: Any) -> dict[str, Any]:
    """Joints along the diagonal of a box, the first ones labelled; its shape is the box."""
    x, y, w, h = box
    part = np.linspace(0.1, 0.9, 17)
    joints = np.stack([x + w * part, y + h * part, np.full(17, 2.0)], 1)
    joints[labelled:] = 0
    made = {
        "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box, "area": w * h,
        "num_keypoints": labelled, "keypoints": joints.ravel().tolist(),
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    }  # fmt: skip
    return made | fields


def people() -> list[dict[str, Any]]:
    """Of four pictures: three with main persons, one whose person is too small."""
    runs = {"size": [120, 160], "counts": [120 * 100, 120 * 20, 120 * 40]}  # columns 100 to 119
    made = [
        person(1, [10, 10, 60, 100]),
        person(1, [80, 20, 50, 90], 9),
        person(1, [90, 0, 70, 120], 0, iscrowd=1, segmentation=runs),
        person(2, [20, 20, 80, 80]),
        person(2, [30, 30, 15, 15], 0),
        person(3, [5, 5, 100, 100], 12),
        person(4, [5, 5, 30, 30]),
    ]
    return [{"id": number, **one} for number, one in enumerate(made, 1)]


def content(annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """The file."""
    width, height = SIZE_WH
    images = [{"id": i, "file_name": f"{i:03d}.png", "width": width, "height": height}
              for i in range(1, 5)]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write(root: Path, annotations: list[dict[str, Any]] | None = None) -> Path:
    """The data set, train2017 and val2017 alike."""
    rng = np.random.default_rng(1)
    text = json.dumps(content(people() if annotations is None else annotations))
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / f"annotations/person_keypoints_{split}.json").write_text(text)
        folder = root / "images" / split
        folder.mkdir(parents=True)
        for number in range(1, 5):
            small = rng.integers(0, 255, (12, 16, 3), np.uint8)
            cv2.imwrite(str(folder / f"{number:03d}.png"), cv2.resize(small, SIZE_WH))
    return root
