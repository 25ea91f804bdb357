"""Crops and their inverse.

Pixel convention of the whole project: coordinates are (x, y), 0-based, and the centre of the first
pixel is (0, 0). Scales are in units of 200 image pixels, as MPII's annotations have them.
"""

from __future__ import annotations

import numpy as np

UNIT_PX = 200.0
"""MPII's unit of person scale, in pixels."""

PADDING = 1.25
"""A box grows by so much before it is cut out."""


def _triangle(corner_xy: np.ndarray, step_xy: np.ndarray) -> np.ndarray:
    """(3, 2) float32: a point, the point one step away, and the step turned by 90 degrees."""
    points = np.zeros((3, 2), np.float32)
    points[0] = corner_xy
    points[1] = np.asarray(corner_xy) + step_xy
    side = points[0] - points[1]
    points[2] = points[1] + np.array([-side[1], side[0]], np.float32)
    return points


def crop_matrix(
    center_xy: np.ndarray,
    scale_wh: np.ndarray,
    rotation_deg: float,
    size_wh: tuple[int, int],
    *,
    inverse: bool = False,
) -> np.ndarray:
    """(2, 3) float64 matrix from image pixels to crop pixels (or back).

    Only the width of ``scale_wh`` is used and the three points are float32, as in the reference,
    because published numbers depend on it. A positive rotation turns the content counter-clockwise.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/utils/transforms.py:57 @6f69e46
    """
    import cv2  # here: scoring a file needs none of it, and it takes its time to load

    # The product is taken as an array: a float32 scale gives a float32 width, as in the reference.
    width_px = float((np.atleast_1d(scale_wh) * UNIT_PX)[0])
    angle = np.pi * rotation_deg / 180
    up_xy = np.array([0.5 * width_px * np.sin(angle), -0.5 * width_px * np.cos(angle)])
    image = _triangle(np.asarray(center_xy, np.float64), up_xy)
    crop_center = np.array([size_wh[0] * 0.5, size_wh[1] * 0.5])
    crop = _triangle(crop_center, np.array([0.0, -0.5 * size_wh[0]], np.float32))
    return cv2.getAffineTransform(crop, image) if inverse else cv2.getAffineTransform(image, crop)


def udp_sides_px(scale_wh: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Width and height (..., 2) of a person in the image, the shorter one grown to that ratio.

    Source: open-mmlab/mmpose mmpose/datasets/transforms/topdown_transforms.py:56 @759b39c
    """
    width, height = np.moveaxis(np.asarray(scale_wh, np.float64) * UNIT_PX, -1, 0)
    ratio = size_wh[0] / size_wh[1]
    wide = width > height * ratio
    return np.stack(
        [np.where(wide, width, height * ratio), np.where(wide, width / ratio, height)], -1
    )


def udp_matrix(
    center_xy: np.ndarray, scale_wh: np.ndarray, rotation_deg: float, size_wh: tuple[int, int]
) -> np.ndarray:
    """As ``crop_matrix``, by UDP: from the first pixel's centre to the last one's are size - 1.

    The matrix is rounded to float32, as in the reference. Turned inputs are sheared a little, as
    ratios of sizes are not those of sizes - 1. The reference turns by a positive angle clockwise,
    this project the other way.

    Source: open-mmlab/mmpose mmpose/structures/bbox/transforms.py:325 @759b39c
    """
    angle = np.deg2rad(-rotation_deg)
    sides = udp_sides_px(scale_wh, size_wh)
    per_px = (np.array(size_wh) - 1) / sides
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 0.5 * sides - turn @ np.asarray(center_xy, np.float64)
    return (np.column_stack([turn, moved]) * per_px[:, None]).astype(np.float32).astype(np.float64)


def transform_points(points_xy: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a (2, 3) matrix to points (..., 2), in float64."""
    return np.asarray(points_xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def flip_points(points_xy: np.ndarray, width_px: int, order: np.ndarray) -> np.ndarray:
    """Mirror points (..., J, 2) in an image of that width and swap left and right joints."""
    flipped = np.array(points_xy, np.float64)[..., order, :]
    flipped[..., 0] = width_px - 1 - flipped[..., 0]
    return flipped


def box_to_center_scale(
    boxes_xywh: np.ndarray, aspect_ratio: float, padding: float = PADDING
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (..., 4) in pixels -> centre (..., 2) and scale (..., 2), float32 as the reference.

    The shorter side grows to the crop's aspect ratio (width / height), then both by ``padding``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:226 @6f69e46
    """
    boxes = np.asarray(boxes_xywh, np.float64)
    x, y, w, h = np.moveaxis(boxes, -1, 0)
    center = np.stack([x + w * 0.5, y + h * 0.5], -1).astype(np.float32)
    tall = w < aspect_ratio * h
    height = np.where(w > aspect_ratio * h, w / aspect_ratio, h)
    width = np.where(tall, h * aspect_ratio, w)
    scale = np.stack([width / UNIT_PX, height / UNIT_PX], -1).astype(np.float32)
    return center, np.where(center[..., :1] != -1, scale * np.float32(padding), scale)
