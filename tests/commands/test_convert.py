"""``python -m paddle_pose convert`` as it is typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from paddle_pose.commands import convert
from paddle_pose.data import mpii
from paddle_pose.errors import UserError


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
    with pytest.raises(UserError, match="is there already and is not --images"):
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
