"""Joints ⇄ a disc and two maps of offsets each, as UDP has them ("udp regress").

Of the maps of a joint the first says which cells are near it, the others how far it is from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec, dark_kernel, decode
from paddle_pose.codecs.unbiased import cells_of
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark

OFFSETS = ("offsets", "offsets_blurred")
"""Its decoders (OffsetCodec.cells)."""


@dataclass(frozen=True)
class OffsetCodec(HeatmapCodec):
    """As HeatmapCodec by UDP, with three maps of each joint, one after another.

    Attributes:
        sigma_px: says how far decoding blurs the disc: 2 × (the width of DARK's blur) + 1 cells.
        encoding: is ``udp``.
        radius: of the disc, of the map's longer side: 3.5 cells of 64.
    """

    encoding: str = "udp"
    radius: float = 0.0546875

    maps_per_joint = 3

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """-> ``heatmaps`` (3J, h, w): disc, x and y in radii from each cell; ``weights`` (J,).

        A joint outside the input keeps its weight.

        Source: open-mmlab/mmpose mmpose/codecs/utils/offset_heatmap.py:8 @759b39c
        """
        width, height = image_size_wh[0] // self.stride, image_size_wh[1] // self.stride
        at = cells_of(joints_xy, image_size_wh, (width, height), udp=True)
        radius_px = self.radius * max(width, height)
        weights = np.array(visible, np.float32)
        x, y = np.where(weights > 0.5, at.T, np.nan)[..., None, None]
        across = np.broadcast_to((x - np.arange(width)) / radius_px, (len(at), height, width))
        down = np.broadcast_to((y - np.arange(height)[:, None]) / radius_px, across.shape)
        maps = np.stack([across**2 + down**2 <= 1, across, down], axis=1)
        maps = np.nan_to_num(maps.astype(np.float32)).reshape(-1, height, width)
        return {"heatmaps": maps, "weights": weights}

    def heatmaps(self, views: Sequence[View], flip_order: np.ndarray, *, shift: bool) -> np.ndarray:
        """(B, J, h, w) float32, the discs, as HeatmapCodec."""
        return self.merged(views, flip_order, shift=shift)[:, ::3]

    def merged(self, views: Sequence[View], flip_order: np.ndarray, *, shift: bool) -> np.ndarray:
        """(B, 3J, h, w) float32; a mirrored image's offsets to the right are those to the left."""
        signed = []
        for view in views:
            mirrored = view.mirrored
            if mirrored is not None:
                maps = np.array(self._positive(mirrored["heatmaps"]))
                maps[:, 1::3] *= -1
                mirrored = {"heatmaps": maps}
            signed.append(replace(view, mirrored=mirrored))
        order = (3 * np.asarray(flip_order)[:, None] + np.arange(3)).ravel()
        return super().heatmaps(signed, order, shift=shift)

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """One pose for each of the B inputs; a joint's score is the maximum of its blurred disc.

        Raises:
            UserError: another decoder; several scales.
        """
        if [view.scale for view in views] != [1.0]:
            raise UserError("codec.kind=OffsetCodec: offsets are of one scale; test_scales=[1.0]")
        maps = self.merged(views, flip_order, shift=benchmark.shift_heatmap)
        cells, scores = self.cells(maps, benchmark.decoder)
        image_xy = self.to_image(cells, place, (maps.shape[3], maps.shape[2]))
        return Poses.at(place, np.concatenate([image_xy, scores[..., None]], axis=2))

    def cells(self, maps_BJHW: np.ndarray, decoder: str) -> tuple[np.ndarray, np.ndarray]:
        """Maps (B, 3J, h, w) -> joints (B, J, 2) in cells and scores (B, J).

        ``offsets``: the maximum of the blurred disc, and the offset there (mmpose 1.x);
        ``offsets_blurred``: the offsets are blurred too (mmpose 0.x, whose discs are of the map's
        height). (-1, -1) where a disc has no positive value.

        Source: open-mmlab/mmpose mmpose/codecs/udp_heatmap.py:163 @759b39c;
        mmpose/core/evaluation/top_down_eval.py:571 @3b81734
        """
        import cv2

        kernel = dark_kernel(self.sigma_px)
        people, channels, height, width = maps_BJHW.shape
        maps = np.array(maps_BJHW, np.float32).reshape(people, channels // 3, 3, height, width)
        for three in maps.reshape(-1, 3, height, width):
            for part in range(3 if decoder == "offsets_blurred" else 1):
                side = kernel if part else 2 * kernel + 1
                three[part] = cv2.GaussianBlur(three[part], (side, side), 0)
        cells, scores = decode(maps[:, :, 0], "argmax", sigma_px=self.sigma_px)
        x, y = np.moveaxis(cells.astype(np.int64), 2, 0)
        person, joint = np.ogrid[:people, : maps.shape[1]]
        radius_px = self.radius * max(width, height)
        cells = cells + maps[person, joint, 1:, y, x] * np.float32(radius_px)
        cells[scores <= 0] = -1
        return cells, scores

    def require_sound(self, image_size_wh: tuple[int, int], loss: str) -> None:
        """Raises UserError for values that no training can have, by their keys."""
        for key, needed in (("encoding", "udp"), ("maps", "heatmaps")):
            if getattr(self, key) != needed:
                raise UserError(
                    f"codec.{key}={getattr(self, key)}: codec.kind=OffsetCodec is of {key}={needed}"
                )
        super().require_sound(image_size_wh, loss)
