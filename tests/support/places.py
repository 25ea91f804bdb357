"""Folders that tests read, and the overrides that make a recipe small."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PARITY = TESTS / "parity"
CHECKPOINTS = TESTS / "fixtures" / "checkpoints"

TINY = (
    "model.features=16", "model.stem=8", "model.depth=2", "data.image_size_wh=[64,64]",
    "train.batch_size=5", "train.log_every=1", "eval.batch_size=4", "eval.bootstrap=20",
)  # fmt: skip
"""Overrides that make the quickstart recipe train in seconds."""
