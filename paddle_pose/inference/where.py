"""Where the people of a picture are: boxes given, of a file, of a detector, or all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose.data.boxes import read_boxes
from paddle_pose.errors import UserError
from paddle_pose.inference.boxes import outside
from paddle_pose.inference.detector import open_detector
from paddle_pose.inference.people import Given, require_boxes
from paddle_pose.inference.sources import Photo, Video

Boxes = Callable[[np.ndarray, int], Given | None]
"""A picture and its id -> boxes of people; None: nobody knows."""

DETECTOR_THRESHOLD = 0.5


@dataclass(frozen=True)
class Where:
    """How people are found; one of the first three at most, else one in each picture.

    Attributes:
        box: the same boxes in every picture.
        boxes: a detector's COCO results, by image id.
        detector: ``FILE.onnx``, an exported PaddleDetection folder, or a name to fetch.
        threshold: boxes below are left out; by default 0.5 of a detector's, none of a file's.
        nms: most that two boxes of a detector overlap.
    """

    box: Sequence[Sequence[float]] | None = None
    boxes: Path | None = None
    detector: str | None = None
    threshold: float | None = None
    nms: float = 0.6

    @property
    def sought(self) -> bool:
        """Nobody says where people are."""
        return self.box is None and self.boxes is None and self.detector is None

    def open(
        self, photos: Sequence[Photo], videos: Sequence[Video], *, whole: bool = False
    ) -> Boxes:
        """Ready for these; ``whole``: a network finds everybody by itself. Raises UserError."""
        if whole and not self.sought:
            raise UserError(
                "--box, --boxes, --detector: this network finds everybody in whole pictures by "
                "itself; leave them out"
            )
        if self.box is not None:
            return fixed(self.box)
        if self.boxes is not None:
            return from_file(self.boxes, photos, videos, self.threshold or 0.0)
        if self.detector is not None:
            least = DETECTOR_THRESHOLD if self.threshold is None else self.threshold
            detector = open_detector(self.detector, threshold=least, most_overlap=self.nms)
            return lambda pixels, image_id: Given(*detector(pixels))
        if not whole:
            print(
                "assumed: one person in each picture, found by a first look at all of it "
                "(--box, --boxes and --detector say other)",
                flush=True,
            )
        return lambda pixels, image_id: None


def fixed(boxes: Sequence[Sequence[float]]) -> Boxes:
    """The same boxes in every picture; Raises UserError, then and there."""
    given = require_boxes(list(boxes), "--box")

    def find(pixels: np.ndarray, image_id: int) -> Given:
        for one in given[outside(given, pixels)][:1]:
            box = ",".join(f"{value:g}" for value in one)
            raise UserError(f"--box {box} lies outside of its {_size(pixels)} pixels")
        return Given(given, np.ones(len(given)))

    return find


def from_file(
    path: Path, photos: Sequence[Photo], videos: Sequence[Video], threshold: float
) -> Boxes:
    """A detector's COCO results, by image id; Raises UserError."""
    if videos and (photos or len(videos) > 1 or videos[0].path is None):
        raise UserError("--boxes: is for photos or for one video alone; leave the others out")
    detected = read_boxes(path, min_score=threshold)
    print(f"=> {detected.summary}")

    def find(pixels: np.ndarray, image_id: int) -> Given:
        rows = detected.image_ids == image_id
        found = detected.boxes_xywh[rows]
        out = outside(found, pixels)
        if out.any():
            of = f"{_size(pixels)} pixels"
            print(f"=> image {image_id}: left out {out.sum()} boxes outside of its {of}")
        return Given(found[~out], detected.scores[rows][~out])

    if videos:
        if not len(detected):
            raise UserError(f"{path}: has no box that counts")
        print(f"assumed: image ids are frames: 1 is the first of {videos[0].name}", flush=True)
        return find
    ids = {photo.image_id for photo in photos}
    without = len(ids - {*detected.image_ids.tolist()})
    others = int((~np.isin(detected.image_ids, [*ids])).sum())
    if without == len(ids):
        raise UserError(
            f"{path}: has no box for any of these photos, whose ids are "
            f"{', '.join(map(str, sorted(ids)[:5]))}{' …' if len(ids) > 5 else ''} "
            "(the numbers that their names end in, or their order)"
        )
    if not all(photo.by_name for photo in photos):
        first = min(photos, key=lambda photo: photo.image_id)  # --track puts them in another order
        print(
            "assumed: image ids are the photos' places in the list, as their names do not all end "
            f"in numbers of their own: {first.image_id} is {first.name}",
            flush=True,
        )
    if others:
        print(f"=> {others} of {len(detected.image_ids)} boxes are of none of these photos")
    if without:
        print(f"=> {without} of {len(ids)} photos have no box in {path.name}: drawn without poses")
    return find


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
