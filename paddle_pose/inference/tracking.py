"""What becomes of a picture's poses before they are drawn: doubles go, people get numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.errors import UserError
from paddle_pose.geometry import PADDING
from paddle_pose.inference.frames import Seen
from paddle_pose.inference.people import FoundPoses
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.inference.sources import Photo, end_number
from paddle_pose.inference.video import OneEuro, Tracker
from paddle_pose.poses.alphapose_json import base_name
from paddle_pose.poses.oks import oks_nms, rescored
from paddle_pose.poses.pose_nms import (
    OKS_THRESHOLD,
    constants_for,
    oks_nms_sigmas,
    pose_nms,
    proposal_scores,
)
from paddle_pose.poses.poseflow import PoseFlow, shared_points

PHOTOS_RATE = 25.0
"""Frames a second of a folder of frames, which does not say it."""


@dataclass(frozen=True)
class Following:
    """What is asked for.

    Attributes:
        nms: one of ``pose_nms.WAYS``.
        track: by PoseFlow; else the people of videos are numbered by how their boxes overlap.
        by_points: PoseFlow also goes by points that pictures share.
    """

    nms: str = "none"
    track: bool = False
    by_points: bool = False


class Kept(NamedTuple):
    """The poses of a picture that are left.

    Attributes:
        seen: the picture, and all that was found in it.
        poses: P that are left, filtered where asked for.
        boxes_xywh: (P, 4) of their people, as they were given.
        numbers: (P,) from 1, which stay with people; None of single photos.
    """

    seen: Seen
    poses: FoundPoses
    boxes_xywh: np.ndarray
    numbers: np.ndarray | None


class Suppression:
    """Poses of one picture without doubles, and how many went."""

    def __init__(self, way: str, predictor: PosePredictor) -> None:
        """Raises UserError where OKS-NMS has no constants for these joints."""
        self._way, skeleton = way, predictor.skeleton
        by_heatmaps = isinstance(predictor.recipe.codec, HeatmapCodec)
        self._constants = constants_for(len(skeleton), by_heatmaps=by_heatmaps)
        halpes = oks_nms_sigmas(len(skeleton)) if skeleton.parts else ()
        self._sigmas = np.array(halpes or skeleton.oks_sigmas)
        if way == "oks" and not len(self._sigmas):
            raise UserError(
                f"--nms oks: skeleton '{skeleton.name}' has no OKS constants; --nms pose needs none"
            )
        self.found = self.merged = self.low = 0

    def __call__(self, seen: Seen) -> tuple[FoundPoses, np.ndarray]:
        """Poses that are left, and the boxes (P, 4) of their people.

        Scores are the reference's: box + mean + 1.25 × largest joint with ``pose``; box × mean of
        the joints above 0.2 with ``oks``. A box that nobody scored scores 1.
        """
        poses, given = seen.poses, seen.frame.given
        if given is None:
            boxes = poses.boxes_xywh.copy()
            boxes[:, :2] += boxes[:, 2:] * (1 - 1 / PADDING) / 2
            boxes[:, 2:] /= PADDING
            scores: np.ndarray = np.ones(len(poses))
        else:
            boxes, scores = given.boxes_xywh[poses.rows], given.scores[poses.rows]
        if self._way == "none" or not len(poses):
            return poses, boxes
        if self._way == "oks":
            scores = rescored(poses.keypoints, scores)
            areas = poses.boxes_xywh[:, 2:].prod(1)
            kept = oks_nms(poses.keypoints, scores, areas, self._sigmas, OKS_THRESHOLD)
            found, merged = replace(poses, scores=scores).select(kept), len(poses) - len(kept)
        else:
            left = pose_nms(poses.keypoints, boxes, self._constants)
            kept, merged = left.picks, sum(map(len, left.members)) - len(left)
            scores = proposal_scores(left.keypoints, scores[kept]) if len(kept) else scores[:0]
            found = replace(poses.select(kept), keypoints=left.keypoints, scores=scores)
        self.found += len(poses)
        self.merged += merged
        self.low += len(poses) - len(kept) - merged
        return found, boxes[kept]

    def summary(self) -> str:
        """How many poses went; empty where none could."""
        if self._way == "none" or not self.found:
            return ""
        said = f"{self._way}-NMS: {self.merged} of {self.found} poses are others' doubles"
        if self.low:
            said += f"; left out {self.low}, whose joints all score below "
            said += f"{self._constants.min_score:g}"
        return said


class Follower:
    """The poses of one sequence of pictures, or of single photos, one picture after the other."""

    def __init__(
        self,
        suppress: Suppression,
        how: Following,
        rate: float | None,
        smooth: OneEuro | None = None,
    ) -> None:
        """``rate``: frames a second; None of single photos, whose people get no numbers."""
        self._suppress, self._by_points = suppress, how.by_points
        self._tracker = None if rate is None else Tracker(rate, smooth)
        self._flow = PoseFlow() if how.track and rate is not None else None
        self._last: np.ndarray | None = None
        self._said = False

    def __call__(self, seen: Seen) -> Kept:
        """The next picture's."""
        poses, boxes = self._suppress(seen)
        if self._tracker is None:
            return Kept(seen, poses, boxes, None)
        poses, numbers = self._tracker(poses, self._ids(poses, seen.frame.pixels))
        return Kept(seen, poses, boxes, numbers)

    def _ids(self, poses: FoundPoses, pixels: np.ndarray) -> np.ndarray | None:
        if self._flow is None:
            return None
        points = None
        if self._by_points and len(poses):
            if self._last is not None and self._last.shape == pixels.shape:
                points = shared_points(self._last, pixels)
            elif self._last is not None and not self._said:
                self._said = True
                was, now = ("×".join(map(str, one.shape[1::-1])) for one in (self._last, pixels))
                print(f"=> --orb: after {was} comes a picture of {now}; where the size changes "
                      "people are followed without points", flush=True)  # fmt: skip
            self._last = pixels
        return self._flow(poses.keypoints, (pixels.shape[1], pixels.shape[0]), points).ids


def in_order(photos: Sequence[Photo]) -> list[Photo]:
    """Frames of folders, each folder's in the order of the numbers that their names end in.

    Raises:
        UserError: a name that ends in no number, or in one that another name has.
    """
    folders: dict[Path, dict[int, Photo]] = {}
    for photo in photos:
        number, folder = end_number(photo.name), folders.setdefault(photo.path.parent, {})
        if number is None or number in folder:
            what = "in no number" if number is None else f"in {number} as another's does"
            raise UserError(
                f"--track: {photo.path}: its name ends {what}; photos are followed through a "
                "folder of numbered frames (frame_0001.jpg …), or give a video"
            )
        folder[number] = photo
    found: list[Photo] = []
    for path, folder in folders.items():
        numbers = sorted(folder)
        found += [folder[number] for number in numbers]
        gaps = numbers[-1] - numbers[0] + 1 - len(numbers)
        if gaps:
            print(f"=> {path}: {gaps} numbers from {numbers[0]} to {numbers[-1]} are missing; "
                  "the frames around them count as neighbours", flush=True)  # fmt: skip
    return found


def picture_names(photos: Sequence[Photo]) -> list[str]:
    """What AlphaPose's results call photos: their base names, and below folders if these repeat."""
    names = [base_name(photo.name) for photo in photos]
    return names if len({*names}) == len(names) else [photo.name for photo in photos]
