"""A run whose files were damaged, lost or written by older versions: a line, and the way out."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from places import TINY
from safetensors.numpy import load_file, save_file

import train
import val
from paddle_pose import PosePredictor, configs
from paddle_pose.commands import restoring
from paddle_pose.commands.record import RunFolder
from paddle_pose.commands.running import Run
from paddle_pose.commands.train import _started
from paddle_pose.errors import CannotWrite, UserError
from paddle_pose.files import leftovers
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.porting.reader import read_file
from paddle_pose.weights import safe_pickle
from paddle_pose.weights.checkpoint import read_state

RECIPE = "quickstart:newell_hg1_synthetic"
SETTINGS = [*TINY, "train.save_every=2", "train.log_every=3"]


def call(monkeypatch, capsys, *words: str | Path, door=train) -> tuple[int, str]:
    """Run a command in this process; its exit code and all it printed."""
    monkeypatch.setattr(sys, "argv", ["x.py", "--device", "cpu", *map(str, words)])
    code = 0
    try:
        door.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out + captured.err


def words(data: Path, output: Path, *more: str, epochs: int = 1) -> list[str | Path]:
    usual = ["--config", RECIPE, "--dataset_root", data, "--output_dir", output, "--resume"]
    return [*usual, "--num_workers", "0", "--set", *SETTINGS, f"train.epochs={epochs}", *more]


@pytest.fixture(scope="module")
def finished(small_people, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        arguments = [str(word) for word in words(small_people, output)]
        patch.setattr(sys, "argv", ["train.py", "--device", "cpu", *arguments])
        train.main()
    return output


@pytest.fixture
def run(finished, tmp_path) -> RunFolder:
    """A copy that a test may spoil."""
    return RunFolder(Path(shutil.copytree(finished, tmp_path / "run")))


def flip(file: Path, place: int = -100) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)


def test_every_state_and_weight_carries_what_it_is(run):
    assert read_state(run.state_file).has_digest
    assert read_state(run.earlier_state).position["step"] == 4
    facts = read_file(run.best_weights).facts
    assert facts.skeleton.name == "mpii16"
    assert facts.normalisation.image_size_wh == (64, 64)
    assert facts.recipe["train"]["epochs"] == 1
    assert len(facts.flip_pairs) == 6
    assert run.read_record()["skeleton"]["joints"][0] == "right_ankle"


def test_a_bit_of_the_state_is_noticed_and_the_state_before_it_goes_on(
    run, finished, small_people, monkeypatch, capsys
):
    flip(run.state_file)
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert f"{run.state_file}: damaged" in text
    assert (
        f"of epoch 1, step 5, is whole: go on from that with --resume {run.earlier_state}" in text
    )
    asked = words(small_people, run.root)
    asked[asked.index("--resume") : asked.index("--resume") + 1] = ["--resume", run.earlier_state]
    del asked[asked.index("--output_dir") : asked.index("--output_dir") + 2]
    code, text = call(monkeypatch, capsys, *asked)
    assert code == 0, text
    assert "set aside as set_aside.safetensors" in text
    assert "resumed at epoch 1, step 5" in text
    assert run.state_file.read_bytes() == (finished / "last/checkpoint.safetensors").read_bytes()
    assert _losses(run.root) == _losses(finished)  # the first line counts the steps before it too


def test_a_disk_that_fills_while_it_trains(run, small_people, monkeypatch, capsys):
    def full(self, epoch: int, step: int) -> None:
        raise CannotWrite(f"{self.folder.state_file}: cannot write this file (No space left)")

    shutil.rmtree(run.root)
    monkeypatch.setattr(Run, "save", full)
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert "(No space left); see that it can be written; no state was saved yet" in text
    assert text.rstrip().endswith("train(…, resume=True)")


def test_a_state_is_no_file_of_weights(run):
    for file in (run.state_file, run.earlier_state):
        with pytest.raises(UserError, match=r"a state for train\.py --resume, not weights"):
            read_file(file)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ((0, 4), "epoch 1, step 5"),
        ((0, 24), "the end of epoch 1"),
        ((1, 24), "the end of epoch 2 (its validation is next)"),
        ((3, 24), "the end of epoch 4 (its validation is next)"),
        ((2, 0), "epoch 3, step 1"),
        ((4, 0), "the run's end"),
    ],
)
def test_where_a_run_stands_in_words(place, text):
    recipe = configs.load(RECIPE)
    settings = replace(recipe.train, epochs=4, validate_every=2, batch_size=1)
    run = object.__new__(Run)
    run.recipe, run.task = replace(recipe, train=settings), SimpleNamespace(samples=range(24))
    assert run._place(*place) == text


def _losses(root: Path) -> list:
    lines = map(json.loads, (root / "metrics.jsonl").read_text().splitlines())
    return [(line["epoch"], line.get("step"), line.get("loss"), line.get("Mean")) for line in lines]


def test_a_state_that_is_gone_or_damaged_twice(run, small_people, monkeypatch, capsys):
    flip(run.earlier_state)
    flip(run.state_file, 20)
    before = run.metrics_file.read_bytes()
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert f"another --output_dir; {run.best_weights} is kept" in text
    shutil.rmtree(run.root / "last")
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert "is gone, though the run had saved a state" in text
    assert run.metrics_file.read_bytes() == before


def test_best_weights_of_a_finished_run(run, small_people, monkeypatch, capsys):
    flip(run.best_weights, 9000)
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert "not the file that the run finished with" in text
    assert "model.pdparams, of the last epoch, is whole" in text
    code, text = call(
        monkeypatch, capsys, *words(small_people, run.root, epochs=2)
    )  # goes on, and says so
    assert code == 0, text
    assert f"=> {run.best_weights}: damaged" in text
    assert restoring.damage_of(run.best_weights) is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("processes", "two", "'processes' must be int, got 'two'"),
        ("data", [], "'data' must be dict"),
        ("resumed", None, "'resumed' must be list"),
        ("result", {"finished": "x"}, "result: 'epochs' is missing"),
        ("pretrained_model", ..., "'pretrained_model' is missing"),
    ],
)
def test_a_record_with_other_keys(run, small_people, monkeypatch, capsys, key, value, expected):
    values = run.read_record()
    values[key] = value
    if value is ...:
        del values[key]
    run.record_file.write_text(json.dumps(values))
    code, text = call(monkeypatch, capsys, *words(small_people, run.root))
    assert code == 2
    assert f"{run.record_file}" in text
    assert expected in text
    assert "--output_dir" in text


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({"step": 0}, "'epoch' is missing"),
        ({"epoch": True, "step": 0}, "'epoch' must be int, got True"),
        ({"epoch": -1, "step": 0}, "is epoch -1"),
        ({"epoch": 0, "step": 0, "best": {"epoch": 0}}, "best has no 'Mean'"),
        ([], "expected an object"),
    ],
)
def test_a_position_with_other_keys(run, small_people, monkeypatch, capsys, position, expected):
    """As an older version wrote it, without a digest."""
    metadata = {"format": "paddle_pose training state 1", "position": json.dumps(position)}
    save_file(load_file(run.state_file), run.state_file, metadata)
    code, text = call(monkeypatch, capsys, *words(small_people, run.root, epochs=2))
    assert code == 2
    assert "checkpoint.safetensors" in text
    assert expected in text


def test_a_run_of_an_older_version_goes_on(run, small_people, monkeypatch, capsys):
    """No digests, no earlier state, no keys that came later."""
    position = read_state(run.state_file).position
    del position["recent"]
    metadata = {"format": "paddle_pose training state 1", "position": json.dumps(position)}
    save_file(load_file(run.state_file), run.state_file, metadata)
    run.earlier_state.unlink()
    safe_pickle.save_arrays(run.best_weights, safe_pickle.load_arrays(run.best_weights))
    values = run.read_record()
    del values["saved"], values["skeleton"]
    run.write_record({**values, "result": None})
    lines = [f"{line}\n" for line in run.recipe_file.read_text().splitlines()]
    run.recipe_file.write_text("".join(line for line in lines if "pretrained" not in line))
    code, text = call(monkeypatch, capsys, *words(small_people, run.root, epochs=2))
    assert code == 0, text
    assert "assumed: state: " in text
    assert "resumed at epoch 2, step 1" in text


def test_bytes_that_are_no_text_in_metrics(run, capsys):
    content = run.metrics_file.read_bytes().splitlines(keepends=True)
    run.metrics_file.write_bytes(
        content[0][:20] + b"\xff" + content[0][20:] + b"".join(content[1:])
    )
    run.resume((9, 0), "a: 1", {})
    assert "1 unreadable lines left out" in capsys.readouterr().out
    assert len(run.metrics_file.read_bytes().splitlines()) == len(content) - 1


def test_torn_writes_are_removed_below_the_run(run):
    torn = [run.best_weights.with_name(".model.pdparams.123.tmp"), run.root / ".record.json.7.tmp"]
    for file in torn:
        file.write_bytes(b"x")
    assert set(leftovers(run.root)) == set(torn)
    run.lock()
    assert not leftovers(run.root)


def test_weights_of_other_joints_and_another_normalisation(run, small_people, monkeypatch, capsys):
    usual = ["--config", RECIPE, "--dataset_root", small_people, "--num_workers", "0"]
    usual += ["--pretrained_model", run.best_weights, "--output_dir", run.root / "eval"]
    code, text = call(
        monkeypatch, capsys, *usual, "--set", *TINY, "data.channel_order=bgr", door=val
    )
    assert code == 0, text
    assert "another normalisation: data.channel_order is bgr; they were trained rgb" in text
    file = read_file(run.best_weights)
    turned = file.facts.skeleton.joints[::-1]
    said = json.loads(file.facts.text(file.arrays))
    said["skeleton"]["joints"] = turned
    del said["digest"]
    text = json.dumps(said)
    said["digest"] = restoring.checkpoint.tensors.digest(
        file.arrays, json.dumps(json.loads(text), sort_keys=True)
    )
    safe_pickle.save_arrays(run.best_weights, file.arrays, json.dumps(said))
    code, text = call(monkeypatch, capsys, *usual, "--set", *TINY, door=val)
    assert code == 2
    assert "the 1. is left_wrist there, right_ankle here" in text


def test_weights_alone_are_enough_for_a_predictor(run, tmp_path, capsys):
    alone = Path(shutil.copyfile(run.best_weights, tmp_path / "alone.pdparams"))
    predictor = PosePredictor.from_weights(alone)
    assert predictor.recipe.data.image_size_wh == (64, 64)
    assert len(predictor.skeleton) == 16
    safe_pickle.save_arrays(alone, safe_pickle.load_arrays(alone))
    with pytest.raises(UserError, match="does not say its recipe"):
        PosePredictor.from_weights(alone)


def test_joints_of_a_file_are_in_the_weights_and_in_the_record(run, tmp_path, capsys):
    recipe = run.recipe_file.read_text().replace("skeleton: mpii16", "skeleton: from_file")
    run.recipe_file.write_text(recipe)
    assert PosePredictor.from_weights(run.best_weights).skeleton.name == "mpii16"
    safe_pickle.save_arrays(run.best_weights, safe_pickle.load_arrays(run.best_weights))
    assert PosePredictor.from_weights(run.best_weights).skeleton.joints[5] == "left_ankle"
    assert "assumed: weights: " in capsys.readouterr().out


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_numbers_that_no_network_has(run, value):
    arrays = {n: a.copy() for n, a in safe_pickle.load_arrays(run.best_weights).items()}
    name = next(n for n in arrays if n.endswith("_variance" if value == -1 else "weight"))
    arrays[name].reshape(-1)[1] = value
    safe_pickle.save_arrays(run.best_weights, arrays)
    with pytest.raises(UserError, match=name):
        read_file(run.best_weights)


def test_a_recipe_whose_published_run_began_from_imagenet_says_so(capsys):
    small = NewellHourglass(stacks=1, features=8, depth=1, stem=4)
    for name in ("simple_baseline:res50_coco_256x192", "hrnet:w48_mpii_256x256"):
        recipe = replace(configs.load(name), model=small)
        _started(recipe, None, None, None, partial=False, resuming=False)
        assert "began from ImageNet weights, this one from random" in capsys.readouterr().out
    recipe = replace(configs.load("hourglass:newell_hg2_mpii_256x256"), model=small)
    _started(recipe, None, None, None, partial=False, resuming=False)
    assert capsys.readouterr().out == ""
