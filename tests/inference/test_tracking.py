"""From the poses of a picture to those that are drawn: doubles, scores, numbers, order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import crossing_people
import numpy as np
import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.inference.frames import Frame, Seen
from paddle_pose.inference.people import FoundPoses, Given, cut_out
from paddle_pose.inference.sources import Photo
from paddle_pose.inference.tracking import (
    Follower,
    Following,
    Suppression,
    in_order,
    picture_names,
)
from paddle_pose.inference.video import OneEuro
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import COCO17, HALPE26, MPII16

RECIPE = configs.load("quickstart:newell_hg1_synthetic")


class Toy:
    """What a suppression asks a predictor for."""

    def __init__(self, skeleton):
        self.skeleton, self.recipe = skeleton, RECIPE


def seen(pixels, boxes, joints_xy, skeleton, *, given=True, score=0.8):
    """A picture whose people were found at these joints."""
    people = cut_out(pixels, boxes, (64, 64), [1.0])
    keypoints = np.concatenate([joints_xy, np.full((*joints_xy.shape[:2], 1), score)], -1)
    said = Given(boxes, np.linspace(0.9, 0.5, len(boxes))) if given else None
    frame = Frame(pixels, people, 0, said)
    return Seen(frame, FoundPoses.of(Poses.at(people.place, keypoints), skeleton), None)


def doubles(skeleton, **options):
    """Two people, the second of them found twice."""
    joints = np.linspace(0, 80, len(skeleton))[:, None] * [1, 1]
    places = np.array([joints + np.array([x, 0]) for x in (0, 100, 101)])
    boxes = np.array([[0, 0, 90, 90], [100, 0, 90, 90], [101, 0, 90, 90]], float)
    return seen(np.zeros((100, 200, 3), np.uint8), boxes, places, skeleton, **options)


def test_pose_nms_scores_as_alphapose():
    suppress = Suppression("pose", Toy(COCO17))
    poses, boxes = suppress(doubles(COCO17))
    assert poses.rows.tolist() == [0, 1]
    # Box, mean and 1.25 × largest joint.
    np.testing.assert_allclose(poses.scores, [0.9 + 2.25 * 0.8, 0.7 + 2.25 * 0.8])
    assert boxes.tolist() == [[0, 0, 90, 90], [100, 0, 90, 90]]
    suppress(doubles(COCO17, score=0.1))
    assert suppress.summary() == (
        "pose-NMS: 1 of 6 poses are others' doubles; left out 3, whose joints all score below 0.3"
    )


def test_oks_nms_and_none():
    suppress = Suppression("oks", Toy(COCO17))
    poses, _ = suppress(doubles(COCO17))
    assert poses.rows.tolist() == [0, 1]
    np.testing.assert_allclose(poses.scores, [0.9 * 0.8, 0.7 * 0.8])
    assert "oks-NMS: 1 of 3" in suppress.summary()
    none = Suppression("none", Toy(MPII16))
    assert len(none(doubles(MPII16))[0]) == 3
    assert none.summary() == ""
    own = replace(HALPE26, name="own", parts={}, oks_sigmas=())  # as many joints as Halpe's
    with pytest.raises(UserError, match="skeleton 'own' has no OKS constants"):
        Suppression("oks", Toy(own))
    Suppression("oks", Toy(HALPE26))
    with pytest.raises(UserError, match="--nms oks: skeleton 'mpii16' has no OKS constants"):
        Suppression("oks", Toy(replace(MPII16, oks_sigmas=())))


def test_boxes_that_nobody_gave_are_the_crops_without_their_margin():
    """Square boxes into square crops: 1.25 times as large, so they come back; the score is 1."""
    poses, boxes = Suppression("pose", Toy(MPII16))(doubles(MPII16, given=False))
    np.testing.assert_allclose(boxes, [[0, 0, 90, 90], [100, 0, 90, 90]], atol=1e-4)  # float32
    np.testing.assert_allclose(poses.scores, 1 + 2.25 * 0.8)


@pytest.fixture(scope="module")
def film():
    return crossing_people.film(frames=14)


@pytest.mark.parametrize("by_points", [False, True])
def test_people_who_pass_each_other_keep_their_numbers(film, by_points):
    """By true joints; the order in which they are found changes with every frame."""
    how = Following("none", track=True, by_points=by_points)
    follow = Follower(Suppression("none", Toy(MPII16)), how, 12.0)
    for number, shot in enumerate(film):
        order = np.roll(np.arange(3), number)
        found = seen(shot.pixels, shot.boxes_xywh[order], shot.joints_xy[order], MPII16)
        assert follow(found).numbers.tolist() == (order + 1).tolist()


def test_a_change_of_size_is_said_once(film, capsys):
    follow = Follower(Suppression("none", Toy(MPII16)), Following("none", True, True), 12.0)
    for number, shot in enumerate(film[:5]):
        pixels = shot.pixels[: len(shot.pixels) - number % 2]
        follow(seen(pixels, shot.boxes_xywh, shot.joints_xy, MPII16))
    assert capsys.readouterr().out.count("people are followed without points") == 1


def test_each_is_filtered_by_its_number(film):
    """What moves on is held back a little, and nobody is drawn to another's place."""
    how = Following("none", track=True)
    suppress = Suppression("none", Toy(MPII16))
    follow = Follower(suppress, how, 12.0, OneEuro(1.0, 0.0))
    for number, shot in enumerate(film[:6]):
        order = np.roll(np.arange(3), number)
        kept = follow(seen(shot.pixels, shot.boxes_xywh[order], shot.joints_xy[order], MPII16))
    assert kept.numbers is not None
    lag = kept.poses.keypoints[:, 0, 0] - shot.joints_xy[order][:, 0, 0]
    goes_right = np.array([True, True, False])[order]
    assert ((lag < 0) == goes_right).all()
    assert np.abs(lag).max() < 60  # six frames of 21 px, of which the filter trails some


def test_single_photos_have_no_numbers():
    follow = Follower(Suppression("pose", Toy(COCO17)), Following("pose"), None)
    assert follow(doubles(COCO17)).numbers is None


def photo(name, folder="frames"):
    return Photo(Path(folder) / name, name, 0)


def test_frames_are_in_the_order_of_their_numbers(capsys):
    photos = [photo("f_10.jpg"), photo("f_2.jpg"), photo("x7.png", "other"), photo("f_0003.jpg")]
    names = [one.name for one in in_order(photos)]
    assert names == ["f_2.jpg", "f_0003.jpg", "f_10.jpg", "x7.png"]
    assert "frames: 6 numbers from 2 to 10 are missing" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--track: frames/cover\.jpg: its name ends in no number"):
        in_order([photo("f_1.jpg"), photo("cover.jpg")])
    with pytest.raises(UserError, match="ends in 1 as another's does"):
        in_order([photo("f_1.jpg"), photo("f_01.jpg")])


def test_names_of_pictures():
    assert picture_names([photo("a/1.jpg"), photo("2.jpg")]) == ["1.jpg", "2.jpg"]
    assert picture_names([photo("a/1.jpg"), photo("1.jpg")]) == ["a/1.jpg", "1.jpg"]
