"""PaddleDetection's loader against ours: people, crops, targets of real photos; its MPII key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from paddle_pose import configs
from paddle_pose.data import coco
from paddle_pose.data import top_down as datasets
from paddle_pose.geometry import UNIT_PX
from paddle_pose.settings import AugmentSettings
from reproduce.aligning.paddledet_answers import MEASURED, PIPELINES, RECIPE, Answers
from reproduce.aligning.rows import Row

_DRAW = datasets.draw
_SOURCE = "ppdet/data/source/keypoint_coco.py KeypointTopDown"
MEASURED_EDGE = (
    "measured: it cuts the ends of the square of 3 sigma to whole cells, so a joint whose square "
    "ends less than a cell outside keeps its weight"
)
LEVEL = "a float32 step of the matrix: a value between two levels falls to the other"
TARGETS = 8.5e-6
TARGETS_REASON = (
    "it rounds centre and scale (2 × 2^-15 px of a photo below 1024) and joints (2^-16 px) to "
    "float32: / 4 × 0.303 a cell × 2^0.5; and 3e-7 of a Gaussian in float32"
)
UDP_MAPS = 3.2e-5
UDP_REASON = "float32 matrices a step apart: 4e-4 px of joints below 2048 px, / 4 × 0.3 a cell"
EDGE = float(np.exp(-4.5))
EDGE_REASON = "of a joint a step from between two cells the window ends a cell further: exp(-4.5)"


class Drawn:
    """NumPy's old generator under the names of the new one's methods."""

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)

    def random(self) -> float:
        """From [0, 1)."""
        return float(self._state.random_sample())

    def standard_normal(self) -> float:
        """One number."""
        return float(self._state.standard_normal())


def people_rows(side: Answers, data: Path) -> Iterator[Row]:
    """Centres and scales of all people, and every sample of each configuration."""
    table = coco.load(data, "val2017", image_size_wh=(192, 256))
    ours = {
        (int(table.image_ids[image]), *map(float, np.float32(table[i].center_xy))): i
        for i, image in enumerate(table.image_index)
    }
    theirs = list(zip(side.theirs["image_ids"], side.theirs["first_centers"], strict=True))
    keys = [(int(image), *map(float, center)) for image, center in theirs]
    file = f"{_SOURCE} Coco _load_coco_keypoint_annotations, _box2cs"
    text = f"people of {data.name}'s val2017 on one side only"
    off = len(set(keys) ^ set(ours))
    yield side.row("data", "people", text, off, 0.0, "annotated boxes, float32 centres", file)
    places = [ours[key] for key in keys if key in ours]
    mine = np.stack([table[place].scale_wh for place in places])
    off = np.abs(mine - side.theirs["first_scales"]).max()
    text = f"scales of {len(places)} people, units of 200 px"
    yield side.row("data", "float32", text, off, 0.0, "the same float32 numbers", file)
    for name in PIPELINES:
        yield from _pipeline_rows(side, name, data, places)


def _pipeline_rows(side: Answers, name: str, data: Path, places: list[int]) -> Iterator[Row]:
    recipe = configs.load(PIPELINES[name][0])
    size_wh = recipe.data.image_size_wh
    table = coco.load(data, "val2017", image_size_wh=size_wh)
    augment = None if name == "test crops" else configs.load(RECIPE).augment
    crops = datasets.PersonCrops(table, recipe.data, recipe.codec, augment=augment)
    turned = -1 if name.startswith("UDP") else 1  # UDP's crop turns the other way
    kind = {"D": "_DARK", "U": "_UDP"}.get(name[0], "")
    levels = maps_off = mean_off = 0.0
    pictures = joints_apart = 0
    count = len(side.theirs[f"{name}/image"])
    for number in range(count):
        found = _sample(side, crops, places[number], number, turned)
        image, target, weight = (
            side.theirs[f"{name}/{key}"][number] for key in ("image", "target", "target_weight")
        )
        off = np.abs(found.image_HWC.astype(np.int64) - image).max()
        levels, pictures = max(levels, float(off)), pictures + bool(off)
        alike = found.targets["weights"] == weight[:, 0]
        joints_apart += int((~alike).sum())
        off = np.abs(found.targets["heatmaps"] - target)[alike]
        # Its roundings are of the photo's pixels, which a crop enlarges, by half its scale at most.
        larger = 1.0
        if kind != "_UDP":
            larger = max(1.0, size_wh[0] / (0.5 * UNIT_PX * table[places[number]].scale_wh[0]))
        maps_off = max(maps_off, float(off.max()) / larger)
        mean_off += float(off.mean()) / count
    file = "ppdet/data/transform/keypoint_operators.py RandomFlipHalfBodyTransform, "
    file += f"TopDownAffine, ToHeatmapsTopDown{kind}"
    text = f"{name}: {count} crops of real photos, levels of 255"
    yield side.row("data", "uint8", text, levels, 1.0, LEVEL, file)
    text = f"{name}: crops of {count} that are off by a level anywhere"
    yield side.row("data", "count", text, pictures, None, LEVEL, file)
    text = f"{name}: maps of {count} people"
    if kind == "_UDP":
        yield side.row("data", "float32", f"{text}, mean", mean_off, UDP_MAPS, UDP_REASON, file)
        yield side.row("data", "float32", text, maps_off, EDGE, EDGE_REASON, file)
    else:
        text += ", for each time that a crop enlarges"
        yield side.row("data", "float32", text, maps_off, TARGETS, TARGETS_REASON, file)
    text = f"{name}: joints of {count} people with another loss weight"
    limit, why = (None, MEASURED_EDGE) if kind == "_DARK" else (0.0, "0 or 1")
    yield side.row("data", "count", text, joints_apart, limit, why, file)


def _sample(side: Answers, crops: Any, place: int, number: int, turned: int) -> Any:
    seed = side.seed % 2**31 + number

    def drawn(settings: AugmentSettings, record: Any, *more: Any) -> Any:
        skeleton, aspect_ratio, _, size = more
        change = _DRAW(settings, record, skeleton, aspect_ratio, Drawn(seed), size)
        return replace(change, rotation_deg=turned * change.rotation_deg)

    with patch.object(datasets, "draw", drawn):
        return crops.sample(0, place)


def mpii_rows(side: Answers, lines: list[dict[str, Any]]) -> Iterator[Row]:
    """How many labelled joints its MPII loader takes from HRNet's files."""
    labelled = sum(sum(line["joints_vis"]) for line in lines)
    for key in ("joints", "gt_joints"):
        seen = side.theirs[f"mpii_{key}/joints_vis"][..., 0].sum() / labelled
        text = f"share of labelled MPII joints that it reads under the key {key}"
        yield side.row("data", "share", text, seen, None, MEASURED, f"{_SOURCE} MPII, :824")
