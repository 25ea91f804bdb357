"""Committed records, read; what does not exist yet is None and the report says so."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from paddle_pose import files as json_files

ROOT = Path(__file__).parent.parent.parent


def read_json(path: str) -> Any | None:
    """A record by its path from the repository's root."""
    file = ROOT / path
    return json_files.read_json(file) if file.is_file() else None


def read_lines(path: str) -> list[dict[str, Any]]:
    """A ``.jsonl`` file; empty where there is none."""
    file = ROOT / path
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def read_csv(path: str) -> list[dict[str, str]]:
    """Rows of a ``.csv`` file with a header; empty where there is none."""
    file = ROOT / path
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_text(path: str) -> str | None:
    """A text file with its relative links made relative to the repository's root."""
    file = ROOT / path
    return rebased(file.read_text(encoding="utf-8"), Path(path).parent) if file.is_file() else None


def rebased(markdown: str, folder: Path) -> str:
    """Markdown whose links are relative to a folder of the repository → to the root."""

    def moved(match: re.Match[str]) -> str:
        target = match[1]
        if re.match(r"(https?:|#|mailto:)", target):
            return match[0]
        joined = (ROOT / folder / target).resolve()
        return f"]({joined.relative_to(ROOT.resolve()).as_posix()})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, markdown)


def files(pattern: str) -> list[str]:
    """Paths from the root, sorted."""
    return sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob(pattern))


def points(value: float, digits: int = 2) -> str:
    """A score as printed."""
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if not float(text) else text.replace("-", "−")


def with_interval(scores: dict[str, Any], name: str, digits: int = 2) -> str:
    """``88.04 (87.4 – 88.6)``: value and 95 % interval of a ``scores.json``."""
    value = scores["values"][name]
    interval = (scores.get("intervals") or {}).get(name)
    if interval is None:
        return points(value, digits)
    return f"{points(value, digits)} ({interval[0]:.1f} – {interval[1]:.1f})"
