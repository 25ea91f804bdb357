"""The run folder: lines that a resumed run keeps, and what a record says."""

from __future__ import annotations

import json

import pytest

from paddle_pose.commands import record
from paddle_pose.errors import UserError


def test_resume_drops_what_will_be_written_again(tmp_path, monkeypatch):
    folder = record.RunFolder(tmp_path / "run")
    folder.start("a: 1\n", {})
    for epoch in range(3):
        for step in range(2):
            folder.metric(kind="train", epoch=epoch, step=step)
        folder.metric(kind="eval", epoch=epoch)
    with folder.metrics_file.open("a") as file:
        file.write('{"kind": "train", "ep')  # a line torn by a kill
    folder.resume({"epoch": 1, "step": 1}, "a: 2\n", {"a": [1, 2]})
    lines = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    assert [(v["kind"], v["epoch"], v.get("step")) for v in lines] == [
        ("train", 0, 0), ("train", 0, 1), ("eval", 0, None), ("train", 1, 0),
    ]  # fmt: skip
    assert folder.read_record()["resumed"][0]["changed"] == {"a": [1, 2]}
    assert folder.recipe_file.read_text() == "a: 2\n"


def test_record_names_no_place_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py"), "--dataset_root", "data"])
    folder = record.RunFolder(tmp_path / "run")
    folder.start("", {})
    text = folder.record_file.read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["command"] == "python train.py --dataset_root data"


def test_broken_record_is_one_line(tmp_path):
    folder = record.RunFolder(tmp_path)
    with pytest.raises(UserError, match="no run to resume"):
        folder.read_record()
    folder.record_file.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        folder.read_record()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "x.json"
    record.write_text(file, "old")
    with pytest.raises(UserError, match="cannot write"):
        record.write_text(file / "below", "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
