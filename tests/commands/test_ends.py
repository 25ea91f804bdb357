"""Runs that are stopped, or lose a process: one line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paddle
import pytest
from places import ROOT, TINY
from runs import RECIPE, assert_identical, results

from paddle_pose.files import leftovers

LAUNCH = ["-m", "paddle.distributed.launch", "--backend", "gloo", "--nproc_per_node", "2"]
STEPS = 4
LOG_EVERY = 3
"""No divisor of the steps: the mean of a log line spans whatever stops the run in between."""
SMALL = (*TINY, "train.batch_size=6", f"train.log_every={LOG_EVERY}", "train.epochs=4",
         "train.validate_every=2", "train.save_every=0")  # fmt: skip
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "1"}


def words(data: Path, output: Path, workers: int, ranks: int = 1) -> list[str]:
    launch = (
        [*LAUNCH, "--log_dir", str(output.with_name(output.name + "_log"))] if ranks > 1 else []
    )
    return [*launch, str(ROOT / "train.py"), "--config", RECIPE, "--device", "cpu",
            "--dataset_root", str(data), "--output_dir", str(output),
            "--num_workers", str(workers), "--set", *SMALL]  # fmt: skip


def start(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ONE_THREAD,
        cwd=ROOT,
        start_new_session=True,
    )


def wait_until(process: subprocess.Popen, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def has_lines(output: Path, number: int) -> Callable[[], bool]:
    file = output / "metrics.jsonl"
    return lambda: file.exists() and file.read_text().count("\n") >= number


def end(process: subprocess.Popen, code: int | None, within_s: float = 30) -> str:
    """Its whole output."""
    said = process.communicate(timeout=within_s)[0]
    if "paddle.distributed.launch" not in process.args:  # it has reports of its own
        assert "Traceback" not in said
        assert "C++" not in said
    assert code is None or process.returncode == code, said
    return said


def children(process: subprocess.Popen) -> list[int]:
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in file.read_text().split()]


def told_command(said: str) -> list[str]:
    (line,) = {found.strip() for found in re.findall(r"go on with: (.*)", said)}
    command = shlex.split(line)
    assert command[0] == "python"
    assert command[-1] == "--resume"
    return command[1:]


def assert_same_run(output: Path, whole: Path) -> None:
    for left, right in zip(results(output)[:3], results(whole)[:3], strict=True):
        assert_identical(left, right)
    assert results(output)[3] == results(whole)[3]
    best = [json.loads((f / "record.json").read_text())["result"]["best"] for f in (output, whole)]
    assert best[0] == best[1]
    assert not leftovers(output)


def begun(command: list[str], output: Path, lines: int) -> subprocess.Popen:
    """A process that has written so many metric lines."""
    process = start(command)
    wait_until(process, has_lines(output, lines))
    return process


def test_one_process_stopped_in_every_way_and_gone_on_with_as_told(small_people, tmp_path):
    output, whole = tmp_path / "run", tmp_path / "whole"
    uninterrupted = start(words(small_people, whole, 0))
    process = begun(words(small_people, output, 2), output, 1)
    os.kill(children(process)[1], signal.SIGKILL)
    said = end(process, 1)
    assert said.count("error:") == 1
    assert "a loader process was killed (signal 9; out of memory?)" in said
    assert "--num_workers" in said
    for number, lines in ((signal.SIGTERM, 3), (signal.SIGINT, 5)):
        process = begun(told_command(said), output, lines)
        process.send_signal(number)
        said = end(process, 128 + number)
        assert "is saved; go on with: python" in said
    end(start(told_command(said)), 0, within_s=120)
    end(uninterrupted, 0, within_s=120)
    assert_same_run(output, whole)


@pytest.mark.xfail(
    paddle.__version__.startswith("2."),
    reason="two processes of Paddle 2.6.2, one killed, go on to other bits: not understood yet",
    strict=False,
)
def test_two_processes_stopped_one_killed_and_gone_on_with_as_told(small_people, tmp_path):
    """The other one is killed in ``reproduce/reliability``, and in its test."""
    output, whole = tmp_path / "run", tmp_path / "whole"
    uninterrupted = start(words(small_people, whole, 0, 2))
    process = begun(words(small_people, output, 1, 2), output, 1)
    process.send_signal(signal.SIGTERM)
    said = end(process, None)
    assert process.returncode != 0, said  # Paddle's launcher ends with the signal's number
    assert "is saved; go on with: python" in said
    process = begun(told_command(said), output, 4)
    os.kill(children(process)[1], signal.SIGKILL)
    began = time.monotonic()
    said = end(process, None)
    assert time.monotonic() - began < 25
    assert "error: process 1 of 2 was killed or has ended" in said, said
    command = told_command(said)
    assert command[:2] == LAUNCH[:2]
    end(start(command), 0, within_s=120)
    end(uninterrupted, 0, within_s=120)
    assert_same_run(output, whole)
