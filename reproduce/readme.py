"""The README's result tables, from committed records, as ``reproduce.report`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from reproduce.reporting import rescored, trained
from reproduce.reporting.markdown import MarkdownWriter

BEGIN, END = "<!-- results: written by python -m reproduce.report -->", "<!-- end of results -->"


def block() -> str:
    """Everything between the marks."""
    writer = MarkdownWriter(Path())
    parts = [BEGIN]
    for table in (rescored.result_table(), trained.result_table()):
        if table is not None:
            parts += writer.block(table)
    return "\n\n".join([*parts, END])


def with_results(readme: str) -> str:
    """The README's text with the block of today."""
    return re.sub(
        f"<!-- results: [^>]*-->.*{re.escape(END)}", lambda _: block(), readme, flags=re.DOTALL
    )
