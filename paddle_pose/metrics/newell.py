"""The mean of Newell's own test: all 16 joints, an error below half a head, not at it."""

from __future__ import annotations

import numpy as np


def mean_16(errors: np.ndarray, visible: np.ndarray) -> float:
    """Per cent of labelled joints (N, J) whose error in head sizes is below 0.5; nan of none.

    Source: princeton-vl/pytorch_stacked_hourglass test.py:122 @ceedc14
    """
    labelled = visible > 0
    if not labelled.any():
        return float("nan")
    return float(100.0 * (np.asarray(errors, np.float64)[labelled] < 0.5).mean())
