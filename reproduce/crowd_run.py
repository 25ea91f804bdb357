"""One person behind another: a small HRNet against the same network as MIPNet, in one command.

python -m reproduce.crowd_run --output_dir output/crowd

Renders the pairs, trains and predicts with both networks for each seed (a run folder of train.py
each, ``<recipe>_s<seed>/``, with ``eval/`` in it), then judges (``reproduce/crowd_judge.py``). What
is done already is skipped: after a stop the same command goes on. Two runs go at a time, of one
thread each: on two cores that is faster than one run of two.

The plan, on two free cores: 3,800 pictures are rendered in 2 minutes; 3,200 steps of 16 people take
HRNet 30 minutes (0.56 s each) and MIPNet 33 (0.62 s), so that three seeds of both, two runs at a
time, take 95; predicting and judging take some 8 more. In all about 1 hour 45 minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.commands import quickstart
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.names import require_apart
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import runtime
from reproduce import crowd_judge

ROOT = Path(__file__).parents[1]
RECIPES = tuple(f"{name}_w8_pairs_96x64" for name in crowd_judge.NETWORKS)
TRAIN_PEOPLE, VAL_PEOPLE = 6400, 1200
RUNNING: list[subprocess.Popen] = []
"""Commands that run now, in threads of their own."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "1"}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.crowd_run", description=__doc__)
    add = command.add_argument
    add("--output_dir", type=Path, default=Path("output/crowd"), help="data and runs")
    add("--record_dir", type=Path, default=crowd_judge.RUNS, help="where the record goes")
    add("--seeds", type=int, default=3, help="runs of each network")
    add("--at_once", type=int, default=2, help="runs side by side, one core each")
    add("--train", type=int, default=TRAIN_PEOPLE, help="people to train on")
    add("--val", type=int, default=VAL_PEOPLE, help="people to validate on")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")
    return command


def call(script: str, recipe: str, words: Sequence[str | Path], log: Path) -> None:
    """One command of the project, what it says added to a file; Raises UserError if it fails."""
    command = [sys.executable, str(ROOT / script), "--config", recipe, *map(str, words)]
    command += ["--device", "cpu", "--num_workers", "0"]
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


def run(recipe: str, seed: int, options: argparse.Namespace) -> None:
    """Train and predict, or what is left of it."""
    folder = RunFolder(options.output_dir / f"{recipe}_s{seed}")
    scores, log = folder.root / "eval", folder.root.with_suffix(".log")
    data = ["--dataset_root", options.output_dir / "data"]
    changes = ["--set", *options.assignments] if options.assignments else []
    began = time.perf_counter()
    if not quickstart.finished(folder):
        words = [*data, "--output_dir", folder.root, "--seed", str(seed), "--resume", *changes]
        call("train.py", f"pairs:{recipe}", words, log)
    if not quickstart.evaluated(scores, folder.best_weights):
        words = [*data, "--pretrained_model", folder.best_weights, "--output_dir", scores]
        words += ["--engine", "eager"]  # of both networks alike
        call("val.py", str(folder.recipe_file), words, log)
    print(f"=> {folder.root}: {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)


def run_all(options: argparse.Namespace) -> None:
    """Every run, some at a time; after a mistake no other begins, after Ctrl-C all are stopped."""
    with ThreadPoolExecutor(options.at_once) as pool:
        runs = [
            pool.submit(run, recipe, seed, options)
            for seed in range(options.seeds)
            for recipe in RECIPES
        ]
        try:
            for one in runs:
                one.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, UserError):
                for process in list(RUNNING):
                    process.terminate()  # it saves a state
            raise


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    if min(options.seeds, options.at_once) < 1:
        raise UserError("--seeds, --at_once: must be at least 1")
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    runtime.configure(quiet=True)
    synthetic.write_dataset(
        options.output_dir / "data",
        train_people=options.train,
        val_people=options.val,
        layout="crowd",
    )
    run_all(options)
    crowd_judge.judge(options.output_dir, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
