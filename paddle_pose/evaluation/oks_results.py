"""Poses on their way to an OKS score: rescored, without duplicates, two people of a box merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.poses.oks import oks_nms, rescored, soft_oks_nms
from paddle_pose.settings import INSTANCES, Benchmark, OksProtocol
from paddle_pose.skeletons import Skeleton


def finished(results: CocoResults, skeleton: Skeleton, benchmark: Benchmark) -> CocoResults:
    """Results as the benchmark has them: rescored, and without duplicates on an image.

    Images stand in the order of their first pose, poses in the order they were kept, as in the
    reference, whose rule of ties (the earlier of equal scores first) COCO's evaluation follows.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:289 @6f69e46

    Raises:
        UserError: the suppression needs areas and the results have none.
    """
    scores = results.scores
    rules = oks_rules(benchmark)
    if rules.score != "product":
        scores = with_joint_scores(results.keypoints, scores, benchmark)
    if rules.rescore:
        scores = rescored(results.keypoints, scores, min_joint_score=rules.rescore_threshold)
    results = replace(results, scores=scores)
    if not rules.oks_nms or not len(results):
        return results
    if not np.isfinite(results.areas).all():
        raise UserError(
            f"benchmark '{benchmark.name}' suppresses duplicates by OKS, which needs each pose's "
            "positive 'area' or 'scale'; val.py without --benchmark scores them"
        )
    sigmas = np.array(oks_sigmas(skeleton))
    suppress = soft_oks_nms if rules.soft_oks_nms else oks_nms
    _, first, image = np.unique(results.image_ids, return_index=True, return_inverse=True)
    by_image = np.split(np.argsort(image, kind="stable"), np.cumsum(np.bincount(image))[:-1])
    kept = []
    for place in np.argsort(first):
        rows = by_image[place]
        poses = (results.keypoints[rows], results.scores[rows], results.areas[rows])
        kept.append(rows[suppress(*poses, sigmas, rules.oks_nms)])
    return results.select(np.concatenate(kept))


def with_joint_scores(
    keypoints: np.ndarray, box_scores: np.ndarray, benchmark: Benchmark
) -> np.ndarray:
    """(N,) AlphaPose's scores: a detector's of the box + mean + 1.25 × largest of the joints'.

    Annotated boxes add 0 where its validation counts, 1 (their score) where its demo does.

    Source: MVIG-SJTU/AlphaPose scripts/validate.py, alphapose/utils/pPose_nms.py @c60106d
    """
    joint_scores = np.asarray(keypoints, np.float64)[:, :, 2]
    scores = joint_scores.mean(1) + 1.25 * joint_scores.max(1)
    if oks_rules(benchmark).score == "alphapose" and benchmark.boxes == "ground_truth":
        return scores
    return scores + box_scores


def oks_rules(benchmark: Benchmark) -> OksProtocol:
    """How a benchmark scores; Raises UserError for one that does so by PCKh."""
    if not isinstance(benchmark.metric, OksProtocol):
        raise UserError(f"benchmark '{benchmark.name}': COCO's form is scored by OKS, not by PCKh")
    return benchmark.metric


def oks_sigmas(skeleton: Skeleton) -> tuple[float, ...]:
    """The skeleton's OKS constants; Raises UserError where it has none."""
    if not skeleton.oks_sigmas:
        raise UserError(
            f"skeleton '{skeleton.name}' has no OKS constants, so there is no AP; give the "
            "category a 'sigmas' list and use data.skeleton=from_file"
        )
    return skeleton.oks_sigmas


def each_alone(
    results: CocoResults, instances: np.ndarray, skeleton: Skeleton, benchmark: Benchmark
) -> dict[str, CocoResults]:
    """The poses of the boxes' owners alone and those of the second people alone, each ``finished``.

    None of either where nobody has a second pose. Together, they are simply ``finished``.

    Args:
        results: of all, with the scores of their boxes (``second_factors``).
        instances: (N,) as ``Poses.instances``.
        skeleton: see ``finished``.
        benchmark: see ``finished``.
    """
    if not instances.any():
        return {}
    return {
        name: finished(results.select(instances == number), skeleton, benchmark)
        for number, name in enumerate(INSTANCES)
    }


def second_factors(instances: np.ndarray, benchmark: Benchmark) -> np.ndarray:
    """(N,) what the scores of boxes are multiplied by, so that an owner's pose comes first.

    Source: rawalkhirodkar/MIPNet lib/core/validate.py:244 @245651d
    """
    return np.where(instances > 0, oks_rules(benchmark).second_score, 1.0)
