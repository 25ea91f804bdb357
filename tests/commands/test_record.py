"""The run folder: lines that a resumed run keeps, and what a record says."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from places import ROOT

from paddle_pose import files
from paddle_pose.commands import record
from paddle_pose.errors import UserError
from paddle_pose.weights.safe_pickle import load_arrays

FACTS = {"data": {}, "processes": 1, "pretrained_model": None}


def test_resume_drops_what_will_be_written_again(tmp_path, monkeypatch):
    folder = record.RunFolder(tmp_path / "run")
    folder.start("a: 1\n", FACTS)
    for epoch in range(3):
        for step in range(2):
            folder.metric(kind="train", epoch=epoch, step=step)
        folder.metric(kind="eval", epoch=epoch)
    with folder.metrics_file.open("a") as file:
        file.write('{"kind": "train", "ep')  # a line torn by a kill
    folder.resume((1, 1), "a: 2\n", {"a": [1, 2]})
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


WRITER = """
import sys
from pathlib import Path
import numpy as np
from paddle_pose.commands.record import RunFolder
from paddle_pose.weights.safe_pickle import save_arrays

folder = RunFolder(Path(sys.argv[1]))
folder.lock()
if not folder.record_file.exists():
    folder.start("a: 1", {"data": {}, "processes": 1, "pretrained_model": None})
weights = {"w": np.zeros(1_000_000, np.float32)}
print("writing", flush=True)
while True:
    save_arrays(folder.best_weights, weights)
    folder.write_record({**folder.read_record(), "padding": "x" * 100_000})
"""


def test_a_resumed_run_holds_no_file_of_a_killed_write(tmp_path):
    """Killed by ``kill -9`` at many moments: what was whole stays whole, what was not goes."""
    root = tmp_path / "run"
    folder = record.RunFolder(root)
    torn = set()
    for moment in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "writing\n"
            time.sleep(0.02 + 0.0031 * moment)
            process.kill()
        torn |= set(files.leftovers(root))
        folder.read_record()
        if folder.best_weights.exists():
            assert load_arrays(folder.best_weights)["w"].size == 1_000_000
        folder.lock()
        folder.resume((0, 0), "a: 1", {})
        folder._lock.close()
        assert not [file for file in root.rglob(".*") if file.name != ".lock"]
    assert torn, "no kill came in the middle of a write"
