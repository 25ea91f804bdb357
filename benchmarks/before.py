"""This code beside an earlier commit of itself: ``python -m benchmarks.before DIR``.

DIR is a clone at that commit. Both sides are ours, run by the same workers in turns (A B A B), so
that a rebuilt part shows what it costs. The record goes to ``results/before/``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import loading, rivals
from benchmarks.__main__ import measure
from benchmarks.harness import ROOT, Comparison, Options, Side, Target
from benchmarks.pipeline import rendered, temporary_folder
from benchmarks.results import FOLDER, amount, header, markdown, printed, write
from benchmarks.worker import Work
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json
from paddle_pose.system.runtime import cpu_facts

RECORDS = FOLDER / "before"
FLOOR = 0.97
"""Slower than this part of the earlier speed is a loss; the rest is the machine's noise."""
ROWS = (
    *("train_newell_2", "train_hrnet_w32", "train_hourglass52"),
    *("forward_hrnet_w32_float32", "forward_hrnet_w32_bfloat16", "loading"),
)
EPOCHS, PEOPLE = 2, 320


def quickstart(tree: str, root: str) -> Work:
    """Seconds of some epochs of the quickstart's recipe by a tree's ``train.py``, start to end."""
    data, output = rendered(root, PEOPLE, 16), temporary_folder()
    runs: list[Path] = []
    words = ["train.py", "--config", "quickstart:newell_hg1_synthetic", "--dataset_root", str(data)]
    words += ["--device", "cpu", "--num_workers", "1", "--set", f"train.epochs={EPOCHS}"]

    def run() -> float:
        runs.append(output / str(len(runs)))
        command = [sys.executable, *words, f"train.validate_every={EPOCHS}"]
        began = time.perf_counter()
        subprocess.run(  # noqa: S603
            [*command, "--output_dir", str(runs[-1])],
            cwd=tree,
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": tree},
        )
        return time.perf_counter() - began

    return Work(run, facts={"people": PEOPLE, "epochs": EPOCHS})


def comparisons(before: Path, options: Options, only: Sequence[str] | None) -> list[Comparison]:
    """Rows of the benchmarks whose other side is the earlier code; Raises UserError for none."""
    rows = {row.name: row for room in (rivals, loading) for row in room.comparisons(options)}
    target, label = Target("speedup", FLOOR), "the earlier commit"
    found = [
        replace(
            rows[name],
            ours=replace(rows[name].ours, label="this code"),
            theirs=replace(rows[name].ours, label=label, tree=str(before)),
            target=target,
            missing="",
            rivals=(),
        )
        for name in ROWS
    ]
    sides = [
        Side("benchmarks.before:quickstart", who, {"tree": str(tree), "root": str(options.folder)})
        for who, tree in (("this code", ROOT), (label, before))
    ]
    work = f"quickstart's recipe, {EPOCHS} epochs of {PEOPLE} people and validation, start to end"
    found.append(
        Comparison("quickstart", work, *sides, target=target, warm_up=0, pairs=3, expected_s=30)
    )
    chosen = [row for row in found if only is None or row.name in only]
    if not chosen:
        raise UserError(f"--only: no such row; there are {', '.join(row.name for row in found)}")
    return chosen


def block() -> str:
    """The table of the newest record, as the benchmarks' README has it."""
    files = sorted(RECORDS.glob("*.json"))
    if not files:
        return "Nothing is recorded yet."
    record: dict[str, Any] = read_json(files[-1])
    lines = [
        (
            row["work"],
            *(amount(row[side]["median"], row["unit"]) for side in ("ours", "theirs")),
            f"{row['reached']:.2f}",
            "yes" if row["met"] else "**no**",
        )
        for row in record["rows"]
        if row["ours"] and row["theirs"]
    ]
    titles = ("work", "now", "before", "before / now", f"≥ {FLOOR:g}")
    commits = f"commit {record['code']['commit'][:7]} beside {record['before'][:7]}"
    words = f"{record['machine']['cpu']}, {commits}, {record['date'][:10]}; medians over the pairs."
    words += "".join(f" {row['work']}: {row['note']}." for row in record["rows"] if row["note"])
    return f"{markdown(titles, lines)}\n\n{words}"


def main() -> int:
    """Measure, print, write the record; 1 where a row failed."""
    parser = CommandLine(prog="python -m benchmarks.before", description=__doc__)
    parser.add_argument("tree", type=Path, metavar="DIR", help="clone at the earlier commit")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--threads", type=int, default=cpu_facts()[2])
    given = parser.parse_args()
    tree = given.tree.resolve()
    if not (tree / "benchmarks" / "worker.py").is_file():
        raise UserError(f"{given.tree}: no clone of this project")
    try:
        commit = subprocess.run(  # noqa: S603
            ["git", "-C", str(tree), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{given.tree}: git does not say its commit ({error})") from error
    options = Options(threads=given.threads, pairs=given.pairs, torch_python=Path(sys.executable))
    record = header(options) | {"before": commit, "matrix_product": {}}
    file = RECORDS / f"{record['date'][:10]}-{commit[:7]}.json"

    def keep(measured: list) -> None:
        record["rows"] = [row.plain() for row in measured]
        for row in record["rows"]:
            for side in ("ours", "theirs"):
                if row[side]:
                    row[side]["label"] = "now" if side == "ours" else commit[:7]
        write(record, file)

    measured = measure(comparisons(tree, options, given.only), options, keep)
    print(printed(record), f"=> {file}", sep="\n")
    return int(any(row.failed for row in measured))


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
