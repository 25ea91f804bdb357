"""The section on "Mean@0.1" says what the records say."""

from __future__ import annotations

import json
import re

import pytest

from reproduce import conventions, mean_at_01, published, training_logs

TEXT = mean_at_01.section()


def test_numbers_are_those_of_the_records():
    record = json.loads(conventions.FILE.read_text(encoding="utf-8"))
    newell = record["sets"]["newell_8_stacks"]["official"]
    bearpaw = record["sets"]["bearpaw_8_stacks"]["conventions"]["one pixel"]
    best = training_logs.read()["runs"]["hourglass52_mpii_256x256"]["scores"]["Mean@0.1"]["best"]
    for value in (
        f"score {newell['Mean@0.1']['value']:.2f} at 0.10",
        f"and {newell['Mean@0.11']['value']:.2f} at 0.11",
        f"{bearpaw['Mean@0.1']['difference']:+.2f} (95 % interval",
        f"256x256: {best:.2f} in epoch 174",
        "says 36.1 for Hourglass-52, 1 stack",
        "31.7",
    ):
        assert value in TEXT


def test_every_publisher_of_the_column_is_named_with_its_threshold():
    rows = {row.id.split(":")[0] for row in published.load() if "Mean@" in row.metric_name}
    assert rows == set(mean_at_01.PUBLISHERS)
    for publisher, threshold in {
        "HRNet's README": "0.11",
        "mmpose 1.x's model zoo": "0.10",
    }.items():
        assert f"| {publisher} | {threshold} |" in TEXT


def test_tables_have_as_many_cells_as_their_heads():
    for block in re.findall(r"(?:^\|.*\n?)+", TEXT, re.MULTILINE):
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1


def test_examples_of_mixtures_are_mixtures(monkeypatch: pytest.MonkeyPatch):
    assert TEXT.count("threshold: 0.1, 0.11") + TEXT.count("threshold: 0.11, 0.1") == len(
        mean_at_01.MIXED
    )
    same = ("mmpose0:hrnet_w32_mpii_256x256", "Mean"), ("mmpose1:hrnet_w32_mpii_256x256", "Mean")
    monkeypatch.setattr(mean_at_01, "MIXED", (same,))
    with pytest.raises(ValueError, match="no example"):
        mean_at_01.section()
