"""Where the time of a compiled evaluation forward goes, kind by kind of oneDNN primitive.

``python -m benchmarks.profile_forward [NAME …] [--precision bfloat16] [--runs 10] [--quick]``

On one thread, batch as compiled. Every forward runs the same primitives in the same order: of each
its shortest time over the runs counts, and of the whole the shortest processor time; what is left
is Paddle's executor. oneDNN tells elapsed times only: where others use the core too, none is left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from benchmarks.networks import (
    EVALUATED,
    PRODUCT_SIZE,
    Network,
    forward_with_flip,
    load_recipe,
    matrix_product,
)
from benchmarks.profile_step import child_lines
from benchmarks.worker import SkippedError
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest, one_line_errors
from paddle_pose.system import runtime

PRECISIONS = ("float32", "bfloat16")
BEGIN, END, FACTS = "=> forward begins", "=> forward ends", "=> facts"
NETWORKS = {network.name: network for network in EVALUATED}
TYPES = {"f32": "float32", "bf16": "bfloat16"}
REST = "Paddle's executor and the rest"


def main(arguments: list[str] | None = None) -> None:
    """One table per network and precision; Raises UserError for what cannot be measured."""
    parser = CommandLine(prog="python -m benchmarks.profile_forward")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, help="default: the CPU's")
    parser.add_argument("--runs", type=int, help="default: 10")
    parser.add_argument("--quick", action="store_true", help="one person, one run")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in NETWORKS:
            raise UserError(f"{name}: no such network{nearest(name, NETWORKS)}")
    if given.runs is not None and given.runs < 1:
        raise UserError("--runs: must be at least 1")
    if given.quick and given.runs is not None:
        raise UserError("--quick measures one run; leave out --runs or --quick")
    runs = 1 if given.quick else given.runs or 10
    # In the child Paddle is not imported before ``load_recipe`` has set it up.
    precisions = given.precision if given.child else possible(given.precision)
    for name in given.names or NETWORKS:
        batch = 1 if given.quick else min(NETWORKS[name].eval_batch, 4)
        for precision in precisions:
            if given.child:
                report(NETWORKS[name], precision, batch, runs)
            else:
                lines = run_child(name, precision, runs, quick=given.quick)
                print_table(NETWORKS[name], precision, batch, lines)


def possible(asked: Sequence[str] | None) -> Sequence[str]:
    """The precisions asked for, or all that the CPU has; Raises UserError for what it lacks."""
    runtime.import_paddle()
    from paddle_pose.inference import engine

    chosen = asked or [one for one in PRECISIONS if one == "float32" or engine.bfloat16_here()]
    for precision in chosen:
        engine.choose("onednn", precision, people=1)
    return chosen


def run_child(name: str, precision: str, runs: int, *, quick: bool) -> list[str]:
    """What a process of its own says; DNNL_VERBOSE counts from its start."""
    words = ["benchmarks.profile_forward", name, "--child", "--precision", precision]
    words += ["--quick"] if quick else ["--runs", str(runs)]
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "1"}
    return child_lines(words, {**one, "DNNL_VERBOSE": "1"})


def report(network: Network, precision: str, batch: int, runs: int) -> None:
    """In the child: forwards between marks, and the rate of a float32 matrix product."""
    load_recipe(network.recipe)
    product = matrix_product(PRODUCT_SIZE, "paddle")
    try:
        work = forward_with_flip(network.recipe, batch, "onednn", precision)
    except SkippedError as error:
        raise UserError(str(error)) from error
    fastest = min(processor_ms(product.run) for _ in range(3))
    rate = product.facts["multiply_adds"] / fastest / 1e6
    work.run()
    for _ in range(runs):
        print(BEGIN, flush=True)
        milliseconds = processor_ms(work.run)
        print(END, milliseconds, flush=True)
    print(FACTS, work.facts["multiply_adds"] * batch / 1e9, rate, flush=True)


def processor_ms(run: Callable[[], object]) -> float:
    """Processor time of a call."""
    began = time.process_time()
    run()
    return (time.process_time() - began) * 1e3


def kind_of(fields: list[str]) -> str:
    """Of a line of DNNL_VERBOSE from ``exec`` on: what is computed, and what is fused into it.

    Source: uxlfoundation/oneDNN doc/performance_considerations/verbose.md
    """
    primitive, layouts, fused, problem = fields[2], fields[5], fields[6], fields[-2]
    kinds = {part.split(":")[1] for part in layouts.split() if part.startswith(("src", "dst"))}
    types = " and ".join(sorted(TYPES.get(kind, kind) for kind in kinds))
    if primitive == "reorder":
        tags = {part.split(":")[4] for part in layouts.split()}
        what = "conversion" if len(kinds) > 1 else "copy"
        return f"{what}, {'same layout' if len(tags) == 1 else 'other layout'}, {types}"
    if primitive == "convolution":
        primitive += " 1×1" if "kh1" in problem else " larger"
        parts = [name for name in ("sum", "relu") if name in fused]
        primitive += " + bias" + "".join(f" + {name}" for name in parts)
    elif "relu" in fused:
        primitive += " + relu"
    return f"{primitive}, {types}"


def rows_of(lines: list[str]) -> dict[str, tuple[int, float]]:
    """Kind of primitive -> calls and milliseconds in one forward, from shortest times."""
    forwards: list[list[tuple[str, float]]] = []
    wholes = []
    for line in lines:
        if line == BEGIN:
            forwards.append([])
        elif line.startswith(END):
            wholes.append(float(line.rpartition(" ")[2]))
        elif line.startswith("onednn_verbose") and ",exec," in line and len(forwards) > len(wholes):
            fields = line[line.index("exec") :].split(",")
            forwards[-1].append((kind_of(fields), float(fields[-1])))
    rows: dict[str, tuple[int, float]] = {}
    for calls in zip(*forwards, strict=True):
        kind, shortest = calls[0][0], min(milliseconds for _, milliseconds in calls)
        count, total = rows.get(kind, (0, 0.0))
        rows[kind] = count + 1, total + shortest
    rest = min(wholes) - sum(milliseconds for _, milliseconds in rows.values())
    return {**rows, REST: (1, rest)}


def print_table(network: Network, precision: str, batch: int, lines: list[str]) -> None:
    """Milliseconds per person, largest first; kinds under half a percent in one."""
    rows = rows_of(lines)
    whole = sum(milliseconds for _, milliseconds in rows.values())
    facts = next(line for line in lines if line.startswith(FACTS)).split()
    done, rate = float(facts[-2]) / whole * 1e3, float(facts[-1])
    print(
        f"\n{network.title}, {precision}, {batch} people: {whole / batch:.0f} ms per person, "
        f"{done:.0f} G multiply-adds a second (a float32 matrix product here: {rate:.0f})\n\n"
        "| primitive | calls | ms per person | share |\n| --- | ---: | ---: | ---: |"
    )
    small = 0.0
    for kind, (calls, milliseconds) in sorted(rows.items(), key=lambda row: -row[1][1]):
        if milliseconds < 0.005 * whole and kind != REST:
            small += milliseconds
            continue
        print(f"| {kind} | {calls} | {milliseconds / batch:.1f} | {milliseconds / whole:.1%} |")
    print(f"| all others | | {small / batch:.1f} | {small / whole:.1%} |", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
