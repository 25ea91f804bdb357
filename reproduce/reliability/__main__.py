"""Broken files, faults and a long run: ``python -m reproduce.reliability`` (``make soak``).

Writes ``reliability.json``; ``python -m reproduce.report`` makes RELIABILITY.md of it. Exit code 1
where something fell short of what is promised.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, nearest, one_line_errors
from reproduce.reliability import campaign, fuzzing
from reproduce.reliability.campaign import KEPT, PARTS, RECORD, Plan


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine(
        prog="python -m reproduce.reliability", description=__doc__.splitlines()[0]
    )
    add = command.add_argument
    add("--only", default=",".join(PARTS), help="parts with commas: %(default)s")
    add("--seed", type=int, default=11, help="of every draw (%(default)s)")
    add(
        "--budget",
        type=float,
        default=45.0,
        metavar="MINUTES",
        help="begin nothing later than this",
    )
    add("--mutants", type=int, default=campaign.MUTANTS, help="broken files in all (%(default)s)")
    add("--share", type=float, default=1.0, help="of the tries of each fault (%(default)s)")
    add("--record", type=Path, default=RECORD, help="where the numbers go")
    add("--kept", type=Path, default=KEPT, help="where files that ended badly go")
    add("--resume", action="store_true", help="leave out what the record has of this commit")
    add("--replay", type=Path, metavar="FILE", help="read one of the kept files again")
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are asked for, and list what fell short."""
    given = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        if given.replay is not None:
            fuzzing.preload()
            ending = fuzzing.replay(given.replay, Path(folder) / "replay")
            print(f"=> {ending.word}: {ending.line} {ending.kind}")
            sys.exit(int(ending.word in fuzzing.BAD))
        parts = tuple(given.only.split(","))
        for part in parts:
            if part not in PARTS:
                raise UserError(f"--only: no part '{part}'{nearest(part, PARTS)}")
        plan = Plan(parts, given.seed, Path(folder), given.budget, given.mutants, given.share,
                    given.record, given.kept, given.resume)  # fmt: skip
        short = campaign.run(plan)
    for line in short:
        print(f"   {line}")
    print(f"=> {given.record}: {len(short)} kinds of shortcomings")
    sys.exit(int(bool(short)))


if __name__ == "__main__":
    with one_line_errors():
        main()
