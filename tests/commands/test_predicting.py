"""Poses of all ranks as one table: also where a rank or everybody has found nobody."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.commands import predicting
from paddle_pose.poses.poses import Poses
from paddle_pose.system import parallel


def batch(first: int, count: int) -> Poses:
    """Poses whose numbers tell their place; ids beyond 2^53, which a float would round."""
    rows = np.arange(first, first + count)
    return Poses(
        image_ids=rows + (1 << 60) + 1,
        keypoints=rows[:, None, None] + np.arange(6.0).reshape(2, 3),
        scores=rows / 7,
        boxes_xywh=np.full((count, 4), np.nan),
        rows=rows,
        instances=rows % 2,
    )


def test_one_process_keeps_every_bit():
    parts = [batch(0, 3), batch(3, 0), batch(3, 2)]
    found = predicting._gathered(parts, 2)
    whole = Poses.joined(parts)
    for name in ("image_ids", "keypoints", "scores", "boxes_xywh", "rows", "instances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert len(predicting._gathered([], 2)) == 0
    assert predicting._gathered([batch(0, 0)], 2).keypoints.shape == (0, 2, 3)


@pytest.mark.parametrize("counts", [[3, 3, 1], [2], [0, 4], []])
def test_ranks_take_turns(monkeypatch, counts):
    """Two ranks in turns: the first has batches 0, 2, …; one of them may have none."""
    firsts = np.cumsum([0, *counts])
    batches = [batch(first, count) for first, count in zip(firsts, counts, strict=False)]
    ranks = [batches[0::2], batches[1::2]]

    def gathered(own: list[Poses]) -> list[np.ndarray]:
        numbers = predicting._as_numbers(Poses.joined([Poses.none(2), *own]))
        return [np.array([[len(one)] for one in own], np.float64).reshape(-1, 1), numbers]

    made = [gathered(own) for own in ranks]
    replies = iter([[one[0] for one in made], [one[1] for one in made]])
    monkeypatch.setattr(parallel, "ranks", lambda: 2)
    monkeypatch.setattr(parallel, "gather", lambda _: next(replies))
    found = predicting._gathered(ranks[0], 2)
    np.testing.assert_array_equal(found.rows, np.arange(sum(counts)))
