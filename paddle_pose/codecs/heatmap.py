"""Joints ⇄ heat maps: Gaussian targets, ways to read a maximum, merging with the mirror image.

Followed from HRNet: the rounding of the target's centre, the empty patch that keeps weight 1, the
quarter offset that needs both axes inside, (0, 0) for an empty map. The two decoders that mmpose
has its own rules for (``quarter_offset_per_axis``, ``dark``) follow mmpose: -1 for an empty map.
Not here: what DARK and UDP do otherwise (``unbiased``) and the integral. OpenCV is imported where
it works: reading a recipe needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from paddle_pose.codecs import unbiased
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError, nearest
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import DECODERS, Benchmark

MAPS = ("heatmaps", "logits")
"""What a network may put out (HeatmapCodec.maps)."""

ENCODINGS = ("cell", "unbiased", "udp")
"""Where a target's Gaussian stands (HeatmapCodec.encoding)."""


@dataclass(frozen=True)
class HeatmapCodec:
    """Heat-map targets: Gaussian of ``sigma_px`` heat-map cells, ``stride`` input pixels a cell.

    ``maps`` says what the network puts out: ``heatmaps`` (as published) or ``logits``, whose
    softmax over the cells is scaled so that a perfect map is the Gaussian.
    ``encoding``: ``cell``, the Gaussian stands on the nearest cell; ``unbiased``, at the joint
    (DARK); ``udp``, at the joint, and from the first to the last cell's centre are size - 1 cells,
    as in the crop that such a network sees (UDP).
    """

    sigma_px: float = 2.0
    stride: int = 4
    maps: str = "heatmaps"
    encoding: str = "cell"

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """Joints (J, 2) in crop pixels -> ``heatmaps`` (J, h, w) and ``weights`` (J,), float32.

        A weight is the joint's ``visible`` value, and 0 where the Gaussian lies wholly outside.
        Quirk: one that ends exactly at the border (exclusive end 0) draws nothing and keeps its
        weight.

        Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/JointsDataset.py:233
        @6f69e46
        """
        width, height = image_size_wh[0] // self.stride, image_size_wh[1] // self.stride
        if self.encoding != "cell":
            at = unbiased.cells_of(
                joints_xy, image_size_wh, (width, height), udp=self.encoding == "udp"
            )
            return unbiased.gaussians(
                at, visible, (width, height), self.sigma_px, cut=self.encoding == "udp"
            )
        cell_x_px, cell_y_px = image_size_wh[0] / width, image_size_wh[1] / height
        heatmaps = np.zeros((len(joints_xy), height, width), np.float32)
        weights = np.array(visible, np.float32)
        patch = _gaussian_patch(float(self.sigma_px))
        for joint in np.flatnonzero(weights > 0.5):
            x, y = joints_xy[joint].tolist()
            columns = _patch_range(int(x / cell_x_px + 0.5), self.sigma_px, width)
            rows = _patch_range(int(y / cell_y_px + 0.5), self.sigma_px, height)
            if columns is None or rows is None:
                weights[joint] = 0
                continue
            left, right, patch_left = columns
            top, bottom, patch_top = rows
            heatmaps[joint, top:bottom, left:right] = patch[
                patch_top : patch_top + bottom - top, patch_left : patch_left + right - left
            ]
        return {"heatmaps": heatmaps, "weights": weights}

    def heatmaps(self, views: Sequence[View], flip_order: np.ndarray, *, shift: bool) -> np.ndarray:
        """(B, J, h, w) float32, about 1 at a joint that is certain: the mean over all views.

        Raises:
            UserError: a view whose scale is not positive, or none at all.
        """
        scales = [view.scale for view in views]
        if not scales or min(scales) <= 0:
            raise UserError(f"test_scales={scales}: must be positive numbers, such as [1.0]")
        maps = []
        for view in views:
            one = self._positive(view.outputs["heatmaps"])
            if view.mirrored is not None:
                one = merge_flip(one, self._positive(view.mirrored["heatmaps"]), flip_order, shift)
            maps.append(rescale_maps(one, view.scale, without=int(self.encoding == "udp")))
        return maps[0] if len(maps) == 1 else np.mean(maps, axis=0)

    def _positive(self, maps_BJHW: np.ndarray) -> np.ndarray:
        """Maps as they left the network -> float32 heat maps.

        Logits become a distribution over the cells × 2πσ², the sum of the Gaussian of peak 1.
        """
        maps_BJHW = _float32(maps_BJHW)
        if self.maps == "heatmaps":
            return maps_BJHW
        cells_BJHW = np.exp(maps_BJHW - maps_BJHW.max((2, 3), keepdims=True))
        gaussian_sum = np.float32(2 * math.pi * self.sigma_px**2)
        cells_BJHW *= gaussian_sum / cells_BJHW.sum((2, 3), keepdims=True)
        return cells_BJHW

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """One pose for each of the B inputs; a joint's score is its map's maximum.

        Raises:
            UserError: unknown decoder, impossible scales.
        """
        maps = self.heatmaps(views, flip_order, shift=benchmark.shift_heatmap)
        cells, scores = self.cells(maps, benchmark.decoder)
        image_xy = self.to_image(cells, place, (maps.shape[3], maps.shape[2]))
        return Poses.at(place, np.concatenate([image_xy, scores[..., None]], axis=2))

    def cells(self, maps_BJHW: np.ndarray, decoder: str) -> tuple[np.ndarray, np.ndarray]:
        """As ``decode`` below, which knows most decoders; and those of ``unbiased.SUBCELL``.

        ``dark_11``: DARK after a blur of 11 cells, whatever ``sigma_px`` is (mmpose 1.x).
        ``dark_3``: after one of 3, and (0, 0) for an empty map (PaddleDetection).
        ``udp``: UDP's step, after a blur that follows ``sigma_px``; ``udp_11``: of 11 cells
        (mmpose 1.x); ``udp_mirrored``: as ``udp``, but beyond its border a map is mirrored where
        it else is 0, and it is not scaled to its maximum again (mmpose 0.x).
        """
        if decoder not in unbiased.SUBCELL:
            return decode(maps_BJHW, decoder, sigma_px=self.sigma_px)
        sigma_px = self.sigma_px if decoder in ("udp", "udp_mirrored") else 2.0
        if decoder == "dark_11":
            return decode(maps_BJHW, "dark", sigma_px=sigma_px)
        if decoder == "dark_3":
            cells, scores = decode(maps_BJHW, "dark", sigma_px=1.0)
            cells[scores <= 0] = 0
            return cells, scores
        cells, scores = decode(maps_BJHW, "argmax", sigma_px=sigma_px)
        cells[scores <= 0] = -1
        mirrored = decoder == "udp_mirrored"
        step = unbiased.udp_step(
            _float32(maps_BJHW), cells, scores, dark_kernel(sigma_px), mirrored=mirrored
        )
        return cells + step, scores

    def to_image(
        self, cells_xy: np.ndarray, place: Place, heatmap_size_wh: tuple[int, int]
    ) -> np.ndarray:
        """Joints (B, J, 2) in cells -> image pixels: what undoes the crop and the encoding."""
        way = unbiased.udp_to_image if self.encoding == "udp" else to_image
        return way(cells_xy, place.center_xy, place.scale_wh, heatmap_size_wh)

    def require_sound(self, image_size_wh: tuple[int, int], loss: str) -> None:
        """Raises UserError for values that no training can have, by their keys."""
        width, height = image_size_wh
        if self.stride < 1 or width % self.stride or height % self.stride:
            raise UserError(
                f"codec.stride: must divide data.image_size_wh, {width}×{height}, got {self.stride}"
            )
        widest = max(width, height) / self.stride
        if not 0 < self.sigma_px <= widest:
            raise UserError(
                f"codec.sigma_px: must be above 0 and at most the map's {widest:g} cells, "
                f"got {self.sigma_px}"
            )
        if self.encoding not in ENCODINGS:
            raise UserError(
                f"codec.encoding: unknown '{self.encoding}'{nearest(self.encoding, ENCODINGS)}"
            )
        if self.maps not in MAPS:
            raise UserError(f"codec.maps: unknown '{self.maps}'{nearest(self.maps, MAPS)}")
        if (self.maps == "logits") != (loss == "cell_cross_entropy"):
            raise UserError(
                f"codec.maps={self.maps} does not go with train.loss={loss}: "
                "logits and cell_cross_entropy belong together"
            )


@lru_cache(maxsize=8)
def _gaussian_patch(sigma_px: float) -> np.ndarray:
    """(S, S) float32 Gaussian of peak 1 that reaches 3 sigma; S = int(6 sigma) + 1."""
    steps = np.arange(0, 6 * sigma_px + 1, 1, np.float32)
    squares = (steps - np.float32((6 * sigma_px + 1) // 2)) ** 2
    patch = np.exp(-(squares[None] + squares[:, None]) / np.float32(2 * sigma_px**2))
    patch.setflags(write=False)  # one array serves every caller
    return patch


def _patch_range(center: int, sigma_px: float, cells: int) -> tuple[int, int, int] | None:
    """Begin and end in the map, begin in the patch; None if the patch lies outside the map.

    ``int`` truncates toward zero, so with a fractional ``3 * sigma_px`` a patch that is cut at the
    left or upper border stands one cell further in than its centre says. The reference has it so.
    """
    begin, end = int(center - 3 * sigma_px), int(center + 3 * sigma_px + 1)
    if begin >= cells or end < 0:
        return None
    return max(0, begin), min(end, cells), max(0, -begin)


def decode(
    heatmaps_BJHW: np.ndarray, decoder: str, *, sigma_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Heat maps -> joints (B, J, 2) float32 in heat-map cells and scores (B, J), the maxima.

    Decoders: ``argmax``; ``quarter_offset``, a quarter cell toward the higher neighbour where both
    axes are inside (HRNet); ``quarter_offset_per_axis``, each axis for itself (mmpose); ``dark``,
    a Taylor step on the blurred logarithm, whose blur follows ``sigma_px`` (mmpose, DARK).
    A map without a positive value gives (0, 0) in the first two, (-1, -1) in the others.

    Raises:
        UserError: unknown decoder, with the nearest name.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/core/inference.py:18 @6f69e46;
    open-mmlab/mmpose mmpose/codecs/utils/refinement.py:10 @759b39c
    """
    if decoder not in DECODERS:
        raise UserError(f"unknown decoder '{decoder}'{nearest(decoder, DECODERS)}")
    maps = _float32(heatmaps_BJHW)
    people, joints, height, width = maps.shape
    flat = maps.reshape(people * joints, height * width)
    cells = flat.argmax(axis=1)
    y, x = np.divmod(cells, width)
    # The maximum, and what stands right, left, below and above: used where that is in the map.
    around = cells + np.arange(len(flat)) * (height * width)
    around = around + np.array([0, 1, -1, width, -width])[:, None]
    scores, right, left, below, above = flat.take(around, mode="clip") if len(flat) else flat.T[:5]
    is_peak = scores > 0
    coords = np.stack([x, y], axis=1).astype(np.float32)
    coords[~is_peak] = 0 if decoder in ("argmax", "quarter_offset") else -1
    if decoder in ("quarter_offset", "quarter_offset_per_axis"):
        inside_x, inside_y = (x > 1) & (x < width - 1), (y > 1) & (y < height - 1)
        if decoder == "quarter_offset":
            inside_x = inside_y = inside_x & inside_y
        else:  # mmpose leaves a joint in the first row or column where it is
            inside_x, inside_y = inside_x & (y > 0), inside_y & (x > 0)
        coords[:, 0] += _quarter(right - left, inside_x & is_peak)
        coords[:, 1] += _quarter(below - above, inside_y & is_peak)
    coords, scores = coords.reshape(people, joints, 2), scores.reshape(people, joints)
    if decoder == "dark":
        _refine_dark(coords, scores, maps, sigma_px)
    return coords, scores


def _float32(maps: np.ndarray) -> np.ndarray:
    """Maps of any precision in float32; uint16 are the bits of Paddle's bfloat16."""
    if maps.dtype == np.uint16:
        return (maps.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(maps, np.float32)


def _quarter(slope: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """A quarter toward the higher neighbour; 0 where not inside."""
    return np.where(inside, np.sign(slope) * np.float32(0.25), np.float32(0))


def _refine_dark(
    coords_xy: np.ndarray, scores: np.ndarray, maps_BJHW: np.ndarray, sigma_px: float
) -> None:
    """Move maxima (B, J, 2), in place, by DARK's step where their surroundings are inside."""
    people, joints, height, width = maps_BJHW.shape
    flat = coords_xy.reshape(-1, 2)
    x, y = flat.astype(np.int64).T
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2) & (scores.reshape(-1) > 0)
    rows = np.flatnonzero(inside)
    maps = maps_BJHW.reshape(people * joints, height, width)[rows]
    flat[rows] += _dark_step(maps, y[rows], x[rows], dark_kernel(sigma_px))


def dark_kernel(sigma_px: float) -> int:
    """Blur width in cells for DARK: 11 for sigma 2, 17 for 3, 7 for 1.5, 3 for 1, as in mmpose.

    The largest odd width whose OpenCV default sigma, 0.3 ((k - 1) / 2 - 1) + 0.8, is not above.
    """
    return 2 * max(1, int((sigma_px - 0.8) / 0.3 + 1 + 1e-6)) + 1


def _dark_step(maps: np.ndarray, y: np.ndarray, x: np.ndarray, kernel: int) -> np.ndarray:
    """(N, 2) Newton step from the maxima (x, y) of positive maps (N, H, W)."""
    if not len(maps):
        return np.zeros((0, 2), np.float32)
    import cv2

    count, height, width = maps.shape
    # All maps below each other, kept apart by as many empty rows as the blur reaches: one call.
    tall = np.zeros((count, height + kernel // 2, width), np.float32)
    tall[:, :height] = maps
    blurred = cv2.GaussianBlur(
        tall.reshape(-1, width), (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT
    ).reshape(tall.shape)[:, :height]
    peak = maps.max(axis=(1, 2)) / blurred.max(axis=(1, 2))
    index = np.arange(count)

    def log_at(down: int, right: int) -> np.ndarray:
        return np.log(np.maximum(blurred[index, y + down, x + right] * peak, np.float32(1e-10)))

    middle = log_at(0, 0)
    dx = 0.5 * (log_at(0, 1) - log_at(0, -1))
    dy = 0.5 * (log_at(1, 0) - log_at(-1, 0))
    dxx = 0.25 * (log_at(0, 2) - 2 * middle + log_at(0, -2))
    dyy = 0.25 * (log_at(2, 0) - 2 * middle + log_at(-2, 0))
    dxy = 0.25 * (log_at(1, 1) - log_at(-1, 1) - log_at(1, -1) + log_at(-1, -1))
    determinant = dxx * dyy - dxy**2
    safe = np.where(determinant == 0, 1, determinant)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / safe[:, None]
    step[determinant == 0] = 0
    return step


def merge_flip(
    heatmaps_BJHW: np.ndarray, flipped_BJHW: np.ndarray, flip_order: np.ndarray, shift: bool
) -> np.ndarray:
    """Mean, in float32, of the heat maps and those of the mirrored image, mirrored back.

    ``shift`` moves the latter one cell to the right first (column 0 stays): an even image width
    and an odd number of strides leave the mirrored maps one cell off.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/core/function.py:141 @6f69e46
    """
    import cv2

    maps = _float32(heatmaps_BJHW)
    swapped = _float32(flipped_BJHW).take(flip_order, axis=1).reshape(-1, maps.shape[3])
    merged, first = np.empty_like(swapped), int(shift)
    cv2.flip(swapped[:, first:], 1, merged[:, first:])  # NumPy's [::-1] takes ten times as long
    if shift:
        merged[:, 0] = swapped[:, -1]
    merged = merged.reshape(maps.shape)
    merged += maps
    merged *= np.float32(0.5)
    return merged


def rescale_maps(maps_BJHW: np.ndarray, scale: float, *, without: int = 0) -> np.ndarray:
    """Heat maps of a crop ``scale`` times as large -> on the cells of the plain crop, bilinear.

    Both crops share their centre, which lies at half the map's size (see ``to_image``), ``without``
    one cell by UDP.
    """
    if scale == 1.0:
        return maps_BJHW
    import cv2

    people, joints, height, width = maps_BJHW.shape
    shift_xy = 0.5 * np.array([width - without, height - without]) * (1 - 1 / scale)
    matrix = np.column_stack([np.eye(2) / scale, shift_xy])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flat = maps_BJHW.reshape(people * joints, height, width)
    moved = [cv2.warpAffine(one, matrix, (width, height), flags=flags) for one in flat]
    return np.stack(moved).reshape(maps_BJHW.shape)


def to_image(
    coords_xy: np.ndarray,
    center_xy: np.ndarray,
    scale_wh: np.ndarray,
    heatmap_size_wh: tuple[int, int],
) -> np.ndarray:
    """Joints (B, J, 2) in heat-map cells -> image pixels, for crops (B, 2) without rotation.

    The inverse of ``geometry.crop_matrix`` for all people at once, with the same float32 corner
    points; only the width of ``scale_wh`` counts, and no half cell is added (as the reference).

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/utils/transforms.py:49 @6f69e46
    """
    half_width, half_height = heatmap_size_wh[0] * 0.5, heatmap_size_wh[1] * 0.5
    middle = np.asarray(center_xy, np.float32)
    width_px = (np.asarray(scale_wh) * UNIT_PX)[:, 0].astype(np.float64)
    top_y = (np.asarray(center_xy, np.float64)[:, 1] - 0.5 * width_px).astype(np.float32)
    left_x = middle[:, 0] - (middle[:, 1] - top_y)
    # From here on float64: only the three points are rounded, not what follows from them.
    middle = middle.astype(np.float64)
    pixels_per_cell = (middle - np.stack([left_x, top_y], axis=1)) / half_width
    from_middle = np.asarray(coords_xy, np.float64) - (half_width, half_height)
    return from_middle * pixels_per_cell[:, None] + middle[:, None]
