"""Speed and memory side by side with the rivals: ``make bench`` or ``python -m benchmarks``.

What ``--torch_python`` lacks is left out and the table says so; so are clones that are not named.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import decoding, loading, networks, pipeline, rivals, scoring, two_people
from benchmarks.harness import Child, Comparison, Options, SideError
from benchmarks.results import FOLDER, file_name, header, newest_file, printed, write
from benchmarks.turns import Row, compare
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest, one_line_errors
from paddle_pose.files import read_json
from paddle_pose.names import require_not_read
from paddle_pose.system.runtime import cpu_facts

ROOMS = (scoring, decoding, loading, networks, rivals, two_people, pipeline)
"""Short rows first: the record is written after each, and an interrupted run keeps them."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add(
        "--torch_python",
        type=Path,
        default=Path(sys.executable),
        metavar="PYTHON",
        help="interpreter of the environment with requirements-rivals.txt (default: this one)",
    )
    add("--hrnet", type=Path, metavar="DIR", help="leoxiaobin/deep-high-resolution-net.pytorch")
    add("--newell", type=Path, metavar="DIR", help="princeton-vl/pytorch_stacked_hourglass")
    add("--mmpose", type=Path, metavar="DIR", help="open-mmlab/mmpose")
    add("--weights", type=Path, metavar="FILE", help="for bfloat16's scores (quickstart's)")
    add("--weights_recipe", default=Options.weights_recipe, help="of --weights")
    add("--weights_data", type=Path, metavar="DIR", help="data set that --weights is scored on")
    add("--threads", type=int, default=cpu_facts()[2], help="of each side (default: every core)")
    add("--pairs", type=int, help="measured runs of each side (default: each row's own, mostly 5)")
    add("--only", nargs="+", metavar="NAME", help="rows whose names begin so; --list shows them")
    add("--list", action="store_true", help="the names of the rows, and nothing else")
    add("--quick", action="store_true", help="one pair, smallest sizes: does everything run?")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="record to write (a whole run: results/<cpu>-<date>.json; else none)",
    )
    add(
        "--again",
        action="store_true",
        help="with --only: put these rows into the newest record, which says so; "
        "of the matrix products the faster ones count",
    )
    return parser.parse_args(arguments)  # fmt: skip


def options_from(arguments: argparse.Namespace) -> Options:
    """Checked; Raises UserError for a folder or interpreter that is not there."""
    if arguments.threads < 1 or (arguments.pairs is not None and arguments.pairs < 1):
        raise UserError("--threads, --pairs: must be at least 1")
    if arguments.quick and arguments.pairs is not None:
        raise UserError("--quick measures one pair; leave out --pairs or --quick")
    folders = {}
    for name in ("hrnet", "newell", "mmpose", "weights", "weights_data", "torch_python"):
        path = getattr(arguments, name)
        if path is not None and not path.exists():
            raise UserError(f"--{name} {path}: not there")
        # Not resolve(): a virtual environment's interpreter is a link, and its place matters.
        folders[name] = None if path is None else path.absolute()
    return Options(
        threads=arguments.threads,
        pairs=arguments.pairs,
        quick=arguments.quick,
        weights_recipe=arguments.weights_recipe,
        **folders,
    )


def chosen(options: Options, only: Sequence[str] | None) -> list[Comparison]:
    """All rows, or those whose names begin so; Raises UserError where none does."""
    rows = [row for room in ROOMS for row in room.comparisons(options)]
    for name in only or ():
        if not any(row.name.startswith(name) for row in rows):
            raise UserError(f"--only {name}: no such row{nearest(name, [r.name for r in rows])}")
    return [row for row in rows if only is None or row.name.startswith(tuple(only))]


def matrix_rates(options: Options) -> dict[str, dict[str, float]]:
    """Multiply-adds per second of the best product of each library, by precision."""
    rates: dict[str, dict[str, float]] = {}
    for precision, sides in networks.products().items():
        for side in sides:
            try:
                with Child(side, options) as child:
                    child.wait_ready()
                    for _ in range(2 if options.quick else 8):
                        child.run()
            except SideError as error:
                print(f"=> matrix product: {error}", file=sys.stderr)
                continue
            best = child.facts["multiply_adds"] / min(child.samples)
            rates.setdefault(precision, {})[side.label] = best
    return rates


def measure(
    rows: Sequence[Comparison], options: Options, keep: Callable[[list[Row]], None]
) -> list[Row]:
    """Every row, with the time left; ``keep`` gets what there is after each."""

    def seconds(row: Comparison) -> float:
        return row.expected_s * sum(row.runs(options)) * len(row.sides)

    measured = []
    shape = "{desc} {bar} {percentage:3.0f}% {elapsed}<{remaining}"
    total = sum(map(seconds, rows))
    with tqdm(total=total, disable=None, dynamic_ncols=True, bar_format=shape) as bar:
        for row in rows:
            bar.set_description_str(row.name)
            end = bar.n + seconds(row)
            made = compare(row, options, lambda runs, s=row.expected_s: bar.update(runs * s))
            bar.update(end - bar.n)
            if made.failed:
                tqdm.write(f"=> {row.name}: {made.note}", file=sys.stderr)
            measured.append(made)
            keep(measured)
    return measured


def again(rows: Sequence[Comparison], options: Options) -> int:
    """Measure some rows of the newest record once more; 1 if a row stays as it was.

    Raises:
        UserError: no record, or one of another CPU, number of threads or set of rows.
    """
    file = newest_file()
    if file is None:
        raise UserError(f"--again: no record in {FOLDER}; a run without --only makes one")
    record = read_json(file)
    now = header(options)
    if now["machine"]["cpu"] != record["machine"]["cpu"]:
        raise UserError(f"--again: {file.name} was made on {record['machine']['cpu']}")
    threads = record["options"]["threads"]
    if options.threads != threads:
        raise UserError(f"--again: {file.name} was made with --threads {threads}; say so")
    old = {row["name"]: row for row in record["rows"]}
    if unknown := [row.name for row in rows if row.name not in old]:
        raise UserError(f"--again: {file.name} has no row {', '.join(unknown)}; make a whole run")
    for precision, rates in matrix_rates(options).items():
        before = record["matrix_product"].setdefault(precision, {})
        before |= {who: max(rate, before.get(who, 0.0)) for who, rate in rates.items()}
    made = measure(rows, options, lambda measured: None)
    stamp = {"date": now["date"], "code": now["code"]}
    renewed = {
        row.name: _renewed(row, old[row.name], stamp, record["date"])
        for row in made
        if not _worse(row, old[row.name])
    }
    for row in made:
        if row.name not in renewed:
            print(f"=> {row.name}: failed or lost a side; the row stays as it was", file=sys.stderr)
    if renewed:
        record["rows"] = [renewed.get(row["name"], row) for row in record["rows"]]
        write(record, file)
        print(printed(record), f"=> {file}", sep="\n")
    return int(len(renewed) < len(made))


def _worse(row: Row, old: dict[str, Any]) -> bool:
    """Whether it failed, or lacks a side that the old one has."""
    had, has = (
        {one["label"] for one in rivals if "median" in one}
        for rivals in (old.get("rivals", ()), row.rivals)
    )
    lost = any(old[side] and not getattr(row, side) for side in ("ours", "theirs"))
    return row.failed or lost or not had <= has


def _renewed(
    row: Row, old: dict[str, Any], stamp: dict[str, Any], first_date: str
) -> dict[str, Any]:
    """The new row with its date, and under ``before`` when the replaced ones reached what."""
    replaced = {"date": old.get("again", {}).get("date", first_date), "reached": old["reached"]}
    return {**row.plain(), "again": stamp, "before": [*old.get("before", ()), replaced]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the record; 1 if a row failed."""
    given = parse_arguments(arguments)
    options = options_from(given)
    rows = chosen(options, given.only)
    if given.list:
        print("\n".join(f"{row.name:<32}{row.work}" for row in rows))
        return 0
    if given.again:
        if given.only is None or options.quick or given.output:
            raise UserError("--again: goes with --only, not with --quick or --output")
        return again(rows, options)
    whole = given.only is None and not options.quick
    file = given.output or (FOLDER / file_name("") if whole else None)
    if file is not None:
        require_not_read([file], [options.weights])
    began = time.perf_counter()
    record = header(options)
    print(
        f"=> {record['machine']['cpu']}, {options.threads} threads; load {os.getloadavg()[0]:.1f}"
    )
    record["matrix_product"] = matrix_rates(options)

    def keep(measured: list[Row]) -> None:
        record["rows"] = [row.plain() for row in measured]
        record["seconds"] = round(time.perf_counter() - began)
        if file is not None:
            write(record, file)

    measured = measure(rows, options, keep)
    print(printed(record))
    if file is not None:
        print(f"=> {file}")
    return int(any(row.failed for row in measured))


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
