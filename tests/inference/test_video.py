"""Tracks and the One-Euro filter, by hand."""

from __future__ import annotations

import math
import resource

import numpy as np
import pytest

from paddle_pose.errors import UserError
from paddle_pose.inference.people import FoundPoses
from paddle_pose.inference.video import KEEP_FRAMES, OneEuro, Tracker, VideoFile
from paddle_pose.skeletons import MPII16


def poses_at(*corners_xy):
    """A person of 100 × 100 pixels at each corner; joints on the box's diagonal."""
    count, joints = len(corners_xy), len(MPII16)
    steps = np.linspace(0, 100, joints)
    keypoints = np.ones((count, joints, 3))
    for row, (x, y) in enumerate(corners_xy):
        keypoints[row, :, 0], keypoints[row, :, 1] = x + steps, y + steps
    ids = np.zeros(count, np.int64)
    boxes = np.array([[x, y, 100, 100] for x, y in corners_xy], float).reshape(-1, 4)
    return FoundPoses(ids, keypoints, np.ones(count), boxes, ids, ids, MPII16)


def test_people_keep_their_numbers():
    track = Tracker(25)
    assert track(poses_at((0, 0), (300, 0)))[1].tolist() == [1, 2]
    assert track(poses_at((310, 0), (5, 0)))[1].tolist() == [2, 1]
    assert track(poses_at((900, 0), (320, 0)))[1].tolist() == [3, 2]
    assert track(poses_at())[1].tolist() == []
    assert track(poses_at((8, 0)))[1].tolist() == [1]  # was away for two frames
    for _ in range(KEEP_FRAMES + 1):
        track(poses_at())
    assert track(poses_at((8, 0)))[1].tolist() == [4]


def test_two_who_meet_keep_the_nearer():
    track = Tracker(25)
    track(poses_at((0, 0), (40, 0)))
    assert track(poses_at((38, 0), (2, 0)))[1].tolist() == [2, 1]


def test_without_a_filter_nothing_moves():
    track = Tracker(25)
    track(poses_at((0, 0)))
    found, _ = track(poses_at((7, 3)))
    assert np.array_equal(found.keypoints, poses_at((7, 3)).keypoints)


def test_one_euro_by_hand():
    """Cut-off 1 Hz, 25 frames a second, beta 0: alpha = 1 / (1 + 25 / 2π)."""
    alpha = 1 / (1 + 25 / (2 * math.pi))
    track = Tracker(25, OneEuro(1.0, 0.0, 1.0))
    first, _ = track(poses_at((0, 0)))
    assert np.array_equal(first.keypoints, poses_at((0, 0)).keypoints)
    second, _ = track(poses_at((10, 0)))
    np.testing.assert_allclose(second.keypoints[0, :, 0], np.linspace(0, 100, 16) + 10 * alpha)
    # With beta 1: speed alpha × 250 px/s, per 100 px of size; the cut-off rises by it.
    track = Tracker(25, OneEuro(1.0, 1.0, 1.0))
    track(poses_at((0, 0)))
    second, _ = track(poses_at((10, 0)))
    cutoff = 1 + alpha * 250 / 100
    faster = 1 / (1 + 25 / (2 * math.pi * cutoff))
    np.testing.assert_allclose(second.keypoints[0, 0, 0], 10 * faster)
    assert (second.keypoints[..., 2] == 1).all()


def test_it_is_steadier_and_arrives():
    rng = np.random.default_rng(0)
    track = Tracker(25, OneEuro(1.0, 0.1))
    found = [track(poses_at(rng.normal(0, 2, 2)))[0].keypoints[0, 0, 0] for _ in range(100)]
    assert np.std(found[20:]) < 1  # of 2
    for _ in range(60):
        last, _ = track(poses_at((30, 0)))
    assert last.keypoints[0, 0, 0] == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("text", ["1", "x,1", "0,1", "1,-1", "nan,1", "1,inf"])
def test_filters_that_are_none(text):
    with pytest.raises(UserError, match="--smooth"):
        OneEuro.of(text)


def test_a_video_that_is_dropped_leaves_nothing(tmp_path):
    target = VideoFile(tmp_path / "v.mp4", (64, 48), 25)
    target.write(np.zeros((48, 64, 3), np.uint8))
    assert not (tmp_path / "v.mp4").exists()
    target.drop()
    assert not list(tmp_path.iterdir())


def test_a_video_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    video = VideoFile(tmp_path / "v.mp4", (64, 48), 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        for pixels in frames:
            video.write(pixels)
        with pytest.raises(UserError, match=r"v\.mp4: \d+ of 40 frames .*is the disk full\?"):
            video.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
