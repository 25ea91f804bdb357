"""Whole pictures with people, a crowd and their shapes, as files and as shards."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.commands import convert
from paddle_pose.data import record_shards
from paddle_pose.data.bottom_up import BottomUpSamples
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17
from reproduce.reliability.seeds import Reading

_DATA = DataSettings("coco", "bodypose18", image_size_wh=(64, 64))


def layout(folder: Path) -> None:
    """Two pictures: a person and a crowd, a person and one without labels."""
    joints = [number for place in range(17) for number in (10.0 + 2 * place, 12.5 + place, 2)]
    person = {"category_id": 1, "iscrowd": 0, "bbox": [5, 6, 45, 40], "area": 1800,
              "num_keypoints": 17, "keypoints": joints,
              "segmentation": [[5, 6, 50, 6, 50, 46, 5, 46]]}  # fmt: skip
    none = person | {"num_keypoints": 0, "keypoints": [0] * 51}
    runs = {"size": [60, 80], "counts": [3600, 600, 600]}
    people = [person | {"image_id": 1}, none | {"image_id": 1, "iscrowd": 1, "segmentation": runs},
              person | {"image_id": 2}, none | {"image_id": 2, "bbox": [60, 5, 9, 9]}]  # fmt: skip
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in (1, 2)],
        "annotations": [{"id": number, **one} for number, one in enumerate(people, 1)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    file = folder / "data/annotations/person_keypoints_own.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    pictures = folder / "data/images"
    pictures.mkdir(exist_ok=True)
    for number in (1, 2):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((60, 80, 3), 50 * number, np.uint8))


def shards(folder: Path) -> None:
    """The same, packed."""
    layout(folder)
    words = ["--dataset_root", str(folder / "data"), "--split", "own", "--masks"]
    convert.main(["bottom_up", *words, "--output", str(folder / "data/bottom_up")])


def read(folder: Path) -> Reading:
    """All samples as they are without chance."""
    people = record_shards.people(folder / "data", "own", _DATA)
    samples = BottomUpSamples(people, _DATA, PafCodec())
    made = [samples[0, index] for index in range(len(samples))]
    found: Reading = {"images": np.stack([one.image_HWC for one in made])}
    for name in made[0].targets:
        found[name] = np.stack([one.targets[name] for one in made])
    return found
