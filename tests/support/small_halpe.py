"""Halpe's layout on rendered photos, with 136 made-up joints a person."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image


def write(rendered: Path, root: Path, people: int = 8) -> Path:
    """``people`` on as many photos of a rendered MPII set, the same to train on and to score."""
    photos = sorted((rendered / "images").glob("*.jpg"))[:people]
    annotations, images = [], []
    for number, photo in enumerate(photos, 1):
        rng = np.random.default_rng(number)
        joints = np.column_stack([rng.uniform(60, 180, (136, 2)), rng.uniform(0.2, 1, 136)])
        annotations.append(
            {
                "id": number, "image_id": number, "category_id": 1, "iscrowd": 0,
                "num_keypoints": 17, "area": 14400.0, "bbox": [55.0, 55.0, 130.0, 130.0],
                "keypoints": joints.round(2).ravel().tolist(),
            }
        )  # fmt: skip
        width, height = Image.open(photo).size
        images.append({"id": number, "file_name": photo.name, "width": width, "height": height})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": [], "skeleton": []}],
    }
    for split, folder in (("train", "train2015"), ("val", "val2017")):
        file = root / f"annotations/halpe_{split}_v1.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
        (root / "images" / folder).mkdir(parents=True, exist_ok=True)
        for photo in photos:
            shutil.copy(photo, root / "images" / folder / photo.name)
    return root
