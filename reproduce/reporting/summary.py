"""The first section: what holds, in a few numbers and one table that filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reproduce.reporting import alignment, evidence, published_rows, rescored, sources, twins
from reproduce.reporting.content import Block, Cell, Fact, Facts, Section, Table, Text, badge
from reproduce.reporting.published_rows import TableRow
from reproduce.reporting.records import read_json, signed


def section() -> Section:
    """What holds."""
    rows = published_rows.table_rows()
    blocks: list[Block] = [Facts(facts(rows)), verdict_table(rows), Text(WORDS), row_table(rows)]
    return Section("summary", "What holds", blocks)


WORDS = """\
Two numbers are compared only where everything that decides them is stated and equal: data, boxes,
flip test, decoder, joints, mean and threshold. So no row below is measured against a number under
another protocol, and where there is no measured value there is a dash. Tolerances were set before
any run and stand, with their reasons, in [published.csv](reproduce/published.csv)."""


def facts(rows: Sequence[TableRow]) -> list[Fact]:
    """Headline numbers."""
    published = [row for row in rows if evidence.of(row.id).word != evidence.BY_A_USER]
    values = sum(len(row.values) for row in published)
    found = [
        Fact(
            f"{len(published)}",
            f"published table rows with {values} values, each with its protocol and source",
            "reproduce/published.csv",
        )
    ]
    judged = [alignment.judged(name) for name in alignment.networks()]
    if judged:
        within, count = sum(one[0] for one in judged), sum(one[1] for one in judged)
        words = "quantities within tolerance of the official code, step by step"
        found.append(Fact(f"{within} of {count}", words, "#alignment"))
    equal, count = evidence.rescored_within()
    if count:
        words = (
            "printed values that their authors' own predictions score here, to the last printed "
            f"digit; {len(rescored.sets())} public sets of predictions re-scored"
        )
        found.append(Fact(f"{equal} of {count}", words, "#rescored"))
    judgement = read_json(f"{twins.FOLDER}/twins.json")
    if judgement:
        name, twin = next(iter(judgement.items()))
        if "Mean" in twin["judgement"]:
            words = (
                f"points PCKh@0.5 between Paddle and PyTorch, {twins.label(name)}: "
                f"{twin['judgement']['Mean']['verdict']}"
            )
            found.append(Fact(signed(twin["judgement"]["Mean"]["difference"]), words, "#twins"))
    return found


def verdict_table(rows: Sequence[TableRow]) -> Table:
    """How many rows of each network have which verdict."""
    counts = Counter((row.family, evidence.of(row.id).word) for row in rows)
    lines: list[list[Cell | str]] = []
    for word in evidence.WORDS:
        numbers = [counts[family, word] for family in published_rows.FAMILIES]
        lines.append(
            [
                badge(evidence.BADGES.get(word, "plain"), word),
                *[str(number) for number in numbers],
                str(sum(numbers)),
                evidence.MEANING[word],
            ]
        )
    header = ["verdict", *published_rows.FAMILIES, "all", "what it means"]
    return Table(
        "Published table rows by the strongest evidence for them here",
        header,
        lines,
        frozenset(range(1, len(published_rows.FAMILIES) + 2)),
        anchor="verdicts",
    )


def row_table(rows: Sequence[TableRow]) -> Table:
    """Every published table row."""
    lines, filters = [], []
    strongest = sorted(rows, key=lambda row: evidence.WORDS.index(evidence.of(row.id).word))
    for row in strongest:
        found = evidence.of(row.id)
        lines.append(
            [
                Cell(row.name, title=row.any.note, below=row.data_set),
                evidence.measured_cell(row, published_rows.main_names(row)[0]),
                found.badge,
                *published_rows.main_cells(row),
                Cell(
                    row.publisher,
                    sources.address(row.any.source),
                    title=row.any.source,
                    below=row.protocol,
                ),
            ]
        )
        filters.append({"data set": row.data_set, "network": row.family, "evidence": found.word})
    header = (
        *("network", "measured", "evidence"),
        *("PCKh@0.5 or AP, ± tolerance", "PCKh@0.1x or AR", "published by, under which protocol"),
    )
    caption = "Every published row, with what was measured under exactly its protocol"
    return Table(
        caption,
        header,
        lines,
        frozenset({1, 3, 4}),
        filters=filters,
        anchor="rows",
        first_shown=12,
    )
