"""The tables of the READMEs, from the newest records: ``python -m benchmarks.readme``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import engine_scores
from benchmarks.harness import ROOT
from benchmarks.results import COLUMNS, caption, markdown, newest, table_rows
from paddle_pose.commands.record import write_text

BEGIN, END = "<!-- speed: written by python -m benchmarks.readme -->", "<!-- end of speed -->"
SCORES = (
    "<!-- scores by engine: written by python -m benchmarks.readme -->",
    "<!-- end of scores by engine -->",
)
SHORT = ("work", "ours", "theirs", "ratio", "target", "met")
NOTHING = "No run is recorded yet: `make bench` makes one."


def short_block(record: dict[str, Any] | None) -> str:
    """The project's README: what was compared, how it came out."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    columns = [COLUMNS.index(name) for name in SHORT]
    lines = [[line[column] for column in columns] for line in table_rows(record)]
    return "\n\n".join((BEGIN, markdown(SHORT, lines), caption(record), END))


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
        found[file] = before, after
    return found


def main() -> None:
    """Write the tables, or with --check fail where they are stale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for file, (before, after) in texts().items():
        if check and before != after:
            sys.exit(f"{file.relative_to(ROOT)}: speed is stale; run python -m benchmarks.readme")
        if not check:
            write_text(file, after)


if __name__ == "__main__":
    main()
