"""Mistakes on every command line are one line; options are taken by their whole name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from places import ROOT

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import LONGEST_LINE, UserError, nearest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--image 1", "unknown argument '--image'; did you mean '--image_size'?"),
        ("--image=1", "unknown argument '--image'"),
        ("--image_size x", "invalid int value: 'x'"),
        ("--image_size " + "9" * 5000, "invalid int value"),
        ("--image_size", "expected one argument"),
        ("stray", "unknown argument 'stray'"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys):
    parser = CommandLine("tool")
    parser.add_argument("--image_size", type=int)
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(words.split())
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert said in line
    assert line.count("\n") == 1
    assert len(line) < LONGEST_LINE + 10


@pytest.mark.parametrize(
    "command",
    ["train.py", "val.py", "-m paddle_pose draw", "-m reproduce.align", "-m benchmarks"],
)
def test_every_door_answers_in_one_line(command):
    words = [sys.executable, *command.split(), "--no_such_option"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*\n", done.stderr.splitlines(keepends=True)[-1])
    assert not re.search("usage:|Traceback", done.stderr)


def test_no_command_makes_a_parser_of_its_own():
    for folder in ("paddle_pose", "reproduce", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.stem != "command_line":
                assert "ArgumentParser(" not in file.read_text(encoding="utf-8"), file
    for script in ROOT.glob("*.py"):
        assert "ArgumentParser(" not in script.read_text(encoding="utf-8"), script


def test_messages_stay_short_and_keep_their_end():
    line = str(UserError("file: " + "k" * 3000 + "; do this\nnow"))
    assert len(line) == LONGEST_LINE
    assert line.startswith("file: ")
    assert line.endswith("; do this now")


def test_nearest_prefers_what_begins_so():
    names = ["hrnet:w32_a", "hrnet:w32_b", "hrnet:w48_a"]
    assert nearest("hrnet:w32", names) == "; did you mean one of hrnet:w32_a, hrnet:w32_b?"
    assert nearest("hrnet:w48", names) == "; did you mean 'hrnet:w48_a'?"
    assert nearest("zz", [f"x{number}" for number in range(60)]).endswith("… (60 in all)")
    assert nearest("zz", names, "--list names them") == "; --list names them"
