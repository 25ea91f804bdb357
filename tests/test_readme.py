"""The README's results are what the committed records say."""

from __future__ import annotations

from conftest import ROOT

from reproduce import readme


def test_results_are_not_stale():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.block() in text, "run python -m reproduce.readme"
