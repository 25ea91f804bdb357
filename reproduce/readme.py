"""The README's results, short, from committed records, as ``reproduce.report`` writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reproduce.reporting import published_rows, rescored, summary
from reproduce.reporting.content import Facts, Table
from reproduce.reporting.markdown import MarkdownWriter

BEGIN, END = "<!-- results: written by python -m reproduce.report -->", "<!-- end of results -->"
REPORT = "reproduce/REPORT.md"

WHERE = (
    f"Number by number, with the twin runs in both frameworks and those trained here: "
    f"[REPORT.md]({REPORT}), [中文](reproduce/REPORT_cn.md), and as a page with figures "
    "`reproduce/report.html`, which a browser opens from a clone."
)
VERDICTS = (
    "Published table rows by the strongest evidence for them here "
    f"([what each word means]({REPORT}#verdicts)):"
)
RESCORED = (
    "*Re-scored*: published predictions of all 2,958 MPII validation people, with 95 % bootstrap "
    "intervals:"
)


def block() -> str:
    """Everything between the marks."""
    writer = MarkdownWriter(Path())
    rows = published_rows.table_rows()
    facts = [
        replace(fact, link=REPORT + fact.link) if fact.link.startswith("#") else fact
        for fact in summary.facts(rows)
    ]
    parts = [BEGIN, *writer.block(Facts(facts)), VERDICTS]
    parts.append(writer.table(_without(summary.verdict_table(rows), ["what it means"])))
    scores = rescored.result_table()
    if scores is not None:
        parts += [RESCORED, writer.table(_without(scores, ["PCKh@0.11"]))]
    return "\n\n".join([*parts, writer.text(WHERE), END])


def _without(table: Table, columns: Sequence[str]) -> Table:
    kept = [index for index, name in enumerate(table.header) if name not in columns]
    return replace(
        table,
        header=[table.header[index] for index in kept],
        rows=[[row[index] for index in kept] for row in table.rows],
        numeric=frozenset(place for place, index in enumerate(kept) if index in table.numeric),
    )


def with_results(readme: str) -> str:
    """The README's text with the block of today."""
    return re.sub(
        f"<!-- results: [^>]*-->.*{re.escape(END)}", lambda _: block(), readme, flags=re.DOTALL
    )
