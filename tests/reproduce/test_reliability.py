"""The list of readers, how endings are told, and a few broken files of every format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from places import ROOT

from reproduce.reliability import fuzzing, mutations, readers
from reproduce.reliability.readers import EXCUSED, READERS

MUTANTS = 12
SEED = 3


# The list of readers.


def test_every_function_that_opens_a_file_is_fuzzed_or_excused():
    known = {name for reader in READERS for name in reader.covers} | set(EXCUSED)
    found = set(readers.opening_functions())
    assert not found - known, "add a Reader, or a reason to EXCUSED, in reliability/readers.py"
    assert not known - found, "these open no file any more"


def test_a_new_reader_is_found(tmp_path, monkeypatch):
    code = """
import h5py, json
class Table:
    def load(self, path):
        def inner():
            return path.read_text()
        return inner()
def written(path):
    with path.open("w") as file:
        json.dump({}, file)
def mat(path):
    return h5py.File(path)["x"]
def opened(path):
    return open(path, "rb").read()
"""
    (tmp_path / "new.py").write_text(code)
    monkeypatch.setattr(readers, "PACKAGE", tmp_path)
    assert list(readers.opening_functions()) == ["new.py:Table.load", "new.py:mat", "new.py:opened"]


# The fuzzer itself: each ending is told as it is.


def ended_by(tmp_path: Path, read, *, made=mutations.Mutant(b"x", "how", True)) -> fuzzing.Ending:  # noqa: B008
    reader = readers.Reader("toy", "toy", lambda folder: None, read, "bytes", ())
    sound = fuzzing.Ending("same", reading={"score AP": 0.5, "weights": [1.0]})
    work = lambda slot: fuzzing.judge(fuzzing.read_in_child(reader, tmp_path), sound, reader, made)  # noqa: E731
    return next(fuzzing.each_alone(iter([work]), 1, 0.3))[1]


def raising(error: BaseException):
    def read(folder):
        raise error

    return read


def test_endings(tmp_path):
    import ctypes
    import time

    from paddle_pose.errors import UserError

    good = {"score AP": 0.5, "weights": [1.0]}
    cases = {
        "same": lambda folder: good,
        "other content": lambda folder: good | {"weights": [2.0]},
        "refused": raising(UserError("no")),
        "unclear": raising(UserError("")),
        "traceback": raising(KeyError("x")),
        "hang": lambda folder: time.sleep(30),
        "crash": lambda folder: ctypes.string_at(0),
        "memory": lambda folder: bytearray(20 << 30),
        "silent": lambda folder: good | {"score AP": 0.6},
    }
    assert set(cases) == {*fuzzing.GOOD, *fuzzing.BAD}
    for word, read in cases.items():
        assert ended_by(tmp_path, read).word == word
    assert ended_by(tmp_path, lambda folder: good | {"weights": [float("nan")]}).word == "silent"
    assert ended_by(tmp_path, lambda folder: good | {"score AP": -1.0}).word == "silent"


def test_what_is_said_is_not_silent(tmp_path):
    def read(folder):
        print("assumed: something")
        return {"score AP": 0.6, "weights": [1.0]}

    assert ended_by(tmp_path, read).word == "other content"


def test_mutants_are_a_function_of_the_seed():
    data = json.dumps({"a": [1, 2, {"b": None}], "c": "text"}).encode()
    reader = READERS[0]
    made = [fuzzing.made_for(reader, data, 1, number) for number in range(50)]
    assert made == [fuzzing.made_for(reader, data, 1, number) for number in range(50)]
    assert made != [fuzzing.made_for(reader, data, 2, number) for number in range(50)]
    assert len({one.data for one in made}) > 30


# Broken files: in a process that has not run Paddle, so that it may be forked.


def soak(tmp_path: Path, *words: str) -> tuple[dict, str]:
    record = tmp_path / "record.json"
    done = subprocess.run(
        [sys.executable, "-m", "reproduce.reliability", "--record", str(record), "--seed",
         str(SEED), "--kept", str(tmp_path / "kept"), *words],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=300,
    )  # fmt: skip
    assert record.is_file(), done.stderr
    return json.loads(record.read_text()), done.stdout


def test_broken_files(tmp_path):
    found, text = soak(tmp_path, "--only", "fuzz", "--mutants", str(MUTANTS * len(READERS)))
    assert list(found["fuzz"]) == [reader.name for reader in READERS]
    bad = {name: entry["faults"] for name, entry in found["fuzz"].items() if entry["faults"]}
    assert not bad, text
    assert sum(entry["endings"]["refused"] for entry in found["fuzz"].values()) > 100
