"""Where the time of a training step goes, kind by kind of operation.

``python -m benchmarks.profile_step [NAME …] [--threads 1] [--steps 5] [--quick]``

oneDNN reports its primitives by itself (DNNL_VERBOSE), Paddle's profiler its own operations; what
is left of the step is Python and waiting.
PADDLE_POSE_ONEDNN=0 in front shows the same step in Paddle's own kernels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.networks import HOURGLASS52, HRNET_W32_MPII, NEWELL_2, training_step
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest, one_line_errors


@dataclass(frozen=True)
class Step:
    """A training step to be looked at."""

    recipe: str
    batch: int


STEPS = {
    **{n.name: Step(n.recipe, n.batch) for n in (HOURGLASS52, HRNET_W32_MPII, NEWELL_2)},
    "quickstart": Step("quickstart:newell_hg1_synthetic", 16),
    "fastpose_mobile_large": Step("fastpose:mobile_large_halpe136_256x192", 8),
}
STEP, PADDLE = "=> step", "=> paddle,"
"""How lines of the child begin."""
HARD_SWISH = "hard-swish"


def main(arguments: list[str] | None = None) -> None:
    """One table per network, on standard output; Raises UserError for what cannot be measured."""
    parser = CommandLine(prog="python -m benchmarks.profile_step")
    parser.add_argument("names", nargs="*", default=list(STEPS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--steps", type=int, help="measured steps (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one image, one step")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in STEPS:
            raise UserError(f"{name}: no such network{nearest(name, STEPS)}")
    if options.threads < 1 or (options.steps is not None and options.steps < 1):
        raise UserError("--threads, --steps: must be at least 1")
    if options.quick and options.steps is not None:
        raise UserError("--quick measures one step; leave out --steps or --quick")
    for name in options.names:
        batch = 1 if options.quick else STEPS[name].batch
        steps = 1 if options.quick else options.steps or 5
        if options.child:
            report(STEPS[name].recipe, batch, steps)
            return
        lines = run_child(name, options.threads, steps, quick=options.quick)
        print_table(f"{name}, batch {batch}, threads {options.threads}", rows_of(lines), batch)


def run_child(name: str, threads: int, steps: int, *, quick: bool) -> list[str]:
    """What a process of its own says while it trains; DNNL_VERBOSE counts from its start."""
    words = ["benchmarks.profile_step", name, "--child"]
    words += ["--quick"] if quick else ["--steps", str(steps)]
    count = str(threads)
    environment = {"OMP_NUM_THREADS": count, "FLAGS_paddle_num_threads": count}
    return child_lines(words, {**environment, "DNNL_VERBOSE": "1"})


def child_lines(words: list[str], environment: dict[str, str]) -> list[str]:
    """Standard output of ``python -m`` these words.

    A child that refuses has said why in one line; this process then ends with its exit code 2.

    Raises:
        UserError: it failed otherwise.
    """
    answer = subprocess.run(  # noqa: S603 (this project's own modules)
        [sys.executable, "-m", *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if answer.returncode == 2:
        sys.exit(2)
    if answer.returncode:
        raise UserError(f"{' '.join(words)}: ended with exit code {answer.returncode}")
    return answer.stdout.splitlines()


def report(recipe: str, batch: int, steps: int) -> None:
    """In the child: print the time of every step and of Paddle's operations in it."""
    work = training_step(recipe, batch)
    from paddle import profiler
    from paddle.profiler import profiler_statistic

    for _ in range(2):
        work.run()
    watch = profiler.Profiler(
        targets=[profiler.ProfilerTarget.CPU], on_trace_ready=lambda watch: None
    )
    watch.start()
    for _ in range(steps):
        print(f"{STEP} begins", flush=True)
        began = time.perf_counter()
        work.run()
        print(f"{STEP} {(time.perf_counter() - began) * 1e3}", flush=True)
        watch.step()
    watch.stop()
    result = watch.profiler_result
    data = profiler_statistic.StatisticData(result.get_data(), result.get_extra_info())
    for name, item in data.event_summary.items.items():
        if "PyLayer" not in name:  # these are ours, and report by themselves
            milliseconds = item.cpu_time / 1e6 / steps
            print(f"{PADDLE}{name},{item.call // steps},{milliseconds}", flush=True)


def kind_of(fields: list[str]) -> str:
    """Of a line of DNNL_VERBOSE from ``exec`` on: primitive, direction, and kind of convolution.

    Source: uxlfoundation/oneDNN doc/performance_considerations/verbose.md
    """
    primitive, direction, problem = fields[2], fields[4], fields[-2]
    if primitive == "reorder":
        return "oneDNN copy between layouts"
    if "eltwise_hardswish" in fields[-3]:
        primitive = HARD_SWISH
    if primitive == "convolution":
        larger = " depthwise" if problem.startswith("g") else " larger"
        direction += " 1×1" if "kh1" in problem else larger
    return f"oneDNN {primitive} {direction}"


def rows_of(lines: list[str]) -> dict[str, tuple[int, float]]:
    """Kind of operation -> calls and milliseconds per step; median of steps where they are known.

    Paddle's own are means over the steps.
    """
    steps: list[dict[str, list[float]]] = []
    rows, times = {}, []
    for line in lines:
        if line == f"{STEP} begins":
            steps.append(defaultdict(list))
        elif line.startswith(STEP):
            times.append(float(line.rpartition(" ")[2]))
        elif line.startswith(PADDLE):
            name, count, milliseconds = line.removeprefix(PADDLE).split(",")
            kind = "Paddle " + name.replace("Global_", "").replace(" dygraph", "")
            rows[kind] = int(count), float(milliseconds)
        elif line.startswith("onednn_verbose") and ",exec," in line and steps:
            fields = line[line.index("exec") :].split(",")
            steps[-1][kind_of(fields)].append(float(fields[-1]))
    for kind, calls in steps[0].items():
        rows[kind] = len(calls), statistics.median(sum(step[kind]) for step in steps)
    rest = statistics.median(times) - sum(milliseconds for _, milliseconds in rows.values())
    return {**rows, "Python and the rest": (1, rest)}


def print_table(title: str, rows: dict[str, tuple[int, float]], batch: int) -> None:
    """Milliseconds per image, largest first; rows under half a percent in one."""
    whole = sum(milliseconds for _, milliseconds in rows.values())
    print(f"\n{title}: {whole / batch:.1f} ms per image\n")
    print("| operation | calls | ms per image | share |\n| --- | ---: | ---: | ---: |")
    small = 0.0
    for kind, (calls, milliseconds) in sorted(rows.items(), key=lambda row: -row[1][1]):
        if milliseconds < 0.005 * whole:
            small += milliseconds
            continue
        print(f"| {kind} | {calls} | {milliseconds / batch:.2f} | {milliseconds / whole:.1%} |")
    print(f"| all others | | {small / batch:.2f} | {small / whole:.1%} |", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
