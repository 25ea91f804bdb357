"""What is learnt of visible joints, and read of maps beside them: mmpose's visibility head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose import configs
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.porting import network_keys
from paddle_pose.porting.names import spelling_of, table_of
from paddle_pose.skeletons import COCO17
from reproduce.aligning.rows import Reference, Row

NAME = "visibility"
LIVE = True
ROOTS = {
    "data": ("paddle_pose.codecs.heatmap.HeatmapCodec",),
    "decode": ("paddle_pose.codecs.heatmap.HeatmapCodec",),
    "forward": (
        "paddle_pose.porting.names.table_of",
        "paddle_pose.models.pose_resnet.PoseResNetVisibilityNetwork",
    ),
}
RECIPE = "mmpose:res50_vis_coco_aic_merge_256x192"
SIZE_WH, PEOPLE = (192, 256), 40
_TARGETS = (
    "mmpose/datasets/transforms GenerateTarget, PackPoseInputs; codecs/msra_heatmap.py encode"
)
_HEAD = "mmpose/models/heads/hybrid_heads/vis_head.py predict"
TEST = {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": True}
MAPS = "a float32 exponential of either framework errs by 1 unit, 2^-24, of at most 1"


def jobs(shared: Path | None, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone of mmpose."""
    rng = np.random.default_rng([seed, 7])
    inputs = {
        "joints": rng.uniform(-60, 316, (PEOPLE, 17, 2)),  # about a third lie outside
        "visible": rng.integers(-1, 2, (PEOPLE, 17)).astype(np.float64),  # -1: it has none
        "plain": rng.normal(0, 1, (4, 2048, 8, 6)).astype(np.float32),
        "mirrored": rng.normal(0, 1, (4, 2048, 8, 6)).astype(np.float32),
    }
    job = {
        "what": NAME,
        "kind": clone.kind,
        "clone": str(clone.folder),
        "flip_order": COCO17.flip_order.tolist(),
        "test": TEST,
        "seed": seed,
        "threads": threads,
    }
    return list(_rows(clone, inputs, ask(job, inputs=inputs)))


def _rows(clone: Any, inputs: dict[str, np.ndarray], theirs: dict) -> Iterator[Row]:
    def row(step: str, kind: str, text: str, off: float, limit: float, why: str) -> Row:
        reference = Reference(clone.repository, clone.commit, _TARGETS if step == "data" else _HEAD)
        return Row(NAME, step, kind, text, float(off), limit, why, reference, "live")

    codec = HeatmapCodec()
    people = zip(inputs["joints"], inputs["visible"], strict=True)
    made = [codec.encode(joints, np.maximum(visible, 0), SIZE_WH) for joints, visible in people]
    ours = {name: np.stack([one[name] for one in made]) for name in made[0]}
    off = (ours["weights"] != theirs["weights"]).sum()
    text = f"joints that are visible in the crop, of {ours['weights'].size}"
    yield row("data", "count", text, off, 0.0, "0 or 1: equal")
    text = f"people of {PEOPLE} whose mask of joints that their data set has reaches the loss"
    yield row("data", "count", text, theirs["masks"], 0.0, "none, and here is none")
    off = np.abs(ours["heatmaps"] - theirs["maps"]).max()
    yield row("data", "float32", "maps of those", off, 2.0**-23, MAPS)
    view = View({"heatmaps": theirs["plain_maps"]}, {"heatmaps": theirs["mirrored_maps"]})
    maps = codec.heatmaps([view], COCO17.flip_order, shift=True)
    cells, scores = codec.cells(maps, "quarter_offset_per_axis")
    off = np.abs(cells - theirs["keypoints"] / 4).max()
    why = "whole and quarter cells, × 192 / 48: exact in float32"
    yield row("decode", "float32", "cells of its flip test", off, 0.0, why)
    off = np.abs(scores - theirs["keypoint_scores"]).max()
    text = "its scores: maxima of the maps, not its probabilities"
    yield row("decode", "float32", text, off, 0.0, "the same float32 numbers")
    model = configs.load(RECIPE).model
    table = table_of(model)
    names = [n for n in theirs["names"].tolist() if not n.endswith("num_batches_tracked")]
    spelling = spelling_of(names, table, "mmpose's network")
    found = sorted(spelling.ours(name) for name in names)
    off = len(set(found) ^ set(network_keys(model).shapes)) + len(found) - len(set(found))
    text = f"names of its {len(names)} tensors without a place of their own"
    yield row("forward", "count", text, off, 0.0, "names")
