"""The first section: what holds, in a few numbers and one table that filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reproduce.reporting import (
    alignment,
    evidence,
    missing,
    published_rows,
    rescored,
    sources,
    twins,
)
from reproduce.reporting.content import Block, Cell, Fact, Facts, Section, Table, Text, badge
from reproduce.reporting.published_rows import TableRow
from reproduce.reporting.records import read_json, signed

CITATION = """\
To quote it, with the commit that was read:

```bibtex
@misc{paddle_pose,
  title = {2-D human pose estimation in PaddlePaddle: does every published number hold?},
  howpublished = {reproduce/REPORT.md of the repository, at commit ...},
  year = {2026}
}
```"""


def section() -> Section:
    """What holds."""
    rows = published_rows.table_rows()
    blocks: list[Block] = [
        Text(answer(rows)),
        Facts(facts(rows)),
        verdict_table(rows),
        missing_table(rows),
        Text(WORDS),
        row_table(rows),
        Text(CITATION),
    ]
    return Section("summary", "What holds", blocks)


WORDS = """\
Two numbers are compared only where everything that decides them is stated and equal: data, boxes,
flip test, decoder, joints, mean and threshold. So no row below is measured against a number under
another protocol, and where there is no measured value there is a dash. Tolerances were set before
any run and stand, with their reasons, in [published.csv](reproduce/published.csv)."""


@dataclass(frozen=True)
class Counts:
    """What the answer to the title counts.

    Attributes:
        rows: published, those of one table's editions as one.
        values: published, of all editions.
        by_word: rows by verdict.
        within, compared: quantities compared with the official code.
        equal, rescored: printed values that can be scored again from their authors' predictions.
        differing: names of published rows that a number measured here contradicts.
    """

    rows: int
    values: int
    by_word: Counter[str]
    within: int
    compared: int
    equal: int
    rescored: int
    differing: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[TableRow]) -> Counts:
        """Over all rows that are published, not a user's."""
        found = [(row, evidence.of(row.id)) for row in rows]
        found = [(row, one) for row, one in found if one.word != evidence.BY_A_USER]
        lines = published_rows.lines([row for row, _ in found])
        judged = [alignment.judged(name) for name in alignment.networks()]
        differing = {
            f"{row.name} ({row.publisher})": None
            for row, one in found
            if any(verdict.within is False for verdict in one.by_metric.values())
        }
        return cls(
            len(lines),
            sum(len(row.values) for row, _ in found),
            Counter(evidence.best(line)[1].word for line in lines),
            sum(within for within, _ in judged),
            sum(count for _, count in judged),
            *evidence.rescored_within(),
            tuple(differing),
        )


def answer(rows: Sequence[TableRow]) -> str:
    """The title's answer, in one paragraph."""
    counts = Counts.of(rows)
    trained, word = counts.by_word["reproduced"], counts.by_word
    full = f"{trained} trained in full here" if trained else "none has been trained in full here"
    tested = f"{word['tested']} tested by their weights, " if word["tested"] else ""
    against = "nothing found here contradicts any of them"
    if counts.differing:
        against += f", except {'; '.join(counts.differing)}"
    return (
        f"**Of {counts.rows} published rows ({counts.values} values; all editions of a table are "
        "one) "
        f"{word['ported and aligned']} are ported and aligned, {word['aligned']} aligned (their "
        f"numbers cannot be tested from outside), {word['re-scored']} re-scored, {tested}"
        f"{word['not run']} not run; {full}; {against}.** Aligned: {counts.within} of "
        f"{counts.compared} quantities equal the official code within stated "
        f"tolerances. Re-scored: {counts.equal} of {counts.rescored} printed values "
        "come again from their authors' own predictions, to the last printed digit."
    )


BOXES = (
    "AP of HRNet-W32 256×192 on COCO val2017: annotated boxes instead of a detector's (76.5, "
    "74.4), as published"
)
BOXES_SOURCE = "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch/issues/174"


def facts(rows: Sequence[TableRow]) -> list[Fact]:
    """Findings, as headline numbers."""
    found = []
    equal, count = evidence.rescored_within()
    if count:
        words = (
            "printed values that their authors' own predictions score here, to the last printed "
            f"digit; {len(rescored.sets())} public sets of predictions re-scored"
        )
        found.append(Fact(f"{equal} of {count}", words, "#rescored"))
    twin = twins.best_known()
    if twin is not None:
        name, judged = twin
        words = (
            f"points PCKh@0.5 between Paddle and PyTorch, {twins.label(name)}, "
            f"{judged['seeds']} seeds: {judged['verdict']}"
        )
        found.append(Fact(signed(judged["difference"]), words, "#twins"))
    worth = index_11()
    if worth is not None:
        words = 'points that "Mean@0.1" is higher where it means 0.11 head sizes, not 0.10'
        record = f"{rescored.FOLDER}/conventions.json"
        found.append(Fact(f"{worth[0]:.1f} to {worth[1]:.1f}", words, record))
    found.append(Fact("+2.1", BOXES, BOXES_SOURCE))
    return found


def index_11() -> tuple[float, float] | None:
    """Least and largest worth of the other threshold over all re-scored sets, in points."""
    record = read_json(f"{rescored.FOLDER}/conventions.json")
    if record is None:
        return None
    found = [
        one["conventions"]["index 11"]["Mean@0.1"]["difference"] for one in record["sets"].values()
    ]
    return min(found), max(found)


def is_left_out(word: str, numbers: Sequence[int]) -> bool:
    """Whether no row has that verdict, and nobody asks for it as for trainings."""
    return word == "tested" and not any(numbers)


def words_by_family(rows: Sequence[TableRow]) -> Counter[tuple[str, str]]:
    """How many rows, editions as one, have which family and word."""
    found = published_rows.lines(rows)
    return Counter((line.newest.family, evidence.best(line)[1].word) for line in found)


def missing_table(rows: Sequence[TableRow]) -> Table:
    """How many rows are not tested for which kind of reason, by verdict."""
    kinds = {word: Counter[str]() for word in missing.WITHOUT_TEST}
    for line in published_rows.lines(rows):
        found = evidence.best(line)[1]
        if found.word in kinds:
            kinds[found.word][missing.kind(found.why_not_better)] += 1
    every = sum(kinds.values(), Counter())
    lines = [[name, *(str(one[name]) for one in kinds.values())] for name, _ in every.most_common()]
    caption = (
        "What is missing behind the rows that are aligned and those that were not run; each says "
        "it in the next table"
    )
    return Table(caption, ["missing", *kinds], lines, frozenset({1, 2}), anchor="missing")


def verdict_table(rows: Sequence[TableRow]) -> Table:
    """How many rows of each network have which verdict."""
    counts = words_by_family(rows)
    lines: list[list[Cell | str]] = []
    for word in evidence.WORDS:
        numbers = [counts[family, word] for family in published_rows.FAMILIES]
        if is_left_out(word, numbers):
            continue
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
    found_lines = [(line, *evidence.best(line)) for line in published_rows.lines(rows)]
    for line, row, found in sorted(found_lines, key=lambda one: evidence.WORDS.index(one[2].word)):
        protocols = dict.fromkeys(one.protocol for one in line.editions)
        lines.append(
            [
                Cell(row.name, title=row.any.note, below=row.data_set),
                evidence.measured_cell(row, published_rows.main_names(row)[0]),
                evidence.line_badge(line),
                *published_rows.line_cells(line),
                Cell(
                    " / ".join(one.publisher for one in line.editions),
                    sources.address(row.any.source),
                    title=row.any.source,
                    below=" / ".join(protocols),
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
