"""Newell's own test, from the photo to the score: a group that a clone of princeton-vl makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.data import mpii
from paddle_pose.data.augment import crop_image
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.geometry import crop_matrix
from paddle_pose.metrics.newell import mean_16
from paddle_pose.poses.poses import Place
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import MPII16
from reproduce.aligning.networks import reference_data
from reproduce.aligning.rows import Reference, Row

NAME = "newell"
LIVE = True
ROOTS = {
    "data": ("paddle_pose.data.mpii.load", "paddle_pose.data.mpii.truth"),
    "decode": (
        "paddle_pose.codecs.newell.cells",
        "paddle_pose.codecs.newell.whole_pixels",
        "paddle_pose.codecs.heatmap.HeatmapCodec",
    ),
    "metric": ("paddle_pose.metrics.newell.mean_16",),
}
PEOPLE, SIDE = 24, 256
BENCHMARK = Benchmark(name=NAME, shift_heatmap=False, decoder="quarter_offset_always")
_FILES = {
    "data": "data/MPII/annot/valid.h5, utils/img.py crop",
    "decode": "test.py inference, utils/group.py HeatmapParser, utils/img.py transform",
    "metric": "test.py mpii_eval",
}


def jobs(shared: Path | None, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone."""
    rng = np.random.default_rng([seed, 7])
    picture = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    truth_xy = rng.uniform(100, 900, (PEOPLE, 16, 2))
    inputs = {
        "plain": rng.normal(0.1, 0.2, (PEOPLE, 16, 64, 64)).astype(np.float32),
        "mirrored": rng.normal(0.1, 0.2, (PEOPLE, 16, 64, 64)).astype(np.float32),
        "centers": rng.uniform(200, 700, (PEOPLE, 2)),
        "scales": rng.uniform(0.8, 5, PEOPLE),
        "picture": cv2.resize(picture, (800, 600), interpolation=cv2.INTER_CUBIC),
        "predicted": truth_xy + rng.normal(0, 25, truth_xy.shape),
        "truth": truth_xy * (rng.uniform(0, 1, (PEOPLE, 16, 1)) > 0.2),
        "heads": rng.uniform(40, 120, PEOPLE),
    }
    inputs["plain"][0, 0, :, 0] = inputs["mirrored"][0, 5, :, -1] = 2  # equals, cut, at a border
    job = {"what": NAME, "kind": clone.kind, "clone": str(clone.folder), "threads": threads}
    theirs = ask(job, inputs=inputs)
    made = [*_decoded(inputs, theirs), *_scored(inputs, theirs), *_crops(inputs, theirs)]
    shared = reference_data()
    if shared is not None and (shared / "data/mpii").is_dir():
        made += _people(shared / "data/mpii", theirs)
    return [
        Row(
            *(NAME, step, kind, text, float(off), limit, why),
            Reference(clone.repository, clone.commit, _FILES[step]),
            "live",
        )
        for step, kind, text, off, limit, why in made
    ]


Made = tuple[str, str, str, float, float | None, str]
"""Step, precision, quantity, difference, tolerance and its origin."""


def _place(inputs: dict[str, np.ndarray]) -> Place:
    """Of people whose centres are 1-based in the official files."""
    count = len(inputs["scales"])
    scales = np.repeat(inputs["scales"][:, None], 2, 1)
    rows, nobody = np.arange(count), (np.zeros((count, 0, 2)), np.zeros((count, 0)))
    return Place(inputs["centers"] - 1, scales, rows, rows, *nobody)


def _decoded(inputs: dict[str, np.ndarray], theirs: dict) -> Iterator[Made]:
    maps = [{"heatmaps": inputs[name]} for name in ("plain", "mirrored")]
    order = MPII16.flip_order
    merged = HeatmapCodec().heatmaps([View(*maps, 1.0)], order, shift=False)
    cells, scores = HeatmapCodec().cells(merged, BENCHMARK.decoder)
    count = scores.size
    off = np.abs(cells - theirs["cells"]).max()
    text = f"cells of {count} noisy maps and their mirrors"
    yield "decode", "float32", text, off, 0.0, "whole and quarter cells: exact in float32"
    off = np.abs(scores - theirs["maxima"]).max()
    yield "decode", "float32", "their maxima", off, 0.0, "means of two: the same float32 numbers"
    poses = HeatmapCodec().decode([View(*maps, 1.0)], _place(inputs), BENCHMARK, order)
    apart = np.abs(poses.keypoints[..., :2] + 1 - theirs["poses"]).max(2)
    text = f"poses in whole pixels: share of {count} joints a pixel apart"
    why = (
        "cut to whole pixels: joints within 1e-9 px of one fall to either side, 1 of 1,000 at most"
    )
    yield "decode", "float64", text, (apart > 0).mean(), 1e-3, why
    yield "decode", "float64", "poses, px", apart.max(), 1.0, "one whole pixel"
    off = np.linalg.norm(cells - HeatmapCodec().cells(merged, "quarter_offset")[0], axis=2).mean()
    text = "its cells and HRNet's: mean distance on noisy maps, cells"
    yield "decode", "float32", text, off, None, "measured: what it is worth, not an error"


def _scored(inputs: dict[str, np.ndarray], theirs: dict) -> Iterator[Made]:
    truth = inputs["truth"]
    known = MpiiTruth(truth, (truth[..., 0] != 0).astype(np.float64), inputs["heads"])
    ours = mean_16(known.errors(inputs["predicted"] - 1), known.visible)
    hits = [round(rate * int(theirs["labelled"]) / 100) for rate in (ours, 100 * theirs["rate"])]
    text = f"hits among {int(theirs['labelled'])} labelled joints of 16"
    why = "its share has three digits, which tell a hit of fewer than 500 joints"
    yield "metric", "count", text, abs(hits[0] - hits[1]), 0.0, why


def _crops(inputs: dict[str, np.ndarray], theirs: dict) -> Iterator[Made]:
    total = 0.0
    for center, scale, crop in zip(
        inputs["centers"], inputs["scales"], theirs["crops"], strict=True
    ):
        matrix = crop_matrix(center - 1, np.repeat(scale, 2), 0.0, (SIDE, SIDE))
        ours = crop_image(inputs["picture"], matrix, (SIDE, SIDE))
        total += float(np.abs(ours.astype(float) - crop).mean()) / len(theirs["crops"])
    text = f"{PEOPLE} crops of a smooth picture, mean over pixels, levels of 255"
    why = "measured: it cuts whole pixels and resizes, here one warp; neither is the other's error"
    yield "data", "uint8", text, total, None, why


def _people(root: Path, theirs: dict) -> Iterator[Made]:
    table, truth = mpii.load(root, "valid", with_truth=False), mpii.truth(root, "valid")
    seen = theirs["file_part"][..., 0] != 0
    text = f"labelled joints of {len(table)} people on one side only"
    off = float((seen != (truth.visible > 0)).sum())
    yield "data", "count", text, off, None, "measured: its file has 0 where a joint is missing"
    both = seen & (truth.visible > 0)
    apart = np.abs(theirs["file_part"] - truth.joints_xy).max(2)[both]
    text = f"joints of {apart.size} that are more than a pixel apart"
    why = "measured: one of their coordinates is 0 in the .mat, or the middle of another joint's"
    yield "data", "count", text, (apart > 1).sum(), None, why
    whole = np.trunc(np.round(truth.joints_xy, 3))[both][apart <= 1]
    off = (whole != theirs["file_part"][both][apart <= 1]).any(1).sum()
    why = "measured: it has whole pixels, and cuts 952.9996 to 952"
    yield "data", "count", "others that are not the .mat's cut toward 0", off, None, why
    off = np.abs(theirs["file_center"] - 1 - table.center_xy).max()
    yield "data", "float64", "centres, px", off, 1e-3, "float32 below 2048 px: some steps of 2^-13"
    off = np.abs(theirs["file_scale"] - table.scale_wh[:, 0]).max()
    yield "data", "float64", "scales, units of 200 px", off, 1e-5, "float32 below 32"
    off = np.abs(theirs["file_normalize"] / truth.head_size_px - 1).max()
    yield "data", "float64", "head sizes, relative", off, 1e-6, "float32 there"
