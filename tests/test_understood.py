"""Counts in words."""

from __future__ import annotations

import pytest

from paddle_pose.understood import counted


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0, "pair"), "0 pairs"),
        ((1, "pair"), "1 pair"),
        ((1200, "pair"), "1,200 pairs"),
        ((1, "person", "people"), "1 person"),
        ((2, "person", "people"), "2 people"),
    ],
)
def test_one_is_one(words, text):
    assert counted(*words) == text
