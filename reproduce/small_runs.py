"""A set of small trainings and their scores, some side by side; what is done already is skipped.

Each is a run folder of train.py, ``<recipe>_s<seed>/``, with the folders of val.py in it. Every one
has a single thread: two at a time take two cores less time than one of two threads after the other.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from paddle_pose.commands import quickstart
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError

ROOT = Path(__file__).parents[1]
RUNNING: list[subprocess.Popen] = []
"""Commands that run now, in threads of their own."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "1"}
EAGER: Mapping[str, tuple[str | Path, ...]] = {"eval": ("--engine", "eager")}
"""The same engine for every network, however many people there are."""


@dataclass(frozen=True)
class SmallRun:
    """One training with its scores.

    Attributes:
        config: ``family:name``.
        seed: of the training.
        data: the data set's folder.
        scores: folder of val.py within the run's → what val.py is told besides.
        told: what train.py is told besides.
        name: of its folder; by default of recipe and seed.
    """

    config: str
    seed: int
    data: Path
    scores: Mapping[str, tuple[str | Path, ...]] = field(default_factory=lambda: EAGER)
    told: tuple[str | Path, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Name the folder."""
        if not self.name:
            name = f"{self.config.rpartition(':')[2]}_s{self.seed}"
            object.__setattr__(self, "name", name)


def add_arguments(command: ArgumentParser, seeds: str) -> None:
    """The options of every such set."""
    add = command.add_argument
    add("--seeds", type=int, default=3, help=seeds)
    add("--at_once", type=int, default=2, help="runs side by side, one core each")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")


def require_possible(options: Namespace) -> None:
    """Raises UserError for options of ``add_arguments`` that make no set."""
    if min(options.seeds, options.at_once) < 1:
        raise UserError("--seeds, --at_once: must be at least 1")


def run_script(script: str, words: Sequence[str | Path], log: Path) -> None:
    """One command of the project, what it says added to a file; Raises UserError if it fails."""
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    with log.open("a", encoding="utf-8") as said:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=said, stderr=subprocess.STDOUT, env=os.environ | ONE_THREAD
        )
        RUNNING.append(process)
        code = process.wait()
        RUNNING.remove(process)
    if code:
        lines = log.read_text(encoding="utf-8").splitlines() or [""]
        raise UserError(f"{script} ended with exit code {code} ({log}): {lines[-1]}")


def call(script: str, config: str, words: Sequence[str | Path], log: Path) -> None:
    """``run_script`` of train.py or val.py."""
    run_script(script, ["--config", config, *words, "--device", "cpu", "--num_workers", "0"], log)


def run(one: SmallRun, output: Path, assignments: Sequence[str]) -> None:
    """Train and predict, or what is left of it."""
    folder = RunFolder(output / one.name)
    log = folder.root.with_suffix(".log")
    data = ["--dataset_root", one.data]
    changes = ["--set", *assignments] if assignments else []
    began = time.perf_counter()
    if not quickstart.finished(folder):
        words = [*data, "--output_dir", folder.root, "--seed", str(one.seed), "--resume"]
        call("train.py", one.config, [*words, *one.told, *changes], log)
    for name, told in one.scores.items():
        scores = folder.root / name
        if not quickstart.evaluated(scores, folder.best_weights):
            words = [*data, "--pretrained_model", folder.best_weights, "--output_dir", scores]
            call("val.py", str(folder.recipe_file), [*words, *told], log)
    print(f"=> {folder.root}: {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)


def run_all(runs: Sequence[SmallRun], output: Path, options: Namespace) -> None:
    """Every run, some at a time; after a mistake no other begins, after Ctrl-C all are stopped."""
    with ThreadPoolExecutor(options.at_once) as pool:
        begun = [pool.submit(run, one, output, options.assignments) for one in runs]
        try:
            for one in begun:
                one.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, UserError):
                for process in list(RUNNING):
                    process.terminate()  # it saves a state
            raise


def mean_and_spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean over seeds; of several also standard deviation and Student's 95 % interval."""
    found: dict[str, Any] = {"mean": round(float(np.mean(values)), 5), "seeds": len(values)}
    if len(values) > 1:
        sd = float(np.std(values, ddof=1))
        half = float(student.ppf(0.975, len(values) - 1)) * sd / math.sqrt(len(values))
        ends = [round(found["mean"] - half, 4), round(found["mean"] + half, 4)]
        found |= {"sd": round(sd, 5), "interval": ends}
    return found
