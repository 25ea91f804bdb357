"""PoseFlow: numbers that stay with people from frame to frame, by boxes, joints and pictures.

Of every known person the last pose is compared with all poses of a frame; the assignment of the
largest sum of grades decides. Points that two pictures share (``shared_points``) may take part;
without them two of the four terms are 0, and it is a tracker still.

What differs from the reference: frames are what comes one after the other, whatever their names; a
frame without people is passed over, as if it were not there.

Source: MVIG-SJTU/AlphaPose trackers/PoseFlow/poseflow_infer.py:35 and utils.py:78 @c60106d;
Xiu, Li, Wang, Fang, Lu: Pose Flow, BMVC 2018
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

_GROW = 0.1
_NOT_ZERO = 1e-5
_IN_PREVIOUS = (1.0, 2.0, 1.0, 2.0)
_OLDER = (0.0, 1.0, 0.0, 1.0)
"""Weights of: shared points of boxes, boxes, shared points of joints, joints."""

_POINTS, _FEWEST_PAIRS, _RATIO, _SMALLEST_FILE = 10_000, 400, 0.8, 1000
_FLANN = {"algorithm": 6, "table_number": 12, "key_size": 12, "multi_probe_level": 2}


class Still(NamedTuple):
    """Shared points of two pictures that nothing is known of: every pixel is where it was."""

    width: int
    height: int


Points = np.ndarray | Still
"""(M, 4) x, y before and x, y now of each point; or ``Still``."""


@dataclass(frozen=True)
class PoseFlowSettings:
    """How people are followed.

    Attributes:
        link_frames: frames with people that somebody may be away.
        joints: that are most alike count.
        half_side_px: of the square around a joint.
        least_grade: below, nobody is taken for another (practically any overlap is above).
    """

    link_frames: int = 100
    joints: int = 7
    half_side_px: float = 30.0
    least_grade: float = 0.2


class Followed(NamedTuple):
    """What is known of one frame with P people.

    Attributes:
        ids: (P,) int64 from 1.
        match_scores: (P,) grade by which each got its id; 0 of somebody new.
        candidates: (C,) ids of all who were looked for, the previous frame's first.
        in_previous: (C,) bool.
        grades: (C, P).
    """

    ids: np.ndarray
    match_scores: np.ndarray
    candidates: np.ndarray
    in_previous: np.ndarray
    grades: np.ndarray


class _Person(NamedTuple):
    number: int
    box: np.ndarray  # left, right, top, bottom
    joints_xy: np.ndarray


class PoseFlow:
    """The people of one sequence of frames."""

    def __init__(self, settings: PoseFlowSettings | None = None) -> None:
        self._settings = settings or PoseFlowSettings()
        self._frames: deque[list[_Person]] = deque(maxlen=self._settings.link_frames)
        self._largest = 0

    def __call__(
        self, joints_xy: np.ndarray, size_wh: tuple[int, int], points: Points | None = None
    ) -> Followed:
        """Number the people of the next frame.

        Args:
            joints_xy: (P, J, 2 or more) x, y in image pixels, finite.
            size_wh: of the picture.
            points: shared by the last frame with people and this one; None to go without.
        """
        joints_xy = np.asarray(joints_xy, np.float64)[..., :2]
        count = len(joints_xy)
        ids, scores = np.zeros(count, np.int64), np.zeros(count)
        if not count:
            return Followed(ids, scores, ids, np.zeros(0, bool), np.zeros((0, 0)))
        known, is_in_previous = self._known()
        boxes = pose_boxes(joints_xy, size_wh)
        grades = self._grades(known, is_in_previous, boxes, joints_xy, points)
        for one, other in zip(*linear_sum_assignment(grades, maximize=True), strict=True):
            if grades[one, other] > self._settings.least_grade:
                ids[other], scores[other] = known[one].number, grades[one, other]
        for row in np.flatnonzero(ids == 0):
            self._largest += 1
            ids[row] = self._largest
        people = zip(ids.tolist(), boxes, joints_xy, strict=True)
        self._frames.append([_Person(*one) for one in people])
        numbers = np.array([person.number for person in known], np.int64)
        return Followed(ids, scores, numbers, is_in_previous, grades)

    def _known(self) -> tuple[list[_Person], np.ndarray]:
        """Everybody's last pose, newest frame first, and whether it is of the previous one."""
        found: dict[int, _Person] = {}
        previous = 0
        for frame in reversed(self._frames):
            for person in frame:
                found.setdefault(person.number, person)
            previous = previous or len(found)
        return list(found.values()), np.arange(len(found)) < previous

    def _grades(
        self,
        known: list[_Person],
        in_previous: np.ndarray,
        boxes: np.ndarray,
        joints_xy: np.ndarray,
        points: Points | None,
    ) -> np.ndarray:
        """(C, P)."""
        if not known:
            return np.zeros((0, len(boxes)))
        known_boxes = np.stack([person.box for person in known])
        known_squares = self._squares(np.stack([person.joints_xy for person in known]))
        squares = self._squares(joints_xy)
        pairs = np.s_[:, None], np.s_[None]
        terms = np.zeros((4, len(known), len(boxes)))
        terms[1] = _overlaps(known_boxes[pairs[0]], boxes[pairs[1]])
        terms[3] = self._best(_overlaps(known_squares[pairs[0]], squares[pairs[1]]))
        if points is not None:
            terms[0] = _shared(points, known_boxes, boxes)
            joints = range(squares.shape[1])
            by_joint = [_shared(points, known_squares[:, j], squares[:, j]) for j in joints]
            terms[2] = self._best(np.stack(by_joint, -1))
        weights = np.where(in_previous[:, None], _IN_PREVIOUS, _OLDER)
        return np.einsum("ct,tcp->cp", weights, terms)

    def _squares(self, joints_xy: np.ndarray) -> np.ndarray:
        """(..., J, 4) left, right, top, bottom around joints."""
        half = self._settings.half_side_px
        return np.stack([joints_xy - half, joints_xy + half], -1).reshape(*joints_xy.shape[:-1], 4)

    def _best(self, by_joint: np.ndarray) -> np.ndarray:
        """Mean over the joints (last) that are most alike."""
        return np.asarray(np.sort(by_joint, -1)[..., -self._settings.joints :].mean(-1))


def pose_boxes(joints_xy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(P, 4) left, right, top, bottom around all joints, 10 % wider, inside, without fractions."""
    low, high = joints_xy.min(1), joints_xy.max(1)
    grow = _GROW * (high - low)
    low, high = np.clip(low - grow, 0, size_wh), np.clip(high + grow, 0, size_wh)
    return np.trunc(np.stack([low, high], -1).reshape(-1, 4))


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4), whose borders belong to them."""
    low, high = np.maximum(a[..., ::2], b[..., ::2]), np.minimum(a[..., 1::2], b[..., 1::2])
    areas = [(box[..., 1::2] - box[..., ::2] + 1).prod(-1) for box in (a, b)]
    both = np.where((low < high).all(-1), (high - low + 1).prod(-1), 0)
    return np.asarray(both / (areas[0] + areas[1] - both + _NOT_ZERO))


def _shared(points: Points, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(C, P) points in both of two boxes over points in one, of (C, 4) and (P, 4) boxes."""
    if isinstance(points, Still):
        common = before[:, None], now[None]
        low, high = np.maximum(*common)[..., ::2], np.minimum(*common)[..., 1::2]
        both = _pixels(low, high, points)
        ones = [_pixels(boxes[..., ::2], boxes[..., 1::2], points) for boxes in (before, now)]
    else:
        inside = [_inside(before, points[:, :2]), _inside(now, points[:, 2:])]
        both = inside[0] @ inside[1].T
        ones = [one.sum(1) for one in inside]
    return np.asarray(both / (ones[0][:, None] + ones[1] - both + _NOT_ZERO))


def _inside(boxes: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    """(N, M) 1 where a point is in a box."""
    low, high = boxes[:, None, ::2], boxes[:, None, 1::2]
    return np.asarray(((points_xy >= low) & (points_xy <= high)).all(-1), np.float64)


def _pixels(low: np.ndarray, high: np.ndarray, size_wh: Still) -> np.ndarray:
    """How many whole numbers are between corners (..., 2), inside of the picture."""
    first, last = np.ceil(np.maximum(low, 0)), np.floor(np.minimum(high, np.array(size_wh) - 1))
    return np.asarray(np.maximum(last - first + 1, 0).prod(-1))


def shared_points(before_rgb: np.ndarray, now_rgb: np.ndarray) -> Points:
    """Points of two pictures (H, W, 3) that look alike: ORB by FLANN; ``Still`` where few do.

    Source: MVIG-SJTU/AlphaPose trackers/PoseFlow/matching.py:34 @c60106d
    """
    height, width = now_rgb.shape[:2]
    # Of fewer pixels ORB makes pictures without a pixel.
    if min(*before_rgb.shape[:2], *now_rgb.shape[:2]) < 2:
        return Still(width, height)
    orb = cv2.ORB.create(nfeatures=_POINTS, scoreType=cv2.ORB_FAST_SCORE)
    before, before_signs = orb.detectAndCompute(before_rgb, None)
    now, now_signs = orb.detectAndCompute(now_rgb, None)
    if len(before) * len(now) < _FEWEST_PAIRS or len(now) < 2:
        return Still(width, height)
    flann = cv2.FlannBasedMatcher(_FLANN, {"checks": 100})
    rows = []
    for found in flann.knnMatch(before_signs, now_signs, k=2):
        if len(found) == 2 and found[0].distance < _RATIO * found[1].distance:
            best = found[0]
            places = (*before[best.queryIdx].pt, *now[best.trainIdx].pt)
            rows.append((*map(int, places), best.distance))
    # The reference goes by the size of the text file that it would write.
    if sum(len(" ".join(map(str, row[:4])) + f" {row[4]:f} \n") for row in rows) < _SMALLEST_FILE:
        return Still(width, height)
    return np.array([row[:4] for row in rows], np.float64)
