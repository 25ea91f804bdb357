"""Where the time of a row without a network goes, function by function.

``python -m benchmarks.profile_row [NAME …] [--runs 5] [--quick]``

One thread, so that nothing hides from Python's profiler, and processor time, so that other
processes disturb less. Operators and ufuncs of NumPy count to the function that they stand in; the
profiler makes small calls look dearer than they are, so the time without it stands beside.
"""

from __future__ import annotations

import cProfile
import importlib
import os
import pstats
import statistics
import time
from pathlib import Path

from benchmarks import decoding, loading, scoring
from benchmarks.harness import Comparison, Options
from benchmarks.worker import Work
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest, one_line_errors

RUNS = 5
LEAST_SHARE = 0.01
COMMANDS = ("val_predictions",)
"""Rows that run in a process of their own, into which no profiler sees."""


def rows(*, quick: bool) -> dict[str, Comparison]:
    """Rows that can be looked at, by name."""
    options = Options(threads=1, quick=quick)
    found = [row for room in (scoring, decoding, loading) for row in room.comparisons(options)]
    return {row.name: row for row in found if row.name not in COMMANDS}


def main(arguments: list[str] | None = None) -> None:
    """One table per row, on standard output; Raises UserError for what cannot be measured."""
    parser = CommandLine(prog="python -m benchmarks.profile_row")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"default: {RUNS}")
    parser.add_argument("--quick", action="store_true", help="smallest sizes")
    given = parser.parse_args(arguments)
    known = rows(quick=given.quick)
    for name in given.names:
        if name not in known:
            raise UserError(f"{name}: no such row{nearest(name, known)}")
    if given.runs < 1:
        raise UserError("--runs: must be at least 1")
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in given.names or known:
        side = known[name].ours
        module, _, function = side.make.partition(":")
        work = getattr(importlib.import_module(module), function)(**side.options)
        print(f"\n{name}: {known[name].work}\n\n{table(work, given.runs)}", flush=True)


def table(work: Work, runs: int) -> str:
    """Milliseconds per run and share by function, largest first, behind the time of a run."""
    work.prepare()
    work.run()
    plain = []
    for _ in range(runs):
        work.prepare()
        began = time.process_time()
        work.run()
        plain.append(time.process_time() - began)
    watch = cProfile.Profile(time.process_time)
    for _ in range(runs):
        work.prepare()
        watch.enable()
        work.run()
        watch.disable()
    found = pstats.Stats(watch).stats
    whole_s = sum(own_s for _, _, own_s, _, _ in found.values())
    facts = "".join(f" {name}: {value}." for name, value in work.facts.items())
    lines = [
        f"{1e3 * statistics.median(plain):.3g} ms a run, {1e3 * min(plain):.3g} at best; "
        f"{1e3 * whole_s / runs:.3g} with the profiler.{facts}\n",
        "| function | calls | ms a run | share |\n| --- | ---: | ---: | ---: |",
    ]
    for (file, _, function), (_, calls, own_s, _, _) in sorted(
        found.items(), key=lambda item: -item[1][2]
    ):
        if own_s >= LEAST_SHARE * whole_s:
            place = "" if file == "~" else f"{Path(file).name}: "
            lines.append(
                f"| {place}{function} | {calls // runs} | {1e3 * own_s / runs:.3g} "
                f"| {own_s / whole_s:.0%} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    with one_line_errors():
        main()
