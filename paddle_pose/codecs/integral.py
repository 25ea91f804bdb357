"""Joints ⇄ coordinates: maps whose mean position is the joint, alone or beside heat maps.

Coordinates are fractions of the input (and of the map) minus a half; no half cell is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec, decode, to_image
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark

NORMS = ("sigmoid", "softmax", "divide_sum")
"""What makes weights of a map's cells, before they are divided by their sum."""

DOUBLED = {136: 26, 68: 26, 133: 23}
"""By the number of joints, how many of the first ones (body, feet) AlphaPose lets weigh 2."""


@dataclass(frozen=True)
class IntegralCodec:
    """Coordinates by integral regression.

    Attributes:
        norm: of NORMS.
        symmetric: while training, the gradient of a coordinate pulls every cell by the same
            amount, toward the target; else by its place, as the sum has it.
        double_first: so many of the first joints weigh 2; None for ``DOUBLED``, others none.
    """

    norm: str = "sigmoid"
    symmetric: bool = True
    double_first: int | None = None

    def doubled(self, joints: int) -> int:
        """How many of so many joints weigh 2, from the first on."""
        return DOUBLED.get(joints, 0) if self.double_first is None else self.double_first

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """-> ``coordinates`` (J, 2) about -0.5 to 0.5, ``coordinate_weights`` (J,), float32.

        A joint outside the input keeps its weight.

        Source: MVIG-SJTU/AlphaPose alphapose/utils/presets/simple_transform.py:165 @c60106d
        """
        weights = np.array(visible, np.float32)
        weights[: self.doubled(len(weights))] *= 2
        return {
            "coordinates": _fractions(joints_xy, image_size_wh),
            "coordinate_weights": weights,
        }

    def cells(self, maps_BJHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joints (B, J, 2) in cells of the maps, and scores (B, J); float64.

        A score is the largest sigmoid of the map, and 1 with another norm.

        Source: MVIG-SJTU/AlphaPose alphapose/utils/transforms.py:650 @c60106d
        """
        maps = np.asarray(maps_BJHW, np.float32)
        scores = np.ones(maps.shape[:2])
        if self.norm == "sigmoid":
            maps = np.exp(-np.logaddexp(np.float32(0), -maps))
            scores = maps.max((2, 3)).astype(np.float64)
        elif self.norm == "softmax":
            maps = np.exp(maps - maps.max((2, 3), keepdims=True))
        columns_BJW, rows_BJH = (maps.sum(axis, dtype=np.float64) for axis in (2, 3))
        with np.errstate(divide="ignore", invalid="ignore"):  # a sum of 0: no numbers come out
            found = [
                (line * np.arange(line.shape[2])).sum(2) / line.sum(2)
                for line in (columns_BJW, rows_BJH)
            ]
        return np.stack(found, 2), scores

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """One pose for each of the B inputs; coordinates and scores are averaged, not maps.

        Source: MVIG-SJTU/AlphaPose alphapose/utils/transforms.py:591 @c60106d
        """
        each = []
        for view in views:
            maps = [view.outputs["heatmaps"]]
            if view.mirrored is not None:
                flipped = view.mirrored["heatmaps"]
                maps.append(unflipped(flipped, flip_order, shift=benchmark.shift_heatmap))
            size_wh = maps[0].shape[3], maps[0].shape[2]
            middle_xy = np.array(size_wh) / 2
            for cells, scores in map(self.cells, maps):
                each.append((middle_xy + (cells - middle_xy) * view.scale, scores))
        cells, scores = (np.mean(one, 0) for one in zip(*each, strict=True))
        image_xy = to_image(cells, place.center_xy, place.scale_wh, size_wh)
        return Poses.at(place, np.concatenate([image_xy, scores[..., None]], axis=2))


@dataclass(frozen=True)
class CombinedCodec:
    """Heat maps for the body and the feet, coordinates for the face and the hands.

    The coordinates are those of the last 110 joints (face and hands), of 68 the last 42 (hands).

    Attributes:
        sigma_px, stride: of the heat maps, as HeatmapCodec.
        norm, symmetric: of the coordinates, as IntegralCodec.
    """

    norm: str = "sigmoid"
    symmetric: bool = True
    sigma_px: float = 2.0
    stride: int = 4

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """As HeatmapCodec and IntegralCodec together, but no weight is doubled.

        Raises:
            UserError: too few joints.
        """
        first = heat_joints(len(joints_xy))
        heat = HeatmapCodec(self.sigma_px, self.stride)
        targets = heat.encode(joints_xy[:first], visible[:first], image_size_wh)
        return {
            **targets,
            "coordinates": _fractions(joints_xy[first:], image_size_wh),
            "coordinate_weights": np.array(visible[first:], np.float32),
        }

    def cells(self, maps_BJHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As IntegralCodec, of the heat maps' joints the cell of the maximum; Raises UserError."""
        first = heat_joints(maps_BJHW.shape[1])
        heat = decode(maps_BJHW[:, :first], "quarter_offset", sigma_px=self.sigma_px)
        rest = IntegralCodec(self.norm).cells(maps_BJHW[:, first:])
        return np.concatenate([heat[0], rest[0]], 1), np.concatenate([heat[1], rest[1]], 1)

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """One pose for each of the B inputs, of either codec's joints.

        Raises:
            UserError: as HeatmapCodec; too few joints.

        Source: MVIG-SJTU/AlphaPose scripts/validate.py:105 @c60106d
        """
        first = heat_joints(len(flip_order))
        heat = HeatmapCodec(self.sigma_px, self.stride)
        body = [_part(view, slice(None, first)) for view in views]
        rest = [_part(view, slice(first, None)) for view in views]
        found = [
            heat.decode(body, place, benchmark, flip_order[:first]),
            IntegralCodec(self.norm).decode(rest, place, benchmark, flip_order[first:] - first),
        ]
        return Poses.at(place, np.concatenate([one.keypoints for one in found], axis=1))

    def require_sound(self, image_size_wh: tuple[int, int], loss: str) -> None:
        """Raises UserError for values that no training can have, by their keys."""
        HeatmapCodec(self.sigma_px, self.stride).require_sound(image_size_wh, "joints_mse")


def heat_joints(joints: int) -> int:
    """How many of CombinedCodec's joints have heat maps; Raises UserError where none is left."""
    first = joints - (42 if joints == 68 else 110)
    if first < 1:
        raise UserError(
            f"codec.kind=CombinedCodec: {joints} joints; it needs body, face and hands "
            "(136, 133 or 68 joints)"
        )
    return first


def unflipped(flipped_BJHW: np.ndarray, flip_order: np.ndarray, *, shift: bool) -> np.ndarray:
    """Maps of the mirrored image, mirrored back; ``shift`` as in ``heatmap.merge_flip``.

    The reference shifts within the memory that it reads from: a third of its cells are others.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/transforms.py:518 @c60106d
    """
    maps = np.asarray(flipped_BJHW)[:, flip_order, :, ::-1]
    return np.concatenate([maps[..., :1], maps[..., :-1]], axis=3) if shift else maps


def _fractions(joints_xy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    return (np.asarray(joints_xy, np.float64) / size_wh - 0.5).astype(np.float32)


def _part(view: View, joints: slice) -> View:
    outputs, mirrored = (
        None if one is None else {"heatmaps": one["heatmaps"][:, joints]}
        for one in (view.outputs, view.mirrored)
    )
    return View(outputs or {}, mirrored, view.scale)
