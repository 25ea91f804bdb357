"""The README's results are what the committed records say."""

from __future__ import annotations

import re

from places import ROOT

from reproduce import readme


def test_results_are_not_stale():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.with_results(text) == text, "run make report"


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
