"""Newell's mean: all joints, and half a head is already too far."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.metrics.newell import mean_16


def test_half_a_head_is_too_far():
    errors = np.array([[0.1, 0.5, np.nextafter(0.5, 0), 0.2]])
    two_of_three = pytest.approx(200 / 3, abs=1e-12)  # two roundings, each of 67 × 2^-53
    assert mean_16(errors, np.array([[1, 1, 1, 0]])) == two_of_three
    assert np.isnan(mean_16(errors, np.zeros((1, 4))))
