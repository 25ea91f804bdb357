"""The tables of the READMEs, from the newest records: ``python -m benchmarks.readme``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import before as earlier
from benchmarks import engine_scores
from benchmarks.harness import ROOT
from benchmarks.results import COLUMNS, caption, machine, markdown, newest, table_rows
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors
from paddle_pose.files import write_text

BEGIN, END = "<!-- speed: written by python -m benchmarks.readme -->", "<!-- end of speed -->"
SCORES = (
    "<!-- scores by engine: written by python -m benchmarks.readme -->",
    "<!-- end of scores by engine -->",
)
BEFORE = (
    "<!-- beside an earlier commit: written by python -m benchmarks.readme -->",
    "<!-- end of beside an earlier commit -->",
)
SHORT = ("work", "ours", "theirs", "ratio")
SHORT_ROWS = (
    *("train_hourglass52", "train_hrnet_w32", "train_newell_2"),
    *("forward_hrnet_w32_float32", "forward_hrnet_w32_bfloat16", "forward_hourglass52_float32"),
    *("loading", "decoding", "pckh", "coco_ap"),
)
"""Rows that the project's README shows: each kind of work beside PyTorch or the official tool."""
NOTHING = "No run is recorded yet: `make bench` makes one."


def short_block(record: dict[str, Any] | None) -> str:
    """The project's README: the main rows, and how many targets are met in all."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    columns = [COLUMNS.index(name) for name in SHORT]
    named = dict(zip((row["name"] for row in record["rows"]), table_rows(record), strict=True))
    lines = [[named[name][column] for column in columns] for name in SHORT_ROWS if name in named]
    judged = [row["met"] for row in record["rows"] if row["target"]]
    words = (
        f"{machine(record)}. Ratio above 1: ours is faster; PyTorch runs in float32. "
        f"{judged.count(True)} of {len(judged)} targets are met: "
        "[every row](benchmarks/README.md#results), with target, memory and how it is measured; "
        "[how cost grows](benchmarks/growth.md)."
    )
    return "\n\n".join((BEGIN, markdown(SHORT, lines), words, END))


def full_block(record: dict[str, Any] | None) -> str:
    """The benchmarks' own README: every column."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    return "\n\n".join((BEGIN, markdown(COLUMNS, table_rows(record)), caption(record), END))


def texts() -> dict[Path, tuple[str, str]]:
    """Each file as it is and as it should be."""
    record = newest()
    blocks = {
        ROOT / "README.md": short_block(record),
        ROOT / "benchmarks" / "README.md": full_block(record),
    }
    found = {}
    for file, block in blocks.items():
        before = file.read_text(encoding="utf-8")
        after = re.sub(f"{BEGIN}.*?{END}", lambda _, block=block: block, before, flags=re.DOTALL)
        scores = "\n\n".join((SCORES[0], engine_scores.block(), SCORES[1]))
        pattern = ".*?".join(SCORES)
        after = re.sub(pattern, lambda _, block=scores: block, after, flags=re.DOTALL)
        changes = "\n\n".join((BEFORE[0], earlier.block(), BEFORE[1]))
        after = re.sub(".*?".join(BEFORE), lambda _, b=changes: b, after, flags=re.DOTALL)
        found[file] = before, after
    return found


def main() -> None:
    """Write the tables, or with --check fail where they are stale."""
    parser = CommandLine(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for file, (before, after) in texts().items():
        if check and before != after:
            sys.exit(f"{file.relative_to(ROOT)}: speed is stale; run python -m benchmarks.readme")
        if not check:
            write_text(file, after)


if __name__ == "__main__":
    with one_line_errors():
        main()
