"""The report: fresh, repeatable, every link leads somewhere; photos stay out of the repository."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models.build import build

pytest.importorskip("markdown_it", reason="requirements-dev.txt is not installed")

from reproduce import gallery, packaged_card, published, report
from reproduce.reporting import (
    charts,
    evidence,
    markdown,
    page,
    published_rows,
    records,
    reliability,
    sources,
)
from reproduce.reporting.content import Cell, Charts, Section, Table, Text

LARGEST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def written() -> str:
    return (ROOT / report.PAGE).read_text(encoding="utf-8")


def test_nothing_is_stale():
    assert not report.stale(), "run make report"


def test_changed_numbers_make_files_stale(tmp_path, monkeypatch):
    for path in (*(path for path, _ in report.texts()), report.PAGE):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "88.04" in text or path in (reliability.DOCUMENT, packaged_card.CARD)
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text.replace("88.04", "88.05"), encoding="utf-8")
    monkeypatch.setattr(report, "ROOT", tmp_path)
    readmes = {"README.md", "README_cn.md"}
    assert set(report.stale()) == {report.REPORT, report.CHINESE, report.PAGE, *readmes}


def test_other_library_versions_compare_data_not_coordinates(monkeypatch):
    chart = a_chart()
    sections = [Section("one", "One", [Charts([chart])])]
    here = page.PageWriter(Path("reproduce/x.html")).render("t", "l", sections)
    monkeypatch.setattr(charts, "library", lambda: "matplotlib 0.0")
    there = page.PageWriter(Path("reproduce/x.html"), with_charts=False)
    assert page.without_drawings(here) == page.without_drawings(there.render("t", "l", sections))
    moved = replace(chart, series=(replace(chart.series[0], y=(1.0, 2.5)),))
    other = there.render("t", "l", [Section("one", "One", [Charts([moved])])])
    assert page.without_drawings(here) != page.without_drawings(other)


def a_chart() -> charts.Chart:
    series = (charts.Series("run", (0.0, 1.0), (1.0, 2.0)),)
    return charts.Chart("x", "lines", "Title", "Caption", "Alt <&> text", "x", "y", series)


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
        if path.startswith("README"):
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


def test_pictures_of_markdown_are_embedded():
    section = Section("s", "S", [Text("![one](reproduce/gallery/best-1-truth.jpg)")])
    rendered = page.PageWriter(Path("x.html")).render("t", "l", [section])
    assert '<img src="data:image/jpeg;base64,' in rendered


def test_markup_in_a_record_stays_text():
    section = Section("s", "S", [Table("c", ["a"], [["<script>alert(1)</script>"]])])
    rendered = page.PageWriter(Path("x.html")).render("<b>", "l", [section])
    assert "<script>alert" not in rendered
    assert "<title>&lt;b&gt;" in rendered


# What the tables say.


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (
            "a-b/c.d README.md:24 @6f69e46",
            "https://github.com/a-b/c.d/blob/6f69e46/README.md?plain=1#L24",
        ),
        ("a/b lib/x.py:96-98 @6f69e46", "https://github.com/a/b/blob/6f69e46/lib/x.py#L96-L98"),
        ("a/b whole.log @285ebf4, a sum", "https://github.com/a/b/blob/285ebf4/whole.log"),
        ("a/b issue 174", "https://github.com/a/b/issues/174"),
        ("HRNet paper (arXiv 1902.09212) Table 1", "https://arxiv.org/abs/1902.09212"),
        ("hearsay", ""),
    ],
)
def test_source_becomes_a_permalink(source, address):
    assert sources.address(source) == address


def test_every_published_value_is_on_the_page_with_its_source(written):
    links = re.findall(r'<a href="([^"]+)" title="([^"]+)">([^<]+)</a>', written)
    shown = {(html.unescape(url), html.unescape(title), text) for url, title, text in links}
    for row in published.load():
        value = (sources.address(row.source), row.source, published_rows.printed(row))
        assert value in shown, row.id


def test_printed_values_keep_their_digits():
    rows = {(r.id, r.metric_name): r for r in published.load()}
    one = rows["predecessor:hourglass52_mpii_256x256", "Mean@0.1"]
    assert published_rows.printed(one) == "32.108"
    assert published_rows.printed(rows["mmpose1:hrnet_w32_mpii_256x256", "Mean"]) == "90.0"
    assert published_rows.printed(rows["hrnet_readme:hrnet_w32_coco_256x192", "AP"]) == ".744"


def test_a_number_under_another_protocol_is_never_shown_as_measured():
    for row in published_rows.table_rows():
        for name, verdict in evidence.of(row.id).by_metric.items():
            stated = row.values[name].protocol
            if published.NOT_STATED in (stated.joints, stated.mean, stated.threshold):
                assert verdict.measured is None, row.id


def test_signs_and_nothing():
    assert records.signed(-0.123) == "\u22120.12"
    assert records.signed(0.5, 1) == "+0.5"
    assert records.signed(-0.001) == "0.00"


# Photos.


@pytest.fixture(scope="module")
def network_file(tmp_path_factory) -> Path:
    from paddle_pose.system import runtime

    runtime.import_paddle()
    from paddle_pose.weights import checkpoint

    file = tmp_path_factory.mktemp("weights") / "model.pdparams"
    network = build(configs.load("quickstart:newell_hg1_synthetic").model)
    checkpoint.save_weights(network, file)
    return file


def test_page_with_photos_holds_them_and_leaves_no_file(small_people, network_file, tmp_path):
    target = tmp_path / "photos.html"
    words = ["--gallery", str(small_people), "--weights", str(network_file), "--page", str(target)]
    report.main([*words, "--each", "1"])
    text = target.read_text(encoding="utf-8")
    committed = (ROOT / "reproduce" / "report.html").read_text(encoding="utf-8")
    photo = '<img src="data:image/jpeg;base64,'
    # The committed page holds pictures of rendered people: those of runs, and its own gallery.
    of_runs = len(list((ROOT / "reproduce" / "runs").glob("*/pictures/*.jpg")))
    assert text.count(photo) == 3 * 4 + of_runs
    assert photo in committed
    assert list(tmp_path.iterdir()) == [target]


def test_photos_never_go_into_the_repository(small_people, network_file, tmp_path):
    words = ["--weights", str(network_file)]
    with pytest.raises(UserError, match="stay out of the repository"):
        report.main(["--gallery", str(small_people), *words, "--page", str(ROOT / "x.html")])
    foreign = tmp_path / "foreign"
    shutil.copytree(small_people, foreign)
    (foreign / gallery.RENDERED).unlink()
    with pytest.raises(UserError, match="not people that this project rendered"):
        gallery.main(["--dataset_root", str(foreign), *words])


def test_gallery_picks_best_median_and_worst():
    errors = np.array([0.5, np.nan, 0.1, 0.9, 0.3, 0.7])
    assert gallery.chosen(errors, 1) == [("best", 2), ("median", 0), ("worst", 3)]
    with pytest.raises(UserError, match="too few"):
        gallery.chosen(errors, 2)


def test_heat_map_is_bright_where_the_map_is_high():
    image = np.full((40, 40, 3), 200, np.uint8)
    heatmap = np.zeros((10, 10), np.float32)
    heatmap[2, 7] = 1.0
    brightness = gallery.overlay(image, heatmap).astype(int).sum(2)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    # A cell is 4 x 4 pixels: its centre is at 4 * (2.5, 7.5) - 0.5, its peak within a pixel.
    assert abs(row - 9.5) <= 1
    assert abs(column - 29.5) <= 1
    assert brightness[30, 5] == 3 * int(200 * 0.45)
