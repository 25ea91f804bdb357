"""One person behind another: a small HRNet against the same network as MIPNet, in one command.

python -m reproduce.crowd_run --output_dir output/crowd

Renders the pairs, trains and predicts with both networks for each seed (a run folder of train.py
each, ``<recipe>_s<seed>/``, with ``eval/`` in it), then judges (``reproduce/crowd_judge.py``). What
is done already is skipped: after a stop the same command goes on. Two runs go at a time, of one
thread each (``reproduce/small_runs.py``).

The plan, on two free cores: 3,800 pictures are rendered in 2 minutes; 3,200 steps of 16 people take
HRNet 30 minutes (0.56 s each) and MIPNet 33 (0.62 s), so that three seeds of both, two runs at a
time, take 95; predicting and judging take some 8 more. In all about 1 hour 45 minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors
from paddle_pose.names import require_apart
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import runtime
from reproduce import crowd_judge, small_runs

RECIPES = tuple(f"{name}_w8_pairs_96x64" for name in crowd_judge.NETWORKS)
TRAIN_PEOPLE, VAL_PEOPLE = 6400, 1200


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.crowd_run", description=__doc__)
    add = command.add_argument
    add("--output_dir", type=Path, default=Path("output/crowd"), help="data and runs")
    add("--record_dir", type=Path, default=crowd_judge.RUNS, help="where the record goes")
    add("--train", type=int, default=TRAIN_PEOPLE, help="people to train on")
    add("--val", type=int, default=VAL_PEOPLE, help="people to validate on")
    small_runs.add_arguments(command, seeds="runs of each network")
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    small_runs.require_possible(options)
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    runtime.configure(quiet=True)
    data = options.output_dir / "data"
    synthetic.write_dataset(
        data, train_people=options.train, val_people=options.val, layout="crowd"
    )
    runs = [
        small_runs.SmallRun(f"pairs:{recipe}", seed, data)
        for seed in range(options.seeds)
        for recipe in RECIPES
    ]
    small_runs.run_all(runs, options.output_dir, options)
    crowd_judge.judge(options.output_dir, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
