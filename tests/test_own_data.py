"""docs/own_data.md, followed step by step on rendered people with joints of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from left_files import not_ignored
from places import ROOT

from paddle_pose.commands import convert
from paddle_pose.converting.coco_file import CocoFile, box_around
from paddle_pose.data import mpii
from paddle_pose.skeletons import MPII16

GUIDE = (ROOT / "docs/own_data.md").read_text("utf-8")
OWN = {
    "crown": "head_top", "nape": "upper_neck", "left_hand": "left_wrist",
    "right_hand": "right_wrist", "left_hip": "left_hip", "right_hip": "right_hip",
    "left_foot": "left_ankle", "right_foot": "right_ankle",
}  # fmt: skip
"""The guide's joints, and MPII's that lie there."""


def blocks(mark: str) -> list[str]:
    """Commands of the bash blocks below comments that begin so; python blocks whole."""
    found = re.findall(rf"<!-- {mark}.*? -->\n```(bash|python)\n(.*?)```", GUIDE, re.DOTALL)
    lines = [[f"python -c {shlex.quote(b)}"] if k == "python" else b.splitlines() for k, b in found]
    return [line for block in lines for line in block]


def write_own_data(source: Path, root: Path) -> None:
    """Rendered people as COCO files with eight joints of other names and order."""
    shutil.copytree(source / "images", root / "images")
    slots = [MPII16.index(name) for name in OWN.values()]
    for split, name in (("train", "train"), ("valid", "val")):
        people = mpii.load(source, split)
        coco = CocoFile(tuple(OWN))
        ids: dict[str, int] = {}
        for person in people:
            if person.image not in ids:
                height, width = cv2.imread(str(root / "images" / person.image)).shape[:2]
                ids[person.image] = coco.add_image(person.image, (width, height))
            keypoints = [
                [*person.joints_xy[j], 2 * person.visible[j]] if person.visible[j] else [0, 0, 0]
                for j in slots
            ]
            array = np.array(keypoints)
            if (array[:, 2] > 0).sum() > 1:
                box = box_around(array, (width, height))
                coco.add_person(ids[person.image], array, box)
        file = root / "annotations" / f"person_keypoints_{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(coco.content({})))


@pytest.fixture(scope="module")
def folder(small_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guide's commands run: its data and its recipe."""
    root = tmp_path_factory.mktemp("guide")
    write_own_data(small_people, root / "my_data")
    first = min((root / "my_data/images").iterdir())
    first.rename(first.with_name("a.jpg"))
    for file in (root / "my_data/annotations").iterdir():
        file.write_text(file.read_text().replace(first.name, "a.jpg"))
    (root / "own.yaml").write_text(re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL).group(1))
    return root


def run(command: str, folder: Path) -> str:
    """A command of the guide, typed in that folder."""
    words = shlex.split(command)
    assert words[0] == "python"
    words = [
        sys.executable,
        *(str(ROOT / w) if (ROOT / w).is_file() else w for w in words[1:2]),
        *words[2:],
    ]
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_its_commands_run_in_order(folder: Path):
    said = [run(command, folder) for command in blocks("run")]
    look, trained, scored, drawn, predicted, joints, exported, _, _, again = said
    assert "24 people" in look or "people on" in look
    assert "3 pairs of left and right joints" in look
    assert (folder / "look.png").is_file()
    assert "[EVAL]" in trained
    assert "AP" in scored[scored.index("[EVAL]") :]
    assert "pictures in output/trial/drawn" in drawn
    results = list((folder / "output/trial/eval").glob("*.json"))
    assert results
    recipe = (folder / "output/trial/recipe.yaml").read_text()
    assert "joints: 8" in recipe
    pictures = len(list((folder / "my_data/images").iterdir()))
    assert f"{pictures} pictures, {pictures} poses" in predicted
    header = (folder / "output/trial/predicted/results.csv").read_text().splitlines()[0]
    assert "crown_x,crown_y,crown_score,nape_x" in header
    assert "('crown', 'nape', 'left_hand'" in joints
    assert exported.count("difference from eager") == 2
    assert_same_poses(folder / "output/trial", "predicted_onnx")
    assert_same_poses(folder / "output/trial", "predicted_paddle")
    eval_line = scored[scored.index("[EVAL]") :].splitlines()[0]
    assert again[again.index("[EVAL]") :].splitlines()[0] == eval_line
    assert not not_ignored(folder)


def keypoints(file: Path) -> np.ndarray:
    """(P, J, 3) of a results file."""
    return np.array([r["keypoints"] for r in json.loads(file.read_text())]).reshape(-1, 8, 3)


def assert_same_poses(run_folder: Path, exported: str) -> None:
    """The guide's words.

    Scores to 2e-5 of the largest, twice the export's bound: eager rounds, too. Positions to 0.01
    pixels, but for one joint in a hundred.
    """
    first = keypoints(run_folder / "predicted/results.json")
    second = keypoints(run_folder / exported / "results.json")
    largest = np.abs(first[..., 2]).max()
    np.testing.assert_allclose(second[..., 2], first[..., 2], rtol=0, atol=2e-5 * largest)
    apart = np.abs(second[..., :2] - first[..., :2]).max(-1)
    assert np.mean(apart < 0.01) > 0.99


def test_the_recipe_has_ten_lines(folder: Path):
    assert len((folder / "own.yaml").read_text().splitlines()) <= 10


def test_its_json_is_json_and_loads(tmp_path: Path):
    content = json.loads(re.search(r"```json\n(.*?)```", GUIDE, re.DOTALL).group(1))
    joints = len(content["categories"][0]["keypoints"])
    assert len(content["annotations"][0]["keypoints"]) == 3 * joints


def test_what_needs_data_is_parsed():
    parser = convert._parser()
    commands = [c for c in blocks("needs: your annotations") if " convert " in c]
    assert len(commands) == 7
    for command in commands:
        parser.parse_args(shlex.split(command)[4:])


def test_every_command_is_run_or_marked():
    fenced = re.findall(r"(.*)\n```(?:bash|python)", GUIDE)
    assert fenced
    assert all(re.fullmatch(r"<!-- (run|needs: .+) -->", mark) for mark in fenced)
