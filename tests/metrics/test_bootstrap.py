"""The bootstrap against a plain loop, against theory, and in its cost."""

from __future__ import annotations

import time

import numpy as np
import pytest

from paddle_pose.metrics import bootstrap


def counts(people: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    visible = rng.integers(0, 15, (people, columns))
    return rng.binomial(visible, 0.8), visible


def test_equals_a_plain_loop() -> None:
    hits, visible = counts(50, 3)
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, 50, (20, 50))
    expected = [
        [100.0 * hits[row, k].sum() / visible[row, k].sum() for k in range(3)] for row in drawn
    ]
    # Sums of small integers are exact; one multiplication and one division are the same.
    np.testing.assert_array_equal(bootstrap.resampled_rates(hits, visible, 20, 7), expected)


def test_decided_by_the_seed_and_not_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    hits, visible = counts(40, 2)
    once = bootstrap.resampled_rates(hits, visible, 30, 1)
    assert (bootstrap.resampled_rates(hits, visible, 30, 2) != once).any()
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 90)
    np.testing.assert_array_equal(bootstrap.resampled_rates(hits, visible, 30, 1), once)


def test_width_is_the_standard_error() -> None:
    people, share = 1000, 0.7
    hits = (np.arange(people) < share * people)[:, None]
    low, high = bootstrap.intervals(hits, np.ones((people, 1)), 4000, 0)[0]
    width = 2 * 1.96 * 100 * np.sqrt(share * (1 - share) / people)  # 5.68 points
    # The standard error of a 2.5 % quantile of R draws is √(p(1-p)/R) / density = 2.67σ/√R; two
    # ends give 3.8σ/√4000 = 0.087 points, four times that is 0.35. Percentages step by 0.1.
    assert high - low == pytest.approx(width, abs=0.45)
    assert low < 70 < high


def test_joints_of_one_person_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    person_hits = rng.random((400, 1)) < 0.5
    low, high = bootstrap.intervals(16 * person_hits, np.full((400, 1), 16), 2000, 0)[0]
    # All 16 joints agree, so the interval is that of 400 trials (9.8 points), not of 6,400 (2.45).
    assert 8.5 < high - low < 11.0


def test_nobody_labelled_gives_nan_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    hits = np.array([[1, 0], [1, 0]])
    result = bootstrap.intervals(hits, hits, 10, 0)
    assert result[0].tolist() == [100.0, 100.0]
    assert np.isnan(result[1]).all()
    assert not recwarn.list


def test_mpii_costs_less_than_a_second() -> None:
    hits, visible = counts(2958, 21)
    start = time.process_time()
    bootstrap.intervals(hits, visible, 1000, 0)
    assert time.process_time() - start < 1.0  # measured 0.05 s
