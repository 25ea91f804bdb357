"""One flat table of predicted poses, whatever way they were estimated.

Several poses of a row of people, none, or no rows at all are all normal. P poses, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from paddle_pose.geometry import UNIT_PX

NO_ROW = -1
"""``Poses.rows`` of a pose that no row of a table asked for."""


class Place(NamedTuple):
    """Where in which image the inputs of a network lie; of one input, or of B with a leading B.

    Attributes:
        center_xy: (2,) float64 centre of the crop, pixels of the (mirrored) image, 0-based.
        scale_wh: (2,) float64 size of the crop in units of 200 image pixels.
        image_id: () int64, as ``Poses.image_ids``.
        row: () int64 position in the table of people, or NO_ROW for a whole image.
        joints_xy: (J, 2) float64 true joints in pixels of the input, as many in every input of a
            batch; (0, 2) where nobody asks, as for whole images.
        visible: (J,) float64, above 0 where ``joints_xy`` counts.
    """

    center_xy: np.ndarray
    scale_wh: np.ndarray
    image_id: np.ndarray
    row: np.ndarray
    joints_xy: np.ndarray
    visible: np.ndarray

    @classmethod
    def stacked(cls, places: Sequence[Place]) -> Place:
        """Those of B inputs as one, with a leading B."""
        return cls(*(np.stack(column) for column in zip(*places, strict=True)))

    def boxes_xywh(self) -> np.ndarray:
        """(B, 4) float64 boxes of the crops: left, top, width, height in image pixels."""
        size = np.asarray(self.scale_wh, np.float64) * UNIT_PX
        return np.concatenate([np.asarray(self.center_xy, np.float64) - 0.5 * size, size], -1)


@dataclass(frozen=True)
class Poses:
    """P predicted poses.

    Attributes:
        image_ids: (P,) int64, the image of each, as the data set counts images.
        keypoints: (P, J, 3) float64: x, y in image pixels, 0-based, and score.
        scores: (P,) float64, of the whole pose.
        boxes_xywh: (P, 4) float64, where in the image it was looked for; nan where nowhere.
        rows: (P,) int64, the row of the table of people that asked for it, or NO_ROW.
        instances: (P,) int64, which pose of its box: 0 the owner's, 1 the second person's.
    """

    image_ids: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    boxes_xywh: np.ndarray
    rows: np.ndarray
    instances: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def at(cls, place: Place, keypoints: np.ndarray, *, scores: np.ndarray | None = None) -> Poses:
        """One pose for each of the B inputs of a place, from (B, J, 3) in image pixels.

        Without ``scores`` a pose scores the mean of its joints.
        """
        keypoints = np.asarray(keypoints, np.float64)
        return cls(
            image_ids=np.asarray(place.image_id, np.int64),
            keypoints=keypoints,
            scores=keypoints[:, :, 2].mean(1) if scores is None else np.asarray(scores, np.float64),
            boxes_xywh=place.boxes_xywh(),
            rows=np.asarray(place.row, np.int64),
            instances=np.zeros(len(keypoints), np.int64),
        )

    @classmethod
    def none(cls, joints: int) -> Poses:
        """No poses, of that many joints."""
        ids, numbers = np.empty(0, np.int64), np.empty(0)
        return cls(ids, np.empty((0, joints, 3)), numbers, np.empty((0, 4)), ids, ids)

    @classmethod
    def joined(cls, parts: Sequence[Poses]) -> Poses:
        """One table of several, in their order; at least one is needed."""
        names = [item.name for item in fields(cls)]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def select(self, keep: np.ndarray) -> Poses:
        """The poses named by an index array or a mask, in that order."""
        names = [item.name for item in fields(self)]
        return replace(self, **{name: getattr(self, name)[keep] for name in names})
