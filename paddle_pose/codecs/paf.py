"""People of whole pictures ⇄ heat maps and part affinity fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError, nearest
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import Skeleton, skeleton_named

CHOICES = {
    "overlap": ("overwrite", "average"),
    "neck": ("intended", "reference"),
    "peaks": ("smooth", "gaussian"),
    "offsets": ("reference", "exact"),
}

LEAST = 1e-3
"""Heat below it is none."""


@dataclass(frozen=True)
class PafCodec:
    """Maps of ``stride`` input pixels a cell.

    Attributes:
        skeleton: whose limbs the fields have, in their order; ``from_file`` for a file's own.
        stride: see above.
        sigma_px: of a joint's heat, input pixels.
        limb_px: a limb's field reaches so far on either side, input pixels.
        overlap: of one limb of two people: ``overwrite``, the later one's rectangle with all its
            zeros, as the official code; or ``average``, of those whose limb it is there.
        neck: a joint that COCO lacks, halfway between the shoulders: ``intended``, where both are
            labelled; ``reference``: of everybody, as the official code runs; unlabelled shoulders
            are at (0, 0), so it then lies at or near the picture's corner.
        heatmap_threshold: least height of a peak.
        paf_threshold: least field along a limb.
        peaks: ``smooth`` or ``gaussian`` (codecs/paf_peaks.py).
        offsets: ``reference`` or ``exact`` (codecs/paf_decode.py).
    """

    skeleton: str = "bodypose18"
    stride: int = 8
    sigma_px: float = 7.0
    limb_px: float = 8.0
    overlap: str = "overwrite"
    neck: str = "intended"
    heatmap_threshold: float = 0.1
    paf_threshold: float = 0.05
    peaks: str = "smooth"
    offsets: str = "reference"

    def __post_init__(self) -> None:
        """Raises UserError for another word than ``CHOICES`` has."""
        for name, words in CHOICES.items():
            word = getattr(self, name)
            if word not in words:
                raise UserError(f"codec.{name}: unknown '{word}'{nearest(str(word), words)}")

    @cached_property
    def limbs(self) -> np.ndarray:
        """(L, 2) joints where each limb starts and ends; Raises UserError for none."""
        return _ends(skeleton_named(self.skeleton))

    def of(self, skeleton: Skeleton) -> PafCodec:
        """The same for joints of a file, which no name finds; Raises UserError for no limbs."""
        made = replace(self)
        vars(made)["limbs"] = _ends(skeleton)
        return made

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """Everybody's joints as maps.

        Args:
            joints_xy: (P, J, 2) input pixels counted from the picture's corner, in the order in
                which people overwrite each other.
            visible: (P, J) above 0 where a joint counts.
            image_size_wh: of the input; multiples of ``stride``.

        Returns:
            ``heatmaps`` (J + 1, h, w), the last one the background, and ``pafs`` (2L, h, w), x and
            y of each limb in turn; float32.

        Raises:
            UserError: another size, or a skeleton without limbs.

        Source: NVIDIA/tao_tensorflow1_backend
        nvidia_tao_tf1/cv/bpnet/dataloaders/processors/label_processor.py @2ec95cb
        """
        width, height = image_size_wh
        if width % self.stride or height % self.stride:
            raise UserError(
                f"data.image_size_wh: {width}×{height} must be multiples of {self.stride}"
            )
        cells_wh = width // self.stride, height // self.stride
        joints = np.asarray(joints_xy, np.float64).reshape(-1, *np.shape(joints_xy)[-2:])
        used = np.asarray(visible).reshape(joints.shape[:2]) > 0
        heat = self._heat(joints, used, cells_wh)
        rest = np.clip(1 - heat.max(0, keepdims=True), 0, 1)
        pafs = self._fields(joints, used, cells_wh)
        return {
            "heatmaps": np.concatenate([heat, rest]).astype(np.float32),
            "pafs": pafs.reshape(-1, *pafs.shape[2:]).astype(np.float32),
        }

    def _heat(self, joints: np.ndarray, used: np.ndarray, cells_wh: tuple[int, int]) -> np.ndarray:
        """(J, h, w) highest of everybody's Gaussians, which are read in the middle of cells."""
        width, height = cells_wh
        heat = np.zeros((joints.shape[1], height, width))
        middle = (self.stride - 1) / 2
        columns, rows = (self.stride * np.arange(side) + middle for side in cells_wh)
        for person, counts in zip(joints, used, strict=True):
            across, down = (
                np.exp(-((at[:, None] - cells) ** 2) / (2 * self.sigma_px**2))
                for at, cells in zip(person.T, (columns, rows), strict=True)
            )
            np.maximum(heat, down[:, :, None] * across[:, None] * counts[:, None, None], out=heat)
        heat[heat < LEAST] = 0
        return heat

    def _fields(
        self, joints: np.ndarray, used: np.ndarray, cells_wh: tuple[int, int]
    ) -> np.ndarray:
        """(L, 2, h, w) unit vectors along limbs, read in the first corner of cells."""
        width, height = cells_wh
        starts, ends = self.limbs.T
        fields: np.ndarray = np.zeros((len(starts), 2, height, width))
        covered = np.zeros((len(starts), 1, height, width))
        grid = [np.arange(width), np.arange(height)]
        for person, counts in zip(joints, used, strict=True):
            start, way = person[starts], person[ends] - person[starts]
            length = np.hypot(*way.T)
            drawn = counts[starts] & counts[ends] & (length > 0)
            unit = way / np.where(length > 0, length, 1)[:, None]
            # (L, side): whether a column, and a row, is in the limb's rectangle
            low, high = np.minimum(start, person[ends]), np.maximum(start, person[ends])
            low = np.rint((low - self.limb_px) / self.stride)
            high = np.rint((high + self.limb_px) / self.stride)
            in_x, in_y = (
                (low[:, axis, None] <= grid[axis]) & (grid[axis] < high[:, axis, None])
                for axis in (0, 1)
            )
            inside = (in_y & drawn[:, None])[:, :, None] & in_x[:, None]
            aside_x, aside_y = (self.stride * grid[axis] - start[:, axis, None] for axis in (0, 1))
            off = unit[:, :1, None] * aside_y[:, :, None] - unit[:, 1:, None] * aside_x[:, None]
            near = inside & (np.abs(off) <= self.limb_px)
            field = near[:, None] * unit[:, :, None, None]
            if self.overlap == "overwrite":
                fields = np.where(inside[:, None], field, fields)
            else:
                fields += field
                covered += near[:, None]
        return fields if self.overlap == "overwrite" else fields / np.maximum(covered, 1)

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Everybody in B whole pictures; Raises UserError for a benchmark of boxes."""
        from paddle_pose.codecs import paf_decode

        if benchmark.whole is None:
            raise UserError(f"benchmark '{benchmark.name}': has no whole pictures, but boxes")
        names = ("stride", "heatmap_threshold", "paf_threshold", "peaks", "offsets")
        how = {name: getattr(self, name) for name in names}
        return paf_decode.decode(
            views, place, benchmark.whole, paf_decode.Reading(self.limbs, **how)
        )


def _ends(skeleton: Skeleton) -> np.ndarray:
    ends = [[skeleton.index(end) for end in limb] for limb in skeleton.limbs]
    if not ends:
        raise UserError(
            f"codec: '{skeleton.name}' has no limbs, which part affinity fields are of; let "
            "the recipe give them: data.limbs=[[a, b], …] (names, or places from 0)"
        )
    return np.array(ends)
