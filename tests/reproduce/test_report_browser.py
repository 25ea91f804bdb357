"""The report's page in a real browser: filters, overflow, contrast, dark, paper, no errors."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from places import ROOT

PAGE = ROOT / "reproduce" / "report.html"


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
        tab.set_default_timeout(120_000)  # a busy machine is no failure
        tab.goto(PAGE.as_uri())
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


CUT = """(tables) => [...document.querySelectorAll(tables)]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"""


@pytest.mark.parametrize(
    ("width", "tables"),
    [(1280, ".table .scroll"), (390, ":is(#verdicts, .stacked) .scroll")],
)
def test_tables_need_no_scrolling(open_page, width, tables):
    """On a phone tables of many numbers may scroll; the summary and tables of words stack."""
    tab = open_page(width)
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    tab.evaluate("for (const one of document.querySelectorAll('.later')) one.className = ''")
    assert tab.locator(tables).count() > 3
    assert tab.evaluate(CUT, tables) == []


def test_a_stacked_row_says_what_each_line_is(open_page):
    tab = open_page(390)
    row = tab.locator("#rows tbody tr").first
    said = "cells => cells.map((one) => getComputedStyle(one, '::before').content)"
    labels = row.locator("td").evaluate_all(said)
    header = tab.locator("#rows thead th").evaluate_all("all => all.map((one) => one.textContent)")
    assert labels == [f'"{name}"' for name in header[1:]]


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


SHOWN = "rows => rows.map((row) => row.getClientRects().length > 0)"


def test_filters_combine(open_page):
    tab = open_page()
    for value in ("COCO val2017", "HRNet"):
        tab.click(f"#rows label:has(input[value='{value}'])")
    rows = tab.locator("#rows tbody tr:visible")
    values = [json.loads(v) for v in rows.evaluate_all("r => r.map(x => x.dataset.values)")]
    assert values
    assert all((v["data set"], v["network"]) == ("COCO val2017", "HRNet") for v in values)


def test_filters_show_exactly_the_rows_they_name(open_page):
    tab = open_page()
    tables = tab.locator("[data-filtered]")
    assert tables.count() > 0
    for index in range(tables.count()):
        table = tables.nth(index)
        rows = table.locator("tbody tr")
        values = [json.loads(v) for v in rows.evaluate_all("r => r.map(x => x.dataset.values)")]
        for group in table.locator("fieldset").all():
            name = group.get_attribute("data-group")
            for chip in group.locator("label").all()[1:]:
                chip.click()
                wanted = chip.locator("input").get_attribute("value")
                shown = rows.evaluate_all(SHOWN)
                assert shown == [v.get(name) == wanted for v in values]
                assert any(shown)
                said = table.locator("output").inner_text()
                assert said == f"{sum(shown)} of {len(values)} rows"
            group.locator("label").first.click()
        first = int(table.get_attribute("data-first") or len(values))
        assert rows.evaluate_all(SHOWN) == [i < first for i in range(len(values))]
        if first < len(values):
            table.locator(".more").click()
        assert all(rows.evaluate_all(SHOWN))


def test_paper_shows_what_is_folded_and_no_buttons(open_page):
    tab = open_page()
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    closed = "document.querySelectorAll('main details:not([open])').length"
    assert tab.evaluate(closed) == 0
    assert not tab.locator("nav").is_visible()
    assert not tab.locator("#theme").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert all(tab.locator("#rows tbody tr").evaluate_all(SHOWN))
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(closed) > 0
