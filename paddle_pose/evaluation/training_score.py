"""PCKh of a batch that the network has just been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paddle_pose.codecs.codec import Codec, is_udp
from paddle_pose.codecs.views import View
from paddle_pose.data.records import PersonTable
from paddle_pose.geometry import UNIT_PX
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import skeleton_named

if TYPE_CHECKING:
    from paddle_pose.data.loader import Batch


@dataclass(frozen=True)
class TrainingPckh:
    """Hits and scored joints of PCKh@0.5 in image pixels, from the plain view alone.

    Joints outside the input are not scored; nor is any where there is not one pose for each input.

    Attributes:
        table: the people that are trained on; head sizes are nan where unknown.
        codec: decodes the outputs.
        benchmark: decoder.
    """

    table: PersonTable
    codec: Codec
    benchmark: Benchmark

    def __call__(self, batch: Batch, outputs: dict[str, np.ndarray]) -> tuple[int, int]:
        """``outputs``: the network's last for this batch, by name."""
        place = batch.place
        flip_order = skeleton_named(self.table.skeleton).flip_order
        poses = self.codec.decode([View(outputs)], place, self.benchmark, flip_order)
        poses = poses.select(poses.instances == 0)
        if not np.array_equal(poses.rows, place.row) or not place.joints_xy.size:
            return 0, 0
        height, width = batch.images.shape[1:3]
        # A pose is laid into the image as if its input were upright, so the joints must be, too.
        across = np.array([width, height]) - is_udp(self.codec)
        image_px = (np.asarray(place.scale_wh) * UNIT_PX / across[0])[:, None, :1]
        truth_xy = (place.joints_xy - across / 2) * image_px + place.center_xy[:, None]
        distance_px = np.linalg.norm(poses.keypoints[..., :2] - truth_xy, axis=2)
        head_px = self.table.head_size_px[self.table.index_of(place.row)][:, None]
        inside = (place.joints_xy >= 0) & (place.joints_xy < [width, height])
        scored = (place.visible > 0) & inside.all(axis=2) & np.isfinite(head_px)
        return int((distance_px <= 0.5 * head_px)[scored].sum()), int(scored.sum())
