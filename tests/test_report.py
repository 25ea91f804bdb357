"""The report: fresh, repeatable, every link leads somewhere, and it works in a real browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("markdown_it", reason="requirements-dev.txt is not installed")

from reproduce import report
from reproduce.reporting import charts, markdown, page
from reproduce.reporting.content import Cell, Section, Table, Text

LARGEST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def written() -> str:
    return (ROOT / report.PAGE).read_text(encoding="utf-8")


def test_nothing_is_stale():
    assert not report.stale(), "run make report"


@pytest.mark.parametrize("file", ["page", "REPORT.md"])
def test_a_changed_number_makes_it_stale(file, tmp_path, monkeypatch):
    for path in ("README.md", *(p for p, _ in report.texts()), report.PAGE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert not report.stale()
    target = report.PAGE if file == "page" else report.REPORT
    text = (tmp_path / target).read_text(encoding="utf-8")
    assert "88.04" in text
    (tmp_path / target).write_text(text.replace("88.04", "88.05"), encoding="utf-8")
    assert report.stale() == [target]


def test_page_is_written_the_same_twice():
    assert report.page() == report.page()


def test_other_library_versions_compare_data_not_coordinates(monkeypatch):
    chart = a_chart()
    sections = [Section("one", "One", [charts_block(chart)])]
    here = page.PageWriter(Path("reproduce/x.html")).render("t", "l", sections)
    monkeypatch.setattr(charts, "library", lambda: "matplotlib 0.0")
    there = page.PageWriter(Path("reproduce/x.html"), with_charts=False)
    assert page.without_drawings(here) == page.without_drawings(there.render("t", "l", sections))
    moved = replace(chart, series=(replace(chart.series[0], y=(1.0, 2.5)),))
    other = there.render("t", "l", [Section("one", "One", [charts_block(moved)])])
    assert page.without_drawings(here) != page.without_drawings(other)


def a_chart() -> charts.Chart:
    series = (charts.Series("run", (0.0, 1.0), (1.0, 2.0)),)
    return charts.Chart("x", "lines", "Title", "Caption", "Alt <&> text", "x", "y", series)


def charts_block(chart: charts.Chart) -> object:
    from reproduce.reporting.content import Charts

    return Charts([chart])


def test_drawing_has_no_date_no_fixed_colour_and_says_what_it_shows():
    svg = charts.to_svg(a_chart())
    assert 'aria-label="Alt &lt;&amp;&gt; text"' in svg
    assert "<dc:date>" not in svg
    assert "var(--series-0)" in svg
    assert not re.findall(r"#[0-9a-f]{6}\b", svg.replace("url(#", ""))
    assert svg == charts.to_svg(a_chart())


def test_size_and_nothing_from_the_network(written):
    assert len(written.encode()) < LARGEST_BYTES
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(?!data:)", written)
    assert "@import" not in written
    assert not re.findall(r"url\((?!#)", written)


def test_every_link_leads_to_a_file_or_an_anchor(written):
    anchors = set(re.findall(r' id="([^"]+)"', written))
    for link in set(re.findall(r'<a[^>]* href="([^"]+)"', written)):
        link = html.unescape(link)
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("https://"):
            assert (ROOT / "reproduce" / link.partition("#")[0]).exists(), link


def test_every_link_of_the_markdown_reports_leads_to_a_file():
    for path, text in report.texts():
        if path == "README.md":
            continue
        folder = (ROOT / path).parent
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if not link.startswith(("https://", "#")):
                assert (folder / link.partition("#")[0]).exists(), f"{path}: {link}"


def test_nothing_tells_of_this_machine(written):
    for _, text in [*report.texts(), ("page", written)]:
        assert not re.findall(r"/(?:work|tmp|root|home)/", text)


def test_links_are_relative_to_the_file_that_holds_them():
    table = Table("c", ["a"], [[Cell("1", "reproduce/rescored/x.json")]], anchor="t")
    section = Section("s", "S", [table, Text("[a](https://x.org) [b](README.md)")])
    text = "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))
    assert "[1](rescored/x.json)" in text
    assert "[a](https://x.org) [b](../README.md)" in text
    rendered = page.PageWriter(Path("output/x.html")).render("t", "l", [section])
    assert 'href="../reproduce/rescored/x.json"' in rendered


def test_markup_in_a_record_stays_text():
    section = Section("s", "S", [Table("c", ["a"], [["<script>alert(1)</script>"]])])
    rendered = page.PageWriter(Path("x.html")).render("<b>", "l", [section])
    assert "<script>alert" not in rendered
    assert "<title>&lt;b&gt;" in rendered


# In a real browser.


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    program = chromium()
    if program is None:
        pytest.skip("no chromium (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser):
    """Opens the report; fails on any word in the console, error, or request to the network."""
    contexts, heard = [], []

    def opened(width: int = 1280, **options: object) -> object:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:")) else heard.append(r.url),
        )
        tab.goto((ROOT / report.PAGE).as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not heard


OVERFLOWING = """() => {
  const wide = [];
  for (const node of document.body.querySelectorAll("*")) {
    if (node.closest(".scroll, pre, .skip, svg") && !node.matches(".scroll, pre, svg")) continue;
    const box = node.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) {
      wide.push(`${node.tagName}.${node.className} ${box.left} ${box.right}`);
    }
  }
  return wide;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows(open_page, width, scheme):
    tab = open_page(width, color_scheme=scheme)
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
    assert tab.evaluate(OVERFLOWING) == []


def test_every_image_loads(open_page):
    tab = open_page()
    broken = "[...document.images].filter(i => !(i.complete && i.naturalWidth)).length"
    assert tab.evaluate(broken) == 0
    missing = "[...document.images, ...document.querySelectorAll('svg[role=img]')]"
    assert tab.evaluate(f"{missing}.filter(i => !(i.alt || i.ariaLabel)).length") == 0


# WCAG's formula; text must reach 4.5 against what lies behind it.
CONTRAST = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
    }
  };
  const poor = new Set();
  const texts = "p, th, td, a, span, summary, figcaption, h1, h2, h3, h4, legend, svg text";
  for (const node of document.body.querySelectorAll(texts)) {
    const style = getComputedStyle(node);
    const ink = node.ownerSVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${node.tagName}.${node.className} ${ink} ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, scheme):
    tab = open_page(color_scheme=scheme)
    assert tab.evaluate(CONTRAST) == []


def test_dark_follows_the_system_and_the_button(open_page):
    paper = "getComputedStyle(document.body).backgroundColor"
    tab = open_page(color_scheme="dark")
    dark = tab.evaluate(paper)
    tab.click("#theme")
    light = tab.evaluate(paper)
    assert light == open_page(color_scheme="light").evaluate(paper)
    assert light != dark
    tab.click("#theme")
    assert tab.evaluate(paper) == dark


def test_filters_show_exactly_the_rows_they_name(open_page):
    tab = open_page()
    tables = tab.locator("[data-filtered]")
    for index in range(tables.count()):
        table = tables.nth(index)
        rows = table.locator("tbody tr")
        values = [json.loads(v) for v in rows.evaluate_all("r => r.map(x => x.dataset.values)")]
        for group in table.locator("fieldset").all():
            name = group.get_attribute("data-group")
            for chip in group.locator("label").all()[1:]:
                chip.click()
                wanted = chip.locator("input").get_attribute("value")
                shown = rows.evaluate_all("r => r.map(x => x.offsetParent !== null)")
                assert shown == [v.get(name) == wanted for v in values]
                assert any(shown)
                said = table.locator("output").inner_text()
                assert said == f"{sum(shown)} of {len(values)} rows"
            group.locator("label").first.click()
        assert all(rows.evaluate_all("r => r.map(x => x.offsetParent !== null)"))


def test_paper_shows_what_is_folded_and_no_buttons(open_page):
    tab = open_page()
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    closed = "document.querySelectorAll('main details:not([open])').length"
    assert tab.evaluate(closed) == 0
    assert not tab.locator("nav").is_visible()
    assert not tab.locator("#theme").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(closed) > 0
