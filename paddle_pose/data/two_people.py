"""Two people in a box: its owner and the nearest other person of the image (MIPNet).

The owner's crop and its random changes serve both. What is kept of the reference: joints outside
the crop are set to (0, 0) and unseen, one at the far border counts as inside, and a second person
of fewer than four visible joints there gives way to the owner.
"""

from __future__ import annotations

import numpy as np

from paddle_pose.data.augment import Augmentation, Crop, Photo
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import Encoded, PersonCrops
from paddle_pose.geometry import transform_points
from paddle_pose.settings import INSTANCES

NOBODY = -1
"""Partner of a person who is alone on an image."""

LEAST_JOINTS = 4
"""A second person with fewer visible joints in the crop is no target."""


def partners(table: PersonTable) -> np.ndarray:
    """(N,) position in the table of each person's nearest other one of the image, or NOBODY.

    By the distance of box centres in float32, the first of equals; no limit, and not symmetric.

    Source: rawalkhirodkar/MIPNet lib/dataset/coco_lambda.py:215 @245651d
    """
    found = np.full(len(table), NOBODY)
    centers = np.asarray(table.center_xy, np.float32)
    order = np.argsort(table.image_index, kind="stable")
    starts = np.flatnonzero(np.diff(table.image_index[order], prepend=-1))
    for people in np.split(order, starts[1:]):
        if len(people) > 1:
            apart = ((centers[people, None] - centers[None, people]) ** 2).sum(2)
            np.fill_diagonal(apart, np.inf)
            found[people] = people[apart.argmin(1)]
    return found


def inside(
    joints_xy: np.ndarray, visible: np.ndarray, size_wh: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (J, 2) in crop pixels and their visibility, both 0 outside of the crop.

    Source: rawalkhirodkar/MIPNet lib/dataset/JointsLambdaDataset.py:253 @245651d
    """
    within = np.all((joints_xy >= 0) & (joints_xy <= np.array(size_wh)), axis=1)
    return np.where(within[:, None], joints_xy, 0.0), np.where(within, visible, 0.0)


class TwoPeopleCrops(PersonCrops):
    """As PersonCrops, with ``target_primary``, ``weight_primary``, ``target_secondary``, … each.

    Source: rawalkhirodkar/MIPNet lib/dataset/JointsLambdaDataset.py:113 @245651d
    """

    def __init__(self, table: PersonTable, *args: object, **options: object) -> None:
        """As PersonCrops."""
        super().__init__(table, *args, **options)  # type: ignore[arg-type]
        self.partners = partners(table)

    def both(
        self, index: int, crop: Crop, change: Augmentation, photo: Photo
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Joints in crop pixels and visibility of the owner and of the second person."""
        owner = inside(crop.joints_xy, crop.visible, self.image_size_wh)
        if self.partners[index] == NOBODY:
            return [owner, owner]
        other = self.table[self.partners[index]]
        joints_xy, visible = change.joints_of(
            other.joints_xy, other.visible, photo.width_px, self.skeleton.flip_order
        )
        joints_xy = transform_points(joints_xy, crop.matrix)
        second = inside(joints_xy, visible, self.image_size_wh)
        enough = np.count_nonzero(second[1] > 0) >= LEAST_JOINTS
        return [owner, second if enough else owner]

    def encoded(self, index: int, crop: Crop, change: Augmentation, photo: Photo) -> Encoded:
        """The owner's joints, and both people's targets."""
        people = self.both(index, crop, change, photo)
        targets: dict[str, np.ndarray] = {}
        for name, (joints_xy, visible) in zip(INSTANCES, people, strict=True):
            made = self.codec.encode(joints_xy, visible, self.image_size_wh)
            targets |= {f"target_{name}": made["heatmaps"], f"weight_{name}": made["weights"]}
        return Encoded(*people[0], targets)
