"""Small predictions, made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paddle_pose.poses import predictions
from paddle_pose.poses.poses import Poses
from paddle_pose.poses.predictions import Predictions
from paddle_pose.settings import Benchmark

BENCHMARK = Benchmark(name="mpii_val").protocol()


def made(people: int = 4, **changes) -> Predictions:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-10, 1000, (people, 16, 3))
    poses = Poses(
        image_ids=np.array([7, 9])[np.arange(people) % 2],
        keypoints=keypoints,
        scores=keypoints[:, :, 2].mean(1) * 0.5,
        boxes_xywh=rng.uniform(1, 1000, (people, 4)),
        rows=np.arange(people),
        instances=np.zeros(people, np.int64),
    )
    origin = {"recipe": "hg", "benchmark": BENCHMARK, "annotation_sha256": "ab" * 32}
    images = tuple(("a.jpg", "b.jpg")[row % 2] for row in range(people))
    return Predictions(poses, "mpii16", images, **{**origin, **changes})


def read(path: Path, origin: int | None = None) -> Predictions:
    return predictions.read(path, origin, joints=16, skeleton="mpii16")
