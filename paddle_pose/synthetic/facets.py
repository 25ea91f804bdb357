"""Facets: shaded quadrilaterals in the camera frame, painted from back to front.

Camera frame: x to the image's right, y up, z towards the camera; unit: head lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

OVERSAMPLING = 2
"""Facets are drawn this much larger and averaged down: that is the anti-aliasing."""

_SUBPIXEL_BITS = 4


@dataclass
class Facets:
    """Coloured quadrilaterals in the camera frame, collected part by part."""

    corners: list[np.ndarray]
    colours: list[np.ndarray]
    bias: list[np.ndarray]

    def add(self, rings: np.ndarray, colours: np.ndarray, bias: float = 0.0) -> None:
        """A closed tube: rings (R, S, 3), counter-clockwise seen from its end; colours (R-1, S, 3).

        ``bias`` is added to the depth that decides the painting order.
        """
        turned = np.roll(rings, -1, axis=1)
        quads = np.stack([rings[:-1], turned[:-1], turned[1:], rings[1:]], axis=2)
        self.corners.append(quads.reshape(-1, 4, 3))
        self.colours.append(np.broadcast_to(colours, (*quads.shape[:2], 3)).reshape(-1, 3))
        self.bias.append(np.full(quads.shape[0] * quads.shape[1], bias))

    def add_quad(self, corners: np.ndarray, colour: np.ndarray, bias: float) -> None:
        """One flat quadrilateral (4, 3), counter-clockwise seen from its visible side."""
        self.corners.append(corners[None])
        self.colours.append(np.asarray(colour, np.float64)[None])
        self.bias.append(np.array([bias]))


_CAP_DEG = np.array([80.0, 55.0, 28.0])


def add_tube(
    facets: Facets,
    start: np.ndarray,
    end: np.ndarray,
    profile: list[tuple[float, float]],
    colour_at: Callable[[np.ndarray], np.ndarray],
    *,
    segments: int = 14,
    bias: float = 0.0,
    lighter_towards: np.ndarray | None = None,
) -> None:
    """A tapered capsule whose radius follows ``profile`` (fraction of the length, radius).

    ``lighter_towards``, a vector shorter than one, tints the side that it points to.
    """
    axis = end - start
    length = float(np.linalg.norm(axis)) or 1e-6
    axis = axis / length
    side = np.cross(axis, [0.3, 0.2, 0.93])
    side /= np.linalg.norm(side) or 1e-6
    other = np.cross(axis, side)
    knots = np.array(profile)
    inner = np.linspace(knots[0, 0], knots[-1, 0], max(4, int(length * 6)))
    radius = np.interp(inner, knots[:, 0], knots[:, 1])
    cap = np.deg2rad(_CAP_DEG)
    first, last = radius[0], radius[-1]
    along = np.concatenate(
        [inner[0] * length - first * np.sin(cap), inner * length,
         inner[-1] * length + last * np.sin(cap[::-1])]
    )  # fmt: skip
    radii = np.concatenate([first * np.cos(cap), radius, last * np.cos(cap[::-1])])
    theta = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    circle = np.cos(theta)[:, None] * side + np.sin(theta)[:, None] * other
    rings = start + along[:, None, None] * axis + radii[:, None, None] * circle
    middle = 0.5 * (along[1:] + along[:-1]) / length
    tint = np.ones(segments) if lighter_towards is None else 1 + circle @ lighter_towards
    facets.add(rings, colour_at(middle)[:, None, :] * tint[:, None], bias)


def add_ellipsoid(
    facets: Facets,
    center: np.ndarray,
    frame: np.ndarray,
    radii: tuple[float, float, float],
    colour: np.ndarray,
    *,
    bias: float = 0.0,
    shape: tuple[int, int] = (8, 12),
) -> None:
    """An ellipsoid with its half axes along the columns of ``frame``."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, shape[0])[:, None]
    theta = np.linspace(0, 2 * np.pi, shape[1], endpoint=False)
    local = np.stack(
        [
            radii[0] * np.cos(latitude) * np.cos(theta),
            radii[1] * np.sin(latitude) * np.ones_like(theta),
            -radii[2] * np.cos(latitude) * np.sin(theta),
        ],
        axis=-1,
    )
    facets.add(center + local @ frame.T, np.asarray(colour), bias)


def bands(*bands: tuple[float, np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Colours along a limb: each band ends at its fraction, the last one with the limb."""
    ends = np.array([end for end, _ in bands[:-1]])
    colours = np.array([colour for _, colour in bands])
    return lambda fraction: colours[np.searchsorted(ends, fraction)]


def paint(
    facets: Facets,
    origin_px: np.ndarray,
    unit_px: float,
    camera_distance: float,
    light: np.ndarray,
    size_wh: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw facets; returns colour (H, W, 3), premultiplied, and coverage (H, W) in 0..1."""
    corners = np.concatenate(facets.corners)
    pixels = project(corners, origin_px, unit_px, camera_distance)
    # Twice the signed area in the image, whose y points down: negative faces the camera.
    across, along = pixels[:, 2] - pixels[:, 0], pixels[:, 3] - pixels[:, 1]
    seen = np.flatnonzero(across[:, 0] * along[:, 1] - across[:, 1] * along[:, 0] < 0)
    depth = corners[seen, :, 2].mean(1) + np.concatenate(facets.bias)[seen]
    order = seen[np.argsort(depth, kind="stable")]
    colours, corners = np.concatenate(facets.colours)[order], corners[order]
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    facing = np.clip(normal[:, 2:], 0, 1)
    shade = 0.56 + 0.5 * np.clip(normal @ light, 0, 1)[:, None]
    shade *= 0.62 + 0.38 * np.sqrt(facing)  # darker towards the outline: parts stand apart
    shaded = np.clip(colours * shade, 0, 255)
    big = (pixels[order] + 0.5) * OVERSAMPLING - 0.5
    quads = np.rint(big * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    width, height = size_wh
    canvas = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING, 4), np.uint8)
    for quad, colour in zip(quads, shaded.tolist(), strict=True):
        cv2.fillConvexPoly(canvas, quad, (*colour, 255.0), cv2.LINE_8, _SUBPIXEL_BITS)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small[..., :3], small[..., 3] / 255.0


def project(
    points: np.ndarray, origin_px: np.ndarray, unit_px: float, camera_distance: float
) -> np.ndarray:
    """(..., 2) image pixels, 0-based, of camera-frame points (..., 3) in head lengths."""
    nearness = camera_distance / (camera_distance - points[..., 2:])
    return origin_px + unit_px * points[..., :2] * nearness * np.array([1.0, -1.0])
