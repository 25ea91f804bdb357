"""Sections → one self-contained HTML page: no network, no library at run time."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup

from reproduce.reporting import charts
from reproduce.reporting.content import Section, Table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").enable("strikethrough")


class PageWriter:
    """Renders sections for a page that lies at ``page``, a path from the repository's root."""

    def __init__(self, page: Path, *, with_charts: bool = True) -> None:
        self.folder = page.parent
        self.with_charts = with_charts
        self.environment = Environment(
            loader=FileSystemLoader(HERE),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
            lstrip_blocks=True,
        )
        self.environment.filters.update(
            inline=self.inline, markdown=self.markdown, href=self.href, svg=self.svg, data=data_uri
        )
        self.environment.tests["of"] = lambda block, name: type(block).__name__ == name

    def href(self, link: str) -> str:
        """A path from the root as one from the page; addresses and anchors as they are."""
        if re.match(r"(https?:|#|mailto:)", link):
            return link
        path, _, anchor = link.partition("#")
        moved = Path(os.path.relpath(ROOT / path, ROOT / self.folder)).as_posix()
        return f"{moved}#{anchor}" if anchor else moved

    def inline(self, text: str) -> Markup:
        """One line of Markdown; intervals and limits stay in one piece."""
        text = re.sub(r"\((\S+) (–|to) (\S+)\)", "(\\1\u00a0\\2\u2060\u00a0\\3)", text)
        text = re.sub(r"([≤≥>]) (?=\d)", "\\1\u00a0", text)
        return self._linked(_markdown.renderInline(text))

    def markdown(self, text: str) -> Markup:
        """A document of Markdown; its headings come below the page's, tables scroll."""
        rendered = _markdown.render(text)
        rendered = re.sub(
            r"<(/?)h([1-4])>", lambda m: f"<{m[1]}h{min(int(m[2]) + 3, 6)}>", rendered
        )
        rendered = re.sub(
            r'<img src="([^":]+)"',
            lambda m: f'<img src="{data_uri(html.unescape(m[1]))}"',
            rendered,
        )
        rendered = rendered.replace("<table>", '<div class="scroll" tabindex="0"><table>')
        return self._linked(rendered.replace("</table>", "</table></div>"))

    def svg(self, chart: charts.Chart) -> Markup:
        """The drawn figure, or an empty one that has its digest only."""
        if not self.with_charts:
            return Markup(f'<svg data-digest="{chart.digest}"></svg>')  # noqa: S704 - a hex digest
        return Markup(charts.to_svg(chart))  # noqa: S704 - made by matplotlib, texts escaped

    def render(self, title: str, lead: str, sections: Sequence[Section]) -> str:
        """The page."""
        template = self.environment.get_template("page.html")
        script = (HERE / "page.js").read_text(encoding="utf-8")
        return template.render(
            title=title,
            lead=lead,
            sections=sections,
            library=charts.library(),
            style=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - own file
            script=Markup(script),  # noqa: S704 - own file
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            filter_groups=filter_groups,
        )

    def _linked(self, rendered: str) -> Markup:
        moved = re.sub(
            r'href="([^"]*)"',
            lambda m: f'href="{html.escape(self.href(html.unescape(m[1])))}"',
            rendered,
        )
        return Markup(moved)  # noqa: S704 - Markdown without raw HTML


def filter_groups(table: Table) -> dict[str, list[str]]:
    """Group → its values in order of appearance."""
    groups: dict[str, list[str]] = {}
    for row in table.filters:
        for group, value in row.items():
            values = groups.setdefault(group, [])
            if value not in values:
                values.append(value)
    return groups


def data_uri(path: str) -> str:
    """The image file itself, as an address."""
    kinds = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".svg": "svg+xml"}
    file = ROOT / path
    encoded = base64.b64encode(file.read_bytes()).decode()
    return f"data:image/{kinds[file.suffix.lower()]};base64,{encoded}"


def without_drawings(page: str) -> str:
    """The page with every figure reduced to its digest, and no library's version."""
    page = re.sub(
        r'<svg [^>]*?data-digest="([0-9a-f]+)".*?</svg>',
        r'<svg data-digest="\1"></svg>',
        page,
        flags=re.DOTALL,
    )
    return page.replace(drawn_by(page), "")


def drawn_by(page: str) -> str:
    """The library that drew the page's figures."""
    found = re.search(r'<meta name="figures" content="([^"]*)">', page)
    return found[1] if found else ""
