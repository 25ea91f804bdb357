"""Thread settings for any CPU, and that the environment has the last word."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import ROOT

from paddle_pose.errors import UserError
from paddle_pose.system import runtime
from paddle_pose.system.runtime import cpu_facts, settings_for, thread_count


def test_amd_takes_the_fast_path_of_the_math_library():
    values = settings_for("AuthenticAMD", frozenset({"avx2"}), 8)
    assert values["MKL_DEBUG_CPU_TYPE"] == "5"
    assert values["OMP_NUM_THREADS"] == values["FLAGS_paddle_num_threads"] == "8"
    assert values["KMP_BLOCKTIME"] == "1"


def test_others_do_not():
    assert "MKL_DEBUG_CPU_TYPE" not in settings_for("GenuineIntel", frozenset({"avx2"}), 4)
    assert "MKL_DEBUG_CPU_TYPE" not in settings_for("AuthenticAMD", frozenset(), 4)


def test_processes_share_the_cores():
    assert settings_for("x", frozenset(), 8, ranks=2)["OMP_NUM_THREADS"] == "4"
    assert settings_for("x", frozenset(), 2, ranks=4)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("given", "threads"),
    [("3", 3), ("4,2", 4), (" 3 , 1", 3), ("", None), ("0", None), ("-1", None), ("many", None)],
)
def test_threads_are_openmps_first_number(monkeypatch, given, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert thread_count() == (threads or cpu_facts()[2])


def test_environment_wins_and_paddle_says_nothing():
    code = (
        "from paddle_pose.system import runtime\n"
        "values = runtime.configure(quiet=True)\n"
        "runtime.import_paddle()\n"
        "print(values['OMP_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMP_NUM_THREADS": "3", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "3"
    assert "WISELY" not in done.stderr


def test_a_lacking_paddle_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(UserError, match="Paddle is not installed: pip install paddlepaddle"):
        runtime.import_paddle()
