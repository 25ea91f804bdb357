"""Heat maps and part affinity fields as Lightweight OpenPose draws and reads them.

Maps are read in pixels of the picture: they are enlarged to it. The fields' limbs are bodypose18's.

Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch datasets/coco.py:72,
modules/keypoints.py, val.py:81 @d23c284
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.paf_peaks import Peaks
from paddle_pose.codecs.paf_people import Humans, Limbs, find_limbs, poses_of
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark, WholeImage

FIXED = {
    "skeleton": "bodypose18",
    "overlap": "own_cells",
    "neck": "intended",
    "peaks": "four_neighbours",
    "offsets": "reference",
}
"""What this codec leaves no choice of: a later person's limb overwrites the cells that are its own;
a peak is above its four neighbours; fields are drawn at the first corner of cells, read in their
middle."""

ORDER = (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13)
"""In which bodypose18's limbs make people; the last two, shoulder to ear, only fill gaps."""
ONLY_FILL = 2

FARTHEST = 4.6052
"""Exponent of a Gaussian beyond which there is none: it is 0.01 there."""
REACH = 4
"""Of a Gaussian, in sigmas: the cells that are looked at."""
NEAR_PX = 6
"""Of two peaks nearer than that the one more to the right is left out."""
LEAST_JOINTS, LEAST_MEAN = 3, 0.2
"""Of a person: so many joints, and so much of the total for each."""


@dataclass(frozen=True)
class LightPafCodec(PafCodec):
    """As ``PafCodec``; what it does otherwise is ``FIXED``, and how maps add up.

    ``limb_px`` reaches from cell to cell: 8 is one cell of 8 pixels.
    """

    overlap: str = FIXED["overlap"]
    peaks: str = FIXED["peaks"]

    def __post_init__(self) -> None:
        """Raises UserError for other words than ``FIXED`` has."""
        for name, word in FIXED.items():
            if getattr(self, name) != word:
                raise UserError(f"codec.{name}: LightPafCodec has '{word}' alone")

    def _heat(self, joints: np.ndarray, used: np.ndarray, cells_wh: tuple[int, int]) -> np.ndarray:
        """(J, h, w) float32 sum of everybody's Gaussians, at most 1."""
        width, height = cells_wh
        heat: np.ndarray = np.zeros((joints.shape[1], height, width), np.float32)
        middle = self.stride / 2 - 0.5
        for person, counts in zip(joints, used, strict=True):
            for joint in np.flatnonzero(counts):
                low = np.maximum((person[joint] - REACH * self.sigma_px).astype(int), 0)
                high = (person[joint] + REACH * self.sigma_px).astype(int)
                first = low // self.stride
                last = np.minimum(high, np.array(cells_wh) * self.stride) // self.stride
                if (last <= first).any():
                    continue
                columns, rows = (
                    (np.arange(a, b) * self.stride + middle - at) ** 2
                    for a, b, at in zip(first, last, person[joint], strict=True)
                )
                exponents = (columns + rows[:, None]) / 2 / self.sigma_px / self.sigma_px
                part = heat[joint, first[1] : last[1], first[0] : last[0]]
                more = np.where(exponents > FARTHEST, 0, np.exp(-exponents))
                np.minimum(part + more.astype(np.float32), 1, out=part)
        return heat

    def _fields(
        self, joints: np.ndarray, used: np.ndarray, cells_wh: tuple[int, int]
    ) -> np.ndarray:
        """(L, 2, h, w) unit vectors along limbs."""
        width, height = cells_wh
        fields: np.ndarray = np.zeros((len(self.limbs), 2, height, width))
        reach = self.limb_px / self.stride
        for person, counts in zip(joints / self.stride, used, strict=True):
            for limb, (start, end) in enumerate(self.limbs):
                ends = person[[start, end]]
                way = ends[1] - ends[0]
                length = (way[0] * way[0] + way[1] * way[1]) ** 0.5
                if not (counts[start] and counts[end]) or length < 1e-7:
                    continue
                unit = way / length
                low = np.maximum(ends.min(0) - reach, 0).astype(int)
                high = np.minimum(ends.max(0) + reach, cells_wh).astype(int)
                if (high <= low).any():
                    continue
                x, y = (np.arange(a, b) - at for a, b, at in zip(low, high, ends[0], strict=True))
                near = np.abs(x * unit[1] - y[:, None] * unit[0]) <= reach
                part = fields[limb, :, low[1] : high[1], low[0] : high[0]]
                part[:, near] = unit[:, None]
        return fields

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Everybody in B whole pictures; Raises UserError for a benchmark of boxes."""
        if benchmark.whole is None:
            raise UserError(f"benchmark '{benchmark.name}': has no whole pictures, but boxes")
        joints = views[0].outputs["heatmaps"].shape[1] - 1
        found = [Poses.none(joints)]
        for row, size in enumerate(np.rint(np.asarray(place.scale_wh) * UNIT_PX).astype(int)):
            size_wh = int(size[0]), int(size[1])
            heat, pafs = self.merged(views, row, size_wh, benchmark.whole)
            peaks, people = self.people_of(heat, pafs)
            # Pixels are counted from the picture's corner, as COCO does; scores rise with joints
            # squared (val.py:52).
            scores = people.totals * np.maximum(people.counts - 1, 0)
            found.append(poses_of(peaks, people, peaks.xy + 0.5, scores, int(place.image_id[row])))
        return Poses.joined(found)

    def merged(
        self, views: Sequence[View], row: int, size_wh: tuple[int, int], whole: WholeImage
    ) -> tuple[np.ndarray, np.ndarray]:
        """One picture's (H, W, J) and (H, W, 2L) maps in its own pixels, averaged over scales."""
        from paddle_pose.codecs.light_images import fit  # OpenCV, which scoring alone needs not

        sums: list[np.ndarray] = []
        for view in views:
            how = fit(size_wh, whole, view.scale, self.stride)
            maps = [view.outputs["heatmaps"][row, :-1], view.outputs["pafs"][row]]
            maps = [how.in_picture(one, self.stride, size_wh) / len(views) for one in maps]
            sums = [a + b for a, b in zip(sums, maps, strict=True)] if sums else maps
        return sums[0], sums[1]

    def people_of(self, heat_HWJ: np.ndarray, pafs_HWC: np.ndarray) -> tuple[Peaks, Humans]:
        """Peaks and people of one picture's maps, without the background."""
        from paddle_pose.codecs.paf_decode import MOST_PEAKS

        peaks = find_peaks(heat_HWJ, self.heatmap_threshold).strongest(MOST_PEAKS)
        limbs = find_limbs(peaks, np.ascontiguousarray(pafs_HWC), self.limbs, self.paf_threshold)
        return peaks, assemble(peaks, limbs, self.limbs, heat_HWJ.shape[2])


def find_peaks(maps_HWJ: np.ndarray, threshold: float) -> Peaks:
    """Cells of ``threshold`` or more that are above their four neighbours, from left to right.

    Source: modules/keypoints.py:11
    """
    import cv2

    parts = []
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.uint8)
    for joint in range(maps_HWJ.shape[2]):
        values = np.ascontiguousarray(maps_HWJ[:, :, joint])
        values = np.where(values < values.dtype.type(threshold), 0, values)
        # The highest of the neighbours, of which those beyond the border are 0.
        around = cv2.dilate(values, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        ys, xs = np.nonzero(values > around)
        order = np.argsort(xs, kind="stable")
        xy = np.stack([xs[order], ys[order]], 1).astype(np.int64)
        xy = xy[_apart(xy)]
        parts.append(Peaks(np.full(len(xy), joint), xy, values[xy[:, 1], xy[:, 0]]))
    return Peaks(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _apart(xy: np.ndarray) -> np.ndarray:
    """(N,) bool: of peaks, those that no earlier one, itself kept, is near."""
    keep = np.ones(len(xy), bool)
    for one in range(len(xy)):
        if keep[one]:
            keep[one + 1 :] &= ((xy[one + 1 :] - xy[one]) ** 2).sum(1) >= NEAR_PX**2
    return keep


def assemble(peaks: Peaks, found: Limbs, limbs: np.ndarray, joints: int) -> Humans:
    """People in the order they began, less those with little to them.

    A limb gives its end to everybody who has its start, in place of any that was there, and is
    counted; where nobody has, it begins a person. People are never joined.

    Source: modules/keypoints.py:117
    """
    people: list[list[int]] = []
    totals: list[float] = []
    counts: list[int] = []
    scores = [float(score) for score in peaks.scores]
    by_kind: dict[int, list[tuple[int, int, float]]] = {kind: [] for kind in ORDER}
    rows = zip(found.kinds.tolist(), found.ends.tolist(), found.scores.tolist(), strict=True)
    for kind, (a, b), score in rows:
        by_kind[kind].append((a, b, score))
    for kind in ORDER:
        start, end = limbs[kind].tolist()
        for a, b, score in by_kind[kind]:
            if kind in ORDER[-ONLY_FILL:]:
                for one in people:
                    if one[start] == a and one[end] == -1:
                        one[end] = b
                    elif one[end] == b and one[start] == -1:
                        one[start] = a
                continue
            owners = [i for i, one in enumerate(people) if one[start] == a]
            # Limbs of the first kind find nobody yet.
            for i in owners:
                people[i][end] = b
                counts[i] += 1
                totals[i] += scores[b] + score
            if not owners:
                row = [-1] * joints
                row[start], row[end] = a, b
                people.append(row)
                totals.append(scores[a] + scores[b] + score)
                counts.append(2)
    every = Humans(
        np.array(people, np.int64).reshape(-1, joints),
        np.array(totals, float),
        np.array(counts, int),
    )
    enough = (every.counts >= LEAST_JOINTS) & ~(every.totals / every.counts < LEAST_MEAN)
    return Humans(*(column[enough] for column in every))
