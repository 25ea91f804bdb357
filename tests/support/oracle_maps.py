"""Maps of a network that sees everything: heat maps and fields of people whose joints are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.configs.whole_images import BENCHMARKS, STRICT
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import Recipe, dump_yaml
from paddle_pose.settings import Benchmark, DataSettings, TrainSettings
from paddle_pose.skeletons import BODYPOSE18
from paddle_pose.weights import checkpoint

STRIDE, SIGMA_PX, NEAR_PX = 8, 7.0, 8.0
LIMBS = np.array([[BODYPOSE18.index(end) for end in limb] for limb in BODYPOSE18.limbs])

STANDING = np.array(
    [[0, -60], [0, -40], [-15, -40], [-22, -15], [-22, 10], [15, -40], [22, -15], [22, 10],
     [-10, 10], [-10, 45], [-10, 80], [10, 10], [10, 45], [10, 80],
     [-5, -66], [5, -66], [-12, -62], [12, -62]], float)  # fmt: skip
"""(18, 2) one person, 146 pixels high, about (0, 0)."""


def people_at(*centers_xy: tuple[float, float], height_px: float = 146.0) -> np.ndarray:
    """(P, 18, 2) people standing there."""
    return np.array(centers_xy, float)[:, None] + STANDING * (height_px / 146)


def maps_of(joints_PJ2: np.ndarray, height: int, width: int) -> dict[str, np.ndarray]:
    """A batch of one, of ceil(side / 8) cells; joints in pixels of the input.

    Heat maps are drawn for the middles of cells, fields for their corners, as BodyPoseNet's are.
    """
    rows, columns = np.mgrid[: -(-height // STRIDE), : -(-width // STRIDE)] * float(STRIDE)
    middle = np.stack([columns, rows], -1) + (STRIDE - 1) / 2
    apart = ((middle[None, None] - joints_PJ2[:, :, None, None]) ** 2).sum(-1)
    heat = np.exp(-apart / (2 * SIGMA_PX**2)).max(0)
    pafs = np.zeros((2 * len(LIMBS), *rows.shape))
    corner = np.stack([columns, rows], -1)
    for joints in joints_PJ2:
        for kind, (start, end) in enumerate(LIMBS):
            way = joints[end] - joints[start]
            length = np.linalg.norm(way)
            along = (corner - joints[start]) @ way / length
            across = (corner - joints[start]) @ np.array([-way[1], way[0]]) / length
            inside = (abs(across) <= NEAR_PX) & (along >= -NEAR_PX) & (along <= length + NEAR_PX)
            pafs[2 * kind : 2 * kind + 2, inside] = (way / length)[:, None]
    heat = np.concatenate([heat, 1 - heat.max(0, keepdims=True)])
    return {"heatmaps": heat[None].astype(np.float32), "pafs": pafs[None].astype(np.float32)}


def oracle(
    joints_PJ2: np.ndarray, size_wh: tuple[int, int], benchmark: Benchmark
) -> Callable[[np.ndarray], tuple[dict[str, np.ndarray], None]]:
    """What stands in for a network on pictures of that size; it is asked scale after scale."""
    whole, calls = benchmark.whole, []
    high, wide = whole.size_hw
    ratios = np.array([wide / size_wh[0], high / size_wh[1]])
    zoom = {"stretch": ratios, "adjust": ratios.max(), "pad": ratios.min()}[whole.mode]

    def forward(images_BHWC: np.ndarray) -> tuple[dict[str, np.ndarray], None]:
        scale = benchmark.test_scales[len(calls) % len(benchmark.test_scales)]
        calls.append(scale)
        begin = np.zeros(2)
        if whole.mode == "pad":  # whole pixels of the picture, half of them before it
            sides = np.array(whole.size_hw[::-1]) / ratios.min()
            begin = (sides - size_wh).astype(int) // 2
        count, height, width = np.asarray(images_BHWC).shape[:3]
        maps = maps_of((joints_PJ2 + begin) * zoom * scale, height, width)
        return {name: np.repeat(one, count, 0) for name, one in maps.items()}, None

    return forward


def tiny_recipe(size_hw: tuple[int, int] = (120, 160)) -> Recipe:
    """A small network in NVIDIA's three ways to look, the last one at that size."""
    benchmarks = [
        replace(one, whole=replace(one.whole, size_hw=size_hw if one == STRICT else (130, 130)))
        for one in BENCHMARKS
    ]
    return Recipe(
        "tiny_bodyposenet",
        model=BodyPoseNet(stages=1, width=4, features=8),
        data=DataSettings(
            dataset="coco",
            skeleton="bodypose18",
            train_split="train2017",
            val_split="val2017",
            rgb_mean=(128 / 255,) * 3,
            rgb_std=(256 / 255,) * 3,
        ),
        codec=PafCodec(),
        train=TrainSettings(loss="masked_squares"),
        benchmarks=tuple(benchmarks),
    )


def weights_of(recipe: Recipe, folder: Path) -> Path:
    """Drawn ones, in a run folder."""
    paddle.seed(3)
    file = folder / "best_model" / "model.safetensors"
    checkpoint.save_weights(build(recipe.model), file)
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return file


def worst_shift_px() -> float:
    """How far from a joint its upsampled map can be highest, in pixels of the input: a scan.

    Cubic interpolation of a curve that is drawn every 8 pixels moves its maximum.
    """
    cells = np.arange(20) * STRIDE + (STRIDE - 1) / 2
    worst = 0.0
    for place in 80 + np.arange(0, 8, 0.125):
        row = np.exp(-((cells - place) ** 2) / (2 * SIGMA_PX**2)).astype(np.float32)
        many = np.repeat(row[None], 3, 0)
        whole = cv2.resize(many, None, fx=STRIDE, fy=STRIDE, interpolation=cv2.INTER_CUBIC)
        worst = max(worst, abs(whole[12].argmax() - place))
    return worst
