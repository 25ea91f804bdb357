"""Sections → Markdown, for REPORT.md and the README's block."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reproduce.reporting.content import (
    Block,
    Cell,
    Charts,
    Facts,
    Section,
    Strips,
    Table,
    Text,
)


class MarkdownWriter:
    """Renders for a file in ``folder``, a path from the repository's root.

    Figures and pictures are left to the page: ``page`` is its path, named where they would stand.
    """

    def __init__(self, folder: Path, page: str = "reproduce/report.html") -> None:
        self.folder = folder
        self.page = page

    def link(self, target: str) -> str:
        """A path from the root as one from the folder; addresses and anchors as they are."""
        if re.match(r"(https?:|#|mailto:)", target):
            return target
        path, hash_mark, anchor = target.partition("#")
        return Path(os.path.relpath(path, self.folder)).as_posix() + hash_mark + anchor

    def text(self, markdown: str) -> str:
        """Markdown with its links made relative to the folder."""
        return re.sub(r"\]\(([^)\s]+)\)", lambda m: f"]({self.link(m[1])})", markdown)

    def cell(self, cell: Cell | str) -> str:
        """One entry of a table row."""
        if isinstance(cell, str):
            return self.text(cell).replace("|", "\\|")
        text = cell.text.replace("|", "\\|")
        text = f"*{text}*" if cell.badge else text
        text = f"[{text}]({self.link(cell.link)})" if cell.link else text
        return text + (f"; {cell.below}" if cell.below else "")

    def table(self, table: Table) -> str:
        """A table without its caption."""
        rule = ["---:" if index in table.numeric else "---" for index in range(len(table.header))]
        rows = [list(table.header), rule, *([self.cell(c) for c in row] for row in table.rows)]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def section(self, section: Section, level: int = 2) -> Iterator[str]:
        """Paragraphs of a section and of those within it."""
        yield f'<a id="{section.anchor}"></a>'
        yield f"{'#' * level} {section.title}"
        for block in section.blocks:
            yield from self.block(block)
        for inner in section.sections:
            yield from self.section(inner, level + 1)

    def block(self, block: Block) -> Iterator[str]:
        """Paragraphs of one block."""
        if isinstance(block, Text):
            if block.source:
                yield f"{block.summary}: [{block.source}]({self.link(block.source)})."
            else:
                yield self.text(block.markdown.strip())
        elif isinstance(block, Facts):
            yield "\n".join(
                f"* **{fact.value}**: " + self.cell(Cell(fact.label, fact.link))
                for fact in block.facts
            )
        elif isinstance(block, Table):
            caption = self.text(block.caption)
            anchor = f'<a id="{block.anchor}"></a>' if block.anchor else ""
            if block.folded:
                yield f"{anchor}<details><summary>{caption}</summary>"
                yield self.table(block)
                yield "</details>"
            else:
                yield anchor + caption
                yield self.table(block)
        elif isinstance(block, Charts):
            yield "\n".join(
                f"* Figure on [the page]({self.link(self.page)}): {one.title}. {one.alt}"
                for one in block.charts
            )
        elif isinstance(block, Strips):
            for strip in block.strips:
                yield " ".join(f"![{one.alt}]({self.link(one.file)})" for one in strip.pictures)
                yield self.text(strip.caption)

    def document(self, title: str, lead: str, sections: Sequence[Section], note: str) -> str:
        """A whole file."""
        parts = [f"<!-- {note} -->", f"# {title}", self.text(lead)]
        for section in sections:
            parts += self.section(section)
        return "\n\n".join(parts) + "\n"
