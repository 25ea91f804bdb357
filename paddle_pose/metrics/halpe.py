"""Halpe's figures: COCO's AP and AR of all joints, and of body, feet, face and hands alone.

The rules are COCO's but for what the official tool does otherwise. Coordinates are float32. For a
part, a person without a joint of it is ignored, whatever ``num_keypoints`` says. Crowds count as
people, and may be hit several times. Poses whose joints all score 0 are left out. A pose has one
score for all parts. Halpe-26 has no official tool: here it is the same rules on its 26 joints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.metrics import coco_bootstrap
from paddle_pose.metrics.bootstrap import percentile_intervals
from paddle_pose.metrics.coco_ap import MOST_PER_IMAGE, NAMES, measured
from paddle_pose.skeletons import HALPE26, HALPE136


def parts_of(joints: int) -> dict[str, tuple[int, int]]:
    """The parts among the first ``joints`` joints; all of them are '' (its names have no ending).

    Raises:
        UserError: neither Halpe-136 nor Halpe-26.
    """
    known = {len(skeleton): skeleton.parts for skeleton in (HALPE136, HALPE26)}
    if joints not in known:
        raise UserError(f"Halpe's parts are of 136 or 26 joints, not of {joints}")
    return {"": (0, joints)} | known[joints]


def names_of(joints: int) -> tuple[str, ...]:
    """``AP``, ``AP50``, …, ``AP_body``, …: COCO's ten of all joints, then of each part."""
    return tuple(_name(score, part) for part in parts_of(joints) for score in NAMES)


def halpe_ap(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    sigmas: Sequence[float],
    category_id: int = 1,
    image_ids: Sequence[int] | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """The scores of ``names_of``, fractions, -1 where nobody decides one; and 95 % intervals.

    Args:
        truth: as for coco_ap, complete.
        results: see there. The area of a pose is its ``bbox``'s third × fourth number where the
            first record has one, else that around its joints; it decides nothing but whether a
            pose of nobody counts as medium or large. AlphaPose's ``validate_gt`` writes x1, y1,
            x2, y2 there, so that its APM and APL are off (its AP is not).
        sigmas: (J,) OKS constants.
        category_id: see coco_ap.
        image_ids: see coco_ap.
        resamples: of the intervals, over images; 0 for none.
        seed: decides the draws.

    Raises:
        UserError: results on unknown images, or with another number of joints.

    Source: Fang-Haoshu/Halpe-FullBody
    HalpeCOCOAPI/PythonAPI/halpecocotools/cocoeval.py:110,203,319 @70d6014
    """
    images = on_images(truth, results, len(sigmas), category_id, image_ids)
    draws = _draws(len(images), resamples, seed)
    values: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    widths = np.asarray(sigmas, np.float64)
    for part, (first, end) in parts_of(len(sigmas)).items():
        of_part = [one.of(slice(first, end), widths) for one in images.values()]
        found = coco_bootstrap.outcomes(of_part)
        figures = coco_bootstrap.resampled(found, draws)
        ends = percentile_intervals(figures[1:]) if resamples else np.empty((0, 2))
        for place, score in enumerate(NAMES):
            value = float(figures[0, place])
            values[_name(score, part)] = -1.0 if np.isnan(value) else value
            if resamples and not np.isnan(value):
                intervals[_name(score, part)] = (float(ends[place, 0]), float(ends[place, 1]))
    return values, intervals


def on_images(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    joints: int,
    category_id: int = 1,
    image_ids: Sequence[int] | None = None,
) -> dict[int, OnImage]:
    """Poses and people by image id, rising; arguments and errors as ``halpe_ap``."""
    listed = {int(image["id"]) for image in truth["images"]}
    for row, record in enumerate(results):
        if record["image_id"] not in listed:
            raise UserError(f"result {row} is on image {record['image_id']}, which is not listed")
        if len(record["keypoints"]) != 3 * joints:
            raise UserError(
                f"result {row} has {len(record['keypoints']) // 3} joints, expected {joints}"
            )
    scored = [one for one in measured(results, joints) if max(one["keypoints"][2::3]) > 0]
    people, poses = (_by_image(all_, category_id) for all_ in (truth["annotations"], scored))
    wanted = listed if image_ids is None else {int(number) for number in image_ids}
    return {i: OnImage(poses.get(i, []), people.get(i, []), joints) for i in sorted(wanted)}


def _name(score: str, part: str) -> str:
    return f"{score}_{part}" if part else score


def _draws(images: int, resamples: int, seed: int) -> np.ndarray:
    """(1 + R, I) how often each image stands in a set: once in the first, the data set itself."""
    rng = np.random.default_rng(seed)
    drawn = (
        np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(resamples)
    )
    return np.stack([np.ones(images, int), *drawn])


def _by_image(
    records: Sequence[Mapping[str, Any]], category_id: int
) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for record in records:
        if record["category_id"] == category_id:
            found.setdefault(int(record["image_id"]), []).append(record)
    return found


class OnImage:
    """An image's D best poses and its G people."""

    def __init__(
        self,
        poses: Sequence[Mapping[str, Any]],
        people: Sequence[Mapping[str, Any]],
        joints: int,
    ) -> None:
        scores = np.array([one["score"] for one in poses], np.float64)
        best = np.argsort(-scores, kind="stable")[:MOST_PER_IMAGE]
        self.scores = scores[best]
        self.pose_areas_px2 = np.array([poses[i]["area"] for i in best], np.float64)
        found = np.array([poses[i]["keypoints"] for i in best], np.float32)
        self.poses = found.reshape(-1, joints, 3)
        self.people = np.array([one["keypoints"] for one in people], np.float32)
        self.people = self.people.reshape(-1, joints, 3)
        boxes = np.array([one["bbox"] for one in people], np.float64).reshape(-1, 4)
        corner, size = boxes[:, :2], boxes[:, 2:]
        doubled = np.concatenate([corner - size, corner + 2 * size], axis=1)
        self.doubled_xyxy = doubled.astype(np.float32)
        self.areas_px2 = np.array([one["area"] for one in people], np.float64)
        self.crowds = np.array([bool(one["iscrowd"]) for one in people], bool)

    def of(self, part: slice, sigmas: np.ndarray) -> coco_bootstrap.ImagePoses:
        """What is compared for a part."""
        seen = self.people[:, part, 2] > 0
        nobody = np.logical_not(np.any(seen, axis=1))
        poses_xy, people_xy = self.poses[:, None, part, :2], self.people[None, :, part, :2]
        squared = ((poses_xy - people_xy) ** 2).sum(-1)  # (D, G, J) float32, as the tool has it
        if nobody.any():  # as far as the joint is from the box, doubled on every side
            low, high = self.doubled_xyxy[:, None, :2], self.doubled_xyxy[:, None, 2:]
            beside = np.maximum(low - poses_xy, 0) + np.maximum(poses_xy - high, 0)
            outside = (beside.astype(np.float64) ** 2).sum(-1)
            squared = np.where(nobody[:, None], outside, squared)
        areas = (self.areas_px2 + np.spacing(1))[:, None]
        used = seen | nobody[:, None]
        bells = np.exp(-squared / (2 * sigmas[part]) ** 2 / areas / 2) * used
        return coco_bootstrap.ImagePoses(
            oks=bells.sum(-1) / used.sum(-1),
            scores=self.scores,
            pose_areas_px2=self.pose_areas_px2,
            people_areas_px2=self.areas_px2,
            ignored=nobody,
            crowds=self.crowds,
        )
