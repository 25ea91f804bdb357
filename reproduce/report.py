"""The reproduction report from committed records: ``python -m reproduce.report`` (``make report``).

Writes REPORT.md, REPORT_cn.md, RELIABILITY.md and report.html here, and the tables of both READMEs
and of the packaged weights' card; ``--check`` writes nothing and fails when one of them is stale.
``--gallery DATASET_ROOT`` writes the page with pictures of other people's photos somewhere else,
for the reader's eyes alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import write_text
from paddle_pose.names import require_not_read
from paddle_pose.system import runtime
from reproduce import gallery, packaged_card, readme
from reproduce.reporting import chinese, contents, reliability
from reproduce.reporting.markdown import MarkdownWriter
from reproduce.reporting.page import PageWriter, drawn_by, without_drawings

ROOT = Path(__file__).parent.parent
PAGE, REPORT = "reproduce/report.html", "reproduce/REPORT.md"
CHINESE = "reproduce/REPORT_cn.md"
PHOTOS_PAGE = Path("output/report_with_photos.html")
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
    yield CHINESE, chinese.report(NOTE)
    yield reliability.DOCUMENT, reliability.document(NOTE, PAGE)
    card = (ROOT / packaged_card.CARD).read_text(encoding="utf-8")
    yield packaged_card.CARD, packaged_card.with_scores(card)
    for name, block in (("README.md", readme.block), ("README_cn.md", readme.chinese_block)):
        yield name, readme.with_results((ROOT / name).read_text(encoding="utf-8"), block())


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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.report", description=__doc__.splitlines()[0])
    command.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    add = command.add_argument_group("the page with your own photos").add_argument
    add("--gallery", type=Path, metavar="DATASET_ROOT", help="a data set in MPII's layout")
    add("--page", type=Path, default=PHOTOS_PAGE, help="where that page goes")
    add("--each", type=int, default=2, help="so many best, median and worst people")
    gallery.add_network_options(command)
    return command


def write_photo_page(options: argparse.Namespace) -> None:
    """The page with the gallery of somebody's photos, outside of what is committed.

    Raises:
        UserError: options that lack something, or a page that git would see.
    """
    if options.weights is None:
        raise UserError("--gallery: name the network's --weights (and --config, its recipe)")
    require_not_read([options.page], [options.weights])
    page_file = options.page.resolve()
    if page_file.is_relative_to(ROOT) and not page_file.is_relative_to(ROOT / "output"):
        raise UserError(f"--page {options.page}: photos of others stay out of the repository")
    runtime.configure(quiet=True)
    recipe = configs.load(options.config)
    with tempfile.TemporaryDirectory() as folder:
        gallery.make(
            recipe, options.benchmark, options.weights, options.gallery, Path(folder), options.each
        )
        writer = PageWriter(page_file)
        text = writer.render(contents.TITLE, contents.LEAD, contents.sections(folder))
    write_text(page_file, text)
    print(f"=> {options.page}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what is stale, or with --check fail where something is."""
    options = parser().parse_args(arguments)
    if options.gallery is not None:
        write_photo_page(options)
        return
    if options.weights is not None:
        raise UserError("--weights: has a meaning with --gallery DATASET_ROOT")
    if options.check:
        if found := stale():
            sys.exit(f"stale: {', '.join(found)}; run python -m reproduce.report")
        print("=> the report says what the records say")
        return
    for path, text in [*texts(), (PAGE, page())]:
        write_text(ROOT / path, text)
        print(f"=> {path}")


if __name__ == "__main__":
    with one_line_errors():
        main()
