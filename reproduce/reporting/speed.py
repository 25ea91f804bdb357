"""Speed and memory beside PyTorch, and how cost grows, from the benchmarks' records."""

from __future__ import annotations

from benchmarks import results
from reproduce.reporting.content import Block, Cell, Section, Table, Text, absent, badge
from reproduce.reporting.records import files, read_json, read_text

MET = {"yes": "good", "**no**": "warm", "not measured": "plain"}
TEXT_COLUMNS = ("work", "against", "met")
GROWTH = "benchmarks/growth.md"


def section() -> Section:
    """The benchmarks' table, their growth tables folded."""
    title = "Speed on a CPU, beside PyTorch"
    record = results.newest()
    if record is None:
        return Section("speed", title, [absent("the benchmarks")])
    lead = Text(
        "Ratios are to the reference named in the row, in one run on one machine: above 1 means "
        "ours is faster, but where the target is an upper bound (≤) the ratio is ours over the "
        "other. Rows without a reference state an amount. To measure: `make bench`."
    )
    blocks: list[Block] = [lead, table(record)]
    growth = read_text(GROWTH)
    if growth:
        blocks.append(Text(growth, summary="How cost grows", source=GROWTH))
    return Section("speed", title, blocks)


def table(record: dict) -> Table:
    """The rows of one record."""
    file = next(path for path in reversed(files("benchmarks/results/*.json")) if _is(path, record))
    met = results.COLUMNS.index("met")
    rows = []
    for line in results.table_rows(record):
        cells: list[Cell | str] = [text or "–" for text in line]
        if line[met]:
            cells[met] = badge(MET.get(line[met], "plain"), line[met].strip("*"))
        ours = results.COLUMNS.index("ours")
        cells[ours] = Cell(line[ours], file)
        rows.append(cells)
    numeric = (i for i, name in enumerate(results.COLUMNS) if name not in TEXT_COLUMNS)
    return Table(results.caption(record), results.COLUMNS, rows, frozenset(numeric), anchor="bench")


def _is(path: str, record: dict) -> bool:
    return read_json(path) == record
