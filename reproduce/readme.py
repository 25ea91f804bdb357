"""The README's result tables, written from committed records: ``python -m reproduce.readme``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from paddle_pose.record import write_text

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by python -m reproduce.readme -->", "<!-- end of results -->"


def read(name: str) -> dict[str, Any]:
    """A record under ``reproduce/``."""
    return json.loads((ROOT / "reproduce" / name).read_text(encoding="utf-8"))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_interval(scores: dict[str, Any], name: str) -> str:
    """``88.04 (87.4 – 88.6)``."""
    low, high = scores["intervals"][name]
    return f"{scores['values'][name]:.3f} ({low:.1f} – {high:.1f})"


RESCORED = (
    (
        "newell_8_stacks.json",
        "Newell et al., 8 stacks (pose-hg-demo, `valid-ours.h5`, 1-based)",
    ),
    ("bearpaw_1_stack.json", "bearpaw, 1 stack (eval-mpii-pose, 0-based)"),
)
NAMES = ("Mean", "Mean@0.1", "Mean@0.11")


def rescored_table() -> str:
    """Published predictions through our evaluation."""
    rows = []
    for file, label in RESCORED:
        scores = read(f"rescored/{file}")
        values = [with_interval(scores, name) for name in NAMES]
        rows.append([label, *values, f"[record](reproduce/rescored/{file})"])
    header = ["published predictions", "PCKh@0.5", "PCKh@0.10", "PCKh@0.11", "record"]
    return table(header, rows)


def trained_table() -> str:
    """Runs made here."""
    folder = "runs/newell_hg1_lspet_128x128"
    scores, record = read(f"{folder}/scores.json"), read(f"{folder}/record.json")
    mean_pose = read(f"{folder}/mean_pose.json")["scores"]
    here = f"[record](reproduce/{folder}/record.json)"
    people = record["data"]["train"]["people"]
    label = f"`newell_hg1_lspet_128x128`, one stack, trained on {people:,} photos"
    rows = [
        [label, *[with_interval(scores, name) for name in NAMES[:2]], here],
        [
            "mean pose, no network",
            *[f"{mean_pose[name]:.3f}" for name in NAMES[:2]],
            f"[record](reproduce/{folder}/mean_pose.json)",
        ],
    ]
    header = ["LSPET-derived validation, 500 photos", "PCKh@0.5", "PCKh@0.10", "record"]
    return table(header, rows)


def block() -> str:
    """Everything between the marks."""
    return "\n".join(
        [
            BEGIN,
            "",
            "*Re-scored*: published predictions on all 2,958 MPII validation people, by `val.py`; "
            "in brackets 95 % bootstrap intervals over people.",
            "",
            rescored_table(),
            "",
            "*Trained* here, on real photos, on two CPU cores. Not MPII: a number on these photos "
            "compares with nothing published.",
            "",
            trained_table(),
            "",
            END,
        ]
    )


def main() -> None:
    """Write the block into README.md, or with --check fail when it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    file = ROOT / "README.md"
    before = file.read_text(encoding="utf-8")
    after = re.sub(f"{BEGIN}.*{END}", lambda _: block(), before, flags=re.DOTALL)
    if arguments.check and before != after:
        sys.exit("README.md: the results are stale; run python -m reproduce.readme")
    if not arguments.check:
        write_text(file, after)


if __name__ == "__main__":
    main()
