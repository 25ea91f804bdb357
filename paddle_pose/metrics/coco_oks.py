"""OKS of a data set's poses to the people of their images, all images at once.

The same bits as COCO's evaluation, by a few large operations instead of several small ones a pose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from paddle_pose.poses.oks import oks

PEOPLE_AT_ONCE = 1024
"""Bounds memory: with 20 poses each, arrays of 6 MB."""


def oks_by_image(
    people: Sequence[dict[str, Any]],
    poses: Sequence[dict[str, Any]],
    sigmas: Sequence[float],
    *,
    most_poses: int,
) -> dict[int, np.ndarray]:
    """Image id → (D, G) OKS of its poses, best-scored first, to its people, in their order.

    A person's labelled joints count. Where none is, all do, and each is as far away as the
    person's box, doubled on every side, is from the pose's joint.

    Args:
        people: annotations with image_id, keypoints, bbox, area.
        poses: results with image_id, keypoints, score.
        sigmas: (J,) OKS constants.
        most_poses: the largest D.

    Source: cocodataset/cocoapi PythonAPI/pycocotools/cocoeval.py:206 @8c9bcc3
    """
    if not people or not poses:
        return {}
    people = sorted(people, key=lambda person: person["image_id"])
    people_images = np.array([person["image_id"] for person in people])
    pose_images = np.array([pose["image_id"] for pose in poses])
    scores = np.array([pose["score"] for pose in poses], np.float64)
    best_first = np.lexsort((-scores, pose_images))
    first = np.searchsorted(pose_images[best_first], people_images)
    last = np.searchsorted(pose_images[best_first], people_images, side="right")
    count = np.minimum(last - first, most_poses)
    begin = np.cumsum(count) - count
    found, truth = _keypoints(poses)[best_first], _keypoints(people)
    boxes_xywh = np.array([person["bbox"] for person in people], np.float64)
    areas = np.array([person["area"] for person in people], np.float64)
    labelled = truth[:, :, 2] > 0
    similarities = np.empty(count.sum())
    for rows in _alike(labelled.sum(axis=1)):
        person = np.repeat(rows, count[rows])
        skipped = np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
        rank = np.arange(len(person)) - skipped
        pose_xy = found[first[person] + rank, :, :2]
        used = labelled[person]
        if used.any():  # the same number of joints of each: so are the sums
            shape = len(person), -1
            truth_xy = truth[person, :, :2][used].reshape(*shape, 2)
            pose_xy = pose_xy[used].reshape(*shape, 2)
            widths = np.broadcast_to(sigmas, used.shape)[used].reshape(shape)
        else:
            truth_xy, widths = _nearest_in_doubled(boxes_xywh[person], pose_xy), np.array(sigmas)
        similarities[begin[person] + rank] = oks(pose_xy, truth_xy, widths, areas[person])
    images, rows, sizes = np.unique(people_images, return_index=True, return_counts=True)
    shared = zip(images.tolist(), begin[rows], sizes, count[rows], strict=True)
    return {
        image: similarities[at : at + size * poses_here].reshape(size, poses_here).T
        for image, at, size, poses_here in shared
        if poses_here
    }


def _keypoints(records: Sequence[dict[str, Any]]) -> np.ndarray:
    """(N, J, 3) float64."""
    numbers = np.array([record["keypoints"] for record in records], np.float64)
    return numbers.reshape(len(records), -1, 3)


def _alike(labelled_count: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of people with equally many labelled joints, not too many at once."""
    for joints in np.unique(labelled_count):
        rows = np.flatnonzero(labelled_count == joints)
        yield from np.split(rows, range(PEOPLE_AT_ONCE, len(rows), PEOPLE_AT_ONCE))


def _nearest_in_doubled(boxes_xywh: np.ndarray, joints_xy: np.ndarray) -> np.ndarray:
    """(N, J, 2) the points of boxes, each with as much again on every side, nearest to joints."""
    corner, size = boxes_xywh[:, None, :2], boxes_xywh[:, None, 2:]
    return np.clip(joints_xy, corner - size, corner + 2 * size)
