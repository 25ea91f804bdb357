"""The scenes run: counted by hand; the whole chain on tiny sizes, but for INT8."""

from __future__ import annotations

import re
import runpy
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_pose.commands.record import RunFolder
from paddle_pose.configs import scenes as recipes
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


def one_by_one(runs: list, output: Path, options: Namespace) -> None:
    """All in this thread: Paddle's eager mode is of the thread that imports it."""
    for one in runs:
        small_runs.run(one, output, options.assignments)


def shrink(monkeypatch) -> None:
    """The recipes of both networks, so small that they learn nothing in no time."""
    everybody, people = recipes.vgg_scenes(), recipes.hrnet_w8_scenes_96x64()

    def vgg_scenes():
        sizes = {"scenes_strict": (64, 88)}
        return replace(
            everybody,
            model=replace(everybody.model, width=4, features=8),
            data=replace(everybody.data, image_size_wh=(64, 64)),
            benchmarks=tuple(
                replace(one, whole=replace(one.whole, size_hw=sizes.get(one.name, (64, 64))))
                for one in everybody.benchmarks
            ),
        )

    def hrnet_w8_scenes_96x64():
        return replace(people, model=replace(people.model, width=4))

    for one in (vgg_scenes, hrnet_w8_scenes_96x64):
        one.__module__ = recipes.__name__
        monkeypatch.setattr(recipes, one.__name__, one)


class Looks:
    """Something that looks at a picture for so many seconds a person."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.whole = seconds, not seconds

    def __call__(self, pixels, boxes, **_) -> None:
        time.sleep(self.seconds * len(boxes or ()))


def test_ratios_are_of_the_same_round():
    # the machine is half as fast in the second round: no ratio says so
    costs = {"a": {"1": [1.0, 2.0], "2": [3.0, 6.0]}, "b": {"1": [1.0, 2.0], "2": [1.0, 2.0]}}
    same = {"median": 1.0, "low": 1.0, "high": 1.0}
    twice = dict.fromkeys(same, 2.0)
    assert scenes_judge.times_as_fast(costs, "a") == {"a": same, "b": twice}


def test_whole_chain(tmp_path, monkeypatch, capsys):
    words = ["--output_dir", str(tmp_path / "runs"), "--seeds", "1", "--train", "12", "--val", "9"]
    words += ["--record_dir", str(tmp_path / scenes.FOLDER), "--at_once", "1"]
    words += ["--set", "train.batch_size=4", "train.epochs=1", "eval.batch_size=8"]
    words += ["train.validate_every=1", "train.save_every=0", "train.log_every=1"]
    shrink(monkeypatch)
    monkeypatch.setattr(small_runs, "run_script", here)
    monkeypatch.setattr(small_runs, "run_all", one_by_one)
    monkeypatch.setattr(sys, "argv", [])
    for name, value in small_runs.ONE_THREAD.items():
        monkeypatch.setenv(name, value)  # as the command sets it
    monkeypatch.setattr(scenes_run, "export", lambda *_: None)
    monkeypatch.setattr(scenes_run, "score_int8", lambda *_: None)
    monkeypatch.setattr(scenes_judge, "predictors", lambda _: {
        scenes_judge.BOTTOM_UP: (Looks(), "nobody"), scenes_judge.TOP_DOWN: (Looks(0.02), "nobody")
    })  # fmt: skip
    scenes_run.main(words)
    record = read_json(tmp_path / scenes.RECORD)
    assert set(record["runs"]) == set(list(scenes.LABELS)[:3])
    assert set(record["runs"]["vgg_scenes"]["0"]["ways"]) == {*scenes_judge.WAYS, "exact"}
    before, after = (record["runs"][name]["0"]["parameters"] for name in list(scenes.LABELS)[:2])
    assert after < 0.9 * before  # narrow layers keep the official 16 filters
    assert record["pictures"]
    monkeypatch.setattr(records, "ROOT", tmp_path)
    (section,) = scenes.sections()
    text = "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))
    assert re.search(r"takes less time than top-down from \d people on", text)
    assert "| BodyPoseNet, small: four scales | " in text
    capsys.readouterr()
    monkeypatch.setattr(small_runs, "run_script", lambda *_: pytest.fail("all is done"))
    scenes_run.main(words)
    assert "[JUDGED] vgg_scenes: AP " in capsys.readouterr().out
    (tmp_path / scenes.SPEED).unlink()
    told = ["--runs", words[1], "--record_dir", str(tmp_path / scenes.FOLDER), "--only", "speed"]
    scenes_judge.main(told)
    assert set(read_json(tmp_path / scenes.SPEED)["times_as_fast"]) == {
        scenes_judge.BOTTOM_UP, scenes_judge.TOP_DOWN
    }  # fmt: skip
    run = RunFolder(tmp_path / "runs" / "vgg_scenes_s0")
    whole = scenes_run.threshold_for(run.best_weights, run.recipe_file, 1.0)
    assert whole < scenes_run.threshold_for(run.best_weights, run.recipe_file, 0.4)


def test_nothing_to_judge_is_told(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        scenes_judge.judge(tmp_path, tmp_path / "record")
