"""Holes and colours that mmpose's three rows change crops by: drawn as its libraries draw them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from paddle_pose.data import pixels
from reproduce.aligning.networks import MMPOSE, PARITY
from reproduce.aligning.rows import Reference, Row

NAME = "pixels"
SIZE_WH = (192, 256)
ROOTS = {
    "data": tuple(
        f"paddle_pose.data.pixels.{name}"
        for name in ("coarse_dropout", "grid_mask", "colors_mmpose0", "colors_mmpose1")
    )
}

_HOLES = Reference("albumentations-team/albumentations", "1.3.1", "albumentations/augmentations/")
_COLORS = {
    "mmpose0": Reference(
        "open-mmlab/mmpose",
        "0d9a00c1d64b68999e4b2a4ee5ed0d5ac2c3e296",
        "mmpose/datasets/pipelines/shared_transform.py",
    ),
    "mmpose1": Reference(*MMPOSE, "mmpose/datasets/transforms/common_transforms.py"),
}
STEPS = 2.0
STEPS_REASON = (
    "OpenCV's versions round colours one step of 255 apart; contrast, up to 1.5, and cutting: 2"
)
SAME, SAME_REASON = 0.0, "whole numbers: equal"


class PythonDraws:
    """Python's own generator, which albumentations draws with."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integers(self, low: int, high: int, *, endpoint: bool) -> int:
        """From low to high, both of them there."""
        return self._random.randint(low, high if endpoint else high - 1)


class OldNumpyDraws:
    """NumPy's generator of old, which mmpose draws with."""

    def __init__(self, seed: int) -> None:
        state = np.random.RandomState(seed)
        self.integers, self.uniform, self.permutation = (
            state.randint,
            state.uniform,
            state.permutation,
        )


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    return [
        ("holes", 1, lambda tick: list(hole_rows())),
        ("colours", 1, lambda tick: list(color_rows())),
    ]


def hole_rows() -> Iterator[Row]:
    """Edges of the holes, and how many pixels of a crop are black."""
    recorded = json.loads((PARITY / "pixels" / "pixels.json").read_text())
    white = np.full((SIZE_WH[1], SIZE_WH[0], 3), 255, np.uint8)
    for name, draw in (
        ("coarse_dropout", pixels.coarse_dropout),
        ("grid_mask", pixels.grid_mask),
    ):
        edges, black = 0, 0
        pairs = zip(recorded[name]["edges"], recorded[name]["black_px"], strict=True)
        for seed, (their_edges, their_black) in enumerate(pairs):
            holes = draw(SIZE_WH, PythonDraws(seed))
            ours = [list(hole) for hole in holes.edges_px]
            edges += ours != their_edges
            found = np.count_nonzero(np.all(holes.of(white) == 0, axis=-1))
            black = max(black, abs(int(found) - their_black))
        words = name.replace("_", " ")
        count = len(recorded[name]["edges"])
        for text, off in (
            (f"crops of {count} whose holes of {words} lie elsewhere", edges),
            (f"pixels that {words} blackens, {count} crops", black),
        ):
            yield Row(NAME, "data", "integers", text, float(off), SAME, SAME_REASON, _HOLES)


def color_rows() -> Iterator[Row]:
    """A crop after the photometric distortion of either edition, red first."""
    recorded = np.load(PARITY / "pixels" / "pixels.npz")
    for edition, draw in (
        ("mmpose0", pixels.colors_mmpose0),
        ("mmpose1", pixels.colors_mmpose1),
    ):
        off = max(
            int(np.abs(draw(OldNumpyDraws(seed)).of(recorded["noise"]).astype(int) - theirs).max())
            for seed, theirs in enumerate(recorded[edition])
        )
        text = f"colours after {edition}'s distortion, {len(recorded[edition])} draws, steps of 255"
        reference = _COLORS[edition]
        yield Row(NAME, "data", "uint8", text, float(off), STEPS, STEPS_REASON, reference)
