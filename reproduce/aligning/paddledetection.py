"""PaddleDetection's HRNet: a group whose rows a clone makes, live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning.encodings import perfect_error_px, place_at
from reproduce.aligning.paddledet_answers import (
    DARK_PX,
    DARK_REASON,
    DECODE,
    MEASURED,
    STEPS,
    STEPS_PER_EPOCH,
    Answers,
    ask,
    mpii_lines,
)
from reproduce.aligning.paddledet_data import mpii_rows, people_rows
from reproduce.aligning.paddledet_network import network_rows
from reproduce.aligning.rows import Row

_CODEC = ("paddle_pose.codecs.heatmap.HeatmapCodec",)
_HRNET = ("paddle_pose.models.hrnet.HRNetNetwork",)
_LOSS = (*_HRNET, "paddle_pose.training.losses.joints_mse")
ROOTS = {
    "forward": (*_HRNET, "paddle_pose.porting.paddledetection.hrnet_rules"),
    "data": (*_CODEC, "paddle_pose.data.top_down.PersonCrops", "paddle_pose.data.coco.load"),
    "decode": (*_CODEC, "paddle_pose.codecs.heatmap.merge_flip"),
    "loss": _LOSS,
    "backward": _LOSS,
    "optimiser": (*_LOSS, "paddle_pose.training.optimizers.make_optimizer"),
    "batch norm": _HRNET,
    "learning rate": ("paddle_pose.training.schedules.learning_rate",),
}

MODULES = (SimpleNamespace(ROOTS=ROOTS, LIVE=True, jobs=lambda shared, quick: []),)
"""As ``groups`` wants it: nothing to make of recorded arrays."""

IMAGE_PX, IMAGE_REASON = 2.0**-14 + 1e-9, "float32 coordinates below 2048 px: half a step of 2^-13"
RATE = 2.3e-13


def decode_rows(side: Answers) -> Iterator[Row]:
    """``use_dark`` true and false, on noisy maps; empty ones among them."""
    maps, codec = side.inputs["maps"], HeatmapCodec()
    place = place_at(side.inputs["centers"], side.inputs["scales"])
    for use_dark, decoder in ((True, "dark_3"), (False, "quarter_offset")):
        cells, scores = codec.cells(maps, decoder)
        off = np.abs(codec.to_image(cells, place, (48, 64)) - side.theirs[f"poses_{use_dark}"])
        text = f"use_dark {use_dark}: {scores.size} noisy maps, in the image, px"
        limit, why = (DARK_PX, DARK_REASON) if use_dark else (IMAGE_PX, IMAGE_REASON)
        yield side.row("decode", "float32", text, off.max(), limit, why, DECODE)
        off = np.abs(scores[..., None] - side.theirs["maxima"]).max()
        text = f"use_dark {use_dark}: maxima of {scores.size} maps"
        yield side.row("decode", "float32", text, off, 0.0, "the same float32 numbers", DECODE)
    apart = [codec.cells(maps, one)[0][2:] for one in ("dark_3", "dark", "quarter_offset")]
    for other, words in ((1, "DARK's own 11 cells"), (2, "use_dark false")):
        off = np.linalg.norm(apart[0] - apart[other], axis=2).mean()
        text = f"its blur of 3 cells and {words}: mean distance on noisy maps, cells"
        yield side.row("decode", "float32", text, off, None, MEASURED, DECODE)
    for encoding, words in (("cell", "HRNet's"), ("unbiased", "DARK's")):
        for decoder, flag in (("quarter_offset", "false"), ("dark_3", "true")):
            off = perfect_error_px(HeatmapCodec(encoding=encoding), decoder)
            text = f"{words} targets, perfect maps, use_dark {flag}: mean error, px of 192×256"
            yield side.row("decode", "float32", text, off, None, MEASURED, DECODE)


def rate_rows(side: Answers) -> Iterator[Row]:
    """The rate of every step."""
    rates = side.theirs["rates"]
    ours = [learning_rate(side.recipe.train, step, STEPS_PER_EPOCH) for step in range(len(rates))]
    off = np.abs(np.array(ours) / rates - 1).max()
    text = f"rates of {len(rates)} steps, {STEPS_PER_EPOCH} an epoch, relative"
    why = "closed forms in float64: 2 × 2^-53 of 1, relative to a warm-up's first 0.001"
    file = "ppdet/optimizer/optimizer.py LearningRate, PiecewiseDecay, LinearWarmup"
    yield side.row("learning rate", "float64", text, off, RATE, why, file)


def rows(clone: Path, commit: str, *, seed: int, quick: bool, data: Path | None) -> list[Row]:
    """All rows of a clone; ``quick`` leaves the network out, no ``data`` the photos."""
    theirs, inputs = ask(clone, seed=seed, steps=0 if quick else STEPS, data=data)
    side = Answers(commit, seed, theirs, inputs)
    found = [*decode_rows(side), *rate_rows(side), *mpii_rows(side, mpii_lines(seed))]
    if data is not None:
        found += people_rows(side, data)
    if not quick:
        found += network_rows(side)
    return found
