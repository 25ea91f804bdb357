"""Halpe's people: recorded loaders and crops, files where they lie, COCO-WholeBody's joints."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from paddle_pose.data import coco, halpe
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, HALPE26, HALPE136
from reproduce.aligning import fastpose_data

SIZE_WH = (192, 256)


def test_recorded_loaders(reference_data: Path):
    rows = list(fastpose_data.people_rows(reference_data))
    assert len(rows) == 15
    assert all(row.ok for row in rows), rows


def test_recorded_crops(reference_data: Path):
    rows = list(fastpose_data.crop_rows(reference_data))
    assert len(rows) == 8
    assert all(row.ok for row in rows), rows


def annotation(number: int, image: int, scores: list[float], **changes: Any) -> dict[str, Any]:
    joints = np.column_stack([np.arange(136) + 10, np.arange(136) % 50 + 5, np.zeros(136)])
    joints[: len(scores), 2] = scores
    record = {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 100.0,
        "bbox": [10, 5, 80, 60], "num_keypoints": 1, "keypoints": joints.ravel().tolist(),
    }  # fmt: skip
    return record | changes


def write(file: Path, names: list[str], people: list[dict[str, Any]], folder: Path) -> None:
    """An annotation file, and its grey pictures in a folder."""
    images = [
        {"id": i, "file_name": name, "width": 160, "height": 120} for i, name in enumerate(names, 1)
    ]
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    for path in (file.parent, folder):
        path.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    for name in names:
        cv2.imwrite(str(folder / name), np.full((120, 160, 3), 128, np.uint8))


def load(root: Path, split: str = "train", skeleton: str = "halpe136", **stated) -> PersonTable:
    data = DataSettings(dataset="halpe", skeleton=skeleton, **stated)
    return coco.load(root, split, image_size_wh=SIZE_WH, skeleton_name=skeleton, stated=data)


TRAIN, VAL = "annotations/halpe_train_v1.json", "annotations/halpe_val_v1.json"


@pytest.mark.parametrize(
    ("split", "folder"),
    [
        ("train", "halpe/images/train2015"),
        ("train", "halpe/train2017"),
        ("train", "halpe/hico_20160224_det/images/train2015"),
        ("val", "halpe/images/val2017"),
        ("val", "coco/val2017"),
        ("val", "coco/images/val2017"),
    ],
)
def test_files_lie_as_published_or_as_the_seed_has_them(tmp_path, split, folder):
    root = tmp_path / "halpe"
    file = root / (TRAIN if split == "train" else VAL)
    write(file, ["a.jpg"], [annotation(1, 1, [0.35])], tmp_path / folder)
    table = load(root, split)
    assert table.image_root.resolve() == tmp_path / folder
    assert table.files == (file,)
    assert "halpe_" in table.summary


def test_what_is_missing_is_one_line_that_says_where_it_goes(tmp_path):
    root = tmp_path / "halpe"
    with pytest.raises(UserError) as error:
        load(root)
    assert "halpe_train_v1.json: no such annotation file" in str(error.value)
    assert "HICO-DET's train2015 into images/train2015" in str(error.value)
    write(root / TRAIN, ["a.jpg"], [annotation(1, 1, [1])], tmp_path / "elsewhere")
    with pytest.raises(UserError, match="HICO-DET's train2015 into images/train2015") as error:
        load(root)
    assert "image a.jpg" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sample_stands_in_for_no_split_and_says_so(tmp_path):
    sample = tmp_path / "annotations/halpe_4images.json"
    write(sample, ["a.jpg"], [annotation(1, 1, [1])], tmp_path / "images/val2017")
    for split in ("train", "val"):
        (fact,) = [fact for fact in load(tmp_path, split).understood.facts if fact.what == "split"]
        assert "has no file of its own; halpe_4images.json is read" in fact.line()
    (tmp_path / VAL).write_bytes(sample.read_bytes())
    sample.unlink()
    with pytest.raises(UserError, match=r"halpe_train_v1\.json: no such annotation file"):
        load(tmp_path, "train")


def test_who_is_kept_and_what_is_visible(tmp_path):
    people = [
        annotation(1, 1, [0.349, 0.35, 2]),
        annotation(2, 1, [0.349]),  # nothing visible
        annotation(3, 1, [1], num_keypoints=0),
        annotation(4, 1, [1], iscrowd=1),
        annotation(5, 1, [1], area=0),  # the box counts
        annotation(6, 1, [1], bbox=[10, 5, 1, 60]),  # a pixel wide: no width is left
        annotation(7, 1, [1], bbox=[-5, 5, 20, 200]),
        annotation(8, 1, [0.0] * 26 + [1]),  # a face alone
    ]
    write(tmp_path / TRAIN, ["a.jpg"], people, tmp_path / "train2017")
    table = load(tmp_path)
    assert table.rows.tolist() == [0, 4, 6, 7]
    assert table.visible[0, :4].tolist() == [0, 1, 1, 0]
    # One pixel smaller, then clipped to pixels 0 … 119.
    assert table.boxes_xywh[2].tolist() == [0, 5, 14, 114]
    assert load(tmp_path, skeleton="halpe26").rows.tolist() == [0, 4, 6]
    hrnets = load(tmp_path, rules="hrnet")
    assert hrnets.visible[0, :4].tolist() == [1, 1, 1, 0]


def test_of_136_joints_the_first_26(tmp_path):
    write(tmp_path / TRAIN, ["a.jpg"], [annotation(1, 1, [1] * 136)], tmp_path / "train2017")
    whole, first = load(tmp_path), load(tmp_path, skeleton="halpe26")
    np.testing.assert_array_equal(first.joints_xy, whole.joints_xy[:, :26])
    assert "the first 26 of the file's 136" in str([f.text for f in first.understood.facts])


def test_coco_by_alphaposes_rules(tmp_path):
    def cocos(number: int, scores: list[int], **changes: Any) -> dict[str, Any]:
        record = annotation(number, 1, scores, **changes)
        return record | {"keypoints": record["keypoints"][:51]}

    people = [cocos(1, [1, 2]), cocos(2, [2], num_keypoints=0), cocos(3, [0], area=0)]
    file = tmp_path / "annotations/person_keypoints_val2017.json"
    write(file, ["a.jpg"], people, tmp_path / "val2017")
    data = DataSettings(dataset="coco", skeleton="coco17", rules="alphapose")
    table = coco.load(tmp_path, "val2017", image_size_wh=SIZE_WH, stated=data)
    assert table.rows.tolist() == [0]
    assert table.visible[0, :3].tolist() == [1, 1, 0]


def wholebody(**changes: Any) -> dict[str, Any]:
    flat = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21}
    flat["righthand_kpts"] = 21
    made, first = {}, 0
    for key, count in flat.items():
        numbers = np.arange(first, first + count)
        made[key] = array("d", np.column_stack([numbers, numbers, np.ones(count)]).ravel())
        first += count
    return made | changes


def test_whole_bodies_have_halpes_feet():
    # COCO-WholeBody: left big toe, small toe, heel (17, 18, 19), then the right ones (20, 21, 22).
    joints = np.array(halpe.whole_body(wholebody(), "here")).reshape(136, 3)
    names = ("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel")
    places = [HALPE136.index(name) for name in (*names, "right_heel")]
    assert joints[places, 0].tolist() == [17, 20, 18, 21, 19, 22]
    rest = np.delete(joints, [*places, 17, 18, 19], axis=0)
    assert rest[:, 0].tolist() == [*range(17), *range(23, 133)]
    assert not joints[17:20].any()
    swapped = np.array(halpe.whole_body(wholebody(), "here", swapped_feet=True)).reshape(136, 3)
    assert swapped[places, 0].tolist() == [*range(17, 23)]


def test_whole_bodies_lack_parts_or_are_refused():
    joints = np.array(halpe.whole_body(wholebody(foot_kpts=None), "here")).reshape(136, 3)
    assert not joints[20:26].any()
    with pytest.raises(UserError, match="there: face_kpts: expected 204 numbers"):
        halpe.whole_body(wholebody(face_kpts=array("d", [1.0])), "there")


def test_parts_that_whole_bodies_lack_are_said():
    people = [(row, row, wholebody(**{key: None})) for row, key in enumerate(("face_kpts", "x"))]
    stated = DataSettings(dataset="wholebody", join="wholebody")
    facts = halpe.prepare({}, people, "halpe136", stated, Path("file"))
    assert "; of 2 people have 1 no face_kpts: these are not visible" in facts[0].text
    whole = halpe.prepare({}, [(0, 0, wholebody())], "halpe136", stated, Path("file"))
    assert whole[0].text.endswith("are missing")


def test_joints_that_are_no_list_are_refused(tmp_path):
    write(tmp_path / TRAIN, ["a.jpg"], [annotation(1, 1, [1], keypoints=5)], tmp_path / "train2017")
    for skeleton in ("halpe26", "halpe136"):
        with pytest.raises(UserError, match=r"annotations\[0\].*keypoints"):
            load(tmp_path, skeleton=skeleton)


def test_the_joint_sets_begin_alike():
    assert HALPE26.joints[:17] == COCO17.joints
