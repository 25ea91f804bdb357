"""The READMEs' results are what the committed records say."""

from __future__ import annotations

import re

import pytest
from places import ROOT

from reproduce import readme
from reproduce.reporting import chinese, published_rows, summary
from reproduce.reporting.content import Fact


def test_results_are_not_stale():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "run make report"


def test_chinese_results_are_not_stale():
    text = (ROOT / "README_cn.md").read_text(encoding="utf-8")
    assert readme.with_results(text, readme.chinese_block()) == text, "run make report"


def test_chinese_headlines_have_the_numbers_of_the_english_ones(monkeypatch):
    for one, other in zip(summary.facts(published_rows.table_rows()), chinese.facts(), strict=True):
        assert re.findall(r"\d+", one.value + one.label) == re.findall(
            r"\d+", other.value + other.label
        )
        assert one.link == other.link
    monkeypatch.setattr(summary, "facts", lambda _: [Fact("1", "new words", "x")])
    with pytest.raises(ValueError, match="no Chinese words for: new words"):
        chinese.facts()


def test_a_changed_number_is_noticed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = text.replace("88.04 (87.4", "88.05 (87.4")
    assert changed != text
    assert readme.with_results(changed) == text


def test_every_record_that_it_links_to_exists():
    links = re.findall(r"\]\((reproduce/[^)#]+)", readme.block())
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_it_stays_short():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("\n") <= 250
