"""The README's result tables, from committed records, as ``reproduce.report`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from reproduce.reporting import published_rows, rescored, summary, trained, twins
from reproduce.reporting.markdown import MarkdownWriter

BEGIN, END = "<!-- results: written by python -m reproduce.report -->", "<!-- end of results -->"

WHERE = (
    "Number by number: [REPORT.md](reproduce/REPORT.md), [中文](reproduce/REPORT_cn.md), and as a "
    "page with figures `reproduce/report.html`, which a browser opens from a clone."
)


def block() -> str:
    """Everything between the marks."""
    writer = MarkdownWriter(Path())
    tables = (
        summary.verdict_table(published_rows.table_rows()),
        rescored.result_table(),
        twins.result_table(),
        trained.result_table(),
    )
    parts = [BEGIN, writer.text(WHERE)]
    for table in tables:
        if table is not None:
            parts += [writer.text(table.caption), writer.table(table)]
    return "\n\n".join([*parts, END])


def with_results(readme: str) -> str:
    """The README's text with the block of today."""
    return re.sub(
        f"<!-- results: [^>]*-->.*{re.escape(END)}", lambda _: block(), readme, flags=re.DOTALL
    )
