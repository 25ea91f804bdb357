"""Poses through a video: one number a person, joints made steady, and the drawn video's file.

People are followed greedily by their overlap with the last frames; no network is needed for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import temporary_name
from paddle_pose.inference.boxes import overlaps
from paddle_pose.inference.people import FoundPoses

MIN_OVERLAP = 0.3
"""Of two frames' boxes of one person (intersection over union)."""

KEEP_FRAMES = 15
"""So long a person who is not seen keeps the number: half a second of most videos."""


@dataclass(frozen=True)
class OneEuro:
    """A low-pass filter that lets fast movements through.

    Attributes:
        min_cutoff_hz: of what stands still: lower is steadier.
        beta: how much the cut-off rises with speed (Hz per box size a second): higher lags less.
        speed_cutoff_hz: of the speed itself.

    Source: Casiez, Roussel, Vogel: 1 € Filter, CHI 2012, algorithm 1
    """

    min_cutoff_hz: float = 1.0
    beta: float = 1.0
    speed_cutoff_hz: float = 1.0

    def __post_init__(self) -> None:
        for name in ("min_cutoff_hz", "beta", "speed_cutoff_hz"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (value == 0 and name != "beta"):
                raise UserError(f"--smooth: {name} must be a positive number, got {value}")

    @classmethod
    def of(cls, text: str) -> OneEuro:
        """From ``HZ,BETA``; Raises UserError."""
        try:
            cutoff_hz, beta = map(float, text.split(","))
        except ValueError as error:
            raise UserError(
                f"--smooth '{text}': give HZ,BETA, two numbers such as 1,1 (lower HZ is steadier, "
                "higher BETA lags less)"
            ) from error
        return cls(cutoff_hz, beta)

    def step(
        self, at: np.ndarray, before: np.ndarray, speed: np.ndarray, size_px: float, rate: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Filtered places (J, 2) and their speeds, from the last ones.

        Args:
            at: as found in this frame.
            before: filtered, of the last frame.
            speed: filtered, pixels a second.
            size_px: of the person: a tall one's pixels mean less.
            rate: frames a second since then.
        """
        speed = speed + _alpha(self.speed_cutoff_hz, rate) * ((at - before) * rate - speed)
        cutoff = self.min_cutoff_hz + self.beta * np.abs(speed) / max(size_px, 1.0)
        return before + _alpha(cutoff, rate) * (at - before), speed


def _alpha(cutoff_hz: float | np.ndarray, rate: float) -> float | np.ndarray:
    return 1 / (1 + rate / (2 * math.pi * cutoff_hz))


@dataclass(frozen=True)
class _Track:
    number: int
    frame: int
    box_xywh: np.ndarray
    joints_xy: np.ndarray
    speed_xy: np.ndarray


class Tracker:
    """Gives people numbers through a video's frames, and makes their joints steady if asked to."""

    def __init__(self, rate: float, smooth: OneEuro | None = None) -> None:
        self._rate, self._smooth = rate, smooth
        self._tracks: list[_Track] = []
        self._frame = 0
        self._people = 0

    def __call__(
        self, poses: FoundPoses, ids: np.ndarray | None = None
    ) -> tuple[FoundPoses, np.ndarray]:
        """The frame's poses, filtered, and (P,) numbers from 1 that stay with their people.

        ``ids`` (P,) are those numbers where another tracker found them.
        """
        self._frame += 1
        keypoints = poses.keypoints.copy()
        numbers = np.zeros(len(poses), np.int64) if ids is None else ids
        boxes = pose_boxes(poses)
        owners = self._matched(boxes) if ids is None else self._numbered(ids)
        for row, track in enumerate(owners):
            xy, speed = keypoints[row, :, :2], np.zeros_like(keypoints[row, :, :2])
            if ids is None:
                self._people += track is None
                numbers[row] = self._people if track is None else track.number
            if track is not None and self._smooth is not None:
                rate = self._rate / (self._frame - track.frame)
                size_px = float(np.sqrt(boxes[row, 2] * boxes[row, 3]))
                xy, speed = self._smooth.step(xy, track.joints_xy, track.speed_xy, size_px, rate)
                keypoints[row, :, :2] = xy
            self._tracks = [t for t in self._tracks if t.number != numbers[row]]
            now = _Track(int(numbers[row]), self._frame, boxes[row], xy.copy(), speed)
            self._tracks.append(now)
        self._tracks = [t for t in self._tracks if self._frame - t.frame <= KEEP_FRAMES]
        return replace(poses, keypoints=keypoints), numbers

    def _numbered(self, ids: np.ndarray) -> list[_Track | None]:
        known = {track.number: track for track in self._tracks}
        return [known.get(number) for number in ids.tolist()]

    def _matched(self, boxes_xywh: np.ndarray) -> list[_Track | None]:
        """The track of each box: pairs of the largest overlap first."""
        owners: list[_Track | None] = [None] * len(boxes_xywh)
        if not self._tracks or not len(boxes_xywh):
            return owners
        known = np.stack([track.box_xywh for track in self._tracks])
        shared = overlaps(boxes_xywh, known)
        while shared.max() >= MIN_OVERLAP:
            row, column = np.unravel_index(shared.argmax(), shared.shape)
            owners[row] = self._tracks[column]
            shared[row], shared[:, column] = -1, -1
        return owners


def pose_boxes(poses: FoundPoses, min_score: float = 0.2) -> np.ndarray:
    """(P, 4) boxes around the joints that score; where fewer than two do, the boxes looked in."""
    boxes = poses.boxes_xywh.copy()
    for row, keypoints in enumerate(poses.keypoints):
        seen = keypoints[keypoints[:, 2] >= min_score, :2]
        if len(seen) > 1 and np.isfinite(seen).all():
            boxes[row] = [*seen.min(0), *np.maximum(np.ptp(seen, axis=0), 1)]
    return boxes


class VideoFile:
    """A video that stands under its name only when it is closed."""

    def __init__(self, path: Path, size_wh: tuple[int, int], rate: float) -> None:
        """Raises UserError where it cannot be written."""
        self._path = path
        # OpenCV goes by the ending.
        self._temporary = temporary_name(path.with_suffix("")).with_suffix(f".tmp{path.suffix}")
        self._size_wh, self._frames = size_wh, 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._temporary), code, rate, size_wh)
        if not self._writer.isOpened():
            raise UserError(f"{path}: this OpenCV cannot write a video there")

    def write(self, image_rgb: np.ndarray) -> None:
        """Add one frame of the video's size."""
        if image_rgb.shape[1::-1] != self._size_wh:  # some streams change their size
            image_rgb = cv2.resize(image_rgb, self._size_wh)
        self._writer.write(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def close(self) -> None:
        """Complete the file and give it its name; Raises UserError where it is not whole."""
        self._writer.release()
        # OpenCV says nothing of a full disk.
        if (count := _frames_in(self._temporary)) < self._frames:
            self.drop()
            said = f"{count} of {self._frames} frames could be written; is the disk full?"
            raise UserError(f"{self._path}: {said}")
        try:
            self._temporary.replace(self._path)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror})") from error

    def drop(self) -> None:
        """Leave nothing of it."""
        self._writer.release()
        self._temporary.unlink(missing_ok=True)


def _frames_in(path: Path) -> int:
    """As the file says; 0 of one that cannot be played."""
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count
