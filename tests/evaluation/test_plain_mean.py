"""bearpaw's mean among MPII's scores: the value, its interval, the table."""

from __future__ import annotations

import numpy as np

from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.evaluation import mpii
from paddle_pose.metrics import bearpaw, pckh
from paddle_pose.skeletons import MPII16


def test_it_takes_the_place_of_the_mean_with_its_interval():
    rng = np.random.default_rng(4)
    truth_xy = rng.uniform(50, 200, (40, 16, 2))
    visible = (rng.uniform(size=(40, 16)) > 0.3).astype(np.float64)
    visible[:, 0] = 0  # a joint that nobody has
    truth = MpiiTruth(truth_xy, visible, np.full(40, 50.0))
    found = truth_xy - 1 + rng.normal(0, 18, truth_xy.shape)
    scores = mpii.score_mpii(found, truth, resamples=200)
    weighted, interval = scores.values["Mean"], scores.intervals["Mean"]
    mpii.make_plain(scores, truth.errors(found), visible, 200, 0)
    scored = pckh.scored_joints(MPII16)
    assert scores.values["Mean"] == bearpaw.plain_mean(truth.errors(found), visible, scored)
    low, high = scores.intervals["Mean"]
    assert low < scores.values["Mean"] < high
    # Joints are labelled 28 ± 3 times of 40 and hit to ± 9 points by chance: weighing them moves
    # a mean of 14 by 9 × 3 / 28 / sqrt(14) = 0.26 points, of an interval's end a little more.
    assert abs(scores.values["Mean"] - weighted) < 3
    assert np.allclose((low, high), interval, atol=3)
    assert not np.isnan(scores.values["Mean"])
    assert "Mean@0.5" in mpii.format_table(scores)
