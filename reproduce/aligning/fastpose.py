"""Light AlphaPose: whose rows stand under ``fastpose``; see ``groups`` for what a module has."""

from __future__ import annotations

from typing import Any

from reproduce.aligning import fastpose_networks, fastpose_tracking

NAME = "fastpose"
MODULES: tuple[Any, ...] = (
    fastpose_networks,
    fastpose_tracking,
)  # fmt: skip
"""A line for each part."""
