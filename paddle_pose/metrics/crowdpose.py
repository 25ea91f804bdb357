"""CrowdPose's nine figures: COCO's AP and AR over all sizes, and AP by how crowded images are.

The truth's areas must be 0.53 × the boxes', as ``data.coco_file`` gives them for CrowdPose. The
official tool is COCO's but for that, its sigmas and its split by ``crowdIndex``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paddle_pose.metrics.coco_ap import coco_ap, coco_ap_with_intervals

SHARED = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
"""Names that COCO has too."""

LEVELS = {"AP_easy": (-np.inf, 0.2), "AP_medium": (0.2, 0.8), "AP_hard": (0.8, np.inf)}
"""AP on images whose ``crowdIndex`` is at least the first and below the second number."""

NAMES = (*SHARED, *LEVELS)


def crowdpose_ap(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    crowd_index: Mapping[int, float],
    *,
    sigmas: Sequence[float],
    category_id: int = 1,
    image_ids: Sequence[int] | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """The nine scores of ``NAMES``, fractions, and 95 % intervals over images.

    AP by crowding is rounded to four decimals, as the official tool rounds it, and -1 where no
    image is so crowded; its intervals are over the images of that level.

    Args:
        truth: as for coco_ap.
        results: see there.
        crowd_index: of each image, by its id.
        sigmas: see there.
        category_id: see there.
        image_ids: see there.
        resamples: of the intervals; 0 for none.
        seed: decides the draws.

    Raises:
        UserError: as coco_ap.

    Source: Jeff-sjtu/CrowdPose crowdpose-api/PythonAPI/crowdposetools/cocoeval.py @86fe5e1
    """

    def scored(ids: Sequence[int] | None) -> tuple[dict[str, float], dict]:
        if not resamples:
            values = coco_ap(truth, results, sigmas=sigmas, category_id=category_id, image_ids=ids)
            return values, {}
        return coco_ap_with_intervals(
            truth, results, sigmas=sigmas, category_id=category_id, image_ids=ids,
            resamples=resamples, seed=seed,
        )  # fmt: skip

    values, ends = scored(image_ids)
    values = {name: values[name] for name in SHARED}
    intervals = {name: ends[name] for name in SHARED if name in ends}
    listed = list(crowd_index) if image_ids is None else image_ids
    for name, (least, below) in LEVELS.items():
        ids = [number for number in listed if least <= crowd_index[number] < below]
        values[name], level = -1.0, dict[str, tuple[float, float]]()
        if ids:
            found, level = scored(ids)
            values[name] = round(found["AP"], 4)
        if "AP" in level:
            intervals[name] = level["AP"]
    return values, intervals
