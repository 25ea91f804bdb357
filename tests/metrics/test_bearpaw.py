"""bearpaw's mean by hand."""

from __future__ import annotations

import numpy as np

from paddle_pose.metrics.bearpaw import plain_mean


def test_every_joint_counts_alike_and_half_a_head_is_a_miss():
    errors = np.array([[0.1, 0.5, 0.0, 9.0], [0.1, 0.49, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    visible = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, 0]])
    scored = np.array([True, True, False, True])  # the last one is labelled nowhere
    assert np.isclose(plain_mean(errors, visible, scored), (200 / 3 + 50) / 2, rtol=1e-14)
    assert np.isnan(plain_mean(errors, np.zeros((3, 4)), scored))
