"""COCO's keypoint AP and AR, by faster-coco-eval.

It gives the figures of pycocotools (the recorded ones to the last bit, 60 random sets to 1.1e-16)
in a third of the time: 4.2 s instead of 13 s for 97,000 poses on 5,380 images, one core. It takes
NumPy 1 and 2 and has wheels for Python 3.10 to 3.12.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from paddle_pose.errors import UserError

NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")

MOST_PER_IMAGE = 20
"""COCO counts this many poses of an image, the best-scored."""


def coco_ap(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    sigmas: Sequence[float],
    category_id: int = 1,
    image_ids: Sequence[int] | None = None,
) -> dict[str, float]:
    """The ten scores of ``NAMES``, fractions from 0 to 1; -1 where no truth decides one.

    Args:
        truth: content of a COCO annotation file. ``area`` (the box's), ``num_keypoints`` and
            ``iscrowd`` are filled in where a user's own file lacks them.
        results: records with image_id, category_id, keypoints [x, y, score, …], score.
        sigmas: (J,) OKS constants.
        category_id: of the people in both.
        image_ids: score these images alone; all images of the truth by default, so that people on
            images without results are missed.

    Raises:
        UserError: results on unknown images, or with another number of joints.
    """
    joints = len(sigmas)
    known = {int(image["id"]) for image in truth["images"]}
    for row, record in enumerate(results):
        if record["image_id"] not in known:
            raise UserError(
                f"result {row} is on image {record['image_id']}, which the annotation file does "
                "not list; are they of one set?"
            )
        if len(record["keypoints"]) != 3 * joints:
            raise UserError(
                f"result {row} has {len(record['keypoints']) // 3} joints, expected {joints}"
            )
    people = [
        _complete(record, row, joints)
        for row, record in enumerate(truth["annotations"])
        if record["category_id"] == category_id
    ]
    content = {
        "images": [dict(image) for image in truth["images"]],
        "annotations": people,
        "categories": [{"id": category_id, "name": "person"}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(content, print_function=_say_nothing)
        evaluation = COCOeval_faster(
            coco,
            coco.loadRes([dict(record) for record in results]),
            "keypoints",
            print_function=_say_nothing,
            kpt_oks_sigmas=list(sigmas),
        )
        if image_ids is not None:
            evaluation.params.imgIds = sorted({int(image_id) for image_id in image_ids})
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(NAMES, evaluation.stats[:10], strict=True)}


def _say_nothing(line: str) -> None:
    """In the place of the library's logger, which Paddle's logging set-up would make speak."""


def _complete(record: dict[str, Any], row: int, joints: int) -> dict[str, Any]:
    """A copy with the fields that the evaluation reads; Raises UserError for a wrong count."""
    keypoints = list(record.get("keypoints") or [0] * (3 * joints))
    if len(keypoints) != 3 * joints:
        raise UserError(f"annotation {row} has {len(keypoints) // 3} joints, expected {joints}")
    width, height = record["bbox"][2:]
    return {
        "id": row + 1,
        "image_id": int(record["image_id"]),
        "category_id": record["category_id"],
        "bbox": record["bbox"],
        "area": record.get("area", width * height),
        "iscrowd": record.get("iscrowd", 0),
        "keypoints": keypoints,
        "num_keypoints": record.get("num_keypoints", int(np.count_nonzero(keypoints[2::3]))),
    }
