"""Random changes of a training crop, drawn as parameters first and then applied.

The order is HRNet's: half body, scale and rotation, flip. Two of its quirks are kept: mirroring
sets missing joints to (0, 0), and half body picks the upper body first in 69 % of the cases
(a standard normal below 0.5). One is not: HRNet's MPII data set cannot do half body (it lacks an
aspect ratio); here the ratio is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from paddle_pose.data.dpg import draw_jitter, jittered
from paddle_pose.data.pixels import Colors, Holes
from paddle_pose.data.records import PersonRecord
from paddle_pose.errors import UserError, nearest
from paddle_pose.geometry import (
    UNIT_PX,
    box_to_center_scale,
    crop_matrix,
    flip_points,
    transform_points,
)
from paddle_pose.settings import AugmentSettings
from paddle_pose.skeletons import Skeleton

DISTRIBUTIONS = ("normal", "uniform", "truncated")


class Photo(NamedTuple):
    """A decoded image, perhaps reduced.

    Attributes:
        pixels_HWC: uint8 RGB.
        width_px: of the whole image.
        reduction: 1, 2, 4 or 8; a pixel stands for a block of so many whole ones in a square.
    """

    pixels_HWC: np.ndarray
    width_px: int
    reduction: int

    def whole_from_reduced(self, *, flip: bool) -> np.ndarray:
        """(3, 3) matrix from these pixels to the whole image's; of both mirrored with ``flip``.

        The centre of block 0 is pixel (reduction - 1) / 2. Where the last block sticks out of the
        image, a mirrored image begins with it.
        """
        first_xy = np.full(2, (self.reduction - 1) / 2)
        if flip:
            last_block = self.reduction * (self.pixels_HWC.shape[1] - 1)
            first_xy[0] = self.width_px - 1 - last_block - first_xy[0]
        matrix = np.diag([self.reduction, self.reduction, 1.0])
        matrix[:2, 2] = first_xy
        return matrix


class Crop(NamedTuple):
    """What one change makes of one person's photo.

    Attributes:
        image_HWC: uint8 RGB.
        matrix: (2, 3) from pixels of the (mirrored) image to those of the crop.
        center_xy, scale_wh: (2,) of the crop, pixels of the (mirrored) image and units of 200.
        joints_xy: (J, 2) float64 pixels of the crop.
        visible: (J,).
    """

    image_HWC: np.ndarray
    matrix: np.ndarray
    center_xy: np.ndarray
    scale_wh: np.ndarray
    joints_xy: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Augmentation:
    """One drawn change.

    Attributes:
        scale: multiplies the crop's size.
        rotation_deg: positive turns the content counter-clockwise.
        flip: mirror the image, its centre and joints; left and right joints swap.
        half_body: (center_xy, scale_wh) that replace the person's own, or None; of half the body,
            else of the box that DPG jittered.
        shift: moves the crop centre by (x, y) crop widths and heights.
        color: factors of red, green, blue.
        pixels: what else is done to the crop, at the end.
    """

    scale: float = 1.0
    rotation_deg: float = 0.0
    flip: bool = False
    half_body: tuple[np.ndarray, np.ndarray] | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pixels: Holes | Colors | None = None

    def view(
        self,
        record: PersonRecord,
        photo: Photo,
        size_wh: tuple[int, int],
        flip_order: np.ndarray,
        *,
        move_unseen: bool = True,
        matrix_of: Callable[..., np.ndarray] = crop_matrix,
    ) -> Crop:
        """The crop of that size, its matrix (by ``matrix_of``) and its joints, in one visit.

        Without ``move_unseen`` joints that are not visible stay at their places in the (mirrored)
        image, as AlphaPose's do.
        """
        center, scale = record.center_xy, record.scale_wh
        if self is not STILL:  # which keeps the record's own bits, as the reference's test crop
            center, scale = self.crop_of(center, scale, photo.width_px)
        matrix = from_photo = matrix_of(center, scale, self.rotation_deg, size_wh)
        if photo.reduction > 1:
            from_photo = matrix @ photo.whole_from_reduced(flip=self.flip)
        image = crop_image(photo.pixels_HWC, from_photo, size_wh, flip=self.flip)
        joints, visible = self.joints_of(
            record.joints_xy, record.visible, photo.width_px, flip_order
        )
        moved = transform_points(joints, matrix)
        joints = moved if move_unseen else np.where((visible > 0)[:, None], moved, joints)
        return Crop(self.colors_of(image), matrix, center, scale, joints, visible)

    def crop_of(
        self, center_xy: np.ndarray, scale_wh: np.ndarray, image_width_px: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Centre (in the mirrored image if ``flip``) and scale of the crop to take."""
        center, scale = self.half_body if self.half_body is not None else (center_xy, scale_wh)
        center = np.array(center)
        scale = np.asarray(scale, np.float64) * self.scale
        if self.shift != (0.0, 0.0):
            center = center + np.array(self.shift) * scale * UNIT_PX
        if self.flip:
            center[:1] = image_width_px - center[:1] - 1  # an array keeps its type in any numpy
        return center, scale

    def joints_of(
        self,
        joints_xy: np.ndarray,
        visible: np.ndarray,
        image_width_px: int,
        flip_order: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joints in the pixels of the (mirrored) image, and their visibility.

        Source: leoxiaobin/deep-high-resolution-net.pytorch lib/utils/transforms.py:32 @6f69e46
        """
        if not self.flip:
            return np.array(joints_xy, np.float64), np.array(visible)
        visible = np.asarray(visible)[flip_order]
        joints = flip_points(joints_xy, image_width_px, flip_order)
        joints[visible <= 0] = 0
        return joints, visible

    def colors_of(self, image_HWC: np.ndarray) -> np.ndarray:
        """The uint8 RGB image with its channels multiplied, rounded and clipped; and ``pixels``."""
        if self.color != (1.0, 1.0, 1.0):
            changed = image_HWC * np.array(self.color, np.float32)
            image_HWC = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
        return image_HWC if self.pixels is None else self.pixels.of(image_HWC)


STILL = Augmentation()
"""Changes nothing: the test crop."""


def crop_image(
    image_HWC: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int], *, flip: bool = False
) -> np.ndarray:
    """Warp by a (2, 3) matrix from image to crop pixels, bilinear, black outside.

    With ``flip`` the matrix refers to the mirrored image.
    """
    source = cv2.flip(image_HWC, 1) if flip else image_HWC
    return cv2.warpAffine(source, matrix, size_wh, flags=cv2.INTER_LINEAR)


def draw(
    settings: AugmentSettings,
    record: PersonRecord,
    skeleton: Skeleton,
    aspect_ratio: float,
    rng: np.random.Generator,
    image_size_wh: tuple[int, int] | None = None,
) -> Augmentation:
    """A random augmentation of one person; ``aspect_ratio`` is the crop's width / height.

    Raises:
        UserError: unknown distribution, with the nearest name; or DPG without box or image size.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/JointsDataset.py:145 @6f69e46
    """
    if settings.distribution not in DISTRIBUTIONS:
        hint = nearest(settings.distribution, DISTRIBUTIONS)
        raise UserError(f"augment.distribution: unknown '{settings.distribution}'{hint}")
    half = None
    if settings.dpg:
        if record.box_xywh is None or image_size_wh is None:
            raise UserError("augment.dpg: jitters boxes, and these people have none; MPII has none")
        box = jittered(record.box_xywh, draw_jitter(rng), image_size_wh)
        half = box_to_center_scale(box, aspect_ratio)
    enough = np.count_nonzero(record.visible > 0) > settings.half_body_min_joints
    if settings.half_body_probability and enough and rng.random() < settings.half_body_probability:
        found = half_body(
            record.joints_xy,
            record.visible,
            skeleton,
            aspect_ratio,
            pick_first_upper=bool(rng.standard_normal() < 0.5),
        )
        half = half if found is None else found
    scale = 1 + _spread(settings.distribution, settings.scale_factor, 1, rng)
    rotation_deg = 0.0
    if rng.random() <= settings.rotation_probability:
        rotation_deg = _spread(settings.distribution, settings.rotation_deg, 2, rng)
    flip = bool(rng.random() < settings.flip_probability)
    shift, color = (0.0, 0.0), (1.0, 1.0, 1.0)
    often = settings.shift_probability
    if settings.shift_factor and (often == 1 or rng.random() < often):
        if settings.distribution == "truncated":  # of the size before it is scaled
            steps = settings.shift_factor / scale * np.array([_within_one(rng) for _ in range(2)])
        else:
            limit = 2 * settings.shift_factor
            steps = np.clip(settings.shift_factor * rng.standard_normal(2), -limit, limit)
        shift = (float(steps[0]), float(steps[1]))
    if settings.color_jitter:
        red, green, blue = rng.uniform(1 - settings.color_jitter, 1 + settings.color_jitter, 3)
        color = (float(red), float(green), float(blue))
    return Augmentation(scale, rotation_deg, flip, half, shift, color)


def _spread(distribution: str, width: float, limit: float, rng: np.random.Generator) -> float:
    """Normal of that deviation clipped at ±limit × width; or uniform, or truncated, in ±width."""
    if distribution == "truncated":
        return width * _within_one(rng)
    if distribution == "uniform":
        return float(rng.uniform(-width, width))
    return float(np.clip(rng.standard_normal() * width, -limit * width, limit * width))


def _within_one(rng: np.random.Generator) -> float:
    """A normal within ±1, as the 68 % of draws that are.

    Source: open-mmlab/mmpose mmpose/datasets/transforms/common_transforms.py:487 @759b39c
    """
    while abs(found := float(rng.standard_normal())) > 1:
        pass
    return found


def half_body(
    joints_xy: np.ndarray,
    visible: np.ndarray,
    skeleton: Skeleton,
    aspect_ratio: float,
    *,
    pick_first_upper: bool,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Centre (2,) and scale (2,), float32, around the upper or the lower body; None if too few.

    ``pick_first_upper`` asks for the upper body, which needs three visible joints; so does the
    lower body, else it is the upper after all. The box of the joints grows by half.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/JointsDataset.py:65 @6f69e46
    """
    is_visible, is_upper = np.asarray(visible) > 0, skeleton.upper_body_mask
    upper, lower = joints_xy[is_visible & is_upper], joints_xy[is_visible & ~is_upper]
    use_upper = (pick_first_upper and len(upper) > 2) or len(lower) <= 2
    points = np.asarray(upper if use_upper else lower, np.float32)
    if len(points) < 2:
        return None
    width, height = points.max(axis=0) - points.min(axis=0)
    if width > aspect_ratio * height:
        height = width / aspect_ratio
    elif width < aspect_ratio * height:
        width = height * aspect_ratio
    scale = np.array([width / UNIT_PX, height / UNIT_PX], np.float32) * np.float32(1.5)
    return points.mean(axis=0), scale
