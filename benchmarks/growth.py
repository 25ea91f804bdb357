"""How cost grows: ``make growth`` or ``python -m benchmarks.growth``; --check, --redraw.

Writes ``results/growth-<cpu>-<date>.json``, and from it ``growth.md`` and the plots.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import growth_page, growth_points, ring
from benchmarks.growth_points import Axis
from benchmarks.harness import Child, Options, Side, SideError
from benchmarks.results import FOLDER, GROWTH, file_name, header, newest, write
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.system.runtime import cpu_facts


def measure(side: Side, runs: int, warm_up: int, options: Options) -> dict[str, Any]:
    """Median time and peak memory of one point, or why there is none."""
    try:
        with Child(side, options) as child:
            child.wait_ready()
            for _ in range(warm_up):
                child.run(keep=False)
            for _ in range(runs):
                child.run()
            figures = child.figures()
    except SideError as error:
        return {"error": str(error).splitlines()[0]}
    return {
        "median": statistics.median(child.samples),
        "samples": child.samples,
        "peak_mib": figures.get("peak_mib", child.peak_mib),
    }


def all_axes(options: Options, only: Sequence[str] | None) -> list[Axis]:
    """The axes asked for; Raises UserError for an unknown one."""
    axes = growth_points.network_axes(options)
    axes += [growth_points.ranks_axis(options), growth_points.people_axis(options)]
    names = [axis.name for axis in axes]
    for name in only or ():
        if name not in names:
            raise UserError(f"--only {name}: the axes are {', '.join(names)}")
    return [axis for axis in axes if not only or axis.name in only]


def run(axes: Sequence[Axis], options: Options, file: Path | None) -> dict[str, Any]:
    """Every point of every axis, one after the other, each in its own process.

    What there is goes into ``file`` after every axis, so that an interrupted run keeps it.
    """
    began = time.perf_counter()
    record = header(options)
    record["axes"], record["gradient_bytes"] = [], {}
    for job in ring.jobs():
        side = Side("benchmarks.growth_points:gradient_bytes", "", {"recipe": job.recipe})
        counted = measure(side, 1, 0, options)
        if "error" not in counted:
            record["gradient_bytes"][job.recipe] = counted["median"]
    points = sum(len(curves) for axis in axes for curves in axis.points.values())
    with tqdm(total=points, unit="point", disable=None, dynamic_ncols=True) as bar:
        for axis in axes:
            bar.set_description_str(axis.name)
            warm_up = 1 if axis.unit == "s/image" else 0
            measured: list[dict[str, Any]] = []
            for value, curves in axis.points.items():
                measured.append({"x": value, "curves": {}})
                for curve, side in curves.items():
                    runs = 1 if options.quick else axis.runs
                    measured[-1]["curves"][curve] = measure(side, runs, warm_up, options)
                    bar.update()
            shown = {"title": axis.title, "x": axis.x, "unit": axis.unit, "log_x": axis.log_x}
            record["axes"].append({"name": axis.name, **shown, "points": measured})
            record["seconds"] = round(time.perf_counter() - began)
            if file is not None:
                write(record, file)
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write, or redraw or check what a record says; 1 if a point failed."""
    parser = CommandLine(prog="python -m benchmarks.growth", description=__doc__)
    add = parser.add_argument
    add("--threads", type=int, default=cpu_facts()[2], help="of each process (default: all cores)")
    add("--only", nargs="+", metavar="AXIS")
    add("--quick", action="store_true", help="two points an axis, smallest sizes")
    add("--output", type=Path, metavar="FILE", help="record to write (of a whole run: results/…)")
    add("--redraw", action="store_true", help="page and plots from the newest record, no measuring")
    add("--check", action="store_true", help="fail where page or plots are not the newest record's")
    given = parser.parse_args(arguments)
    if given.check:
        stale = growth_page.stale(newest(GROWTH))
        if stale:
            raise UserError(f"{stale}: stale; run python -m benchmarks.growth --redraw")
        return 0
    if given.redraw:
        growth_page.draw(newest(GROWTH))
        return 0
    if given.threads < 1:
        raise UserError("--threads: must be at least 1")
    options = Options(threads=given.threads, quick=given.quick)
    axes = all_axes(options, given.only)
    whole = not given.only and not given.quick
    file = given.output or (FOLDER / file_name(GROWTH) if whole else None)
    record = run(axes, options, file)
    print(growth_page.page(record))
    if file is not None:
        print(f"=> {file}")
    if whole:
        growth_page.draw(newest(GROWTH))
    curves = [c for a in record["axes"] for p in a["points"] for c in p["curves"].values()]
    return int(any("error" in curve for curve in curves))


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
