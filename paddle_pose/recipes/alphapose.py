"""What AlphaPose's recipes share: their pixels, and a second stage with DPG."""

from __future__ import annotations

from collections.abc import Sequence

from paddle_pose.settings import Stage

RGB_MEAN = (0.406, 0.457, 0.480)
"""``data.rgb_mean``: about ImageNet's of blue, green and red, taken from red, green and blue.

A mistake that every released weight was trained with, so that it belongs to them.
Source: MVIG-SJTU/AlphaPose alphapose/utils/presets/simple_transform.py:98 @c60106d
"""

RGB_STD = (1.0, 1.0, 1.0)
"""``data.rgb_std``: AlphaPose divides by no deviation."""

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
