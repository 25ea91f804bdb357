"""A folder of labelme files, read back by the COCO loader."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose.converting import labelme
from paddle_pose.converting.coco_file import sides_fact
from paddle_pose.data import coco
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, SKELETONS


@pytest.fixture(autouse=True)
def _no_joint_set_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("paddle_pose.skeletons.SKELETONS", dict(SKELETONS))


def point(label: str, x: float, y: float, group: int | None = None, **fields) -> dict:
    shape = {"label": label, "points": [[x, y]], "group_id": group, "shape_type": "point"}
    return {**shape, "flags": {}, **fields}


def box(x1: float, y1: float, x2: float, y2: float, group: int | None = None) -> dict:
    shape = {"label": "person", "points": [[x1, y1], [x2, y2]], "group_id": group}
    return {**shape, "shape_type": "rectangle", "flags": {}}


def write(folder: Path, name: str, shapes: list, **fields) -> Path:
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((60, 80, 3), np.uint8))
    head = {"version": "5.4.1", "flags": {}, "imagePath": f"{name}.jpg", "imageData": None}
    value = {**head, "shapes": shapes, "imageHeight": 60, "imageWidth": 80, **fields}
    (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def run(folder: Path, joints: tuple[str, ...] = (), images: Path | None = None) -> dict:
    output = folder.parent / "people.json"
    labelme.convert(folder, output, images=images, joints=joints).write()
    return json.loads(output.read_text())


def test_groups_are_people(tmp_path: Path, capsys):
    shapes = [
        point("left_paw", 20.5, 10, 1),
        point("right_paw", 10, 12, 1, flags={"occluded": True}),
        box(30, 40, 5, 2, 1),  # drawn from the lower right
        point("left_paw", 60, 30, 2),
        point("tail", 70, 50, 2),
        point("tail", 1, 1),
        {"label": "x", "points": [[0, 0], [1, 1], [2, 0]], "shape_type": "polygon"},
    ]
    folder = write(tmp_path / "in", "a", shapes)
    write(folder, "b", [point("tail", 5, 5)])
    (folder / "people.json").write_text('{"images": [], "annotations": []}')
    found = run(folder)
    assert found["categories"][0]["keypoints"] == ["left_paw", "right_paw", "tail"]
    first, second, third = found["annotations"]
    assert first["keypoints"] == [20.5, 10, 2, 10, 12, 1, 0, 0, 0]
    assert first["num_keypoints"] == 2
    assert first["bbox"] == [5, 2, 25, 38]
    assert first["area"] == 25 * 38
    # The joints' box is 10 × 20, 10 % larger on each side.
    assert second["bbox"] == [59, 28, 12, 24]
    assert third["image_id"] == 2
    said = capsys.readouterr().out
    assert "assumed: area: width × height of the box" in said
    assert "assumed: joints: 3: left_paw, right_paw, tail" in said
    assert "1 pair by the joints' names, the left one first (left_paw - right_paw)" in said
    assert "1 file of another kind than labelme's (first: people.json)" in said
    assert "1 shape of type polygon (first: a.json: shapes[6])" in said
    assert "1 shape without group_id beside others with one" in said
    assert "assumed: one_person: 1 file without any group_id" in said
    assert "assumed: boxes: 2 people without a rectangle" in said
    assert found["info"]["understood"]["area"] == {"value": "box", "source": "assumed"}
    table = coco.load(
        folder, "train", image_size_wh=(64, 64), skeleton_name=FROM_FILE,
        annotations=tmp_path / "people.json",
    )  # fmt: skip
    # The third one's box is a pixel around its only joint: a crop of it would show nothing.
    assert len(table) == 2
    assert "1 invalid boxes" in table.summary
    assert table.joints_xy[0][0].tolist() == [20.5, 10]


def test_known_labels_get_the_known_order(tmp_path: Path):
    shapes = [point("left_hip", 5, 5), point("nose", 6, 7)]
    found = run(write(tmp_path / "in", "a", shapes))
    category = found["categories"][0]
    assert tuple(category["keypoints"]) == COCO17.joints
    assert len(category["skeleton"]) == len(COCO17.limbs)
    assert found["annotations"][0]["keypoints"][:3] == [6, 7, 2]


def test_images_in_another_folder(tmp_path: Path):
    folder = write(tmp_path / "in", "a", [point("tail", 5, 5)], imagePath="..\\photos\\a.jpg")
    (tmp_path / "photos").mkdir()
    (folder / "a.jpg").rename(tmp_path / "photos" / "a.jpg")
    with pytest.raises(UserError, match="--images names the folder"):
        run(folder)
    found = run(folder, images=tmp_path / "photos")
    assert found["images"] == [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}]


@pytest.mark.parametrize(
    ("shapes", "fields", "message"),
    [
        ([point("tail", 1, 2), point("tail", 3, 4)], {}, r"a.json: shapes\[1\]: a second 'tail'"),
        ([point("tail", 1, 2, 1), box(1, 2, 3, 4, 1), box(1, 2, 5, 5, 1)], {}, "second rectangle"),
        ([point("tail", 1, float("nan"))], {}, "not a finite number"),
        ([point("tail", 1, 2, points=[[1, 2, 3]])], {}, "point with points of shape"),
        ([point("tail", 1, 2, points=["x"])], {}, "points are not pairs of numbers"),
        ([point("tail", 1, 2), box(4, 2, 4, 9)], {}, "this rectangle is empty"),
        ([{"points": []}], {}, r"shapes\[0\]: needs a label"),
        ([point("tail", 1, 2)], {"imageWidth": 60, "imageHeight": 80}, "60×80, .* is 80×60; was"),
        ([point("tail", 1, 2)], {"imagePath": ""}, "a.json: has no imagePath"),
        ([box(1, 2, 3, 4)], {}, "nobody with joints"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, shapes: list, fields: dict, message: str):
    folder = write(tmp_path / "in", "a", shapes, **fields)
    with pytest.raises(UserError, match=message):
        run(folder)
    assert not (tmp_path / "people.json").exists()


def test_a_label_that_is_not_a_joint(tmp_path: Path):
    folder = write(tmp_path / "in", "a", [point("tial", 1, 2)])
    with pytest.raises(UserError, match=r"joint 'tial' is not in --joints; did you mean 'tail'\?"):
        run(folder, joints=("tail", "nose"))
    (folder / "a.json").unlink()
    with pytest.raises(UserError, match="no labelme files"):
        run(folder)


def test_sides_are_found_in_any_spelling() -> None:
    fact = sides_fact(["LKnee", "RKnee", "knee_l", "lankle", "rankle"])
    shown = "knee_l - RKnee; lankle - rankle"
    assert fact.text == f"2 pairs by the joints' names, the left one first ({shown})"
