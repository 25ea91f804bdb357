"""OKS, OKS-NMS and rescoring: hand-worked cases and HRNet's recorded results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.poses.oks import oks, oks_matrix, oks_nms, rescored, soft_oks_nms
from paddle_pose.skeletons import COCO17

SIGMAS = np.array(COCO17.oks_sigmas)


@pytest.fixture(scope="session")
def cases(reference_data: Path) -> list[dict]:
    return json.loads((reference_data / "parity/metrics/oks_nms.json").read_text())["cases"]


def _poses(case: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keypoints = np.array(case["keypoints"]).reshape(-1, 17, 3)
    return keypoints, np.array(case["score"]), np.array(case["area"])


def test_matrix_equals_the_reference(cases: list[dict]):
    for case in cases:
        keypoints, _, areas = _poses(case)
        for key, limit in (("oks_iou", None), ("oks_iou_in_vis_thre_0.5", 0.5)):
            ours = oks_matrix(keypoints, areas, SIGMAS, min_joint_score=limit)
            # Diagonals may differ: the reference compares a pose with the others only.
            # 17 terms, each exp of a sum with about 5 roundings of arguments below 745 that still
            # count below 40: 40 × 5 × 1.1e-16 = 2.2e-14.
            np.testing.assert_allclose(ours, np.array(case[key]), rtol=0, atol=3e-14)


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.1])
@pytest.mark.parametrize(("suffix", "limit"), [("all", None), ("vis0.5", 0.5)])
def test_suppression_equals_the_reference(
    cases: list[dict], threshold: float, suffix: str, limit: float | None
):
    for case in cases:
        poses = _poses(case)
        for name, suppress in (("oks_nms", oks_nms), ("soft_oks_nms", soft_oks_nms)):
            kept = suppress(*poses, SIGMAS, threshold, min_joint_score=limit)
            assert kept.tolist() == case[f"keep_{name}_{threshold}_{suffix}"], name


def test_one_joint_by_hand():
    # d² = 2 · area · (2σ)² gives exp(-1): area 50, σ 0.5, so d = 10 pixels.
    pose, truth = np.array([[10.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 1.0]])
    assert oks(pose, truth, np.array([0.5]), np.array(50.0)) == pytest.approx(np.exp(-1), abs=1e-15)
    assert oks(truth, truth, np.array([0.5]), np.array(50.0)) == 1


def test_only_the_used_joints_count():
    truth = np.zeros((2, 2))
    pose = np.array([[0.0, 0.0], [1e6, 0.0]])
    sigmas = np.array([0.1, 0.1])
    assert oks(pose, truth, sigmas, np.array(100.0)) == 0.5
    assert oks(pose, truth, sigmas, np.array(100.0), used=np.array([True, False])) == 1
    assert oks(pose, truth, sigmas, np.array(100.0), used=np.array([False, False])) == 0


def test_one_pixel_changes_the_similarity_of_a_small_person():
    keypoints = np.random.default_rng(0).uniform(0, 60, (17, 2))
    area = np.array(32.0**2)
    same = oks(keypoints, keypoints, SIGMAS, area)
    # The nose's bell at one pixel is exp(-1 / (2 · 1024 · 0.052²)) = 0.835.
    assert same - oks(keypoints + np.array([1, 0]), keypoints, SIGMAS, area) > 0.03


def test_rescoring_by_hand():
    keypoints = np.zeros((3, 4, 3))
    keypoints[0, :, 2] = [0.9, 0.5, 0.2, 0.0]  # 0.2 is not above 0.2
    keypoints[1, :, 2] = 0.1
    keypoints[2, :, 2] = 1.0
    np.testing.assert_allclose(
        rescored(keypoints, np.array([0.5, 1.0, 0.25])), [0.35, 0.0, 0.25], rtol=0, atol=1e-15
    )


def test_suppression_keeps_the_best_of_two_copies_and_all_strangers():
    rng = np.random.default_rng(1)
    poses = rng.uniform(0, 50, (3, 17, 3))
    poses[1, :, :2] = poses[0, :, :2] + 0.1
    poses[2, :, :2] += 500
    scores, areas = np.array([0.5, 0.6, 0.1]), np.full(3, 2500.0)
    assert oks_nms(poses, scores, areas, SIGMAS, 0.9).tolist() == [1, 2]


def test_soft_suppression_keeps_at_most_twenty():
    poses = np.random.default_rng(2).uniform(0, 50, (25, 17, 3))
    kept = soft_oks_nms(poses, np.linspace(0, 1, 25), np.full(25, 2500.0), SIGMAS, 0.9)
    assert len(kept) == len(set(kept.tolist())) == 20


def test_no_poses():
    empty = (np.zeros((0, 17, 3)), np.zeros(0), np.zeros(0), SIGMAS, 0.9)
    assert oks_nms(*empty).tolist() == soft_oks_nms(*empty).tolist() == []
