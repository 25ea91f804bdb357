"""README_cn.md and docs/cn/ say what the English pages say: commands, tables, numbers, links."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import ROOT

ENGLISH_ONLY = {"docs/limits.md": "written by python -m paddle_pose.limits"}
"""Pages without a twin, and why."""
TWINS = {"README.md": "README_cn.md"} | {
    f"docs/{page.name}": f"docs/cn/{page.name}"
    for page in sorted((ROOT / "docs").glob("*.md"))
    if f"docs/{page.name}" not in ENGLISH_ONLY
}
ENGLISH = {chinese: english for english, chinese in TWINS.items()} | {
    "reproduce/REPORT_cn.md": "reproduce/REPORT.md"
}
GENERATED = re.compile(r"<!-- export: .*?<!-- end of export -->\n", re.S)
"""A table that the Chinese page links to instead."""
FENCE = re.compile(r"(?:<!-- ([^>]*) -->\n)?^```(.*?)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """What of a page both languages share, or what the test compares of it."""

    path: str
    text: str

    @classmethod
    def read(cls, path: str) -> Page:
        return cls(path, GENERATED.sub("", (ROOT / path).read_text("utf-8")))

    @property
    def prose(self) -> str:
        return FENCE.sub("", self.text)

    @property
    def headings(self) -> list[tuple[int, str]]:
        found = re.findall(r"^(#+) (.*)$", self.prose, re.M)
        return [(len(marks), words) for marks, words in found]

    @property
    def blocks(self) -> list[tuple[str, str, list[str]]]:
        """Mark, kind and lines of each fenced block, without what may be translated."""
        return [(m, kind, code_of(kind, text)) for m, kind, text in FENCE.findall(self.text)]

    @property
    def tables(self) -> list[list[list[Counter]]]:
        """Tables → rows → cells → numbers and code."""
        found = re.findall(r"(?:^\|.*\n)+", self.prose, re.M)
        return [
            [[facts(cell) for cell in re.split(r"(?<!\\)\|", row)] for row in table.splitlines()]
            for table in found
        ]

    @property
    def sections(self) -> list[Counter]:
        """Numbers and code of the words below each heading."""
        return [facts(part) for part in re.split(r"^#+ .*$", self.prose, flags=re.M)]

    @property
    def links(self) -> Counter:
        """Files and addresses; a Chinese page as its English twin, the page's own twin left out."""
        found = Counter(self.target(link)[0] for link in LINK.findall(self.prose))
        found.pop(ENGLISH.get(self.path, self.path))
        return found

    def target(self, link: str) -> tuple[str, str]:
        """File, or address, and anchor."""
        if link.startswith("http"):
            return link, ""
        path, _, anchor = link.partition("#")
        file = (ROOT / self.path).parent / path if path else ROOT / self.path
        name = file.resolve().relative_to(ROOT.resolve()).as_posix()
        return ENGLISH.get(name, name), anchor


def code_of(kind: str, text: str) -> list[str]:
    """Lines without comments but for what tests read in them; of a tree the names."""
    if kind == "text tree":
        return [re.match(r"\s*\S*", line)[0] for line in text.splitlines()]
    comment = re.compile(r"(^|\s)#\s.*?((?:needs|says): .*)?$")
    return [comment.sub(r"\1\2", line).rstrip() for line in text.splitlines()]


def facts(text: str) -> Counter:
    """Numbers and code spans of some words; how often each."""
    text = re.sub(r"(\d+)\s+million", lambda found: f"{found[1]}00", text.replace("2-D", ""))
    text = LINK.sub("]", text)
    code = [re.sub(r"\s+", " ", one) for one in re.findall(r"`([^`]+)`", text)]
    pages = [re.sub(r"^(\.\./)+", "", one).replace("README_cn", "README") for one in code]
    return Counter(re.findall(r"\d(?:[\d,.]*\d)?", text) + pages)


def anchors(path: Path) -> set[str]:
    """Where a link into a page can lead, as GitHub makes them of headings."""
    text = path.read_text("utf-8")
    headings = [words for _, words in Page(str(path), text).headings]
    slugs = [re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings]
    return {*slugs, *re.findall(r'id="([^"]+)"', text)}


@pytest.fixture(params=TWINS)
def twins(request) -> tuple[Page, Page]:
    return Page.read(request.param), Page.read(TWINS[request.param])


def test_every_page_has_its_twin():
    assert {page.name for page in (ROOT / "docs/cn").iterdir()} == {
        Path(english).name for english in TWINS if english != "README.md"
    }
    assert all((ROOT / page).is_file() for page in ENGLISH_ONLY)


def test_each_links_to_the_other_at_its_top(twins):
    for page, other in (twins, twins[::-1]):
        top = "\n".join(page.text.splitlines()[:3])
        files = [(ROOT / page.path).parent / link for link in LINK.findall(top)]
        assert ROOT / other.path in [file.resolve() for file in files], page.path


def test_headings(twins):
    english, chinese = ([level for level, _ in page.headings] for page in twins)
    assert english == chinese


def test_commands_and_code(twins):
    english, chinese = (page.blocks for page in twins)
    for one, other in zip(english, chinese, strict=False):
        assert one == other
    assert len(english) == len(chinese)


def test_tables(twins):
    english, chinese = (page.tables for page in twins)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert [len(row) for row in one] == [len(row) for row in other]
        for row, translated in zip(one, other, strict=True):
            assert row == translated


def test_numbers_and_code_of_each_section(twins):
    english, chinese = twins
    below = [words for _, words in english.headings]
    assert len(english.sections) == len(chinese.sections)
    for words, one, other in zip(["", *below], english.sections, chinese.sections, strict=True):
        assert (words, one) == (words, other)


def test_links_and_pictures(twins):
    english, chinese = (page.links for page in twins)
    assert english == chinese


def test_links_lead_to_a_file_and_a_place_in_it(twins):
    for page in twins:
        for link in LINK.findall(page.prose):
            if link.startswith("http"):
                continue
            path, _, anchor = link.partition("#")
            file = (ROOT / page.path).parent / path if path else ROOT / page.path
            assert file.exists(), f"{page.path}: {link}"
            assert not anchor or anchor in anchors(file), f"{page.path}: {link}"


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("--epochs 2\n", "--epochs 3\n", "blocks"),
        ("# says: Mean@0.1\n", "# says: Mean@0.2\n", "blocks"),
        ("## 2. ", "### 2. ", "headings"),
        ("](predict.md)", "](weights.md)", "links"),
        ("9400 万", "94 万", "sections"),
    ],
)
def test_a_difference_is_seen(before, after, what):
    page = Page.read("docs/cn/first_steps.md")
    changed = Page(page.path, page.text.replace(before, after, 1))
    assert changed.text != page.text
    assert getattr(changed, what) != getattr(page, what)
