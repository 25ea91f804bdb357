"""AlphaPose's people, boxes, crops and rates against what its loaders and its script did."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose.data import coco, dpg
from paddle_pose.data.augment import STILL, Augmentation, Crop, Photo, draw
from paddle_pose.data.records import PersonRecord, PersonTable
from paddle_pose.data.top_down import read_photo
from paddle_pose.geometry import UNIT_PX, box_to_center_scale
from paddle_pose.recipes.alphapose import RGB_MEAN, dpg_stage
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, DataSettings, TrainSettings
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.training.schedules import rate_by_step
from reproduce.aligning.rows import Reference, Row

NAME = "fastpose"
ALPHAPOSE = ("MVIG-SJTU/AlphaPose", "c60106d19afb443e964df6f06ed1842962f5f1f7")
SIZE_WH = (192, 256)
ASPECT = SIZE_WH[0] / SIZE_WH[1]
AUGMENT = AugmentSettings(
    scale_factor=0.35, rotation_deg=45.0, half_body_probability=0.3, half_body_min_joints=8
)
SETS = {
    "halpe_136": ("halpe", "halpe136", "data/halpe/annotations/halpe_4images.json"),
    "halpe_26": ("halpe", "halpe26", "data/halpe/annotations/halpe_4images.json"),
    "mscoco_val": ("coco", "coco17", "data/coco/annotations/person_keypoints_val2017.json"),
    "made_up_halpe_136": ("halpe", "halpe136", "parity/alphapose/filter_edges.json.gz"),
    "made_up_halpe_26": ("halpe", "halpe26", "parity/alphapose/filter_edges.json.gz"),
}
"""Recorded loaders: data set, joint set and file below the reference data."""

ROOTS = {
    "data": (
        "paddle_pose.data.coco.load",
        "paddle_pose.data.augment.draw",
        "paddle_pose.data.augment.Augmentation",
        "paddle_pose.data.dpg.jittered",
    ),
    "learning rate": (
        "paddle_pose.recipes.alphapose.dpg_stage",
        "paddle_pose.training.schedules.rate_by_step",
    ),
}
GIVEN: dict[str, list[Any]] = {
    "data": [AUGMENT, DataSettings("halpe", "halpe136")],
    "learning rate": [TrainSettings()],
}

_LOADER = Reference(*ALPHAPOSE, "alphapose/datasets/halpe_136.py, mscoco.py _check_load_keypoints")
_DPG = Reference(*ALPHAPOSE, "alphapose/utils/transforms.py addDPG")
_BOX = Reference(*ALPHAPOSE, "alphapose/utils/bbox.py _box_to_center_scale")
_CROP = Reference(*ALPHAPOSE, "alphapose/utils/presets/simple_transform.py __call__")
_SCRIPT = Reference(*ALPHAPOSE, "scripts/train.py main, alphapose/opt.py")
ROUNDING_PX = 1e-9
ROUNDING_REASON = "float64 on both sides: rounding of numbers below 1e4"
FLOAT32 = 2.0**-22
FLOAT32_REASON = "float32 on both sides, of two roundings each"
AFFINE = 1e-5
AFFINE_REASON = "the points of the matrix are float32: the record's own allowance"
JOINTS_PX = 2e-3
JOINTS_REASON = "a matrix of float32 points: the record's own allowance, a pixel is 1"
PROBES = 1e-3 if cv2.__version__ >= "5" else 2e-2
PROBES_REASON = "OpenCV's versions interpolate otherwise: the record's own allowance"
RATE = 1e-12
RATE_REASON = "products of the same factors in another order: the record's own allowance"


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """All of them read the larger records."""
    if shared is None:
        return []
    makers = {"people": people_rows, "boxes": box_rows, "crops": crop_rows, "rates": rate_rows}
    return [(what, 1, lambda tick, make=make: list(make(shared))) for what, make in makers.items()]


def record(shared: Path, name: str) -> dict[str, Any]:
    """A record's words."""
    return json.loads((shared / f"parity/alphapose/{name}.json").read_text("utf-8"))


@functools.lru_cache(maxsize=8)
def people(shared: Path, name: str) -> PersonTable:
    """Our people of a recorded loader, in its order: by image id."""
    dataset, skeleton, file = SETS[name]
    table = coco.load(
        shared / f"data/{dataset}",
        "val2017" if dataset == "coco" else "val",
        image_size_wh=SIZE_WH,
        skeleton_name=skeleton,
        annotations=shared / file,
        with_images=not name.startswith("made_up"),
        stated=DataSettings(dataset=dataset, skeleton=skeleton, rules="alphapose"),
    )
    return table.select(np.argsort(table.image_ids[table.image_index], kind="stable"))


def people_rows(shared: Path) -> Iterator[Row]:
    """Who is kept, their visible joints and their boxes, of five loaders."""
    for name, facts in record(shared, "evaluation")["filter"].items():
        table = people(shared, name)
        named = [table.image_names[i] for i in table.image_index]
        every = facts["per_image"].items()
        images = [image for image, found in every for _ in range(found["people"])]
        seen = [count for _, found in every for count in found["visible"]]
        text = f"{name}, {facts['people']} people: others"
        off = 0.0 if named == images else 1.0
        yield _row("data", "counts", text, off, 0, "the same people in order", _LOADER)
        if off:
            continue
        off = np.abs(np.count_nonzero(table.visible, 1) - seen).max()
        text = f"{name}, {facts['visible_joints']} visible joints: other counts of a person"
        yield _row("data", "counts", text, off, 0, "counts", _LOADER)
        boxes = np.array([box for _, found in every for box in found["boxes"]])
        off = np.abs(corners(table.boxes_xywh) - boxes).max()
        text = f"{name}: corners of the boxes, px"
        yield _row("data", "float64", text, off, ROUNDING_PX, ROUNDING_REASON, _LOADER)


def corners(boxes_xywh: np.ndarray | None) -> np.ndarray:
    """x, y, width, height as left, top, right, bottom."""
    boxes = np.asarray(boxes_xywh, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def box_rows(shared: Path) -> Iterator[Row]:
    """DPG's boxes by recorded draws, and boxes as centres and scales."""
    arrays = np.load(shared / "parity/alphapose/transform.npz")
    offs = []
    for row in arrays["dpg"]:
        box, size_wh, drawn = row[:4], row[4:6], row[6:13]
        moved = dpg.Jitter(None, moves=tuple(drawn[3:]))
        part = dpg.Jitter(float(drawn[0]), (float(drawn[1]), float(drawn[2])))
        jitter = part if drawn[0] > dpg.PART_FROM else moved
        made = dpg.jittered(np.r_[box[:2], box[2:] - box[:2]], jitter, tuple(size_wh))
        offs.append(np.abs(corners(made) - row[13:]).max())
    text = f"{len(offs)} boxes jittered by DPG, px"
    yield _row("data", "float64", text, np.max(offs), ROUNDING_PX, ROUNDING_REASON, _DPG)
    rows = arrays["box_to_center_scale"]
    center, scale = box_to_center_scale(rows[:, :4], ASPECT)
    off = np.abs(np.c_[center, scale * UNIT_PX] / rows[:, 4:8] - 1).max()
    text = f"{len(rows)} boxes as centres and scales, relative"
    yield _row("data", "float32", text, off, FLOAT32, FLOAT32_REASON, _BOX)


class Recorded:
    """A generator that gives recorded draws, each to the one who asks for its kind.

    AlphaPose mirrors above a half, we below: the last draw is turned round.
    """

    def __init__(self, draws: Sequence[Sequence[Any]]) -> None:
        self.left = [(kind, value) for kind, value in draws]
        kind, value = self.left[-1]
        self.left[-1] = kind, 1 - value
        self._normals = 0

    def random(self) -> float:
        """The next, which must be uniform."""
        kind, value = self.left.pop(0)
        if kind not in ("random.uniform", "random.random", "np.random.rand"):
            raise AssertionError(f"a uniform number is asked for where {kind} was drawn")
        return value

    def standard_normal(self) -> float:
        """The next, which must be normal; of DPG's four the standard one behind them."""
        kind, value = self.left.pop(0)
        if kind == "np.random.normal":
            number, self._normals = self._normals, self._normals + 1
            return (value - dpg.MEANS[number]) / dpg.DEVIATIONS[number]
        if kind != "np.random.randn":
            raise AssertionError(f"a normal number is asked for where {kind} was drawn")
        return value


def drawn_by(
    case: dict[str, Any], record: PersonRecord, skeleton: Skeleton, size_wh: tuple[int, int] | None
) -> tuple[Augmentation, int]:
    """The change that our ``draw`` makes of a case's draws, and how many it left."""
    recorded = Recorded(case["draws"])
    settings = replace(AUGMENT, dpg=case.get("dpg", False))
    change = draw(settings, record, skeleton, ASPECT, recorded, size_wh)  # type: ignore[arg-type]
    return change, len(recorded.left)


def _offs(
    crop: Crop, case: dict[str, Any], joints: np.ndarray, extent_px: float
) -> tuple[float, float, float]:
    """Of centre, scale and box in extents; of the matrix; of joints and their visibility."""
    size = np.asarray(crop.scale_wh) * UNIT_PX
    places = [np.abs(crop.center_xy - case["center"]).max(), np.abs(size - case["scale"]).max()]
    if "box" in case:
        center = np.asarray(crop.center_xy, np.float64)
        box = np.r_[center - size / 2, center + size / 2]
        places.append(np.abs(box - case["box"]).max())
    if "affine" in case:
        matrix = np.array(case["affine"])
        affine = np.abs(crop.matrix - matrix).max() / np.abs(matrix).max()
    else:
        affine = 0.0
    unlike = np.abs(crop.visible - joints[:, 0, 1]).max() * 1e9
    return max(places) / extent_px, affine, np.abs(crop.joints_xy - joints[..., 0]).max() + unlike


def synthetic_photo(size_wh: tuple[int, int]) -> Photo:
    """The record's made-up picture."""
    x, y = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    waves = [np.abs((p * x + q * y) % 512 - 256) for p, q in ((3, 1), (1, 4), (2, 5))]
    pixels = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
    return Photo(pixels, size_wh[0], 1)


def _tensor(crop: Crop) -> np.ndarray:
    """(3, H, W) as the network gets it."""
    return crop.image_HWC.transpose(2, 0, 1) / 255.0 - np.array(RGB_MEAN)[:, None, None]


def crop_rows(shared: Path) -> Iterator[Row]:
    """Crops of 16 people by recorded draws, test crops among them; and made-up half bodies."""
    words = record(shared, "transform")
    arrays = np.load(shared / "parity/alphapose/transform.npz")
    places, affines, joints_off, left = [], [], [], []
    probes, synthetic = [], []
    for item in words["items"]:
        name = "mscoco_val" if item["dataset"] not in SETS else item["dataset"]
        table = people(shared, name)
        person, skeleton = table[item["loader_index"]], skeleton_named(table.skeleton)
        size_wh = item["width"], item["height"]
        photo, made_up = read_photo(table.image_root, person.image), synthetic_photo(size_wh)
        for case in item["cases"]:
            key = f"{item['key']}/{case['name']}"
            change, unused = STILL, 0
            if case["name"] != "eval":
                change, unused = drawn_by(case, person, skeleton, size_wh)
            left.append(unused + (change.flip != case["flipped"]))
            crop = change.view(person, photo, SIZE_WH, skeleton.flip_order, move_unseen=False)
            found = _offs(crop, case, arrays[f"{key}/joints"], max(size_wh))
            for offs, off in zip((places, affines, joints_off), found, strict=True):
                offs.append(off)
            tensor = _tensor(crop)
            recorded = case["crop"]
            seeds = range(900, 900 + len(recorded["probes"]))
            waves = [np.random.RandomState(s).standard_normal(tensor.size) for s in seeds]
            sums = np.array(waves) @ tensor.ravel() / np.sqrt(tensor.size)
            probes.append(np.abs(sums - recorded["probes"]).max())
            probes.append(np.abs(tensor.mean((1, 2)) - recorded["mean"]).max())
            probes.append(np.abs(tensor.std((1, 2)) - recorded["std"]).max())
            if f"{key}/synthetic_crop" in arrays:
                warped = change.view(person, made_up, SIZE_WH, skeleton.flip_order)
                thin = _tensor(warped)[:, ::4, ::4]
                synthetic.append(np.abs(thin - arrays[f"{key}/synthetic_crop"]).max())
    text = f"{len(left)} crops of {len(words['items'])} people: draws asked for, and not"
    yield _row("data", "counts", text, sum(left), 0, "in order and number", _CROP)
    text = f"{len(left)} crops: centre, scale and box, relative to the image"
    yield _row("data", "float32", text, max(places), FLOAT32, FLOAT32_REASON, _CROP)
    text = f"{len(left)} crops: matrices, relative"
    yield _row("data", "float64", text, max(affines), AFFINE, AFFINE_REASON, _CROP)
    text = f"{len(left)} crops: joints, seen and unseen, px"
    yield _row("data", "float64", text, max(joints_off), JOINTS_PX, JOINTS_REASON, _CROP)
    text = f"{len(left)} crops of photos: sums, means and deviations of what the network gets"
    yield _row("data", "uint8", text, max(probes), PROBES, PROBES_REASON, _CROP)
    text = f"{len(synthetic)} crops of made-up pictures: what the network gets"
    why = "one step of 255: rounding of interpolated pixels"
    yield _row("data", "uint8", text, max(synthetic), 1 / 255 + 1e-6, why, _CROP)
    halves = [_half_body(case, i, arrays) for i, case in enumerate(words["half_body_made_up"])]
    text = f"{len(halves)} half bodies, none among them: draws asked for, and not"
    yield _row("data", "counts", text, sum(half[1] for half in halves), 0, "in order", _CROP)
    text = f"{len(halves)} half bodies: centre and scale, relative to the image"
    yield _row("data", "float32", text, max(h[0] for h in halves), FLOAT32, FLOAT32_REASON, _CROP)


def _half_body(case: dict[str, Any], number: int, arrays: Any) -> tuple[float, float]:
    """Of a made-up person of 26 joints: centre and scale, relative; and draws left."""
    joints = np.asarray(arrays[f"half_body/{number}/joints"], np.float64)
    left, top, right, bottom = case["bbox"]
    box = np.array([left, top, right - left, bottom - top], np.float64)
    center, scale = box_to_center_scale(box, ASPECT)
    person = PersonRecord(
        number, "", center, scale, joints[..., 0], joints[:, 0, 1], np.nan, 1.0, box
    )
    change, unused = drawn_by(case, person, skeleton_named("halpe26"), None)
    center, scale = change.crop_of(center, scale, 0) if not change.flip else (center, scale)
    unused += change.flip
    off = np.abs(np.r_[center - case["center"], scale * UNIT_PX - case["scale"]]).max()
    off = max(off, abs(change.rotation_deg - case["rotation"]))
    return off / bottom, unused


def rate_rows(shared: Path) -> Iterator[Row]:
    """The rate of each epoch of six recipes, and where DPG is on."""
    recipes = record(shared, "schedule")["recipes"]
    rates, switched = [], 0
    for name, facts in recipes.items():
        recipe = recipe_of(facts["config"], name)
        rate, settings = rate_by_step(recipe, 3), recipe.augment_by_epoch()
        first = facts["epochs"][0]
        for epoch, recorded in zip(facts["epochs"], facts["lr"], strict=True):
            ours = {rate(3 * (epoch - first) + step) for step in range(3)}
            rates += [abs(one / recorded - 1) for one in ours]
            on = settings[max(e for e in settings if e <= epoch - first)].dpg
            switched += on != any(a <= epoch <= b and dpg_on for a, b, _, dpg_on in facts["runs"])
    text = f"{len(recipes)} recipes: the rate of each epoch, relative"
    yield _row("learning rate", "float64", text, max(rates), RATE, RATE_REASON, _SCRIPT)
    text = f"{len(recipes)} recipes: epochs with DPG, or without, that should not be"
    yield _row("learning rate", "counts", text, switched, 0, "epochs", _SCRIPT)


def recipe_of(config: dict[str, Any], name: str) -> Recipe:
    """A recipe of ours with the schedule of an AlphaPose file."""
    begin = config["BEGIN_EPOCH"]
    train = TrainSettings(
        epochs=config["END_EPOCH"] - begin,
        learning_rate=config["LR"],
        gamma=config["LR_FACTOR"],
        milestones=tuple(config["LR_STEP"]),
    )
    stage = dpg_stage(config["DPG_MILESTONE"], config["DPG_STEP"], begin=begin)
    data = DataSettings(dataset="halpe", skeleton="halpe136")
    return Recipe(name="schedule", data=data, train=train, stages=(stage,))


def _row(
    step: str, precision: str, text: str, off: float, tolerance: float, why: str, whose: Reference
) -> Row:
    return Row(NAME, step, precision, text, float(off), tolerance, why, whose)
