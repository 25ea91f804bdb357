"""Random people and predictions as large as MPII's and COCO's validation sets; NumPy and JSON only.

What a metric costs depends on counts, not on whose joints they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

MPII_PEOPLE = 2958
COCO_IMAGES, COCO_PEOPLE, COCO_POSES_PER_IMAGE = 5000, 11004, 20
MAT_JOINTS = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head",
              "rwri", "relb", "rsho", "lsho", "lelb", "lwri")  # fmt: skip
"""MPII's joints as its evaluation file names them."""


@dataclass(frozen=True)
class MpiiPeople:
    """N people in MPII's 1-based pixels.

    Attributes:
        truth_xy, found_xy: (N, 16, 2).
        missing: (N, 16) of 0 and 1.
        head_boxes_xyxy: (N, 4).
    """

    truth_xy: np.ndarray
    found_xy: np.ndarray
    missing: np.ndarray
    head_boxes_xyxy: np.ndarray

    def mat(self) -> dict[str, np.ndarray]:
        """The fields of ``gt_valid.mat`` that HRNet's evaluation reads."""
        names = np.empty((1, len(MAT_JOINTS)), object)
        names[0] = MAT_JOINTS
        return {
            "dataset_joints": names,
            "jnt_missing": self.missing.T.astype(np.uint8),
            "pos_gt_src": self.truth_xy.transpose(1, 2, 0),
            "headboxes_src": self.head_boxes_xyxy.reshape(-1, 2, 2).transpose(1, 2, 0),
        }

    def records(self) -> list[dict[str, Any]]:
        """``valid.json`` in HRNet's layout; every third person shares a photo with the next."""
        return [
            {
                "joints_vis": (1 - absent).tolist(),
                "joints": np.round(joints, 2).tolist(),
                "image": f"{row - row % 3 // 2:06d}.jpg",
                "scale": 1.5,
                "center": np.round(joints.mean(0), 2).tolist(),
            }
            for row, (joints, absent) in enumerate(zip(self.truth_xy, self.missing, strict=True))
        ]


def mpii_people(count: int = MPII_PEOPLE) -> MpiiPeople:
    """Errors from none to twice the head, so that every threshold has joints on both sides."""
    rng = np.random.default_rng(7)
    truth_xy = rng.uniform(50, 600, (count, 16, 2))
    head_px = rng.uniform(30, 120, (count, 1, 1))
    error_px = rng.normal(size=truth_xy.shape) * rng.uniform(0, 0.6, (count, 16, 1)) * head_px
    corner = rng.uniform(20, 500, (count, 2))
    return MpiiPeople(
        truth_xy=truth_xy,
        found_xy=truth_xy + error_px,
        missing=(rng.random((count, 16)) < 0.05).astype(np.int64),
        head_boxes_xyxy=np.concatenate([corner, corner + head_px[:, 0]], axis=1),
    )


def coco_set(images: int = COCO_IMAGES) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotation file and results: as many people per photo as val2017, 20 poses on each photo."""
    rng = np.random.default_rng(8)
    people = round(images * COCO_PEOPLE / COCO_IMAGES)
    image_of = np.sort(rng.integers(0, images, people))
    size = rng.uniform(20, 250, (people, 2))
    corner = rng.uniform(0, 200, (people, 2))
    joints_xy = np.round(corner[:, None] + rng.random((people, 17, 2)) * size[:, None])
    visible = rng.choice(3, (people, 17), p=(0.4, 0.1, 0.5))
    visible[rng.random(people) < 0.4] = 0  # val2017: 6,352 of 11,004 people have joints
    joints = np.dstack([joints_xy, visible]) * (visible > 0)[..., None]
    annotations = [
        {
            "id": row + 1,
            "image_id": int(image_of[row]) + 1,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [*corner[row].tolist(), *size[row].tolist()],
            "area": float(0.6 * size[row].prod()),
            "num_keypoints": int((visible[row] > 0).sum()),
            "keypoints": joints[row].ravel().tolist(),
        }
        for row in range(people)
    ]
    truth = {
        "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    return truth, _coco_results(rng, images, image_of, joints_xy)


def _coco_results(
    rng: np.random.Generator, images: int, image_of: np.ndarray, joints_xy: np.ndarray
) -> list[dict[str, Any]]:
    """Poses near a person of the photo, or of any photo where it shows nobody."""
    image = np.repeat(np.arange(images), COCO_POSES_PER_IMAGE)
    first = np.searchsorted(image_of, image)
    count = np.searchsorted(image_of, image, side="right") - first
    person = first + rng.integers(0, np.maximum(count, 1))
    noise_px = rng.normal(size=(len(image), 17, 2)) * rng.uniform(0, 30, (len(image), 1, 1))
    found_xy = joints_xy[np.minimum(person, len(image_of) - 1)] + noise_px
    poses = np.dstack([np.round(found_xy, 2), rng.random((len(image), 17))])
    scores = np.round(rng.random(len(image)), 4)
    return [
        {"image_id": i + 1, "category_id": 1, "keypoints": pose.ravel().tolist(), "score": score}
        for i, pose, score in zip(image.tolist(), poses, scores.tolist(), strict=True)
    ]
