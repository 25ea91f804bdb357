"""Heat maps of two people in a box: the owner's, called primary, and the second person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import INSTANCES, Benchmark


@dataclass(frozen=True)
class PairCodec(HeatmapCodec):
    """As HeatmapCodec, for a network that puts out the maps ``primary`` and ``secondary``.

    It encodes one person at a time (``data.two_people``) and decodes both.
    """

    def heatmaps(self, views: Sequence[View], flip_order: np.ndarray, *, shift: bool) -> np.ndarray:
        """(B, J, h, w) float32 maps of the owner, as HeatmapCodec."""
        return super().heatmaps(
            [_of(view, INSTANCES[0]) for view in views], flip_order, shift=shift
        )

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Two poses for each of the B inputs, the owner's and the second person's in turn.

        Raises:
            UserError: as HeatmapCodec.
        """
        one = HeatmapCodec(self.sigma_px, self.stride, self.maps, self.encoding)
        found = []
        for number, name in enumerate(INSTANCES):
            poses = one.decode([_of(view, name) for view in views], place, benchmark, flip_order)
            found.append(replace(poses, instances=np.full(len(poses), number)))
        people = len(found[0])
        return Poses.joined(found).select(np.arange(2 * people).reshape(2, people).T.ravel())


def _of(view: View, name: str) -> View:
    """One person's maps of a view."""
    mirrored = None if view.mirrored is None else {"heatmaps": view.mirrored[name]}
    return View({"heatmaps": view.outputs[name]}, mirrored, view.scale)
