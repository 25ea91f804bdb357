"""Pose-NMS: by hand, and against what AlphaPose kept of recorded crowds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from paddle_pose.errors import UserError
from paddle_pose.poses import pose_nms as nms
from paddle_pose.poses.oks import oks_nms, rescored
from paddle_pose.poses.pose_nms import HEAT, REGRESSION, constants_for, pose_nms

LEAKED = REGRESSION
"""Of bodies as well, in a process of the reference that saw a full body of ``REGRESSION``."""


def person(x, joints=17, score=0.9, size=100.0):
    """A pose on a diagonal, and its box."""
    steps = np.linspace(0, size, joints)
    return np.column_stack([x + steps, steps, np.full(joints, score)]), [x, 0, size, size]


def crowd(*people):
    poses, boxes = zip(*people, strict=True)
    return np.stack(poses), np.array(boxes)


def test_doubles_become_one_by_their_scores():
    """Two 4 px apart in x: within 15 px and 0.1 × 100 px, so the mean is by 0.9 and 0.6."""
    poses, boxes = crowd(person(0), person(300), person(4, score=0.6))
    merged = pose_nms(poses, boxes)
    assert merged.picks.tolist() == [0, 1]
    assert [own.tolist() for own in merged.members] == [[0, 2], [1]]
    np.testing.assert_allclose(merged.keypoints[0, :, 0] - poses[0, :, 0], 4 * 0.6 / 1.5)
    np.testing.assert_allclose(merged.keypoints[0, :, 2], (0.9**2 + 0.6**2) / 1.5)
    scores = nms.proposal_scores(merged.keypoints, [0.5, 0.25])
    assert scores[1] == pytest.approx(0.25 + 0.9 + 1.25 * 0.9)


def test_scores_below_nothing_throw_no_joint_away():
    """0.5 and -0.4999 would be weights of 5000 and -4999: 2 px apart becomes 10,000 px."""
    poses, boxes = crowd(person(0), person(2))
    poses[:, 4, 2] = 0.5, -0.4999
    assert np.abs(pose_nms(poses, boxes, mode="reference").keypoints[0, 4, 0]) > 5000
    merged = pose_nms(poses, boxes).keypoints[0, 4]
    assert 0 <= merged[0] - poses[0, 4, 0] < 2e-4
    poses[:, 4, 2] = 0.5, -0.5
    assert np.isfinite(pose_nms(poses, boxes).keypoints).all()


def test_who_scores_too_little_or_is_too_small_is_left_out():
    low = person(300, score=0.29)
    assert pose_nms(*crowd(person(0), low)).picks.tolist() == [0]
    assert pose_nms(*crowd(person(0), low), REGRESSION).picks.tolist() == [0, 1]
    small = person(300, size=20)
    assert pose_nms(*crowd(person(0), small), min_area_px2=2.25 * 20**2).picks.tolist() == [0, 1]
    assert pose_nms(*crowd(person(0), small), min_area_px2=901).picks.tolist() == [0]
    assert len(pose_nms(np.empty((0, 17, 3)), np.empty((0, 4)))) == 0


def test_nothing_given_changes_and_nothing_stays():
    """The reference writes 1e-5 into its input, and keeps constants for the next call."""
    poses, boxes = crowd(person(0), person(3))
    poses[0, 3, 2] = 0
    before = poses.copy()
    first = pose_nms(poses, boxes).keypoints
    full = crowd(person(0, 136), person(4, 136))
    pose_nms(*full, constants_for(136, by_heatmaps=False))
    assert np.array_equal(poses, before)
    assert np.array_equal(pose_nms(poses, boxes).keypoints, first)
    assert (constants_for(136, by_heatmaps=True), constants_for(17, by_heatmaps=False)) == (
        HEAT, HEAT)  # fmt: skip


def test_a_full_body_in_a_crowd_is_like_itself():
    """136 joints of n people: 136 / (2 · 136 · n) / 2 · 136 = 34 / n match in the reference."""
    poses, _ = crowd(*(person(300 * i, 136) for i in range(7)))
    for mode, expected in (("reference", 34 / 7), ("fixed", 34)):
        assert nms.matches(2, poses, 7.0, HEAT, mode)[2] == pytest.approx(expected)
    # The inverted mask: a joint that scores counts where it should, and not in the reference.
    sure = [nms.similarity(0, poses, HEAT, mode)[0] for mode in nms.MODES]
    assert sure[1] - sure[0] == pytest.approx(2.1 * np.tanh(0.9) ** 2)
    doubles = crowd(*(person(300 * i + j, 136) for i in range(4) for j in (0, 2)))
    assert len(pose_nms(*doubles, mode="fixed")) == 4
    assert len(pose_nms(*doubles, mode="reference")) > 4
    with pytest.raises(UserError, match="pose-NMS mode 'exact': expected one of reference, fixed"):
        pose_nms(*doubles, mode="exact")


@pytest.fixture(scope="module")
def recorded(reference_data):
    folder = reference_data / "parity" / "alphapose"
    words = json.loads((folder / "pose_nms.json").read_text("utf-8"))
    with np.load(folder / "pose_nms.npz") as arrays:
        return words, dict(arrays)


def test_as_recorded(recorded):
    """129 scenes, float32 there and float64 here; the records' own allowances."""
    words, arrays = recorded
    for scene in words["scenes"]:
        key, name = scene["key"], scene["key"].partition("/")[0]
        parts = [arrays[f"{name}/in_poses"], arrays[f"{name}/in_scores"]]
        poses, corners = np.concatenate(parts, -1), arrays[f"{name}/in_boxes"].astype(float)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        constants = HEAT if scene["constants"] == "heat" else LEAKED
        area = scene["min_box_area"]
        merged = pose_nms(poses, boxes, constants, mode="reference", min_area_px2=area)
        assert merged.picks.tolist() == scene["picks"], key
        assert [own.tolist() for own in merged.members] == scene["merged_ids"], key
        off = np.abs(merged.keypoints[..., :2] - arrays[f"{key}/poses"])
        assert off.max(initial=0) < 1e-3
        off = np.abs(merged.keypoints[..., 2:] - arrays[f"{key}/scores"])
        assert off.max(initial=0) < 1e-5
        scores = nms.proposal_scores(
            merged.keypoints, arrays[f"{name}/in_box_scores"][merged.picks, 0]
        )
        np.testing.assert_allclose(scores, scene["proposal_scores"], atol=1e-5)


def test_oks_nms_as_recorded(recorded):
    words, arrays = recorded
    for case in words["oks"]:
        joints, given = case["K"], case["inputs"]
        poses = arrays[f"oks{joints}/keypoints"].astype(float)
        scores = rescored(poses, np.array([one["score"] for one in given]))
        ids = np.array([one["image_id"] for one in given])
        areas = np.array([one["area"] for one in given])
        sigmas = np.array(nms.oks_nms_sigmas(26)[:17] if joints == 17 else
                          nms.oks_nms_sigmas(joints))  # fmt: skip
        kept = []
        for image_id in dict.fromkeys(ids.tolist()):
            rows = np.flatnonzero(ids == image_id)
            one = poses[rows], scores[rows], areas[rows], sigmas, nms.OKS_THRESHOLD
            kept += rows[oks_nms(*one)].tolist()
        assert kept == case["kept"]
        np.testing.assert_allclose(scores[kept], case["scores"], atol=1e-6)  # float32 there
