"""The mean of bearpaw's test: of the joints' percentages, an error below half a head, not at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paddle_pose.settings import PckhProtocol


@dataclass(frozen=True)
class PlainPckh(PckhProtocol):
    """As PckhProtocol; ``Mean`` is the plain mean of the 14 joints' percentages (bearpaw)."""


def plain_mean(errors: np.ndarray, visible: np.ndarray, scored: np.ndarray) -> float:
    """Per cent: errors (N, J) in head sizes of labelled joints, mean over joints ``scored`` (J,).

    Joints that nobody has labelled are left out; nan of none.

    Source: bearpaw/pytorch-pose evaluation/eval_PCKh.m:67, :90 @edc7aec
    """
    labelled = (visible > 0) & scored
    hits = labelled & (np.asarray(errors, np.float64) < 0.5)
    counts = labelled.sum(0)
    known = counts > 0
    return float((100.0 * hits.sum(0)[known] / counts[known]).mean()) if known.any() else np.nan
