"""People of images, cut out as a network takes them, and what it found of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import cv2
import numpy as np

from paddle_pose import drawing
from paddle_pose.data.augment import crop_image
from paddle_pose.errors import UserError
from paddle_pose.geometry import PADDING, box_to_center_scale, crop_matrix
from paddle_pose.inference.pixels import Picture, rgb_of
from paddle_pose.limits import LIMITS
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.skeletons import Skeleton

SEEN = 0.1
"""Least score of a joint that a second look goes by."""

AROUND = 1.15
"""A person's box is so many times as large as that of the joints; so LSPET has it."""

_SMALLEST_PX = 20.0

_SHOWN = 10
"""Poses that a printed table names."""


class People(NamedTuple):
    """B people, of one image or of several.

    Attributes:
        place: where their crops lie.
        crops: under each test scale, (B, H, W, 3) uint8 RGB.
    """

    place: Place
    crops: list[np.ndarray]

    def __len__(self) -> int:  # not the number of fields
        return len(self.place.row)

    def part(self, rows: slice) -> People:
        """Some of them."""
        return People(
            Place(*(column[rows] for column in self.place)), [c[rows] for c in self.crops]
        )

    @classmethod
    def joined(cls, parts: Sequence[People]) -> People:
        """Those of several in their order; at least one is needed."""
        place = Place(*(np.concatenate(c) for c in zip(*(p.place for p in parts), strict=True)))
        scales = zip(*(part.crops for part in parts), strict=True)
        return cls(place, [np.concatenate(crops) for crops in scales])


def require_boxes(boxes: Any, where: str = "boxes") -> np.ndarray:
    """(N, 4) float64 left, top, width, height; one box may stand alone; Raises UserError."""
    wanted = "expected rows of left, top, width, height"
    try:
        given = np.array(boxes, np.float64)
    except (TypeError, ValueError, OverflowError) as error:  # of other lengths, or no numbers
        raise UserError(f"{where}: {wanted}, got {boxes!r:.80}") from error
    if not given.size and len(given.shape) and len(given) == 0:
        return np.empty((0, 4))
    given = given[None] if given.shape == (4,) else given
    if given.ndim != 2 or given.shape[1] != 4:
        raise UserError(f"{where}: {wanted}, got {boxes!r:.80}")
    for row in np.flatnonzero(~(np.isfinite(given).all(1) & (given[:, 2:] > 0).all(1)))[:1]:
        box = ", ".join(f"{value:g}" for value in given[row])
        raise UserError(f"{where}[{row}] ({box}): {wanted} in pixels, the last two above 0")
    LIMITS["far_px"].require(float(np.abs(given).max()), where)
    return given


def windows(size_wh: tuple[int, int]) -> np.ndarray:
    """(K, 4) boxes whose crops, padding included, are what a first look takes of an image.

    All of it, and squares of its shorter side, half over one another, along the longer one.
    """
    width, height = size_wh
    side = min(size_wh)
    steps = int(np.ceil(2 * (max(size_wh) - side) / side)) + 1
    corners = np.zeros((steps, 2))
    corners[:, int(height > width)] = np.linspace(0, max(size_wh) - side, steps)
    squares = np.concatenate([corners, np.full((steps, 2), side)], 1)
    crops = np.concatenate([[[0.0, 0, width, height]], squares if steps > 1 else squares[1:]])
    bare = (1 - 1 / PADDING) / 2
    return np.concatenate([crops[:, :2] + bare * crops[:, 2:], crops[:, 2:] / PADDING], 1)


def around(joints_KJ3: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(1, 4) the square around the joints that the surest of K looks saw; else the whole image."""
    joints = joints_KJ3[joints_KJ3[..., 2].mean(1).argmax()]
    seen = joints[joints[:, 2] >= SEEN, :2]
    if len(seen) < 2:
        return windows(size_wh)[:1]
    low, high = seen.min(0), seen.max(0)
    side = AROUND * max(*(high - low).tolist(), _SMALLEST_PX)
    return np.array([[*((low + high - side) / 2), side, side]], np.float64)


def cut_out(
    pixels: np.ndarray,
    boxes_xywh: np.ndarray,
    size_wh: tuple[int, int],
    scales: Sequence[float],
    image_id: int = 0,
    matrix_of: Callable[..., np.ndarray] = crop_matrix,
) -> People:
    """The people in some boxes of one image; ``place.row`` is the box."""
    width, height = size_wh
    center, scale = box_to_center_scale(boxes_xywh, width / height)
    center, scale = center.astype(np.float64), scale.astype(np.float64)
    count = len(boxes_xywh)
    place = Place(
        center_xy=center,
        scale_wh=scale,
        image_id=np.full(count, image_id, np.int64),
        row=np.arange(count),
        joints_xy=np.empty((count, 0, 2)),
        visible=np.empty((count, 0)),
    )
    crops = []
    for factor in scales:
        one = np.empty((count, height, width, 3), np.uint8)
        for row in range(count):
            matrix = matrix_of(center[row], scale[row] * factor, 0.0, size_wh)
            one[row] = crop_image(pixels, matrix, size_wh)
        crops.append(one)
    return People(place, crops)


class Given(NamedTuple):
    """Where somebody says that a picture's people are: (N, 4) boxes and the (N,) scores of these.

    Boxes are left, top, width, height; who scores none scores 1.
    """

    boxes_xywh: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class FoundPoses(Poses):
    """Poses that know their joints, and so can be drawn and written.

    Attributes:
        skeleton: names the joints and limbs.
    """

    skeleton: Skeleton

    @classmethod
    def of(cls, poses: Poses, skeleton: Skeleton) -> FoundPoses:
        """The same poses with their joints' names."""
        return cls(**{f.name: getattr(poses, f.name) for f in fields(Poses)}, skeleton=skeleton)

    def __repr__(self) -> str:
        images, (count, joints) = len(np.unique(self.image_ids)), self.keypoints.shape[:2]
        lines = [f"{count} poses on {images} images, {joints} joints ({self.skeleton.name})"]
        for i in range(min(count, _SHOWN)):
            x, y, width, height = self.boxes_xywh[i]
            lines.append(
                f"  {i}: image {self.image_ids[i]}, score {self.scores[i]:.2f}, crop "
                f"{width:.0f} × {height:.0f} px at ({x:.0f}, {y:.0f})"
            )
        return "\n".join(lines if count <= _SHOWN else [*lines, "  …"])

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints, in the order of ``keypoints``."""
        return self.skeleton.joints

    def plain(self) -> Poses:
        """The same as others have them."""
        return Poses(**{f.name: getattr(self, f.name) for f in fields(Poses)})

    def select(self, keep: np.ndarray) -> FoundPoses:
        """The poses named by an index array or a mask, in that order."""
        return FoundPoses.of(self.plain().select(keep), self.skeleton)

    def of_image(self, image_id: int) -> FoundPoses:
        """Those of one image, of a list its position."""
        return self.select(self.image_ids == image_id)

    def draw(
        self,
        image: Picture,
        *,
        min_score: float = drawing.DRAWN,
        numbers: np.ndarray | None = None,
    ) -> np.ndarray:
        """A copy of the image, (H, W, 3) uint8 RGB, with the poses on it, the best on top.

        Of two poses a box each is of one colour, and the owners' are on top. With ``numbers`` (P,)
        each has the colour of its number, and that above it.

        Raises:
            UserError: no picture, or the poses are of several; ``of_image`` chooses.
        """
        ids = np.unique(self.image_ids)
        if len(ids) > 1:
            raise UserError(f"draw: poses of {len(ids)} images; choose by of_image(0)")
        drawn, two = rgb_of(image).copy(), self.instances.any()
        for row in np.lexsort((self.scores, -self.instances)):
            color = drawing.INSTANCE_RGB[self.instances[row]] if two else None
            if numbers is not None:
                color = drawing.number_rgb(int(numbers[row]))
            pose = self.keypoints[row]
            drawn = drawing.draw_pose(drawn, pose, self.skeleton, min_score=min_score, color=color)
            if numbers is not None:
                drawing.write_number(drawn, pose, int(numbers[row]), min_score=min_score)
        return drawn

    def to_coco(self, image_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Records of COCO's results format: image_id, category_id, keypoints, score.

        Args:
            image_ids: the data set's, of a list of images in its order; else their positions.
        """
        ids = self.image_ids
        if image_ids is not None:
            if len(ids) and ids.max() >= len(image_ids):
                raise UserError(f"to_coco: {len(image_ids)} image_ids for {ids.max() + 1} images")
            ids = np.asarray(image_ids, np.int64)[ids]
        areas = self.boxes_xywh[:, 2] * self.boxes_xywh[:, 3]
        return CocoResults(ids, self.keypoints, self.scores, areas).rows()


def draw_maps(crop_rgb: np.ndarray, maps_JHW: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Each joint's map over the crop in a grid, from its 0 (clear) to its largest value (red)."""
    height, width = crop_rgb.shape[:2]
    panels = []
    for cells in maps_JHW:
        # A map that is about 0 everywhere stays clear.
        part = np.clip(cv2.resize(cells, (width, height)) / max(float(cells.max()), 0.05), 0, 1)
        colors = cv2.applyColorMap((part * 255).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
        cover = 0.7 * part[..., None]
        panels.append((crop_rgb * (1 - cover) + colors * cover).astype(np.uint8))
    names = [
        f"{name} {cells.max():.2f}" for name, cells in zip(skeleton.joints, maps_JHW, strict=True)
    ]
    return drawing.grid(panels, 6, names)
