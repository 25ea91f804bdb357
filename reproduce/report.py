"""The reproduction report from committed records: ``python -m reproduce.report`` (``make report``).

Writes REPORT.md, REPORT_cn.md and report.html here and the README's result tables; ``--check``
writes nothing and fails when one of them is stale. ``--gallery DATASET_ROOT`` writes the page
with pictures of other people's photos somewhere else, for the reader's eyes alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from paddle_pose.errors import one_line_errors
from paddle_pose.record import write_text
from reproduce import readme
from reproduce.reporting import contents
from reproduce.reporting.markdown import MarkdownWriter
from reproduce.reporting.page import PageWriter, drawn_by, without_drawings

ROOT = Path(__file__).parent.parent
PAGE, REPORT = "reproduce/report.html", "reproduce/REPORT.md"
NOTE = "Written by python -m reproduce.report; change the records, not this file."


def report() -> str:
    """REPORT.md."""
    writer = MarkdownWriter(Path("reproduce"), PAGE)
    return writer.document(contents.TITLE, contents.LEAD, contents.sections(), NOTE)


def page(*, with_charts: bool = True) -> str:
    """report.html."""
    writer = PageWriter(Path(PAGE), with_charts=with_charts)
    return writer.render(contents.TITLE, contents.LEAD, contents.sections())


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every generated file but the page."""
    yield REPORT, report()
    yield "README.md", readme.with_results((ROOT / "README.md").read_text(encoding="utf-8"))


def page_is_stale() -> bool:
    """Whether report.html differs from what the records say.

    Another version of the plotting library draws the same data at other coordinates: then the
    drawings are compared by the digests of their data, and the rest of the page letter by letter.
    """
    file = ROOT / PAGE
    if not file.is_file():
        return True
    written, today = file.read_text(encoding="utf-8"), page(with_charts=False)
    if without_drawings(written) != without_drawings(today):
        return True
    return drawn_by(written) == drawn_by(today) and written != page()


def stale() -> list[str]:
    """Generated files that differ from what the records say."""
    found = [path for path, text in texts() if _differs(path, text)]
    return [*found, PAGE] if page_is_stale() else found


def _differs(path: str, text: str) -> bool:
    file = ROOT / path
    return not file.is_file() or file.read_text(encoding="utf-8") != text


def main() -> None:
    """Write what is stale, or with --check fail where something is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    arguments = parser.parse_args()
    with one_line_errors():
        if arguments.check:
            if found := stale():
                sys.exit(f"stale: {', '.join(found)}; run python -m reproduce.report")
            print("=> the report says what the records say")
            return
        for path, text in [*texts(), (PAGE, page())]:
            write_text(ROOT / path, text)
            print(f"=> {path}")


if __name__ == "__main__":
    main()
