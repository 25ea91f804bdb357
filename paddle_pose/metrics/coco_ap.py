"""COCO's keypoint AP and AR, by faster-coco-eval.

It gives the figures of pycocotools (the recorded ones to the last bit, 60 random sets to 1.1e-16),
takes NumPy 1 and 2, and has wheels for Python 3.10 to 3.12. Boxes and OKS, on which it spends five
sixths of its time pose by pose, are handed to it (``coco_oks``), the same to the last bit.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from paddle_pose.errors import UserError
from paddle_pose.metrics import coco_bootstrap
from paddle_pose.metrics.bootstrap import percentile_intervals
from paddle_pose.metrics.coco_oks import oks_by_image

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
    return _values(_evaluated(truth, results, sigmas, category_id, image_ids))


def coco_ap_with_intervals(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    sigmas: Sequence[float],
    category_id: int = 1,
    image_ids: Sequence[int] | None = None,
    resamples: int,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """As ``coco_ap``, and the ends of 95 % bootstrap intervals over images.

    A score that no truth decides has no interval.

    Args:
        truth: as for coco_ap, as are the next four.
        results: see there.
        sigmas: see there.
        category_id: see there.
        image_ids: see there.
        resamples: how often as many images are drawn with replacement.
        seed: decides the draws.

    Raises:
        UserError: as coco_ap.
    """
    evaluation = _evaluated(truth, results, sigmas, category_id, image_ids)
    values = _values(evaluation)
    found = coco_bootstrap.outcomes(_images(evaluation, category_id))
    count = found.people.shape[1]
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(resamples))
    scores = coco_bootstrap.resampled(found, np.stack(list(drawn)))
    ends = percentile_intervals(scores)
    return values, {
        name: (float(low), float(high))
        for name, (low, high) in zip(NAMES, ends, strict=True)
        if values[name] >= 0
    }


def _values(evaluation: COCOeval_faster) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(NAMES, evaluation.stats[:10], strict=True)}


def _images(evaluation: COCOeval_faster, category_id: int) -> list[coco_bootstrap.ImagePoses]:
    """What the library compared, image by image."""
    images = []
    for image_id in evaluation.params.imgIds:
        people = evaluation.gt_dataset.get(image_id, category_id)
        poses = evaluation.dt_dataset.get(image_id, category_id)
        scores = np.array([pose["score"] for pose in poses], float)
        best = np.argsort(-scores, kind="stable")[:MOST_PER_IMAGE]
        crowds = np.array([bool(person["iscrowd"]) for person in people], bool)
        empty = np.array([person["num_keypoints"] == 0 for person in people], bool)
        oks = np.asarray(evaluation.ious[image_id, category_id], float)
        images.append(
            coco_bootstrap.ImagePoses(
                oks=oks.reshape(len(best), len(people)),
                scores=scores[best],
                pose_areas_px2=np.array([poses[i]["area"] for i in best], float),
                people_areas_px2=np.array([person["area"] for person in people], float),
                ignored=crowds | empty,
                crowds=crowds,
            )
        )
    return images


def _evaluated(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    sigmas: Sequence[float],
    category_id: int,
    image_ids: Sequence[int] | None,
) -> COCOeval_faster:
    """The library's evaluation, matched and not yet summed up; Raises UserError as coco_ap."""
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
    poses = measured(results, joints)
    similar = oks_by_image(
        people,
        [pose for pose in poses if pose["category_id"] == category_id],
        sigmas,
        most_poses=MOST_PER_IMAGE,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _Evaluation(
            COCO(content, print_function=_say_nothing),
            COCO({**content, "annotations": poses}, print_function=_say_nothing),
            "keypoints",
            print_function=_say_nothing,
            kpt_oks_sigmas=list(sigmas),
        )
        evaluation.similar = similar
        if image_ids is not None:
            evaluation.params.imgIds = sorted({int(image_id) for image_id in image_ids})
        evaluation.evaluate()
    return evaluation


class _Evaluation(COCOeval_faster):
    """The library's evaluation, told the OKS of every image beforehand."""

    similar: dict[int, np.ndarray]

    def computeOks(self, imgId: int, catId: int) -> np.ndarray | list[float]:
        """What the library asks for, image by image; nothing where people or poses are missing."""
        del catId
        return self.similar.get(imgId, [])


def measured(results: Sequence[dict[str, Any]], joints: int) -> list[dict[str, Any]]:
    """Copies with id, bbox and area: a box of their own, or the one around their joints.

    As pycocotools' ``loadRes`` has it, where the first record decides for all.
    """
    if not results:
        return []
    if results[0].get("bbox"):
        boxes = np.array([record["bbox"] for record in results], np.float64)
    else:
        keypoints = np.array([record["keypoints"] for record in results], np.float64)
        joints_xy = keypoints.reshape(len(results), joints, 3)[:, :, :2]
        corner = joints_xy.min(axis=1)
        boxes = np.concatenate([corner, joints_xy.max(axis=1) - corner], axis=1)
    areas = boxes[:, 2] * boxes[:, 3]
    return [
        {**record, "id": row + 1, "bbox": box, "area": area}
        for row, (record, box, area) in enumerate(
            zip(results, boxes.tolist(), areas.tolist(), strict=True)
        )
    ]


def _say_nothing(line: str) -> None:
    """Stands in for the library's logger, which would print once Paddle has set up logging."""


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
