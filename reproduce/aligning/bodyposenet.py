"""BodyPoseNet: whose rows stand under ``bodyposenet``; see ``groups`` for what a module has."""

from __future__ import annotations

from typing import Any

from reproduce.aligning import (
    bodyposenet_data,
    bodyposenet_inference,
    bodyposenet_network,
    bodyposenet_oracle,
    bodyposenet_prune,
    bodyposenet_training,
)

NAME = "bodyposenet"
MODULES: tuple[Any, ...] = (
    bodyposenet_network,
    bodyposenet_training,
    bodyposenet_inference,
    bodyposenet_oracle,
    bodyposenet_data,
    bodyposenet_prune,
)  # fmt: skip
"""A line for each part."""
