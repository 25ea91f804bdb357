"""A YOLO pose data set, read back by the COCO loader."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from paddle_pose.converting import yolo_pose
from paddle_pose.data import coco
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, MPII16

HEAD = {"path": ".", "train": "images/train", "names": {0: "person"}, "kpt_shape": [2, 3]}
LINE = "0 0.5 0.5 0.25 0.5 0.4 0.5 2 0.6 0.7 1\n"


def write(root: Path, text: str = LINE, **settings) -> Path:
    """80 × 40 pictures a and b to train on; b has no label file."""
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in "ab":
        cv2.imwrite(str(root / f"images/train/{name}.png"), np.zeros((40, 80, 3), np.uint8))
    (root / "labels/train/a.txt").write_text(text)
    (root / "data.yaml").write_text(yaml.safe_dump({**HEAD, **settings}))
    return root / "data.yaml"


def run(file: Path, joints: tuple[str, ...] = (), class_name: str | None = None) -> dict:
    output = file.parent / "converted"
    yolo_pose.convert(file, output, joints=joints, class_name=class_name).write()
    return json.loads((output / "annotations/person_keypoints_train.json").read_text())


def test_by_hand(tmp_path: Path, capsys):
    text = LINE + "\n" + "0 0.25 0.5 0.5 1 0 0 0 0.1 0.1 2\n"
    found = run(write(tmp_path, text, flip_idx=[1, 0]))
    assert found["images"][0] == {
        "id": 1, "file_name": "images/train/a.png", "width": 80, "height": 40,
    }  # fmt: skip
    first, second = found["annotations"]
    assert first["bbox"] == [30, 10, 20, 20]
    assert first["area"] == 400
    assert first["keypoints"] == [32, 20, 2, 48, 28, 1]
    assert second["keypoints"] == [0, 0, 0, 8, 4, 2]
    assert second["num_keypoints"] == 1
    assert found["categories"][0]["keypoints"] == ["left_0", "right_0"]
    said = capsys.readouterr().out
    assert "assumed: joints: 2: left_0, right_0" in said
    assert "assumed: left: joints 0 (not 1), as flip_idx does not say which side" in said
    assert (
        "=> flip_pairs: 1 pair by the joints' names, the left one first (left_0 - right_0)" in said
    )
    assert "assumed: area" in said
    assert "1 image without a label file: nobody on them (first: images/train/b.png)" in said


def test_the_loader_reads_it_back(tmp_path: Path):
    shape = {"kpt_shape": [17, 2], "flip_idx": COCO17.flip_order.tolist()}
    points = " ".join(f"{0.1 + j / 40:.3f} 0.5" for j in range(16))
    run(write(tmp_path, f"0 0.5 0.5 1 1 {points} 0 0\n", **shape))
    table = coco.load(
        tmp_path, "train", image_size_wh=(64, 64),
        annotations=tmp_path / "converted/annotations/person_keypoints_train.json",
    )  # fmt: skip
    assert table.skeleton == "coco17"
    np.testing.assert_allclose(table.joints_xy[0][4], [16, 20])
    assert table.visible[0].tolist() == [1] * 16 + [0]


def test_as_roboflow_exports_it(tmp_path: Path, capsys):
    file = write(tmp_path, train="../train/images", test="../test/images", names=["person"])
    (tmp_path / "train").mkdir()
    for folder in ("images", "labels"):
        (tmp_path / folder / "train").rename(tmp_path / "train" / folder)
    found = run(file)
    assert found["images"][0]["file_name"] == "train/images/a.png"
    assert len(found["annotations"]) == 1
    assert "1 split whose images are not there (first: test)" in capsys.readouterr().out


def test_sixteen_joints_in_mpiis_order_have_its_names(tmp_path: Path):
    flip = MPII16.flip_order.tolist()
    line = "0 0.5 0.5 1 1" + " 0.5 0.5 2" * 16
    found = run(write(tmp_path, line, kpt_shape=[16, 3], flip_idx=flip))
    assert found["categories"][0]["keypoints"] == list(MPII16.joints)


def test_names_and_classes(tmp_path: Path):
    names = {"kpt_names": {1: ["left_paw", "right_paw"]}, "names": ["car", "dog"]}
    file = write(tmp_path, LINE + LINE.replace("0", "1", 1), flip_idx=[1, 0], **names)
    found = run(file, class_name="dog")
    assert found["categories"][0]["keypoints"] == ["left_paw", "right_paw"]
    assert len(found["annotations"]) == 1
    with pytest.raises(UserError, match=r"several classes \(car, dog\); --class says"):
        run(file)
    with pytest.raises(UserError, match=r"--class dgo: not in .*did you mean 'dog'"):
        run(file, class_name="dgo")


def test_lists_of_images(tmp_path: Path):
    file = write(tmp_path, train="train.txt")
    (tmp_path / "train.txt").write_text("./images/train/a.png\n")
    assert len(run(file)["images"]) == 1
    (tmp_path / "train.txt").write_text("/etc/a.png\n")
    with pytest.raises(UserError, match="not below the data set's folder"):
        run(file)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("0 0.5 0.5 0.2 0.2 0.4 0.5 2\n", {}, "a.txt: line 1: 8 numbers, kpt_shape asks for 11"),
        (LINE + LINE.replace("0.4", "x"), {}, "a.txt: line 2: could not convert"),
        (LINE.replace("0.4", "nan"), {}, "finite numbers"),
        (LINE.replace("0.4", "32"), {}, "outside the image, or is not divided by its size"),
        (LINE.replace("0.25", "20"), {}, "must be divided by the image's width"),
        (LINE.replace("0.25", "0"), {}, "is empty or outside"),
        (LINE.replace(" 2 ", " 3 "), {}, "a visibility is not 0, 1 or 2"),
        (LINE.replace("0", "0.5", 1), {}, "expected a class number"),
        (LINE, {"kpt_shape": [2, 4]}, r"kpt_shape must be .*, found \[2, 4\]"),
        (LINE, {"kpt_shape": "2x3"}, "kpt_shape must be"),
        (LINE, {"flip_idx": [0, 0]}, "flip_idx is not an order of 2 joints"),
        (LINE, {"flip_idx": [1, 0], "kpt_names": ["a", "b"]}, "flip_idx swaps 'a' with 'b'"),
        (LINE, {"kpt_names": ["a"]}, "1 joint names for kpt_shape of 2"),
        (LINE, {"train": "nowhere"}, "nowhere is neither a folder nor a .txt"),
        (LINE, {"train": None}, "names none of train, val, test"),
        ("", {}, "nobody in 'train'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        run(write(tmp_path, text, **settings))
    assert not (tmp_path / "converted").exists()
