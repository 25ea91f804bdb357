"""export.py as a user meets it; the example in docs/export.md; val.py on what was exported."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
import yaml
from places import ROOT

from paddle_pose import configs, skeletons
from paddle_pose.commands import export as command
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.inference.export import FLOAT_BOUND, require_formats
from paddle_pose.inference.exported import Exported
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import dump_yaml, override
from paddle_pose.weights import checkpoint

SMALL = ("model.features=16", "model.stem=8", "model.depth=2", "data.image_size_wh=[64,64]")


def require_onnx():
    try:
        require_formats(("onnx",))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run folder with drawn weights; one benchmark that needs no second opinion."""
    folder = tmp_path_factory.mktemp("run")
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), SMALL)
    plain = replace(recipe.benchmarks[0], flip_test=False, test_scales=(1.0,), decoder="argmax")
    recipe = replace(recipe, benchmarks=(plain,))
    paddle.seed(3)
    weights = folder / "best_model" / "model.pdparams"
    checkpoint.save_weights(build(recipe.model), weights)
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return folder


def run(*words):
    """Exit code, output and the last line of the error stream."""
    made = subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return made.returncode, made.stdout, (made.stderr.strip().splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def served(run_folder):
    """By the script, in the formats that can be made here; the recipe lies beside the weights."""
    formats = ["paddle", "onnx"]
    try:
        require_formats(formats)
    except UserError:
        formats = formats[:1]
    weights, output = run_folder / "best_model" / "model.pdparams", run_folder / "served"
    words = ["export.py", "--weights", weights, "--output", output, "--format", ",".join(formats)]
    code, said, error = run(*words, "--licence", "CC0")
    assert code == 0, error
    for name in formats:
        assert re.search(rf"=> \S+/{name}: difference from eager \S+ \(.*allowed 1\.0e-05\)", said)
        card = yaml.safe_load((output / name / "model.yaml").read_text(encoding="utf-8"))
        assert card["licence"] == "CC0"
        assert len(card["weights_sha256"]) == 64
    return output


def test_the_documents_example_gives_the_predictors_joints(served, tmp_path, capsys, monkeypatch):
    require_onnx()
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    example = next(
        code
        for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if "onnxruntime" in code
    )
    assert "paddle" not in example
    assert len(example.strip().splitlines()) <= 16
    photo = np.random.default_rng(0).integers(0, 256, (150, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "person.jpg"), cv2.blur(photo, (9, 9)))
    (tmp_path / "served").symlink_to(served)
    monkeypatch.chdir(tmp_path)
    exec(example, {})  # noqa: S102 (this repository's own text)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    predictor = PosePredictor.from_exported(served / "onnx")
    expected = predictor(tmp_path / "person.jpg", boxes=[[0, 0, 90, 150]]).keypoints[0]
    assert [line[0] for line in lines] == list(predictor.skeleton.joints)
    # Both take the largest cell; the crop's corners are float32 there, so a pixel may round to its
    # neighbour and a near tie fall otherwise.
    apart = np.abs(np.array([line[1:] for line in lines], float) - expected[:, :2]).max(1)
    assert np.mean(apart < 0.01) > 0.8


def test_val_scores_what_was_exported(served, run_folder, small_people, tmp_path):
    data = ("--dataset_root", small_people, "--num_workers", 0, "--set", "eval.bootstrap=0")
    weights = run_folder / "best_model" / "model.pdparams"
    words = ("--config", run_folder / "recipe.yaml", "--pretrained_model", weights)
    code, _, error = run("val.py", *words, *data, "--output_dir", tmp_path / "eager")
    assert code == 0, error
    folder = next(iter(sorted(served.iterdir())))
    code, exported, error = run(
        "val.py", "--exported", folder, *data, "--output_dir", tmp_path / "x"
    )
    assert code == 0, error
    assert f"exported {folder.name}" in exported
    one, other = (json.loads((tmp_path / n / "scores.json").read_text()) for n in ("eager", "x"))
    assert one["weights_sha256"] == other["weights_sha256"]
    # 120 joints are scored, and a near tie may fall otherwise: one joint is 0.8 points.
    assert abs(one["values"]["Mean"] - other["values"]["Mean"]) <= 2
    code, _, error = run("val.py", "--exported", folder, *data, *words)
    assert (code, error) == (
        2, "error: --config: has no meaning with --exported; leave one of them out"
    )  # fmt: skip
    code, _, error = run("val.py", "--exported", tmp_path, *data)
    assert code == 2
    assert "no model.yaml there" in error


def test_the_packaged_weights_become_every_format(small_people, tmp_path, monkeypatch):
    """Photos are what they were trained on; rendered people calibrate well enough for the check."""
    require_onnx()
    pytest.importorskip("nncf", reason="nncf: see requirements-export.txt")
    words = ["--format", "paddle,onnx,int8", "--calibration", small_people]
    code, said, error = run("export.py", "--output", tmp_path / "served", *words)
    assert code == 0, error
    assert "assumed: weights: small_person.safetensors, packaged, as --weights names none" in said
    picture = next(iter(sorted((small_people / "images").iterdir())))
    eager = PosePredictor.from_weights()
    box = [[0, 0, *read_rgb(picture).shape[1::-1]]]
    expected = eager(picture, boxes=box).keypoints[0]
    for name, most_px in (("paddle", 0.02), ("onnx", 0.02), ("int8", 1.5)):
        found = PosePredictor.from_exported(tmp_path / "served" / name)(picture, boxes=box)
        apart = np.abs(found.keypoints[0, :, :2] - expected[:, :2]).max(1)
        assert np.median(apart) < most_px, name
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    example: dict = {}
    monkeypatch.chdir(tmp_path)
    exec(next(code for code in blocks if "import openvino" in code), example)  # noqa: S102
    exported = Exported(tmp_path / "served" / "int8")
    width, height = exported.card.size_wh
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    (expected,) = exported.run(pixels)
    found = example["heatmaps"](exported._normalised(pixels))
    # Other threads at most add in another order; bfloat16, 2^-9 at a time, would be seen.
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT_BOUND * np.abs(expected).max())


def test_joints_of_ones_own_come_from_the_file_and_stay(run_folder, tmp_path, monkeypatch):
    """The exported folder knows them: serving needs no annotations."""
    known = {name: one for name, one in skeletons.SKELETONS.items() if name != "from_file"}
    monkeypatch.setattr(skeletons, "SKELETONS", dict(known))
    own = ("data.dataset=coco", "data.skeleton=from_file", "model.joints=3")
    recipe = override(configs.load(str(run_folder / "recipe.yaml")), own)
    weights, file = tmp_path / "model.pdparams", tmp_path / "own.json"
    checkpoint.save_weights(build(recipe.model), weights)
    category = {"id": 1, "name": "person", "skeleton": [[1, 3]]}
    category["keypoints"] = ["left_fin", "right_fin", "nose"]
    image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 60}
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 60], "area": 2400}
    person |= {"keypoints": [1, 1, 2] * 3, "num_keypoints": 3, "iscrowd": 0}
    content = {"images": [image], "annotations": [person], "categories": [category]}
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="name it by --annotations"):
        command.export(recipe, weights, tmp_path / "served", formats=("paddle",))
    options = {"formats": ("paddle",), "annotations": file}
    (card,) = command.export(recipe, weights, tmp_path / "served", **options)
    assert (card.flip_pairs, card.limbs) == (((0, 1),), (("left_fin", "nose"),))
    monkeypatch.setattr(skeletons, "SKELETONS", dict(known))
    predictor = PosePredictor.from_exported(tmp_path / "served")
    assert predictor.skeleton.joints == card.joints
    poses = predictor(np.zeros((60, 40, 3), np.uint8), boxes=[[0, 0, 40, 60]])
    assert poses.keypoints.shape == (1, 3, 3)


MISTAKES = {
    "--weights missing.pdparams: no such file": ("--weights", "missing.pdparams"),
    "did you mean 'onnx'": ("--format", "onxn"),
    "name some of": ("--format", ","),
    "go together": ("--format", "int8"),
    "'model.stacks'": ("--set", "model.stacs=1"),
    "is there already": ("--output", ROOT / "tests"),
    "unknown recipe": ("--config", "hrnte:w32"),
    "weights of another network": ("--config", "quickstart:newell_hg1_synthetic"),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_ends_in_one_line_and_writes_nothing(
    run_folder, tmp_path, message, monkeypatch, capsys
):
    if "int8" in MISTAKES[message]:
        pytest.importorskip("nncf", reason="nncf: see requirements-export.txt")
    spec = importlib.util.spec_from_file_location("export_script", ROOT / "export.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    weights, output = run_folder / "best_model" / "model.pdparams", tmp_path / "out"
    words = ["--weights", weights, "--output", output, "--format", "paddle", *MISTAKES[message]]
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not output.exists()


def test_calibration_takes_people_or_photos(run_folder, small_people, tmp_path):
    recipe = configs.load(str(run_folder / "recipe.yaml"))
    people = command.calibration_crops(small_people, recipe)
    assert people.shape == (24, 64, 64, 3)  # the training split's
    photos = command.calibration_crops(small_people / "images", recipe)
    assert photos.shape[1:] == (64, 64, 3)
    assert photos.dtype == np.uint8
    with pytest.raises(UserError, match="no photos"):
        command.calibration_crops(tmp_path, recipe)
    with pytest.raises(UserError, match="not a folder"):
        command.calibration_crops(Path("missing"), recipe)


def test_at_most_so_many_evenly():
    assert command._spread(3) == [0, 1, 2]
    many = command._spread(1000)
    assert (len(many), many[0], many[-1]) == (command.CALIBRATION_IMAGES, 0, 999)
