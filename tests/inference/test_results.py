"""Results files picture by picture: AlphaPose's forms, empty pictures, names that meet."""

from __future__ import annotations

import json

import numpy as np
import pytest

from paddle_pose import drawing
from paddle_pose.inference.frames import Frame, Seen
from paddle_pose.inference.people import FoundPoses, cut_out
from paddle_pose.inference.results import Written, result_files
from paddle_pose.inference.tracking import Kept
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import COCO17

PIXELS = np.zeros((100, 100, 3), np.uint8)


def kept(count, numbers=None, image_id=7):
    """A picture with so many people."""
    boxes = np.array([[10, 10, 50, 80]] * count, float).reshape(-1, 4)
    people = cut_out(PIXELS, boxes, (64, 64), [1.0], image_id)
    keypoints = np.full((count, 17, 3), 0.5)
    keypoints[..., :2] = np.linspace(20, 60, 17)[:, None]
    poses = FoundPoses.of(Poses.at(people.place, keypoints), COCO17)
    ids = None if numbers is None else np.array(numbers)
    return Kept(Seen(Frame(PIXELS, people, 0), poses, None), poses, boxes, ids)


def written(folder, form, pictures, *, tracked=False):
    target = Written(folder, COCO17.joints, 0.2, form=form, tracked=tracked)
    for name, one in pictures:
        target.add(one, name, None, name)
    target.close()
    return json.loads((folder / result_files(form)[0]).read_text())


@pytest.mark.parametrize(("form", "many"), [("cmu", "bodies"), ("open", "people")])
def test_pictures_are_keys_and_files(tmp_path, form, many):
    """Pictures without people do not appear, as in AlphaPose; a.png does not replace a.jpg."""
    pictures = [("0.jpg", kept(0)), ("a.jpg", kept(2)), ("a.png", kept(1)), ("z.jpg", kept(0))]
    found = written(tmp_path, form, pictures)
    assert {name: len(one[many]) for name, one in found.items()} == {"a.jpg": 2, "a.png": 1}
    parts = sorted(file.name for file in (tmp_path / "sep-json").iterdir())
    assert parts == ["a.json", "a.png.json"]
    assert json.loads((tmp_path / "sep-json" / "a.json").read_text()) == found["a.jpg"]


def test_frames_of_two_films_and_folders_have_files_of_their_own(tmp_path):
    """All before the first dot would be the film's name, for each of its frames."""
    names = ["a.mp4/0.jpg", "a.mp4/1.jpg", "b.mp4/0.jpg", "v.1/c.d.jpg", "x/y.jpg", "x_y.jpg"]
    written(tmp_path, "cmu", [(name, kept(1)) for name in [*names, "x/y.png", "x_y.png"]])
    parts = {file.stem for file in (tmp_path / "sep-json").iterdir()}
    made = {"a.mp4_0", "a.mp4_1", "b.mp4_0", "v.1_c", "x_y", "x_y.jpg", "x_y.png", "x_y.png_"}
    assert parts == made


def test_ids_are_of_tracks_alone(tmp_path):
    pictures = [("a.jpg", kept(0)), ("b.jpg", kept(2, [4, 2]))]
    found = written(tmp_path, "alphapose", pictures, tracked=True)
    assert [one["idx"] for one in found] == [4, 2]
    assert found[0]["box"] == [10, 10, 50, 80]
    assert "idx" not in written(tmp_path, "alphapose", pictures)[0]
    assert [one["image_id"] for one in written(tmp_path, "alphapose_eval", pictures)] == [7, 7]
    assert [one["track_id"] for one in written(tmp_path, "coco", pictures, tracked=True)] == [4, 2]
    assert [one["track"] for one in written(tmp_path, "coco", pictures)] == [4, 2]


def test_each_number_has_its_colour():
    one = kept(1).poses
    drawn = [one.draw(PIXELS, numbers=np.array([number])) for number in (1, 2, 1)]
    assert np.array_equal(drawn[0], drawn[2])
    joint = [picture[40, 40].astype(int) for picture in drawn]
    assert np.abs(joint[0] - joint[1]).max() > 60
    colours = [np.array(drawing.number_rgb(number)) for number in range(1, 9)]
    apart = [np.abs(a - b).sum() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) > 60
    assert drawn[0][:20].any()  # the number above the highest joint
