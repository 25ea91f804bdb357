"""A user's mistake: one clear line, exit code 2, nothing lost or half written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
from places import TINY

import train
import val

RECIPE = "quickstart:newell_hg1_synthetic"


@pytest.fixture
def people(small_people, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(small_people, tmp_path / "data")


def refuse(monkeypatch, capsys, *words: str | Path, door=train) -> str:
    """Run train.py, which must fail with exit code 2; returns its one line."""
    arguments = ["train.py", "--device", "cpu", *map(str, words)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        door.main()
    assert stop.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def usual(data: Path, output: Path, workers: int = 0) -> list[str | Path]:
    words = ["--config", RECIPE, "--dataset_root", data, "--output_dir", output]
    return [*words, "--num_workers", str(workers), "--set", *TINY, "train.epochs=1"]


def test_wrong_root(monkeypatch, capsys, tmp_path):
    line = refuse(monkeypatch, capsys, *usual(tmp_path / "nowhere", tmp_path / "out"))
    assert "nowhere" in line
    assert not (tmp_path / "out").exists()


def test_no_root(monkeypatch, capsys):
    assert "--dataset_root" in refuse(monkeypatch, capsys, "--config", RECIPE)


def test_missing_image(monkeypatch, capsys, people, tmp_path):
    image = json.loads((people / "annot/train.json").read_text())[0]["image"]
    (people / "images" / image).unlink()
    line = refuse(monkeypatch, capsys, *usual(people, tmp_path / "out"))
    assert image in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_truncated_jpeg(monkeypatch, capsys, people, tmp_path, workers):
    image = json.loads((people / "annot/train.json").read_text())[0]["image"]
    file = people / "images" / image
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    line = refuse(monkeypatch, capsys, *usual(people, tmp_path / "out", workers))
    assert image in line


def test_a_split_without_truth_is_refused_before_training(monkeypatch, capsys, people, tmp_path):
    persons = json.loads((people / "annot/valid.json").read_text())
    bare = [{key: one[key] for key in ("image", "center", "scale")} for one in persons]
    (people / "annot/test.json").write_text(json.dumps(bare))
    line = refuse(monkeypatch, capsys, *usual(people, tmp_path / "out"), "data.val_split=test")
    assert "data.val_split: it has no truth" in line
    assert not (tmp_path / "out" / "last").exists()


def test_unknown_words_name_the_nearest(monkeypatch, capsys, reference_data, tmp_path):
    root = reference_data / "data/coco"
    words = ["--config", "hrnet:w32_coco_256x192", "--dataset_root", root, "--num_workers", "0"]
    words += ["--output_dir", tmp_path / "out", "--set", "model.width=8", "data.limit=2"]
    line = refuse(monkeypatch, capsys, *words, "train.loss=jonts_mse")
    assert "train.loss: unknown 'jonts_mse'; did you mean 'joints_mse'?" in line
    line = refuse(monkeypatch, capsys, *words, "data.dataset=coc")
    assert "data.dataset: unknown 'coc'; did you mean 'coco'?" in line


def test_keys_of_older_recipes_say_where_they_are(monkeypatch, capsys, people, tmp_path):
    usual_words = usual(people, tmp_path / "out")
    cases = {
        "train.weight_decay=1e-4": "it is train.optimizer.l2 now",
        "benchmarks.0.oks_nms=0.9": "it is benchmarks.N.metric.oks_nms now",
        "train.optimizer=Adam": "expected a section such as {kind: Adam}, got 'Adam'",
        "codec.kind=HeatmapCodec": "set the whole section, codec={kind: HeatmapCodec}",
    }
    for assignment, expected in cases.items():
        assert expected in refuse(monkeypatch, capsys, *usual_words, assignment)


def test_broken_json(monkeypatch, capsys, people, tmp_path):
    file = people / "annot/train.json"
    file.write_text(file.read_text()[:-40])
    assert "train.json" in refuse(monkeypatch, capsys, *usual(people, tmp_path / "out"))


def test_wrong_joint_count(monkeypatch, capsys, people, tmp_path):
    file = people / "annot/train.json"
    records = json.loads(file.read_text())
    records[5]["joints"] = records[5]["joints"][:15]
    file.write_text(json.dumps(records))
    line = refuse(monkeypatch, capsys, *usual(people, tmp_path / "out"))
    assert "train.json" in line
    assert "5" in line
    assert "15" in line


def test_unknown_recipe(monkeypatch, capsys):
    line = refuse(monkeypatch, capsys, "--config", "quickstart:newell_hg1_sinthetic")
    assert f"did you mean '{RECIPE}'" in line


def test_unknown_key(monkeypatch, capsys, small_people, tmp_path):
    line = refuse(monkeypatch, capsys, *usual(small_people, tmp_path), "train.epoch=1")
    assert "did you mean 'train.epochs'" in line


def test_unwritable_output(monkeypatch, capsys, small_people, tmp_path):
    (tmp_path / "file").write_text("")  # a folder cannot be made below a file, not even by root
    line = refuse(monkeypatch, capsys, *usual(small_people, tmp_path / "file" / "out"))
    assert "cannot write" in line


@pytest.mark.parametrize("pairs", [["train.batch_size=0"], ["train.epochs=0"]])
def test_impossible_numbers(monkeypatch, capsys, small_people, tmp_path, pairs):
    line = refuse(monkeypatch, capsys, *usual(small_people, tmp_path / "out"), *pairs)
    assert pairs[0].partition("=")[0] in line


def test_size_that_the_network_cannot_halve(monkeypatch, capsys, small_people, tmp_path):
    words = usual(small_people, tmp_path / "out")
    line = refuse(monkeypatch, capsys, *words, "data.image_size_wh=[96,96]", "model.depth=4")
    assert "multiples of 64" in line
    assert not (tmp_path / "out").exists()


def test_nothing_to_resume(monkeypatch, capsys, small_people, tmp_path):
    words = ["--dataset_root", small_people, "--resume", tmp_path / "absent"]
    assert "no run here" in refuse(monkeypatch, capsys, *words)


def test_pdparams_is_no_state(monkeypatch, capsys, small_people, tmp_path):
    file = tmp_path / "model.pdparams"
    file.write_bytes(b"\x80\x02}.")
    words = ["--dataset_root", small_people, "--resume", file]
    assert "model.pdparams" in refuse(monkeypatch, capsys, *words)


def test_no_gpu_here(monkeypatch, capsys, small_people, tmp_path):
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle has CUDA")
    words = usual(small_people, tmp_path / "out")
    assert "sees no GPU" in refuse(monkeypatch, capsys, *words[:6], "--device", "gpu")


class Evil:
    """A pickle of it would run a command when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("use", ["--pretrained_model", "--resume", "val"])
def test_malicious_weights_run_nothing(monkeypatch, capsys, small_people, tmp_path, use):
    marker, file = tmp_path / "marker", tmp_path / "run" / "last" / "model.pdparams"
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps({"weight": Evil(marker)}))
    if use == "val":
        words = ["--config", RECIPE, "--dataset_root", small_people, "--pretrained_model", file]
        line = refuse(monkeypatch, capsys, *words, door=val)
    elif use == "--resume":
        line = refuse(monkeypatch, capsys, "--dataset_root", small_people, "--resume", file)
    else:
        words = usual(small_people, tmp_path / "out")
        line = refuse(monkeypatch, capsys, "--pretrained_model", file, *words)
    assert "model.pdparams" in line
    assert use == "--resume" or "system" in line
    assert not marker.exists()
    assert not (tmp_path / "out").exists()
