"""The quickstart's network trained in float32 and in bfloat16 on a CPU, three seeds each.

python -m reproduce.precision_run --output_dir output/precision --lspet data/lspet_mpii

On rendered people the quickstart as it is; on LSPET's photos (MPII layout) its first epochs. Both
are scored in float32, so that training alone differs. Without ``--lspet`` its runs are left out,
which is said. What is done already is skipped: after a stop the same command goes on. Two runs go
at a time, of one thread each (``reproduce/small_runs.py``). Where all are done, the record is
written: scores of every run and, for each set, the difference against the spread between seeds.

The plan, on two free cores: about a quarter of an hour for each of six on rendered people, ten
minutes for each of six on photos: an hour and a quarter in all.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddle_pose.command_line import CommandLine
from paddle_pose.commands import quickstart
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import one_line_errors
from paddle_pose.files import read_json, write_json
from paddle_pose.names import require_apart
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import runtime
from reproduce import small_runs
from reproduce.small_runs import SmallRun
from reproduce.twins_judge import THRESHOLDS, judged

RECORD = Path(__file__).parent / "runs" / "precision"
PRECISIONS = ("bfloat16", "float32")
"""What training computes in; judged is the first minus the second."""
LSPET_EPOCHS = 6


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.precision_run", description=__doc__)
    add = command.add_argument
    add("--output_dir", type=Path, default=Path("output/precision"), help="data and runs")
    add("--record_dir", type=Path, default=RECORD, help="where the record goes")
    add("--lspet", type=Path, help="LSPET in MPII layout")
    small_runs.add_arguments(command, seeds="runs in each precision")
    return command


def plan(options: argparse.Namespace) -> dict[str, list[SmallRun]]:
    """Set → its runs; precisions in turn."""
    sets: dict[str, tuple[Path, tuple[str, ...]]] = {"rendered": (options.output_dir / "data", ())}
    if options.lspet is None:
        print("=> --lspet is not given: the runs on its photos are left out")
    else:
        sets["lspet"] = (options.lspet, (f"train.epochs={LSPET_EPOCHS}",))
    return {
        name: [
            SmallRun(
                quickstart.RECIPE,
                seed,
                data,
                told=("--set", *told) if told else (),
                name=f"{name}_{precision}_s{seed}",
                last=True,
            )
            for seed in range(options.seeds)
            for precision in PRECISIONS
            for told in [(*changes, *quickstart.changed(precision, None))]
        ]
        for name, (data, changes) in sets.items()
    }


def judgement(runs: Sequence[SmallRun], output: Path) -> dict[str, Any]:
    """Scores of a set's runs, and each score's difference against the spread between seeds."""
    scores: dict[str, list[dict[str, Any]]] = {precision: [] for precision in PRECISIONS}
    for one, precision in zip(runs, itertools.cycle(PRECISIONS), strict=False):
        folder = RunFolder(output / one.name)
        record, found = folder.read_record(), read_json(folder.root / "eval" / "scores.json")
        values = {name: round(found["values"][name], 4) for name in THRESHOLDS}
        kept = {name: record[name] for name in ("started", "code", "environment")}
        scores[precision].append({"seed": one.seed, **values, **kept})
    differences = {
        name: judged(*([run[name] for run in side] for side in scores.values()), names=PRECISIONS)
        for name in THRESHOLDS
    }
    return {"people": found["counts"]["people"], "runs": scores, "judgement": differences}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    small_runs.require_possible(options)
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    runtime.configure(quiet=True)
    synthetic.write_dataset(options.output_dir / "data")
    sets = plan(options)
    small_runs.run_all([one for runs in sets.values() for one in runs], options.output_dir, options)
    found = {name: judgement(runs, options.output_dir) for name, runs in sets.items()}
    options.record_dir.mkdir(parents=True, exist_ok=True)
    write_json(options.record_dir / "precision.json", found)
    for name, one in found.items():
        for threshold, words in one["judgement"].items():
            print(f"{name} {threshold}: {words}")


if __name__ == "__main__":
    with one_line_errors():
        main()
