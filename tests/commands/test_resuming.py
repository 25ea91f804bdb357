"""Where a resumption finds the data of its run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from places import TINY

import train
from paddle_pose.commands import resuming
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError

NOBODY = {"dataset_root": None, "annotations": None, "val_annotations": None}


def taken(folder: Path, record: object, **given: object) -> tuple[dict, list[str]]:
    """The options afterwards, and what is said."""
    (folder / "record.json").write_text(json.dumps(record))
    options = argparse.Namespace(**{**NOBODY, **given})
    understood = resuming.with_data_of(RunFolder(folder), options)
    return vars(options), [fact.line() for fact in understood.facts]


@pytest.fixture
def places(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("my data", "moved", "data"):
        Path(name).mkdir()
    for name in ("a.json", "v.json"):
        Path(name).touch()
    return tmp_path


def test_each_option_is_taken_where_it_is_not_given(places):
    command = "python train.py --dataset_root 'my data' --annotations=a.json --set a=1 b=2"
    found, said = taken(places, {"command": command})
    assert found == {**NOBODY, "dataset_root": Path("my data"), "annotations": Path("a.json")}
    assert said[0].startswith("assumed: data: my data, as ")
    assert said[1].startswith("assumed: annotations: a.json, as ")
    found, said = taken(places, {"command": command}, dataset_root=Path("moved"))
    assert (found["dataset_root"], found["annotations"]) == (Path("moved"), Path("a.json"))
    assert len(said) == 1


def test_the_last_command_that_names_it_counts(places):
    resumed = [
        {"command": "python train.py --resume --dataset_root moved --val_annotations v.json"},
        {"command": "python train.py --resume"},
    ]
    record = {"command": "python train.py --dataset_root gone", "resumed": resumed}
    found, _ = taken(places, record)
    assert found == {**NOBODY, "dataset_root": Path("moved"), "val_annotations": Path("v.json")}


def test_the_usual_folder_and_rendered_people(places):
    chosen = {"understood": {"chosen": {"data": {"value": "data", "source": "assumed"}}}}
    assert taken(places, {"command": "python x.py", "data": chosen})[0]["dataset_root"] == Path(
        "data"
    )
    command = {"command": "python train.py --dataset_root synthetic"}
    assert taken(places, command)[0]["dataset_root"] == Path("synthetic")


@pytest.mark.parametrize("record", [{}, {"command": "'"}, {"command": 1, "resumed": [2]}])
def test_a_record_without_it_takes_nothing(places, record):
    assert taken(places, record) == (NOBODY, [])


def test_what_is_gone_is_named(places):
    with pytest.raises(UserError, match=r"record.json names --dataset_root gone, which is not her"):
        taken(places, {"command": "python train.py --dataset_root gone"})


def test_a_finished_run_goes_on_by_its_folder_alone(small_people, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my_data").symlink_to(small_people)
    words = ["--config", "quickstart:newell_hg1_synthetic", "--dataset_root", "my_data"]
    words += ["--output_dir", "output/trial", "--set", *TINY, "train.epochs=1"]
    for typed in (words, ["--resume", "output/trial", "--epochs", "2"]):
        argv = ["train.py", "--device", "cpu", "--num_workers", "0", *typed]
        monkeypatch.setattr(sys, "argv", argv)
        train.main()
    said = capsys.readouterr().out
    assert "assumed: data: my_data, as output/trial/record.json names it" in said
    assert said.count(" people a step, ") == said.count("\n=> first step: ") == 2
    record = json.loads(Path("output/trial/record.json").read_text())
    assert record["result"]["epochs"] == 2
