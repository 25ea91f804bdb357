"""MPII's evaluator and files that do not belong to its people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.configs import load
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.mpii import MpiiEvaluator
from paddle_pose.poses.poses import Poses

RECIPE = load("hourglass:hourglass52_mpii_256x256")


@pytest.fixture
def evaluator(small_people: Path) -> MpiiEvaluator:
    return MpiiEvaluator(RECIPE, RECIPE.benchmarks[0], DataFiles(small_people), with_images=False)


@pytest.fixture
def saved(evaluator: MpiiEvaluator, tmp_path: Path) -> Path:
    """The truth itself, as predictions."""
    table = evaluator.table
    poses = Poses(
        image_ids=table.image_ids[table.image_index],
        keypoints=np.dstack([table.joints_xy, np.ones(table.visible.shape)]),
        scores=np.ones(len(table)),
        boxes_xywh=np.full((len(table), 4), np.nan),
        rows=table.rows,
        instances=np.zeros(len(table), np.int64),
    )
    evaluator.write(poses, tmp_path / "p.json", recipe="", weights_sha256="", engine="")
    return tmp_path / "p.json"


def test_poses_of_other_images_or_rows_are_refused(evaluator: MpiiEvaluator, saved: Path) -> None:
    assert evaluator.score(evaluator.read(saved)).values["Mean"] == 100.0
    content = json.loads(saved.read_text())
    content["annotation_sha256"] = ""
    images = [pose["image"] for pose in content["poses"]]
    other = next(image for image in images if image != images[2])
    changes = {
        "image": (other, rf"row 2 is of image {other}, but in the annotations it is on"),
        "row": (len(images), f"row {len(images)}, but the annotations have {len(images)} people"),
    }
    for name, (value, expected) in changes.items():
        changed = json.loads(json.dumps(content))
        changed["poses"][2][name] = value
        saved.write_text(json.dumps(changed))
        with pytest.raises(UserError, match=expected):
            evaluator.read(saved)


def test_truth_that_differs_from_the_people_is_said(
    evaluator: MpiiEvaluator, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    moved = replace(evaluator.truth, joints_xy=evaluator.truth.joints_xy + 2.0)
    monkeypatch.setattr("paddle_pose.data.mpii.truth", lambda *_: moved)
    files = evaluator_files(evaluator)
    differs = MpiiEvaluator(RECIPE, RECIPE.benchmarks[0], files, with_images=False)
    said = "8 of 8 people have other joints in the .mat"
    assert f"assumed: truth: {differs.truth_file}: {said}" in capsys.readouterr().out
    assert said in differs.understood.plain()["truth"]["value"]
    nobody = replace(evaluator.truth, visible=np.zeros_like(evaluator.truth.visible))
    monkeypatch.setattr("paddle_pose.data.mpii.truth", lambda *_: nobody)
    with pytest.raises(UserError, match="a score over nobody: of 8 people"):
        MpiiEvaluator(RECIPE, RECIPE.benchmarks[0], files, with_images=False)


def evaluator_files(evaluator: MpiiEvaluator) -> DataFiles:
    return DataFiles(evaluator.files[0].parents[1])
