"""CrowdPose: as COCO, by its own tool's figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paddle_pose.data.coco_category import CROWDPOSE_AREA
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.errors import UserError
from paddle_pose.evaluation.coco import CocoEvaluator
from paddle_pose.evaluation.oks_results import oks_sigmas
from paddle_pose.metrics.crowdpose import NAMES, crowdpose_ap
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.settings import DataSettings


class CrowdPoseEvaluator(CocoEvaluator):
    """The people of a CrowdPose split, scored over all, easy, medium and hard images."""

    score_names = NAMES
    title = "CrowdPose"
    metric = "CrowdPose keypoints, fractions, 20 poses an image, area 0.53 of the box"

    def stated(self, data: DataSettings) -> DataSettings:
        """The recipe's, with the areas that the official tool takes."""
        return replace(data, area=CROWDPOSE_AREA) if data.area == "file" else data

    def has_truth(self) -> bool:
        """As CocoEvaluator; Raises UserError too where an image has no ``crowdIndex``."""
        return super().has_truth() and bool(crowd_index(self.truth))

    def figures(
        self, results: CocoResults, image_ids: np.ndarray | None, resamples: int, seed: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """The nine figures and their intervals."""
        self.truth.require_somebody(image_ids)
        return crowdpose_ap(
            self.truth.truth(),
            results.rows(),
            crowd_index(self.truth),
            sigmas=oks_sigmas(self.skeleton),
            category_id=self.truth.category.id,
            image_ids=None if image_ids is None else image_ids.tolist(),
            resamples=resamples,
            seed=seed,
        )


def crowd_index(truth: CocoFile) -> dict[int, float]:
    """``crowdIndex`` by image id; Raises UserError where an image has none."""
    found = {}
    for image_id, image in truth.images.items():
        if image.crowd_index is None:
            raise UserError(
                f"{truth.file}: image {image.name} has no 'crowdIndex', by which CrowdPose's AP is "
                "split; data.dataset=coco scores the file without"
            )
        found[image_id] = image.crowd_index
    return found
