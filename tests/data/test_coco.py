"""COCO's loader: equal to HRNet's on real annotations, and clear about a user's own file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from paddle_pose import skeletons
from paddle_pose.data import coco
from paddle_pose.data.coco_category import UNKNOWN_JOINT_SIGMA
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, skeleton_named

SIZE_WH = (192, 256)


@pytest.fixture(scope="session")
def recorded(reference_data: Path) -> dict:
    return json.loads((reference_data / "parity/pipeline/coco.json").read_text())


def _assert_same_people(table, people: list[dict]) -> None:
    assert len(table) == len(people)
    assert [table.image_names[i] for i in table.image_index] == [p["image"] for p in people]
    # Both sides round the same float64 sums to float32: equal to the last bit.
    np.testing.assert_array_equal(table.center_xy, [p["center"] for p in people])
    np.testing.assert_array_equal(table.scale_wh, [p["scale"] for p in people])


def test_annotated_people_equal_the_reference(reference_data: Path, recorded: dict):
    table = coco.load(reference_data / "data/coco", "val2017", image_size_wh=SIZE_WH)
    people = recorded["all_gt_people_center_scale_192x256"]
    _assert_same_people(table, people)
    assert table.visible.sum(1).tolist() == [p["n_visible"] for p in people]
    assert np.isnan(table.head_size_px).all()
    assert (table.box_score == 1).all()
    # 259 annotations - 6 crowds = 253; 137 have keypoints (the data's README).
    assert "99 images, 259 annotations, 137 people" in table.summary
    assert "6 crowds, 116 without keypoints, 0 invalid boxes" in table.summary


def test_joints_are_the_files_numbers(reference_data: Path):
    root = reference_data / "data/coco"
    table = coco.load(root, "val2017", image_size_wh=SIZE_WH)
    content = json.loads(coco.annotation_file(root, "val2017").read_text())
    for person in table:
        record = content["annotations"][person.row]
        joints = np.array(record["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(person.joints_xy, joints[:, :2])
        np.testing.assert_array_equal(person.visible, joints[:, 2] > 0)
        image = next(i for i in content["images"] if i["id"] == record["image_id"])
        assert person.image == image["file_name"]
    assert set(table.image_ids[table.image_index]) == {
        content["annotations"][row]["image_id"] for row in table.rows
    }
    assert all((table.image_root / name).is_file() for name in table.image_names)


def test_detector_people_equal_the_reference(reference_data: Path, recorded: dict):
    table = coco.load(
        reference_data / "data/coco", "val2017", image_size_wh=SIZE_WH, boxes="detector"
    )
    people = recorded["detection_boxes_center_scale_192x256"]
    _assert_same_people(table, people)
    assert table.box_score.tolist() == [p["score"] for p in people]
    assert not table.visible.any()


def test_box_threshold(reference_data: Path, recorded: dict):
    table = coco.load(
        reference_data / "data/coco",
        "val2017",
        image_size_wh=SIZE_WH,
        boxes="detector",
        box_threshold=0.5,
    )
    people = recorded["detection_boxes_center_scale_192x256"]
    assert len(table) == sum(p["score"] >= 0.5 for p in people)


def test_crowdpose_brings_its_own_joints(reference_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(skeletons.SKELETONS, "from_file", raising=False)
    root = reference_data / "data/crowdpose"
    file = root / "annotations/crowdpose_test_2images.json"
    table = coco.load(
        root, "any", image_size_wh=SIZE_WH, skeleton_name="from_file", annotations=file
    )
    assert table.joints_xy.shape == (4, 14, 2)
    skeleton = skeleton_named(table.skeleton)
    assert skeleton.joints[-2:] == ("head", "neck")
    assert len(skeleton.flip_pairs) == 6
    # Its official file lists COCO's limbs of 17 joints beside 14 joints: only named ones remain.
    assert skeleton.limbs
    assert {name for limb in skeleton.limbs for name in limb} <= set(skeleton.joints)
    monkeypatch.delitem(skeletons.SKELETONS, "from_file")


@pytest.mark.parametrize(
    ("box", "clean"),
    [
        ([10, 20, 30, 40], [10, 20, 29, 39]),  # one pixel smaller
        ([-5, -7, 30, 40], [0, 0, 29, 39]),  # moved, not cut, as the reference does
        ([90, 70, 30, 40], [90, 70, 9, 9]),  # ends at the last pixel
        ([10, 20, 0.5, 0.5], [10, 20, 0, 0]),
        ([100, 20, 5, 5], None),
        ([10, 80, 5, 5], None),
    ],
)
def test_boxes_are_cleaned_as_the_reference_does(box: list, clean: list | None):
    assert coco.clean_box(box, 100, 80) == clean


def _own(folder: Path, **changes: object) -> Path:
    """A user's file of three joints, one image; keys are replaced, None removes one."""
    joints = [10, 10, 2, 20, 30, 1, 0, 0, 0]
    person = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [5, 5, 20, 40], "keypoints": joints}
    content = {
        "images": [{"id": 5, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [person],
        "categories": [
            {"id": 9, "name": "car"},
            {
                "id": 3,
                "name": "cat",
                "keypoints": ["nose", "left_paw", "right_paw"],
                "skeleton": [[1, 2], [1, 3]],
            },
        ],
    }
    content = {**copy.deepcopy(content), **changes}
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "pictures/a.png").touch()
    file = folder / "pictures/own.json"
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return file


@pytest.fixture
def fresh_skeletons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeletons, "SKELETONS", dict(skeletons.SKELETONS))
    skeletons.SKELETONS.pop("from_file", None)


def _load(file: Path, **options: object):
    options = {"skeleton_name": "from_file", **options}
    return coco.load(file.parent, "any", image_size_wh=SIZE_WH, annotations=file, **options)


@pytest.mark.usefixtures("fresh_skeletons")
def test_a_users_own_file(tmp_path: Path):
    table = _load(_own(tmp_path))
    assert table.image_root == tmp_path / "pictures"
    assert table.visible.tolist() == [[1, 1, 0]]
    skeleton = skeleton_named(table.skeleton)
    assert skeleton.joints == ("nose", "left_paw", "right_paw")
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.limbs == (("nose", "left_paw"), ("nose", "right_paw"))
    nose = COCO17.oks_sigmas[0]
    assert skeleton.oks_sigmas == (nose, UNKNOWN_JOINT_SIGMA, UNKNOWN_JOINT_SIGMA)
    # 19 × 39 after losing a pixel; 39 · 0.75 = 29.25 wide; × 1.25 / 200.
    np.testing.assert_allclose(table.scale_wh, [[0.1828125, 0.24375]], rtol=1e-6)  # float32


@pytest.mark.usefixtures("fresh_skeletons")
def test_a_box_of_a_point_is_left_out_and_counted(tmp_path: Path):
    file = _own(tmp_path)
    person = json.loads(file.read_text())["annotations"][0]
    point = person | {"id": 2, "bbox": [5, 5, 0.5, 1], "area": 90}
    table = _load(_own(tmp_path, annotations=[person, point]))
    assert len(table) == 1
    assert "1 invalid boxes" in table.summary
    line = point | {"bbox": [5, 5, 0, 40]}  # its crop is as wide as the height says
    assert len(_load(_own(tmp_path, annotations=[person, line]))) == 2


@pytest.mark.usefixtures("fresh_skeletons")
def test_two_files_with_other_joints_are_refused(tmp_path: Path):
    _load(_own(tmp_path))
    other = [{"id": 3, "name": "cat", "keypoints": ["nose", "right_paw", "left_paw"]}]
    with pytest.raises(UserError, match="same joints"):
        _load(_own(tmp_path, categories=other))


PERSON = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [5, 5, 20, 40], "keypoints": [1] * 9}


@pytest.mark.usefixtures("fresh_skeletons")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "not a COCO file"),
        ({"images": []}, "lists no images"),
        ({"images": [{"id": 5}]}, r"images\[0\]: has no 'file_name'"),
        ({"annotations": None}, "annotates nobody"),
        ({"annotations": [{**PERSON, "image_id": 6}]}, "left out .* on images that are not listed"),
        (
            {"annotations": [PERSON, {**PERSON, "id": 2, "bbox": [1, 2]}]},
            r"annotations\[1\]: expected bbox",
        ),
        (
            {"annotations": [{**PERSON, "keypoints": [1] * 51}]},
            "lists 3 keypoints, but .* 17",
        ),
        ({"annotations": [{**PERSON, "keypoints": ["x"] * 9}]}, r"annotations\[0\]: keypoints"),
        ({"annotations": [{"image_id": 5}]}, r"annotations\[0\]: has no 'category_id'"),
        ({"annotations": [{**PERSON, "iscrowd": 1}]}, "no people"),
        ({"categories": [{"id": 3, "name": "cat"}], "annotations": []}, "lists no 'keypoints'"),
        ({"categories": [{"id": 1, "keypoints": ["a"]}, {"id": 2, "keypoints": ["b"]}]}, "several"),
        ({"categories": [{"id": 3, "keypoints": ["a", "a", "b"]}]}, "listed twice"),
        (
            {"categories": [{"id": 3, "keypoints": ["a", "b", "c"], "sigmas": [0.1]}]},
            "from 0.001 to 1",
        ),
    ],
)
def test_errors_name_file_and_record(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        _load(_own(tmp_path, **changes))
    assert "own.json" in str(caught.value)


def test_named_skeleton_must_fit_the_category(tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.skeleton=from_file"):
        _load(_own(tmp_path), skeleton_name="coco17")


@pytest.mark.usefixtures("fresh_skeletons")
def test_missing_images_name_one(tmp_path: Path):
    file = _own(tmp_path)
    (tmp_path / "pictures/a.png").unlink()
    with pytest.raises(UserError, match=r"a\.png"):
        _load(file)
    assert len(_load(file, with_images=False)) == 1


def test_broken_and_missing_files(tmp_path: Path):
    broken = tmp_path / "own.json"
    broken.write_text('{"images": [')
    with pytest.raises(UserError, match=r"own.json: not valid JSON"):
        _load(broken)
    with pytest.raises(UserError, match=r"person_keypoints_val2017.json: no such"):
        coco.load(tmp_path, "val2017", image_size_wh=SIZE_WH)


def test_test_sets_have_image_lists_and_need_boxes(tmp_path: Path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images/test2017").mkdir(parents=True)
    (tmp_path / "images/test2017/1.jpg").touch()
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}],
    }
    (tmp_path / "annotations/image_info_test-dev2017.json").write_text(json.dumps(content))
    options = {"image_size_wh": SIZE_WH, "boxes": "detector"}
    with pytest.raises(UserError, match="--boxes"):
        coco.load(tmp_path, "test-dev2017", **options)
    (tmp_path / "person_detection_results").mkdir()
    box = {"category_id": 1, "bbox": [0, 0, 5, 5], "score": 1}
    boxes = [{**box, "image_id": 1}, {**box, "image_id": 2}]
    name = "COCO_test-dev2017_detections_AP_H_609_person.json"
    (tmp_path / "person_detection_results" / name).write_text(json.dumps(boxes))
    table = coco.load(tmp_path, "test-dev2017", **options)
    assert len(table) == 1
    assert "1 on images not in image_info_test-dev2017.json" in table.summary
    with pytest.raises(UserError, match="annotations"):
        coco.load(tmp_path, "test-dev2017", image_size_wh=SIZE_WH)
