"""No command writes onto a file that it reads, or outside of the folder that it is told."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import TINY

import train
from paddle_pose import configs
from paddle_pose.commands import draw, evaluate, gallery, port
from paddle_pose.data import mpii
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.mpii import MpiiEvaluator
from paddle_pose.files import sha256
from paddle_pose.models.build import build
from paddle_pose.poses import predictions
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes import recipe as recipes
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.weights import checkpoint
from reproduce import mean_pose

RECIPE = "quickstart:newell_hg1_synthetic"


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def place(small_people, tmp_path):
    """``data``, predictions of its people beside it; must be as it was after the test."""
    root = tmp_path / "place"
    shutil.copytree(small_people, root / "data")
    table = mpii.load(root / "data", "valid")
    _write_predictions(table, root / "predictions.json")
    before = contents(root)
    yield root
    assert contents(root) == before


def _write_predictions(table, file: Path, names: tuple[str, ...] | None = None) -> None:
    keypoints = np.concatenate([table.joints_xy, np.ones((len(table), 16, 1))], 2)
    poses = Poses(
        image_ids=table.image_ids[table.image_index],
        keypoints=keypoints,
        scores=np.ones(len(table)),
        boxes_xywh=np.full((len(table), 4), np.nan),
        rows=table.rows,
        instances=np.zeros(len(table), np.int64),
    )
    names = names or tuple(table.image_names[i] for i in table.image_index)
    digest = sha256(table.files[0])
    made = predictions.Predictions(poses, "mpii16", names, annotation_sha256=digest)
    predictions.write_json(made, file)


def _refused(call, *words: object, match: str) -> None:
    with pytest.raises(UserError, match=match):
        call([str(word) for word in words])


def test_draw_leaves_the_photos(place, tmp_path):
    images = place / "data" / "images"
    (tmp_path / "link").symlink_to(images)
    asked = ("--predictions", place / "predictions.json", "--images", images, "--save_path")
    for folder in (images, f"{images}/", tmp_path / "link", images / ".." / "images"):
        _refused(draw.main, *asked, folder, match="is the folder of --images")


def test_draw_leaves_photos_that_it_meets_by_links(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    cv2.imwrite(str(photos / "000000000001.png"), np.full((40, 40, 3), 9, np.uint8))
    results = [{"image_id": 1, "category_id": 1, "keypoints": [5, 5, 1] * 17, "score": 1}]
    (tmp_path / "r.json").write_text(json.dumps(results))
    asked = ("--predictions", tmp_path / "r.json", "--images", photos, "--save_path", out)
    for link in (Path.symlink_to, Path.hardlink_to):
        link(out / "000000000001.png", photos / "000000000001.png")
        _refused(draw.main, *asked, match="onto a file that is read")
        (out / "000000000001.png").unlink()
    assert not list(out.iterdir())


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "..\\x.jpg", ""])
def test_draw_stays_in_its_folder(place, tmp_path, name):
    table = mpii.load(place / "data", "valid")
    _write_predictions(table, tmp_path / "p.json", (name,) * len(table))
    asked = ("--predictions", tmp_path / "p.json", "--images", place / "data" / "images")
    _refused(draw.main, *asked, "--save_path", tmp_path / "out", match="not a relative path")
    assert not (tmp_path / "out").exists()


def test_draw_keeps_apart_what_differs_in_its_ending(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "a.jpg", "b.png"):
        cv2.imwrite(str(photos / name), np.full((40, 40, 3), 9, np.uint8))
    saved = draw._Saved(
        ["a.png", "a.jpg", "b.png"], np.full((3, 17, 3), 99.0), np.ones(3), draw.COCO17
    )
    for _ in range(2):
        assert draw.draw_file(saved, photos, tmp_path / "out") == 3
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a.jpg.png", "a.png.png", "b.png"]
    said = capsys.readouterr().out.splitlines()
    assert "3 of 3 poses lie wholly outside their images" in said[0]
    assert said[1] == f"=> replacing {tmp_path / 'out' / 'a.png.png'} and 2 more"


def test_gallery_leaves_the_photos(place, tmp_path, capsys):
    photo = next((place / "data" / "images").iterdir())
    asked = ("--predictions", place / "predictions.json", "--dataset_root", place / "data")
    (tmp_path / "link.jpg").symlink_to(photo)
    for output in (photo, tmp_path / "link.jpg", place / "predictions.json"):
        _refused(gallery.main, *asked, "--output", output, match="onto a file that is read")
    for split in ("../../x", "a/b", ""):
        _refused(gallery.main, *asked, "--split", split, match="--split: .* not a plain name")
    words = [str(word) for word in (*asked, "--output", tmp_path / "g.png", "--people", 2)]
    gallery.main(words)
    assert "replacing" not in capsys.readouterr().out
    gallery.main(words)
    assert f"=> replacing {tmp_path / 'g.png'}" in capsys.readouterr().out


def test_port_leaves_what_it_reads(tmp_path, capsys):
    recipe = configs.chosen(RECIPE, None, TINY)
    (tmp_path / "recipe.yaml").write_text(recipes.dump_yaml(recipe))
    weights = tmp_path / "m.pdparams"
    checkpoint.save_weights(build(recipe.model), weights)
    named = ("--recipe", tmp_path / "recipe.yaml", "--output")
    port.main([str(w) for w in ("--to_torch", weights, *named, tmp_path / "m.safetensors")])
    before = contents(tmp_path)
    _refused(
        port.main, tmp_path / "m.safetensors", *named, tmp_path / "m.safetensors", match="onto"
    )
    link = tmp_path / "link.safetensors"
    link.symlink_to(tmp_path / "m.safetensors")
    _refused(port.main, tmp_path / "m.safetensors", *named, link, match="onto a file that is read")
    _refused(port.main, "--to_torch", tmp_path / "m.safetensors", *named, link, match="onto")
    link.unlink()
    assert contents(tmp_path) == before
    capsys.readouterr()
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"nothing")
    with pytest.raises(UserError):
        port.main([str(w) for w in (broken, *named, weights)])
    assert "replacing" not in capsys.readouterr().out
    port.main([str(w) for w in (tmp_path / "m.safetensors", *named, weights)])
    assert f"=> replacing {weights}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["scores.json", "pred.mat", "keypoints_valid_results.json"])
def test_evaluation_leaves_the_predictions(place, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(place / "predictions.json", out / name)
    before = contents(out)
    for folder in (out, out / ".." / "out"):
        with pytest.raises(UserError, match="onto a file that is read"):
            evaluate.evaluate(RECIPE, None, place / "data", predictions=out / name, output=folder)
    files = DataFiles(place / "data", boxes=out / name)
    with pytest.raises(UserError, match=r"onto a file that is read|boxes"):
        evaluate.evaluate(RECIPE, None, files, predictions=place / "predictions.json", output=out)
    assert contents(out) == before


def test_evaluation_writes_what_it_says(place, tmp_path, capsys):
    out = tmp_path / "out"
    recipe = configs.chosen(RECIPE, None, ["eval.bootstrap=0"])
    file = place / "predictions.json"
    for again in (False, True):
        evaluate.evaluate(recipe, None, place / "data", predictions=file, output=out)
        said = capsys.readouterr().out
        assert ("replacing the evaluation" in said) == again
    expected = {path.name for path in evaluate._outputs(out, recipe, predicts=False)}
    assert {path.name for path in out.iterdir()} <= expected
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError):
        evaluate.evaluate(
            recipe, None, place / "data", predictions=tmp_path / "bad.json", output=out
        )
    assert "replacing" not in capsys.readouterr().out


@pytest.mark.parametrize("where", ["", "data", "data/../data"])
def test_a_run_is_not_put_around_its_data(place, monkeypatch, capsys, where):
    words = ["train.py", "--config", RECIPE, "--dataset_root", place / "data", "--device", "cpu"]
    words += ["--num_workers", "0", "--output_dir", place / where, "--set", *TINY]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert stop.value.code == 2
    assert "which is read, lies there" in capsys.readouterr().err


def test_the_renderer_takes_nothing_else_away(tmp_path, capsys):
    def render(seed: int) -> None:
        synthetic.write_dataset(
            tmp_path / "set", seed=seed, train_people=2, val_people=2, workers=1, progress=False
        )

    render(0)
    render(1)
    assert f"=> {tmp_path / 'set'}: replacing the set of seed 0" in capsys.readouterr().out
    for name in ("notes.txt", "annot/own.json", "images/mine.jpg", "eval/scores.json"):
        file = tmp_path / "set" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
        with pytest.raises(UserError, match="holds other files"):
            render(2)
        assert file.read_text() == "mine"
        file.unlink()
        if name.startswith("eval"):
            file.parent.rmdir()
    render(2)
    for bad in ({"seed": 2**64}, {"train_people": 10**18}, {"val_people": 0}, {"seed": -1}):
        with pytest.raises(UserError, match="synthetic data"):
            synthetic.write_dataset(tmp_path / "new", **bad)


def test_mean_pose_leaves_its_data(place, monkeypatch, capsys):
    output = place / "data" / "annot" / "valid.json"
    words = ["mean_pose", "--dataset_root", str(place / "data"), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        mean_pose.main()
    assert "onto a file that is read" in capsys.readouterr().err


def test_names_of_images_stay_in_the_data_set(place, tmp_path):
    root = shutil.copytree(place / "data", tmp_path / "data")
    shutil.copy(next((root / "images").iterdir()), tmp_path / "x.jpg")
    records = json.loads((root / "annot" / "valid.json").read_text())
    records[0]["image"] = "../../x.jpg"
    (root / "annot" / "valid.json").write_text(json.dumps(records))
    recipe = configs.load(RECIPE)
    with pytest.raises(UserError, match="not a relative path inside"):
        MpiiEvaluator(recipe, recipe.benchmarks[0], DataFiles(root))


def test_the_joints_that_are_taken_are_said(place, capsys):
    recipe = configs.chosen(RECIPE, None, ["model.joints=17", "eval.bootstrap=0"])
    file = place / "predictions.json"
    evaluate.evaluate(recipe, None, place / "data", predictions=file)
    assert "=> model.joints: 16, as the data have; the recipe's 17" in capsys.readouterr().out
