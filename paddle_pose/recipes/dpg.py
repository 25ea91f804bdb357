"""AlphaPose's second stage: DPG and the rate restarted."""

from __future__ import annotations

from collections.abc import Sequence

from paddle_pose.settings import Stage

GAMMA = 0.1
"""Of the restarted rate, whatever the first one's is."""


def dpg_stage(milestone: int, steps: Sequence[int], *, begin: int = 0) -> Stage:
    """From the epoch after ``milestone`` on boxes are jittered and the rate begins anew.

    Args:
        milestone: AlphaPose's DPG_MILESTONE, an epoch from 0.
        steps: its DPG_STEP, epochs from 0.
        begin: its BEGIN_EPOCH, which is our epoch 0.

    Source: MVIG-SJTU/AlphaPose scripts/train.py:307, alphapose/opt.py:59 @c60106d
    """
    changes = {
        "augment.dpg": True,
        "train.milestones": tuple(step - milestone for step in steps),
        "train.gamma": GAMMA,
    }
    return Stage(milestone + 1 - begin, changes, restart=True)
