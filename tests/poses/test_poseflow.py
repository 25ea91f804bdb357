"""PoseFlow: by hand, with rendered points, and against AlphaPose's recorded sequences."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from paddle_pose.poses import poseflow
from paddle_pose.poses.poseflow import PoseFlow, PoseFlowSettings, Still, shared_points

SIZE_WH = 640, 480


def people(*corners_xy):
    """A person of 100 × 100 pixels at each corner."""
    steps = np.linspace(0, 100, 17)[:, None]
    return np.array([np.array(corner) + steps * [1, 1] for corner in corners_xy]).reshape(-1, 17, 2)


def test_people_keep_their_numbers_and_come_back():
    flow = PoseFlow()
    assert flow(people((100, 100), (400, 100)), SIZE_WH).ids.tolist() == [1, 2]
    assert flow(people((410, 100), (105, 100)), SIZE_WH).ids.tolist() == [2, 1]
    for _ in range(50):
        assert flow(people((415, 100)), SIZE_WH).ids.tolist() == [2]
    found = flow(people((110, 100), (420, 100), (250, 300)), SIZE_WH)
    assert found.ids.tolist() == [1, 2, 3]
    assert (found.candidates.tolist(), found.in_previous.tolist()) == ([2, 1], [True, False])
    # Of 50 frames ago: box and joints once; of the last one twice each.
    assert 0 < found.match_scores[0] < 2 < found.match_scores[1] < 4
    assert found.match_scores[2] == 0


def test_after_too_long_away_somebody_is_new():
    flow = PoseFlow(PoseFlowSettings(link_frames=3))
    flow(people((100, 100), (400, 100)), SIZE_WH)
    for _ in range(3):
        flow(people((400, 100)), SIZE_WH)
    assert flow(people((100, 100)), SIZE_WH).ids.tolist() == [3]


def test_frames_without_people_are_passed_over():
    flow = PoseFlow()
    assert flow(people(), SIZE_WH).ids.tolist() == []
    assert flow(people((100, 100)), SIZE_WH).ids.tolist() == [1]
    for _ in range(200):
        assert len(flow(people(), SIZE_WH).ids) == 0
    found = flow(people((104, 100)), SIZE_WH)
    assert found.ids.tolist() == [1]
    assert found.in_previous.all()


def test_a_grade_by_hand():
    """One joint moved by 2 px: boxes of one pixel overlap in nothing, squares of 61 do.

    (61 − 2) · 61 / (2 · 61² − 59 · 61 + 1e-5), twice; the box of one point is not wide.
    """
    flow = PoseFlow()
    flow(np.array([[[50.0, 50.0]]]), SIZE_WH)
    found = flow(np.array([[[52.0, 50.0]]]), SIZE_WH)
    assert found.grades[0, 0] == pytest.approx(
        2 * 59 * 61 / (2 * 61**2 - 59 * 61 + 1e-5), abs=1e-12
    )


def test_every_pixel_where_it_was_is_not_written_out():
    """``Still`` counts what the reference writes as a line for every pixel."""
    y, x = np.mgrid[:48, :64]
    every = np.column_stack([x.ravel(), y.ravel(), x.ravel(), y.ravel()]).astype(float)
    ends = np.sort(np.random.default_rng(0).uniform(-9, 73, (9, 2, 2)), -1).reshape(9, 4)
    counted = poseflow._shared(Still(64, 48), ends[:5], ends[5:])
    assert np.array_equal(counted, poseflow._shared(every, ends[:5], ends[5:]))
    blank = np.zeros((48, 64, 3), np.uint8)
    assert shared_points(blank, blank) == Still(64, 48)


def test_points_of_a_moved_picture_move():
    coarse = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    points = shared_points(picture, np.roll(picture, 5, 1))
    assert points.shape[1] == 4
    assert np.median(points[:, 2:] - points[:, :2], axis=0).tolist() == [5, 0]


def test_points_find_who_jumped_farther_than_boxes_reach():
    crossed = [[150, 150, 450, 350]] * 9 + [[450, 150, 150, 350]] * 9
    for points, ids in ((None, [3, 4]), (np.array(crossed), [2, 1])):
        flow = PoseFlow()
        flow(people((100, 100), (400, 100)), SIZE_WH)
        assert flow(people((100, 300), (400, 300)), SIZE_WH, points).ids.tolist() == ids


@pytest.mark.parametrize("way", ["no_orb", "with_correspondences"])
def test_as_recorded(reference_data, way):
    """Seven sequences: doubles in other orders of adding, 1e-9 by the record; ids exact."""
    folder = reference_data / "parity" / "alphapose"
    words = json.loads((folder / "poseflow.json").read_text("utf-8"))
    arrays = np.load(folder / "poseflow.npz")
    for sequence in words["sequences"]:
        flow, name = PoseFlow(), sequence["name"]
        for frame in sequence[way]["frames"]:
            number = frame["frame"]
            points = None
            if number and way != "no_orb":
                points = arrays[f"{name}/cor{number - 1:02d}"]
            given = arrays[f"{name}/frame{number:02d}"]
            found = flow(given, tuple(sequence["size_wh"]), points)
            assert found.ids.tolist() == frame["ids"], (name, number)
            np.testing.assert_allclose(found.match_scores, frame["match_scores"], atol=1e-9)
            if number:
                assert found.candidates.tolist() == frame["candidates"]
                assert found.in_previous.tolist() == frame["in_previous_frame"]
                np.testing.assert_allclose(found.grades, frame["grades"], atol=1e-9)
        assert max(max(f["ids"]) for f in sequence[way]["frames"]) == sequence[way]["persons"]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 300)])
def test_pictures_too_small_for_points_stand_still(size):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert shared_points(picture, picture) == (size[1], size[0])
    large = np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    assert isinstance(shared_points(large, picture), Still)
    assert isinstance(shared_points(picture, large), Still)
