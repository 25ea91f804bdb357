"""Ends of a command."""

from __future__ import annotations

import os
import subprocess
import sys

from places import ROOT

from paddle_pose.errors import UserError


def test_a_way_out_is_never_cut():
    command = "; go on with: python train.py " + "--set seed=1 " * 100
    text = str(UserError("x" * 1000, command))
    assert " … " in text
    assert text.endswith(command)


def test_letters_that_a_terminal_lacks_are_written_otherwise():
    program = "from paddle_pose.errors import one_line_errors\nwith one_line_errors(): print('×')"
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain, cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.strip().endswith(b"\\xd7")
