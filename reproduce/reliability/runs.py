"""Small trainings by real processes, and whether two of them came to the same bits."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from reproduce.reliability import seeds

ROOT = Path(__file__).parents[2]
STEPS = 4
"""24 people in batches of 6, a state every second step, a validation every epoch."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "1"}
"""Two runs at a time on two cores; and bits depend on the number of threads."""
TIMINGS = ("reader_cost", "batch_cost", "ips")
LONGEST_SECONDS = 90.0
"""A run that neither ends nor goes on for so long hangs."""


@dataclass
class Ended:
    """How a process ended: exit code (None: it hung and was killed), and all that it printed."""

    code: int | None
    text: str

    @property
    def last_line(self) -> str:
        """Of those that say something, without this machine's folders."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("error:", "interrupted"))]
        return re.sub(r"(?:/[\w.\-]+)+/", "", (errors or lines or [""])[-1])[:300]

    @property
    def is_one_line(self) -> bool:
        """No traceback of Python's, no report of Paddle's."""
        return not re.search(r"Traceback|FatalError|C\+\+ Traceback|SystemError", self.text)


@dataclass(frozen=True)
class Lab:
    """Where runs are made: data, uninterrupted runs, and a place for each try.

    Attributes:
        folder: of everything.
        epochs: of every run.
    """

    folder: Path
    epochs: int = 4

    @property
    def data(self) -> Path:
        """Rendered people, 24 and 8."""
        root = self.folder / "people"
        with _rendering:
            seeds.people(root, 24, 8)
        return root

    def words(self, run: Path, *extra: str, workers: int = 0, ranks: int = 1) -> list[str]:
        """The command of a run; ``extra``: options, or ``KEY=VALUE`` to set."""
        options = [word for word in extra if "=" not in word]
        values = [f"train.epochs={self.epochs}", *(word for word in extra if "=" in word)]
        start = ["-m", "paddle.distributed.launch", "--backend", "gloo", "--nproc_per_node",
                 str(ranks), "--log_dir", str(run.with_name(run.name + "_ranks"))]  # fmt: skip
        return [
            sys.executable, *(start if ranks > 1 else ()), str(ROOT / "train.py"),
            "--config", seeds.RECIPE, "--device", "cpu", "--dataset_root", str(self.data),
            "--output_dir", str(run), "--num_workers", str(workers), *options,
            "--set", *seeds.SMALL, *values,
        ]  # fmt: skip

    def start(self, words: list[str], log: Path, **changes: Any) -> subprocess.Popen:
        """A process in a session of its own, whose output goes to a file."""
        environment = {**os.environ, **ONE_THREAD, **changes.pop("environment", {})}
        environment["PYTHONPATH"] = str(ROOT)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            return subprocess.Popen(  # noqa: S603
                words, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                start_new_session=True, env=environment, **changes,
            )  # fmt: skip

    def ended(
        self, process: subprocess.Popen, log: Path, seconds: float = LONGEST_SECONDS
    ) -> Ended:
        """Wait; what hangs is killed with all its children."""
        code: int | None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill(process)
            code = None
        return Ended(code, log.read_text(encoding="utf-8", errors="replace"))

    def run(
        self, words: list[str], log: Path, seconds: float = LONGEST_SECONDS, **changes: Any
    ) -> Ended:
        """Start and wait."""
        log.unlink(missing_ok=True)
        return self.ended(self.start(words, log, **changes), log, seconds)

    def whole(self, ranks: int = 1) -> Path:
        """The run that nothing interrupted, made once."""
        with _making:
            return _whole(self.folder, ranks, self)

    def stopped(self) -> Path:
        """A run that was killed in its second epoch, made once; copy it."""
        with _making:
            return _stopped(self.folder, self)


_making, _rendering = threading.Lock(), threading.Lock()


@cache
def _whole(folder: Path, ranks: int, lab: Lab) -> Path:
    run = folder / f"whole{ranks}"
    shutil.rmtree(run, ignore_errors=True)
    ended = lab.run(lab.words(run, ranks=ranks), folder / f"whole{ranks}.log", 300)
    if ended.code != 0:
        raise RuntimeError(f"the uninterrupted run failed: {ended.text[-2000:]}")
    return run


@cache
def _stopped(folder: Path, lab: Lab) -> Path:
    run = folder / "stopped"
    shutil.rmtree(run, ignore_errors=True)
    process = lab.start(lab.words(run), folder / "stopped.log")
    if not wait_for(lambda: lines(run) >= STEPS + 3, process):
        raise RuntimeError("the run that is to be stopped failed")
    kill(process)
    return run


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """The process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    return []


def shared_files(members: list[psutil.Process]) -> list[Path]:
    """Files of these processes in shared memory; Paddle's names hold the process's number."""
    numbers = {str(member.pid) for member in members}
    files = Path("/dev/shm").iterdir()  # noqa: S108
    return [file for file in files if numbers & set(file.name.split("_")[1:2])]


def kill(process: subprocess.Popen) -> list[psutil.Process]:
    """``kill -9`` on all of a run at once."""
    members = family(process)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    return members


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> bool:
    """Until it holds (True), or the process ended or does nothing for long (False)."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def lines(run: Path) -> int:
    """Metric lines that are there."""
    file = run / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def moment(lab: Lab, draw: random.Random, run: Path, before: int = 0) -> Callable[[], bool]:
    """A random moment of a run: behind some metric line, or while a file is being written."""
    last = lab.epochs * (STEPS + 1) - 2
    line = draw.randint(min(before, last), last)
    if draw.random() < 0.4:
        return lambda: lines(run) >= line and any(run.rglob(".*.tmp"))
    until: list[float] = []
    pause = draw.random() * 0.15

    def reached() -> bool:
        if not until and lines(run) >= line:
            until.append(time.monotonic() + pause)
        return bool(until) and time.monotonic() >= until[0]

    return reached


def results(run: Path) -> Iterator[tuple[str, Any]]:
    """Everything a run comes to: weights, optimiser, best weights, metrics without timings."""
    from safetensors.numpy import load_file

    from paddle_pose.weights.safe_pickle import load_arrays

    for name in ("last/model.pdparams", "best_model/model.pdparams"):
        yield from ((f"{name}: {key}", value) for key, value in load_arrays(run / name).items())
    state = load_file(run / "last" / "checkpoint.safetensors")
    yield from ((f"state: {key}", value) for key, value in state.items())
    for number, line in enumerate((run / "metrics.jsonl").read_text().splitlines()):
        values = {key: value for key, value in json.loads(line).items() if key not in TIMINGS}
        yield f"metrics line {number + 1}", values


def difference(left: Path, right: Path) -> str:
    """The first thing in which two runs differ by a bit; empty for none."""
    try:
        one, other = dict(results(left)), dict(results(right))
    except Exception as error:
        return f"results cannot be read ({type(error).__name__}: {error})"[:200]
    for name in dict.fromkeys([*one, *other]):
        a, b = one.get(name), other.get(name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if a.dtype != b.dtype or a.tobytes() != b.tobytes():
                return f"{name} differs"
        elif a != b:
            return f"{name} differs"
    return ""


def steps_lost(run: Path) -> int:
    """Steps that the resumption of a killed run must do again; to be asked before it resumes."""
    from safetensors import safe_open

    from paddle_pose.weights.tensors import OURS

    done = [json.loads(line) for line in _whole_lines(run / "metrics.jsonl")]
    steps = [line["epoch"] * STEPS + line["step"] + 1 for line in done if line["kind"] == "train"]
    state = run / "last" / "checkpoint.safetensors"
    if not state.is_file():
        return max(steps, default=0)
    with safe_open(str(state), framework="numpy") as file:
        position = json.loads(file.metadata()[OURS])["position"]
    return max(max(steps, default=0) - position["epoch"] * STEPS - position["step"], 0)


def _whole_lines(file: Path) -> list[str]:
    return [line for line in file.read_text().split("\n")[:-1] if line] if file.exists() else []
