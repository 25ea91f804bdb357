"""Scenes of one to eight people: counts, who hides whom, crowds, people without labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask

from paddle_pose.data import coco
from paddle_pose.files import read_json
from paddle_pose.synthetic import dataset, several
from paddle_pose.synthetic.several import LEAST_JOINTS, MOST_PEOPLE

TRAIN, VAL = 120, 8


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "scenes"
    sizes = {"train_people": TRAIN, "val_people": VAL}
    dataset.write_dataset(root, layout="scenes", workers=2, progress=False, **sizes)
    return root


@pytest.fixture(scope="module")
def content(drawn: Path) -> dict:
    return read_json(drawn / "annotations/person_keypoints_train2017.json")


def test_as_many_people_as_asked_for_one_to_eight_a_picture(content: dict) -> None:
    people = [one for one in content["annotations"] if not one["iscrowd"]]
    assert len(people) == TRAIN
    counts = np.bincount([one["image_id"] for one in people])[1:]
    assert counts.min() >= 1
    assert counts.max() <= MOST_PEOPLE
    assert several.people_per_picture(0, 0, 9) == several.people_per_picture(0, 0, 9)
    assert set(several.people_per_picture(0, 0, 900)) == set(range(1, MOST_PEOPLE + 1))


def test_labelled_people_show_enough_joints_and_the_others_none(content: dict) -> None:
    bare = 0
    for one in content["annotations"]:
        keypoints = np.reshape(one["keypoints"], (17, 3))
        assert one["num_keypoints"] == (keypoints[:, 2] > 0).sum()
        if one["num_keypoints"] == 0:
            assert not keypoints.any()
            bare += not one["iscrowd"]
        else:
            assert (keypoints[:, 2] == 2).sum() >= LEAST_JOINTS
            assert not one["iscrowd"]
    # 8 % of 120 and some that are hidden; none has a chance of (1 - .08) ** 120 = 5e-5.
    assert 1 <= bare <= TRAIN // 3


def test_outlines_are_what_is_seen_and_do_not_overlap(drawn: Path, content: dict) -> None:
    for image in content["images"]:
        height, width = cv2.imread(str(drawn / "images/train2017" / image["file_name"])).shape[:2]
        assert (image["width"], image["height"]) == (width, height)
        taken = np.zeros((height, width), int)
        for one in content["annotations"]:
            if one["image_id"] != image["id"] or not one["segmentation"]:
                continue
            outline = one["segmentation"]
            if one["iscrowd"]:
                code = coco_mask.frPyObjects(outline, height, width)
                assert coco_mask.area(code) == one["area"]
            else:
                code = coco_mask.merge(coco_mask.frPyObjects(outline, height, width))
            shown = coco_mask.decode(code).reshape(height, width)
            taken += shown
            # An outline runs along the middles of the outermost pixels and has no holes.
            assert shown.sum() >= 0.6 * one["area"] - 20
        assert (taken > 1).mean() < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_hidden_joints_lie_under_somebody_nearer(seed: int) -> None:
    image, records = several.draw_several(np.random.default_rng(seed), 6)
    people = [one for one in records if not one.crowd]  # the nearest first
    assert len(people) == 6
    assert image.dtype == np.uint8
    nearer = np.zeros(image.shape[:2], bool)
    for one in people:
        assert not (one.seen & nearer).any()
        for x, y, flag in one.keypoints:
            if flag:
                assert (flag == 1) == nearer[int(np.rint(y)), int(np.rint(x))]
        nearer |= one.seen


def test_a_crowd_is_one_record_of_a_group_behind(monkeypatch) -> None:
    monkeypatch.setattr(several, "CROWDS", 1.0)
    _, records = several.draw_several(np.random.default_rng(5), 1)
    person, crowd = records
    assert (person.crowd, crowd.crowd) == (False, True)
    assert not crowd.keypoints.any()
    assert not (crowd.seen & person.seen).any()
    rows, columns = np.nonzero(crowd.seen)
    x, y, width, height = crowd.box_xywh
    assert (columns.min(), rows.min()) == (x, y)
    assert (columns.max() + 1, rows.max() + 1) == (x + width, y + height)


def test_the_coco_loader_reads_it(drawn: Path, content: dict) -> None:
    table = coco.load(drawn, "train2017", image_size_wh=(48, 64), skeleton_name="coco17")
    labelled = [one for one in content["annotations"] if one["num_keypoints"]]
    assert len(table) == len(labelled)


def test_same_bytes_from_one_process(drawn: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    sizes = {"train_people": TRAIN, "val_people": VAL}
    dataset.write_dataset(again, layout="scenes", workers=1, progress=False, **sizes)
    for file in drawn.rglob("*.j*"):
        assert (again / file.relative_to(drawn)).read_bytes() == file.read_bytes()
