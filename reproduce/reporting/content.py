"""What a report is made of, apart from how it is written down: both writers read these.

Text is Markdown (code, emphasis, links). Links are paths from the repository's root or addresses;
each writer makes them relative to its own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reproduce.reporting.charts import Chart

NOT_YET = "not yet recorded"
"""The words for everything whose record does not exist."""


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Attributes:
        text: Markdown.
        below: Markdown in small type on a line of its own.
        link: where the number stands: a record here, or the published source.
        title: said in full where there is room for a tooltip only.
        badge: ``kind`` of the coloured label that the text becomes, or none.
    """

    text: str
    link: str = ""
    title: str = ""
    badge: str = ""
    below: str = ""


@dataclass(frozen=True)
class Table:
    """A captioned table.

    Attributes:
        caption: what the rows are, one sentence.
        header: column names; the first column heads its row.
        rows: as long as the header; plain text or cells.
        numeric: columns that hold numbers, set right.
        filters: for each row, group name → value that the page's filters select by.
        folded: closed on the page until asked for.
        anchor: name of its own for links.
        first_shown: rows before the page's button for the others; 0 shows all.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numeric: frozenset[int] = frozenset()
    filters: Sequence[dict[str, str]] = ()
    folded: bool = False
    anchor: str = ""
    first_shown: int = 0


@dataclass(frozen=True)
class Text:
    """Markdown; with ``summary`` it is folded under that line on the page."""

    markdown: str
    summary: str = ""
    source: str = ""  # file that it was read from, which the Markdown report links to instead


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    value: str
    label: str
    link: str = ""


@dataclass(frozen=True)
class Facts:
    """Headline numbers side by side."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class Picture:
    """An image file, embedded: its path from the repository's root or from ``/``."""

    file: str
    alt: str
    label: str


@dataclass(frozen=True)
class Strip:
    """Pictures of one thing side by side, under one caption."""

    pictures: Sequence[Picture]
    caption: str


@dataclass(frozen=True)
class Strips:
    """Rows of pictures."""

    strips: Sequence[Strip]


@dataclass(frozen=True)
class Charts:
    """Figures side by side where there is room."""

    charts: Sequence[Chart]


Block = Table | Text | Facts | Strips | Charts


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; ``anchor`` is its name in links."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    sections: Sequence[Section] = field(default_factory=tuple)


def badge(kind: str, text: str, title: str = "") -> Cell:
    """A coloured label."""
    return Cell(text, badge=kind, title=title)


def absent(what: str) -> Text:
    """A section's text where its record does not exist."""
    return Text(f"*{what[0].upper()}{what[1:]}: {NOT_YET}.*")
