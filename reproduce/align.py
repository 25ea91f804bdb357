"""Paddle's method, step by step, against the official code: ``python -m reproduce.align``.

Every step (forward, data, metric, decode, loss, learning rate, backward, optimiser, batch norm,
initialisation) of every network is compared in float64 and float32 with what the official PyTorch
code computed, and must stay within a tolerance whose origin is stated. The other side is either

* recorded: arrays under ``tests/parity`` (always), and the larger ones of ``../shared`` or
  PADDLE_POSE_REFERENCE_DATA where they are; or
* live: with ``--reference DIR`` the code of a local clone runs, in a child process with PyTorch.

It prints a table and compares it with ``reproduce/alignment/<network>.json``, for live rows
``live_<network>.json``. Nothing is written without ``--renew``, and then no row that says what it
said: of the same code, and all alike but the difference, which moves by rounding. A file is a
list of objects

    {network, step, precision, quantity, difference, tolerance, tolerance_source,
     reference: {repository, commit, file}, evidence: "recorded" | "live", code,
     ok: true | false | null}

``difference`` is the largest one, to two digits; ``quantity`` says of what, and whether relative or
in which unit. ``network`` is a network's name, or ``mpii`` / ``coco`` for the steps that every
network on that data set shares, ``crowds`` for those of two people in a box, ``fastpose`` for all
of light AlphaPose, ``bodyposenet`` for all of BodyPoseNet, ``encodings`` for DARK and UDP,
``pixels`` for holes and colours, ``bfloat16`` for it beside PyTorch's autocast,
``paddledetection`` for its HRNet, ``challenger`` for AI Challenger's data,
``newell`` and ``bearpaw`` for their own tests, ``half`` for half precision, ``visibility`` for
what is learnt and read of visible joints, ``lightweight`` for all of Lightweight OpenPose (these
live alone).
``tolerance`` and ``ok`` are null where a row states the size of an effect and judges nothing.
``code`` is a digest of the functions and classes that the row judges (``aligning/freshness.py``).
``--check`` looks at the files alone and names what other code made.

The exit code is 1 when a row is not within its tolerance, when ``--renew`` would change a file and,
with ``--check``, when a row is missing or other code made one of recorded arrays (live ones need a
clone: they are named only).
"""

from __future__ import annotations

import argparse
import functools
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.system import runtime

if TYPE_CHECKING:
    from reproduce.aligning.live import Clone
    from reproduce.aligning.rows import Row

OUTPUT = Path(__file__).parent / "alignment"


@dataclass(frozen=True)
class Job:
    """Some rows to make.

    Attributes:
        what: shown by the progress bar.
        weight: how long it takes, in steps of the bar.
        run: makes the rows; calls its argument after each of ``weight`` parts, or never.
    """

    what: str
    weight: int
    run: Callable[[Callable[[], None]], list]


def network_jobs(name: str, shared: Path | None, quick: bool) -> list[Job]:
    """What is compared for one network."""
    from reproduce.aligning import forward, initialisation, rates, training, two_people, variance
    from reproduce.aligning.networks import NETWORKS

    steps = 2 if quick else 10
    jobs = [Job(f"{name} learning rate", 1, lambda tick: rates.rows(name))]
    if not quick:
        jobs.append(Job(f"{name} initialisation", 2, lambda tick: initialisation.rows(name)))
    if not quick and name in variance.PER_DEVICE:
        jobs.append(Job(f"{name} running variance", 2, lambda tick: variance.rows(name)))
    for dtype in ("float32",) if quick else ("float64", "float32"):
        jobs.append(Job(f"{name} forward {dtype}", 2, lambda tick, d=dtype: forward.rows(name, d)))
    if name == two_people.NAME:
        made = two_people.jobs(shared, quick)
        return jobs + [Job(f"{name} {what}", weight, run) for what, weight, run in made]
    for run in NETWORKS[name].training:
        for dtype in ("float64", "float32"):
            count = min(steps, training.FOLLOWABLE[run]) if dtype == "float64" else 1
            jobs.append(
                Job(
                    f"{run} training {dtype}",
                    2 * count,
                    lambda tick, r=run, d=dtype: training.follow(name, r, d, steps, tick),
                )
            )
    if shared is not None and name in training.SLOW:
        slow = Job(
            f"{name} training float32",
            steps,
            lambda tick: training.follow_slowly(name, shared, steps, tick),
        )
        jobs.append(slow)
    return jobs


def data_jobs(data_set: str, shared: Path | None, quick: bool) -> list[Job]:
    """What is compared for one data set, whatever the network; quick leaves the metrics out."""
    from reproduce.aligning import crowds, decoding, pipeline, scores

    if data_set == crowds.NAME:
        return crowd_jobs(shared, quick)
    parts = [
        ("targets", lambda tick: decoding.target_rows(data_set, shared)),
        ("matrices", lambda tick: pipeline.matrix_rows(data_set)),
        ("decoding", lambda tick: decoding.decode_rows(data_set, shared)),
    ]
    if shared is not None:
        parts += [
            ("crops", lambda tick: pipeline.crop_rows(data_set, shared)),
            ("people", lambda tick: pipeline.people_rows(data_set, shared)),
        ]
        if not quick:
            parts.append(("metrics", lambda tick: scores.rows(data_set, shared)))
        if data_set == "coco":
            parts.append(("half bodies", lambda tick: pipeline.half_body_rows(shared)))
    return [Job(f"{data_set} {what}", 1, run) for what, run in parts]


def crowd_jobs(shared: Path | None, quick: bool) -> list[Job]:
    """What is compared of two people in a box; quick leaves the metrics out."""
    from reproduce.aligning import crowds

    if shared is None:
        return []
    parts = {
        "people": crowds.people_rows,
        "samples": crowds.item_rows,
        "merging": crowds.merge_rows,
    }
    if not quick:
        parts |= {"lists": crowds.list_rows, "CrowdPose's tool": crowds.tool_rows}
    return [
        Job(f"{crowds.NAME} {what}", 1, lambda tick, make=make: list(make(shared)))
        for what, make in parts.items()
    ]


def group_jobs(name: str, shared: Path | None, quick: bool) -> list[Job]:
    """What is compared of a group of networks."""
    from reproduce.aligning import groups

    return [
        Job(f"{name} {what}", weight, run) for what, weight, run in groups.jobs(name, shared, quick)
    ]


def live_jobs(clone: Clone, options: argparse.Namespace) -> dict[str, list[Job]]:
    """What a clone is run for: its networks, and for HRNet data, decoding and metrics."""
    from reproduce.aligning import groups, live

    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    threads = int(os.environ["OMP_NUM_THREADS"])  # set by runtime.configure
    wanted = [name for name in clone.networks if options.only in (None, name)]
    jobs = {
        name: [
            Job(
                f"{name} live",
                10,
                lambda tick, n=name: live.network_rows(
                    clone,
                    n,
                    options.torch_python,
                    seed=seed,
                    quick=options.quick,
                    threads=threads,
                ),
            )
        ]
        for name in wanted
    }
    if clone.kind == "hrnet" and options.only in (None, "mpii", "coco"):
        run = functools.partial(live.pipeline_rows, clone, options.torch_python)
        job = Job("data, decoding, metrics live", 2, lambda tick: run(seed=seed, threads=threads))
        jobs["mpii"] = [job]
    if clone.kind == "paddledetection" and options.only in (None, clone.kind):
        jobs[clone.kind] = [paddledetection_job(clone, options, seed)]
    for group in groups.OF_CLONES.get(clone.kind, ()):
        if options.only in (None, group.NAME):
            asking = functools.partial(live.ask, options.torch_python)
            run = functools.partial(group.rows, clone, asking, seed=seed, threads=threads)
            jobs[group.NAME] = [Job(f"{group.NAME} live", 2, lambda tick, make=run: make())]
    if not jobs:
        has = ", ".join(clone.networks or (clone.kind,))
        raise UserError(f"--only {options.only}: {clone.repository} has {has}")
    print(f"=> {clone.repository} at {clone.commit}, seed {seed}")
    return jobs


def paddledetection_job(clone: Clone, options: argparse.Namespace, seed: int) -> Job:
    """All of its HRNet; photos of COCO from the larger records, where they are."""
    from reproduce.aligning import paddledetection
    from reproduce.aligning.networks import reference_data

    shared = reference_data()
    run = functools.partial(
        paddledetection.rows,
        clone.folder,
        clone.commit,
        seed=seed,
        quick=options.quick,
        data=None if shared is None else shared / "data/coco",
    )
    return Job("PaddleDetection live", 10, lambda tick: run())


def recorded_jobs(options: argparse.Namespace, shared: Path | None) -> dict[str, list[Job]]:
    """What is compared with recorded arrays, by network and data set."""
    from reproduce.aligning.networks import DATA_SETS, NETWORKS, chosen

    if shared is None:
        print("=> rows that need the larger records (PADDLE_POSE_REFERENCE_DATA) are left alone")
    makers = dict.fromkeys(NETWORKS, network_jobs) | dict.fromkeys(DATA_SETS, data_jobs)
    return {
        name: makers.get(name, group_jobs)(name, shared, options.quick)
        for name in chosen(options.only)
    }


def run_jobs(jobs: Sequence[Job], bar: tqdm) -> list:
    """All rows of the jobs; the bar advances by their weights."""
    rows = []
    for job in jobs:
        bar.set_description(job.what)
        end = bar.n + job.weight
        rows += job.run(lambda: bar.update(1))
        bar.update(end - bar.n)
    return rows


def check(folder: Path) -> list[str]:
    """What is wrong with the committed rows: missing networks and steps, rows not within."""
    from reproduce.aligning import groups
    from reproduce.aligning.networks import DATA_SETS, GROUPS, NETWORKS
    from reproduce.aligning.rows import read

    trained = ("loss", "backward", "optimiser", "batch norm")
    problems = []
    for name in (*NETWORKS, *DATA_SETS, *GROUPS):
        file = f"{groups.prefix(name) if name in GROUPS else ''}{name}.json"
        rows = read(folder / file)
        wanted = {"data", "decode", "metric"}
        if name in NETWORKS:
            steps = trained if NETWORKS[name].training else ()
            wanted = {"forward", "learning rate", "initialisation", *steps}
        elif name in GROUPS:
            wanted = groups.steps(name)
        missing = sorted(wanted - {row.step for row in rows})
        problems += [f"{file}: no row of step '{step}'" for step in missing]
    for file in sorted(folder.glob("*.json")):
        problems += [
            f"{file.name}: {row.step}, {row.quantity} is not within its tolerance"
            for row in read(file)
            if row.ok is False
        ]
    return problems


def judge_files(folder: Path) -> int:
    """Say what is wrong with the committed rows; returns the exit code."""
    from reproduce.aligning import freshness

    problems = [*check(folder), *freshness.stale(folder, "recorded")]
    print("\n".join(problems or ["=> every step has its rows, and all are within tolerance"]))
    print("\n".join(f"=> {line}" for line in freshness.stale(folder, "live")))
    return 1 if problems else 0


def judge(rows: Sequence[Row], news: Sequence[str]) -> int:
    """Say how many rows are within their tolerance; returns the exit code."""
    judged = [row.ok for row in rows if row.ok is not None]
    print(f"=> {sum(judged)} of {len(judged)} quantities within their tolerance")
    if news:
        print("=> the files differ from this run; --renew writes it into them")
    return 0 if all(judged) and not news else 1


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        prog="python -m reproduce.align",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NETWORK", help="one network, or mpii or coco")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="few steps; tolerances alone are judged")
    how.add_argument("--check", action="store_true", help="judge the files, run nothing")
    how.add_argument("--renew", action="store_true", help="write what is new into the files")
    parser.add_argument("--reference", type=Path, metavar="DIR", help="clone to run live")
    parser.add_argument(
        "--torch_python",
        type=Path,
        default=Path(sys.executable),
        metavar="PATH",
        help="interpreter that has PyTorch",
    )
    parser.add_argument("--seed", type=int, help="of a live run's random numbers; default: fresh")
    parser.add_argument(
        "--reprod_log", type=Path, metavar="DIR", help="also write the arrays as reprod_log does"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Align, print, compare or write; returns the exit code."""
    options = arguments_of(arguments)
    runtime.configure(quiet=True)
    runtime.import_paddle()
    from reproduce.aligning import freshness, live, reprod_log
    from reproduce.aligning import rows as table
    from reproduce.aligning.networks import DATA_SETS, reference_data

    if options.check:
        return judge_files(options.output)
    shared = reference_data()
    clone = live.recognise(options.reference) if options.reference is not None else None
    jobs = live_jobs(clone, options) if clone is not None else recorded_jobs(options, shared)

    def stays(row: table.Row) -> bool:
        """Rows that this run cannot make."""
        if clone is None:
            return shared is None
        return row.reference.repository != clone.repository

    # Now: a file may change while the code that was read from it runs.
    names = {*jobs, *DATA_SETS} if clone is not None else jobs
    codes = {(name, step): freshness.digest(name, step) for name in names for step in table.STEPS}
    rows = []
    total = sum(job.weight for listed in jobs.values() for job in listed)
    with tqdm(total=total, dynamic_ncols=True) as bar:
        for listed in jobs.values():
            made = [
                replace(row, code=codes[row.network, row.step]) for row in run_jobs(listed, bar)
            ]
            rows += made
            if options.renew:
                table.write(table.renewed(made, options.output, keep=stays))
    print(table.table(rows))
    if options.reprod_log is not None:
        for file in reprod_log.write(rows, options.reprod_log):
            print(f"=> {file}")
    news = []
    if not options.quick and not options.renew:
        news = table.news(table.renewed(rows, options.output, keep=stays))
        print("\n".join(news or [f"=> as recorded in {options.output}"]))
    return judge(rows, news)


if __name__ == "__main__":
    with one_line_errors():
        sys.exit(main())
