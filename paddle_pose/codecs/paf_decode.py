"""Heat maps and part affinity fields of whole pictures to the poses of everybody in them.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/inferencer/bpnet_inferencer.py:243
@2ec95cb (run_pipeline, run_multi_scale_pipeline)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from paddle_pose.codecs.paf_peaks import Peaks, find_peaks
from paddle_pose.codecs.paf_people import Humans, assemble, find_limbs, poses_of
from paddle_pose.codecs.views import View
from paddle_pose.codecs.whole_images import Fit, fit
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import WholeImage

OFFSETS = ("reference", "exact")

MOST_PEAKS = 500
"""Of a joint, the best-scored; a map with more is noise, and pairs grow with their square."""


@dataclass(frozen=True)
class Reading:
    """How maps are read.

    Attributes:
        limbs: (L, 2) joints where the fields' limbs start and end.
        stride: input pixels a cell.
        heatmap_threshold: least height of a peak.
        paf_threshold: least field along a limb.
        peaks: one of ``paf_peaks.FINDERS``.
        offsets: ``reference`` reads the fields where heat maps have their cells, half a cell
            (3.5 pixels of 8) beside the place that they are drawn for; ``exact`` at that place.
    """

    limbs: np.ndarray
    stride: int = 8
    heatmap_threshold: float = 0.1
    paf_threshold: float = 0.05
    peaks: str = "smooth"
    offsets: str = "reference"


def decode(views: Sequence[View], place: Place, whole: WholeImage, reading: Reading) -> Poses:
    """The poses of everybody in B pictures.

    Joints that were not found are (0, 0) and score 0; a pose's box is the one around the others.

    Args:
        views: ``heatmaps`` (B, J + 1, h, w), the last one the background, and ``pafs``
            (B, 2L, h, w) of each scale.
        place: of the B whole pictures.
        whole: how they became inputs.
        reading: how maps are read.
    """
    joints = views[0].outputs["heatmaps"].shape[1] - 1
    found = [Poses.none(joints)]
    for row, size in enumerate(np.rint(np.asarray(place.scale_wh) * UNIT_PX).astype(int)):
        heat, pafs, how = merged(views, row, (int(size[0]), int(size[1])), whole, reading)
        peaks, people = people_of(heat, pafs, reading)
        xy = how.to_image(peaks.xy.astype(np.float64))
        found.append(poses_of(peaks, people, xy, people.scores, int(place.image_id[row])))
    return Poses.joined(found)


def people_of(heat_HWJ: np.ndarray, pafs_HWC: np.ndarray, reading: Reading) -> tuple[Peaks, Humans]:
    """Peaks and people of one picture's maps, as large as its input; without the background."""
    peaks = find_peaks(heat_HWJ, reading.heatmap_threshold, reading.peaks).strongest(MOST_PEAKS)
    limbs = find_limbs(peaks, pafs_HWC, reading.limbs, reading.paf_threshold)
    return peaks, assemble(peaks, limbs, reading.limbs, heat_HWJ.shape[2])


def merged(
    views: Sequence[View],
    row: int,
    size_wh: tuple[int, int],
    whole: WholeImage,
    reading: Reading,
) -> tuple[np.ndarray, np.ndarray, Fit]:
    """One picture's (H, W, J) and (H, W, 2L) maps, as large as its largest input, and that input.

    Several scales are averaged there.
    """
    ordered = sorted(views, key=lambda view: view.scale)
    multiple = reading.stride if len(views) > 1 else 1
    fits = [fit(size_wh, whole, view.scale, multiple) for view in ordered]
    last = fits[-1]
    sums: list[np.ndarray] = []
    for view, how in zip(ordered, fits, strict=True):
        maps = [
            _enlarged(view.outputs["heatmaps"][row, :-1], reading.stride),
            _enlarged(view.outputs["pafs"][row], reading.stride),
        ]
        if reading.offsets == "exact":
            maps[1] = _from_corners(maps[1], reading.stride)
        if len(views) > 1:
            width, height = how.size_wh
            parts = (one[:height, :width] for one in maps)
            maps = [cv2.resize(one, last.size_wh, interpolation=cv2.INTER_CUBIC) for one in parts]
            maps = [one / len(views) for one in maps]
        sums = [before + one for before, one in zip(sums, maps, strict=True)] if sums else maps
    return sums[0], sums[1], last


def _enlarged(maps_CHW: np.ndarray, times: int) -> np.ndarray:
    """(H, W, C) float32; cell m's middle lies at pixel times · m + (times - 1) / 2."""
    maps = np.ascontiguousarray(maps_CHW.transpose(1, 2, 0), np.float32)
    return cv2.resize(maps, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)


def _from_corners(maps_HWC: np.ndarray, stride: int) -> np.ndarray:
    """The same moved by (stride - 1) / 2 pixels left and up: cell m then lies at stride · m."""
    near, far = (stride - 1) // 2, stride // 2
    height, width = maps_HWC.shape[:2]
    padded = np.pad(maps_HWC, ((0, far), (0, far), (0, 0)), mode="edge")
    if near != far:
        padded = 0.5 * (padded[near : near + height] + padded[far : far + height])
        return 0.5 * (padded[:, near : near + width] + padded[:, far : far + width])
    return padded[near : near + height, near : near + width]
