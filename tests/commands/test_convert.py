"""``python -m paddle_pose convert`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from paddle_pose.commands import convert
from paddle_pose.data import coco, mpii
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.errors import UserError
from paddle_pose.skeletons import SKELETONS


def _lspet(tmp_path: Path) -> list[str]:
    joints = np.random.default_rng(0).uniform(5, 90, (14, 3, 12))
    joints[:, 2] = 1
    savemat(tmp_path / "joints.mat", {"joints": joints})
    (tmp_path / "photos").mkdir()
    for number in range(1, 13):
        (tmp_path / "photos" / f"im{number:05d}.jpg").touch()
    folders = ["--images", str(tmp_path / "photos"), "--output", str(tmp_path / "out")]
    return ["lsp", "--mat", str(tmp_path / "joints.mat"), *folders, "--valid", "3"]


def test_the_result_is_a_data_set_with_its_images(tmp_path: Path, capsys):
    words = _lspet(tmp_path)
    convert.main(words)
    assert "is a link to" in capsys.readouterr().out
    table = mpii.load(tmp_path / "out", "valid")
    mpii.require_images(table)
    convert.main(words)  # again: the link is there
    assert len(table) == 3


def test_images_of_another_set_are_left_alone(tmp_path: Path):
    words = _lspet(tmp_path)
    (tmp_path / "out/images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"is there already and is not .*; name another --output"):
        convert.main(words)
    assert not (tmp_path / "out/annot").exists()


def test_what_is_missing_is_named(tmp_path: Path):
    words = _lspet(tmp_path)
    with pytest.raises(UserError, match=r"--mat nowhere\.mat: no such file"):
        convert.main([*words, "--mat", "nowhere.mat"])
    with pytest.raises(UserError, match="--images nowhere: no such folder"):
        convert.main([*words, "--images", "nowhere"])
    with pytest.raises(UserError, match="say what to keep: --keep_person_keypoints"):
        convert.main(["coco", "x.json", "--output", "y.json"])
    with pytest.raises(UserError, match=r"x\.json: no such file"):
        convert.main(["coco", "x.json", "--keep-person-keypoints", "--output", "y.json"])
    with pytest.raises(UserError, match="--joints a,a: a name is empty or there twice"):
        convert.main(["labelme", "x", "--output", "y.json", "--joints", "a,a"])


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        convert.main(["--help"])
    assert "convert labelme folder --output people.json" in capsys.readouterr().out


def _yolo(root: Path, images: str) -> Path:
    """A person on a photo of 80 × 40, in ``images`` below the data set's folder."""
    labels = root / images.replace("images", "labels")
    for folder in (root / images, labels):
        folder.mkdir(parents=True)
    cv2.imwrite(str(root / images / "a.png"), np.zeros((40, 80, 3), np.uint8))
    (labels / "a.txt").write_text("0 0.5 0.5 0.25 0.5 0.4 0.5 2 0.6 0.7 1\n")
    settings = {"train": images, "names": ["person"], "kpt_shape": [2, 3]}
    (root / "data.yaml").write_text(yaml.safe_dump(settings))
    return root / "data.yaml"


def _images_of(root: Path, annotations: Path | None = None) -> list[Path]:
    table = coco.load(
        root, "train", image_size_wh=(64, 64), skeleton_name=FROM_FILE, annotations=annotations
    )
    return [table.image_root / name for name in table.image_names]


@pytest.mark.parametrize("images", ["images/train", "train/images", "images"])
@pytest.mark.parametrize("output", ["yolo", "yolo/converted", "elsewhere/my_data"])
def test_a_converted_yolo_set_has_its_images_wherever_it_is(
    tmp_path: Path, monkeypatch, capsys, images, output
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("paddle_pose.skeletons.SKELETONS", dict(SKELETONS))
    file = _yolo(Path("yolo"), images)
    for _ in range(2):  # again: the link is there
        convert.main(["yolo_pose", str(file), "--output", output])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"=> images: {output}")
    (found,) = _images_of(Path(output))
    assert found.samefile(Path("yolo") / images / "a.png")


def test_labelme_says_how_its_images_are_found(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("paddle_pose.skeletons.SKELETONS", dict(SKELETONS))
    Path("labels").mkdir()
    cv2.imwrite("labels/a.png", np.zeros((40, 80, 3), np.uint8))
    shapes = [{"label": label, "points": [[x, 6]], "shape_type": "point"}
              for label, x in (("tail", 5), ("nose", 25))]  # fmt: skip
    Path("labels/a.json").write_text(json.dumps({"imagePath": "a.png", "shapes": shapes}))
    convert.main(["labelme", "labels", "--output", "own/annotations/person_keypoints_train.json"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "=> images: labels; use --dataset_root labels --annotations "
        "own/annotations/person_keypoints_train.json, or put them into own/images and use "
        "--dataset_root own"
    )
    file = Path("own/annotations/person_keypoints_train.json")
    assert [path.is_file() for path in _images_of(Path("labels"), file)] == [True]
    Path("own/images").symlink_to(Path("labels").resolve())
    assert [path.is_file() for path in _images_of(Path("own"))] == [True]
