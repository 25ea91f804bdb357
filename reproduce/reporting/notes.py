"""The implementation notes and the log of experiments, folded on the page."""

from __future__ import annotations

from pathlib import Path

from reproduce import mean_at_01
from reproduce.reporting import sources
from reproduce.reporting.content import Section, Text, absent
from reproduce.reporting.records import read_text, rebased


def note(name: str, what: str) -> Text:
    """One file of ``reproduce/notes``."""
    file = f"reproduce/notes/{name}.md"
    text = read_text(file)
    if text is None:
        return absent(what)
    return Text(sources.linked(without_title(text)), summary=what, source=file)


def without_title(markdown: str) -> str:
    """Everything below the first heading: the page has its own."""
    lines = markdown.splitlines()
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines).strip()


def threshold_section() -> Section:
    """The two meanings of Mean@0.1, in plain words."""
    words = rebased(mean_at_01.section(), Path("reproduce"))
    return Section("mean-at-01", "What does “Mean@0.1” mean?", [Text(sources.linked(words))])


def data_section() -> Section:
    """Details of the data sets and metrics."""
    return Section(
        "data-sets",
        "Data sets and metrics: details that decide a number",
        [
            note("mpii", "Notes on MPII and PCKh"),
            note("coco", "Notes on COCO keypoints and AP"),
        ],
    )


def log_section() -> Section:
    """Dated experiments, failures kept."""
    text = read_text("reproduce/log.md")
    block = (
        Text(
            without_title(text),
            summary="Experiments by date, newest first",
            source="reproduce/log.md",
        )
        if text
        else absent("log of experiments")
    )
    return Section("log", "Log of experiments, failures kept", [block])
