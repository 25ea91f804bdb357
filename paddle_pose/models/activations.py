"""Activations of single networks, value by value, so of either layout."""

from __future__ import annotations

from paddle.nn import functional as F

from paddle_pose.models.blocks import Features


def elu(x: Features) -> Features:
    """F.elu: x, or exp(x) - 1 below 0."""
    return F.elu(x)
