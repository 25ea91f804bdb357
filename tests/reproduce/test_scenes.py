"""The scenes run: counted by hand; the whole chain on tiny sizes, but for INT8."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from reproduce import scenes_judge, scenes_run, small_runs
from reproduce.reporting import markdown, records, scenes


def test_scenes_are_counted_by_their_people():
    images = [{"id": 1}, {"id": 2}, {"id": 3}]
    people = [{"image_id": 1, "iscrowd": 0}] + [{"image_id": 2, "iscrowd": 0}] * 5
    crowd = [{"image_id": 1, "iscrowd": 1}, {"image_id": 3, "iscrowd": 1}]
    found = scenes_judge.Scenes.of({"images": images, "annotations": people + crowd})
    assert found.people == {1: 1, 2: 5, 3: 0}
    assert found.images("1") == [1]
    assert found.images("4-5") == [2]
    assert found.images("all") == [1, 2]


def here(script: str, words: list, log: Path) -> None:
    """A command in this process: Paddle's import is most of so small a run."""
    sys.argv = [script, *map(str, words)]
    runpy.run_path(str(small_runs.ROOT / script), run_name="__main__")


def test_whole_chain(tmp_path, monkeypatch, capsys):
    words = ["--output_dir", str(tmp_path / "runs"), "--seeds", "1", "--train", "12", "--val", "9"]
    words += ["--record_dir", str(tmp_path / scenes.FOLDER), "--at_once", "1"]
    words += ["--set", "train.batch_size=4", "train.epochs=1", "eval.bootstrap=0"]
    words += ["train.validate_every=1", "train.save_every=0", "train.log_every=1"]
    monkeypatch.setattr(small_runs, "run_script", here)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(scenes_run, "quantise", lambda *_: None)
    monkeypatch.setattr(scenes_judge, "seconds_by_people", lambda networks, *_: {
        name: {"1": 0.01 + 0.02 * (name == scenes_judge.TOP_DOWN)} for name in networks
    })  # fmt: skip
    scenes_run.main(words)
    record = read_json(tmp_path / scenes.RECORD)
    assert set(record["runs"]) == set(scenes.LABELS)
    assert set(record["runs"]["vgg_scenes"]["0"]["ways"]) == {*scenes_judge.WAYS, "exact"}
    before, after = (record["runs"][name]["0"]["parameters"] for name in list(scenes.LABELS)[:2])
    assert after < 0.6 * before
    assert record["pictures"]
    monkeypatch.setattr(records, "ROOT", tmp_path)
    (section,) = scenes.sections()
    text = "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))
    assert "takes less time than top-down from 1 people on" in text
    assert "| BodyPoseNet, small: four scales | " in text
    capsys.readouterr()
    monkeypatch.setattr(small_runs, "run_script", lambda *_: pytest.fail("all is done"))
    scenes_run.main(words)
    assert "[JUDGED] vgg_scenes: AP " in capsys.readouterr().out
    run = RunFolder(tmp_path / "runs" / "vgg_scenes_s0")
    whole = scenes_run.threshold_for(run.best_weights, run.recipe_file, 1.0)
    assert whole < scenes_run.threshold_for(run.best_weights, run.recipe_file, 0.4)


def test_nothing_to_judge_is_told(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        scenes_judge.judge(tmp_path, tmp_path / "record")
