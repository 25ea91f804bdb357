"""Step-by-step alignment with the official code: one table per network, and all in one view."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from reproduce.aligning.rows import STEPS
from reproduce.reporting import sources
from reproduce.reporting.content import Cell, Table, badge
from reproduce.reporting.records import files, read_json

FOLDER = "reproduce/alignment"


def rows_of(network: str) -> list[tuple[str, dict[str, Any]]]:
    """Record and row for everything aligned for a network or data set, live ones last."""
    paths = [f"{FOLDER}/{network}.json", f"{FOLDER}/live_{network}.json"]
    return [(path, row) for path in paths for row in read_json(path) or ()]


def networks() -> list[str]:
    """Names that have rows."""
    names = (path.rpartition("/")[2].removesuffix(".json") for path in files(f"{FOLDER}/*.json"))
    return sorted({name.removeprefix("live_") for name in names})


def judged(network: str) -> tuple[int, int]:
    """How many quantities are within their tolerance, of how many that have one."""
    verdicts = [row["ok"] for _, row in rows_of(network) if row["ok"] is not None]
    return sum(verdicts), len(verdicts)


def table(network: str, label: str) -> Table | None:
    """Every compared quantity of one network or data set."""
    found = rows_of(network)
    if not found:
        return None
    within, count = judged(network)
    rows = [_row(path, row) for path, row in found]
    header = ["step", "quantity", "precision", "difference", "tolerance", "", "because", "official"]
    caption = f"{label}: {within} of {count} quantities within their tolerance"
    return Table(caption, header, rows, frozenset({3, 4}), folded=True, anchor=f"aligned-{network}")


def _row(path: str, row: dict[str, Any]) -> list[Cell | str]:
    stated, difference = row["reference"], row["difference"]
    words = {
        True: badge("good", "within"),
        False: badge("bad", "not within"),
        None: badge("plain", "effect"),
    }
    where = f"{stated['repository'].rpartition('/')[2]} `{stated['file']}`"
    link = sources.code(stated["repository"], stated["commit"], stated["file"])
    live = " (live)" if row["evidence"] == "live" else ""
    return [
        row["step"] + live,
        row["quantity"],
        row["precision"],
        Cell("not a number" if difference is None else f"{difference:.2g}", path),
        "–" if row["tolerance"] is None else f"{row['tolerance']:.2g}",
        words[row["ok"]],
        row["tolerance_source"],
        Cell(where, link),
    ]


def overview(labels: dict[str, str], apart: Container[str] = ()) -> Table | None:
    """Step by network: how many quantities, and how far the worst is from its tolerance.

    Those of ``apart`` have no table on the page and are linked to their record.
    """
    names = [name for name in labels if rows_of(name)]
    if not names:
        return None
    present = {row["step"] for name in names for _, row in rows_of(name)}
    steps = [step for step in STEPS if step in present]
    rows = []
    for name in names:
        link = rows_of(name)[0][0] if name in apart else f"#aligned-{name}"
        cells: list[Cell | str] = [Cell(labels[name], link)]
        for step in steps:
            cells.append(_worst([row for _, row in rows_of(name) if row["step"] == step]))
        rows.append(cells)
    caption = (
        "Largest difference over its tolerance, of all quantities of a step (below 1 is within). "
        "A dash: the step is shared with the data set's row, or has no tolerance to be judged by."
    )
    return Table(caption, ["", *steps], rows, frozenset(range(1, len(steps) + 1)))


def _worst(rows: list[dict[str, Any]]) -> Cell | str:
    judged_rows = [row for row in rows if row["ok"] is not None]
    if not judged_rows:
        return "–"
    if any(row["difference"] is None for row in judged_rows):
        return badge("bad", "not a number")
    ratios = [
        row["difference"] / row["tolerance"] if row["tolerance"] else float(row["difference"] > 0)
        for row in judged_rows
    ]
    ok = all(row["ok"] for row in judged_rows)
    worst = max(ratios)
    text = "exact" if worst == 0 else "< 0.01" if worst < 0.01 else f"{worst:.2g}"
    return badge("good" if ok else "bad", text, f"{len(judged_rows)} quantities")
