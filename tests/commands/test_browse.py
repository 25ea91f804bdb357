"""``python -m paddle_pose browse``: what it draws and what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from paddle_pose.commands import browse
from paddle_pose.converting.coco_file import CocoFile
from paddle_pose.errors import UserError
from paddle_pose.skeletons import SKELETONS


@pytest.fixture(autouse=True)
def _no_joint_set_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("paddle_pose.skeletons.SKELETONS", dict(SKELETONS))


@pytest.fixture
def damaged(small_people: Path, tmp_path: Path) -> Path:
    """The rendered people: row 0 with swapped ankles, row 1 twice, one photo missing."""
    root = tmp_path / "data"
    shutil.copytree(small_people, root)
    file = root / "annot/train.json"
    records = json.loads(file.read_text())
    standing = {0: (50, 200), 1: (50, 150), 2: (50, 100), 3: (99, 100), 4: (99, 150), 5: (99, 200)}
    for joint, at in standing.items():
        records[0]["joints"][joint], records[0]["joints_vis"][joint] = at, 1
    records[0]["joints"][0], records[0]["joints"][5] = standing[5], standing[0]
    records.append(records[1])
    file.write_text(json.dumps(records))
    (root / "images" / records[-2]["image"]).unlink()
    return root


def test_suspicious_people_come_first_in_red(damaged: Path, tmp_path: Path, capsys):
    output = tmp_path / "look.png"
    browse.main(["--dataset_root", str(damaged), "--output", str(output), "--people", "8"])
    said = capsys.readouterr().out
    assert "25 people on" in said
    assert "suspicious: sides look swapped" in said
    assert "suspicious: duplicate: 1" in said
    assert "row 24" in said
    assert "suspicious: cannot be read: 1 image; first:" in said
    picture = cv2.imread(str(output))[..., ::-1]
    red = (np.abs(picture.astype(int) - browse._RED).max(2) < 20).any()
    assert red
    listed = json.loads(output.with_suffix(".json").read_text())
    assert {0, 24} <= {one["row"] for one in listed["suspicions"]}
    assert all(one.keys() >= {"row", "what", "image", "text"} for one in listed["suspicions"])


def test_every_kind_is_shown_before_a_second_of_one():
    found = [
        browse.Suspicion(kind, position, "", "")
        for position, kind in enumerate(["a"] * 5 + ["b"] * 2 + ["c"])
    ]
    able = np.ones(20, bool)
    able[7] = False
    shown = browse.choose(found, able, 8)
    assert shown[:4] == [0, 5, 1, 6]
    assert len(shown) == 8
    assert set(shown[4:]) <= set(range(8, 20))
    assert len(browse.choose(found, able, 50)) == 19
    assert browse.choose([], able, 3) == [0, 10, 19]


def test_a_coco_file_with_other_sizes(small_people: Path, tmp_path: Path, capsys):
    root = tmp_path / "own"
    shutil.copytree(small_people / "images", root / "images")
    name = sorted(path.name for path in (root / "images").iterdir())[0]
    joints = ["left_hand", "right_hand", "head"]
    annotation = {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 60, 90], "area": 5400,
        "keypoints": [60, 50, 2, 20, 50, 2, 40, 15, 2], "iscrowd": 0,
    }  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": name, "width": 12, "height": 34}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "person", "keypoints": joints, "skeleton": []}],
    }
    file = root / "own.json"
    file.write_text(json.dumps(content))
    words = ["--dataset_root", str(root), "--annotations", str(file)]
    browse.main([*words, "--output", str(tmp_path / "own.png")])
    said = capsys.readouterr().out
    assert "suspicious: size of the picture: 1" in said
    assert "annotated as 12×34" in said
    with pytest.raises(UserError, match="written onto a file that is read"):
        browse.main([*words, "--output", str(root / "own.png")])
    assert json.loads(file.read_text()) == content


def test_the_split_that_is_there(tmp_path: Path, capsys):
    """A converted folder; its people, all in mirror writing, do not look well."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    coco = CocoFile(("left_hand", "right_hand", "tail"))
    image = coco.add_image("a.png", (80, 60))
    coco.add_person(image, np.array([[10, 10, 2], [50, 10, 2], [30, 40, 2]]), [5, 5, 50, 50])
    for split in ("train", "val"):
        file = tmp_path / f"annotations/person_keypoints_{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(coco.content({})))
    browse.main(["--dataset_root", str(tmp_path), "--output", str(tmp_path / "b.png")])
    said = capsys.readouterr().out
    assert "=> split: train, of train, val; --split names another" in said
    assert "\nsuspicious: left and right may be swapped throughout" in said
    assert "nothing looks wrong" not in said


def test_a_broken_photo_alone_looks_wrong(capsys, monkeypatch):
    table = SimpleNamespace(summary="", rows=[])
    monkeypatch.setattr(browse.inspection, "statistics", lambda table: ["1 person"])
    for broken, says in ([], True), (["a.jpg: cut off"], False):
        browse.report(table, [], browse.Pictures({}, {}, broken))
        assert ("nothing looks wrong" in capsys.readouterr().out) == says


def test_mistakes_are_one_line(small_people: Path, tmp_path: Path):
    root = str(small_people)
    for words, message in [
        (["--dataset_root", "nowhere"], "--dataset_root nowhere: no such folder"),
        (["--dataset_root", root, "--people", "0"], "--people 0: must be from 1 to"),
        (["--dataset_root", root, "--split", "x"], "splits in this folder"),
        (["--dataset_root", root, "--output", str(tmp_path / "a.xyz")], "use .png or .jpg"),
    ]:
        with pytest.raises(UserError, match=message):
            browse.main(words)
