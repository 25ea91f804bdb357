"""People of whole pictures ⇄ heat maps and part affinity fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import skeleton_named


@dataclass(frozen=True)
class PafCodec:
    """Maps of ``stride`` input pixels a cell.

    Attributes:
        skeleton: whose limbs the fields have, in their order.
        stride: see above.
        heatmap_threshold: least height of a peak.
        paf_threshold: least field along a limb.
        peaks: ``smooth`` or ``gaussian`` (codecs/paf_peaks.py).
        offsets: ``reference`` or ``exact`` (codecs/paf_decode.py).
    """

    skeleton: str = "bodypose18"
    stride: int = 8
    heatmap_threshold: float = 0.1
    paf_threshold: float = 0.05
    peaks: str = "smooth"
    offsets: str = "reference"

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """Not here yet."""
        raise NotImplementedError

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Everybody in B whole pictures; Raises UserError for a benchmark of boxes."""
        from paddle_pose.codecs import paf_decode

        if benchmark.whole is None:
            raise UserError(f"benchmark '{benchmark.name}': has no whole pictures, but boxes")
        names = ("stride", "heatmap_threshold", "paf_threshold", "peaks", "offsets")
        skeleton = skeleton_named(self.skeleton)
        limbs = np.array([[skeleton.index(end) for end in limb] for limb in skeleton.limbs])
        how = {name: getattr(self, name) for name in names}
        return paf_decode.decode(views, place, benchmark.whole, paf_decode.Reading(limbs, **how))
