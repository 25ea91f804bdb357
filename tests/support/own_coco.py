"""A small COCO-form file, changed as users' files are, and its score."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose import skeletons
from paddle_pose.data import coco_file
from paddle_pose.evaluation.coco import score_results
from paddle_pose.metrics.coco_ap import coco_ap
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17


def plain(people: int = 6) -> dict[str, Any]:
    """A file without any fault: ``people`` on as many images, one of them a crowd's."""
    rng = np.random.default_rng(people)
    annotations = []
    for number in range(people):
        joints = np.column_stack([rng.integers(20, 150, (17, 2)), rng.integers(0, 3, 17)])
        joints[0, 2] = 2
        annotations.append(
            {
                "id": number + 1, "image_id": number // 2 + 1, "category_id": 1, "iscrowd": 0,
                "bbox": [10, 15, 150, 140.5], "area": 9000 + 100.5 * number,
                "num_keypoints": int((joints[:, 2] > 0).sum()),
                "keypoints": joints.reshape(-1).tolist(),
            }
        )  # fmt: skip
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 160}
        for i in range(1, people // 2 + 2)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def results_for(content: dict[str, Any]) -> CocoResults:
    rng = np.random.default_rng(1)
    people = content["annotations"]
    keypoints = np.array([p["keypoints"] for p in people], float).reshape(-1, 17, 3)
    keypoints[:, :, :2] += rng.normal(0, 5, keypoints[:, :, :2].shape)
    image_ids = np.array([p["image_id"] for p in people])
    return CocoResults(image_ids, keypoints, rng.uniform(size=len(people)), np.ones(len(people)), 1)


PLAIN = plain()
RESULTS = results_for(PLAIN)
AP = coco_ap(PLAIN, RESULTS.rows(), sigmas=COCO17.oks_sigmas)["AP"]


def read(folder: Path, content: Any, name: str = "coco17", **stated: Any) -> coco_file.CocoFile:
    skeletons.SKELETONS.pop("from_file", None)
    file = folder / "own.json"
    file.write_text(json.dumps(content))
    return coco_file.read(file, folder, name, DataSettings(**stated))


def ap(truth: coco_file.CocoFile) -> float:
    return score_results(RESULTS, truth)["AP"]


def changed(**changes: Any) -> dict[str, Any]:
    """The plain file with another third annotation; ``...`` removes a key."""
    content = copy.deepcopy(PLAIN)
    record = {**content["annotations"][2], **changes}
    content["annotations"][2] = {k: v for k, v in record.items() if v is not ...}
    return content


def assumed(truth: coco_file.CocoFile) -> list[str]:
    lines = (fact.line() for fact in truth.understood.facts)
    return [line for line in lines if line.startswith("assumed: ")]
