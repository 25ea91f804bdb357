"""Published predictions through our evaluation: scores, curves, joints, head sizes."""

from __future__ import annotations

from reproduce.reporting.content import Cell, Section, Table, Text, absent
from reproduce.reporting.records import read_json, with_interval

NAMES = {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10", "Mean@0.11": "PCKh@0.11"}
SETS = {
    "newell_8_stacks": "Newell et al., 8 stacks (pose-hg-demo, `valid-ours.h5`, 1-based)",
    "bearpaw_1_stack": "bearpaw, 1 stack (eval-mpii-pose, 0-based)",
}


def path(name: str) -> str:
    """The record of one set of predictions."""
    return f"reproduce/rescored/{name}.json"


def result_table() -> Table | None:
    """Scores of every set."""
    rows = []
    for name, label in SETS.items():
        scores = read_json(path(name))
        if scores is None:
            continue
        values = [Cell(with_interval(scores, metric), path(name)) for metric in NAMES]
        rows.append([label, *values])
    caption = (
        "*Re-scored*: published predictions on all 2,958 MPII validation people, by `val.py`; in "
        "brackets 95 % bootstrap intervals over people."
    )
    header = ["published predictions", *NAMES.values()]
    table = Table(caption, header, rows, frozenset({1, 2, 3}), anchor="rescored-table")
    return table if rows else None


def section() -> Section:
    """Published predictions re-scored."""
    table = result_table()
    blocks = [table] if table else [absent("scores of published predictions")]
    lead = Text(
        "The predictions that authors published themselves need no network and no training: they "
        "test the metric alone, on every MPII validation person."
    )
    return Section("rescored", "Published predictions, re-scored", [lead, *blocks])
