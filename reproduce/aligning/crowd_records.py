"""MIPNet's recorded people, samples and predictions, and ours for the same annotations."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from paddle_pose import configs
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.codecs.views import View
from paddle_pose.data import coco
from paddle_pose.data.augment import STILL, Crop, Photo
from paddle_pose.data.records import PersonTable
from paddle_pose.data.samples import Sample
from paddle_pose.data.two_people import TwoPeopleCrops
from paddle_pose.errors import UserError
from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound
from paddle_pose.evaluation.crowdpose import CrowdPoseEvaluator
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import INSTANCES, AugmentSettings, Benchmark, DataSettings

SETS = {
    "coco_train": ("coco", "annotations/person_keypoints_train2017.json", "train2017"),
    "coco_val": ("coco", "annotations/person_keypoints_val2017.json", "val2017"),
    "ochuman": ("ochuman", "annotations/ochuman_3images.json", "val"),
    "crowdpose_2images": ("crowdpose", "annotations/crowdpose_test_2images.json", "test"),
    "crowdpose_val_a": ("crowdpose", "annotations/crowdpose_val.json.gz", "val"),
}
"""Recorded people: data set, file and split."""

SIZE_WH = (192, 256)
LISTS = {"l0,1": "", "l1": "primary", "l0": "secondary"}
"""What the record calls both people's poses, the owners' alone and the second people's alone."""

NAMES = {
    "AP": "AP", "AP50": "AP .5", "AP75": "AP .75", "APM": "AP (M)", "APL": "AP (L)",
    "AR": "AR", "AR50": "AR .5", "AR75": "AR .75", "ARM": "AR (M)", "ARL": "AR (L)",
    "AP_easy": "AP (easy)", "AP_medium": "AP (medium)", "AP_hard": "AP (hard)",
}  # fmt: skip
_AUGMENT = AugmentSettings(scale_factor=0.35, rotation_deg=45.0, half_body_probability=0.3)


def record(shared: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Words and arrays of a record."""
    folder = shared / "parity/mipnet"
    return json.loads((folder / f"{name}.json").read_text("utf-8")), dict(
        np.load(folder / f"{name}.npz")
    )


def skeleton_of(dataset: str) -> str:
    """The joints of a data set."""
    return "crowdpose14" if dataset == "crowdpose" else "coco17"


def people(shared: Path, name: str, size_wh: tuple[int, int] = SIZE_WH) -> PersonTable:
    """Our people of a recorded set; of CrowdPose's validation file every second image's."""
    dataset, file, split = SETS[name]
    root = shared / "data" / dataset
    table = coco.load(
        root,
        split,
        image_size_wh=size_wh,
        skeleton_name=skeleton_of(dataset),
        annotations=root / file,
        with_images=False,
        stated=DataSettings(dataset=dataset),
    )
    images = root / "images" / (split if dataset == "coco" else ".")
    if name == "crowdpose_val_a":
        half = np.isin(table.image_ids[table.image_index], np.sort(table.image_ids)[::2])
        table = table.select(np.flatnonzero(half))
    return replace(table, image_root=images)


def annotation_ids(shared: Path, name: str, table: PersonTable) -> np.ndarray:
    """The people's ids in their file."""
    dataset, file, _ = SETS[name]
    content = _content(shared / "data" / dataset / file)
    return np.array([one["id"] for one in content["annotations"]])[table.rows]


def _content(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)


def both(table: PersonTable) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Joints and visibility of both people in every test crop; no picture is needed."""
    samples = TwoPeopleCrops(table, DataSettings(image_size_wh=SIZE_WH), PairCodec())
    none = np.zeros((8, 8, 3), np.uint8)
    for index, one in enumerate(table):
        matrix = crop_matrix(one.center_xy, one.scale_wh, 0.0, SIZE_WH)
        joints_xy = transform_points(one.joints_xy, matrix)
        crop = Crop(none, matrix, one.center_xy, one.scale_wh, joints_xy, one.visible)
        yield samples.both(index, crop, STILL, Photo(none, 8, 1))


class _Chance:
    """Gives what was recorded, call by call."""

    def __init__(self, draws: list[list]) -> None:
        self.draws = list(draws)

    def _next(self, *names: str) -> float:
        name, value = self.draws.pop(0)
        if name not in names:
            raise UserError(f"{name} was drawn in the record where we draw one of {names}")
        return value

    def random(self) -> float:
        return self._next("rand", "rnd")

    def standard_normal(self) -> float:
        return self._next("randn")


def sample(shared: Path, item: dict[str, Any]) -> Sample:
    """What our data set gives for a recorded item when chance draws what was recorded."""
    size_wh = (item["size"][0], item["size"][1])
    table = people(shared, item["set"], size_wh)
    samples = TwoPeopleCrops(
        table,
        DataSettings(image_size_wh=size_wh),
        PairCodec(float(item["sigma"])),
        augment=None if item["mode"].startswith("test") else _AUGMENT,
    )
    chance = _Chance(item["draws"])
    with patch.object(np.random, "default_rng", lambda *_: chance):
        made = samples[item["db_index"]]
    if chance.draws:
        raise UserError(f"drawn in the record and not by us: {chance.draws}")
    return made


TRUTHS = {
    "coco": "data/coco/annotations/person_keypoints_val2017_subset.json",
    "ochuman": "data/ochuman/annotations/ochuman_3images.json",
    "crowdpose": "data/crowdpose/annotations/crowdpose_val.json.gz",
}


def part_of(file: Path, image_ids: set[int], folder: Path) -> Path:
    """A smaller annotation file in a folder."""
    content = _content(file)
    content["images"] = [one for one in content["images"] if one["id"] in image_ids]
    of_them = [one for one in content["annotations"] if one["image_id"] in image_ids]
    part = folder / "part.json"
    part.write_text(json.dumps({**content, "annotations": of_them}), "utf-8")
    return part


def every(file: Path, step: int, folder: Path) -> Path:
    """``part_of`` with every so many-th image by its id."""
    ids = sorted(one["id"] for one in _content(file)["images"])
    return part_of(file, set(ids[::step]), folder)


def evaluator(dataset: str, benchmark: Benchmark, truth: Path) -> CocoEvaluator:
    """Of a recipe for two people of a box, by annotated boxes."""
    recipe = configs.load("mipnet:w32_coco_256x192")
    benchmark = replace(benchmark, boxes="ground_truth")
    recipe = replace(
        recipe,
        name="two_people",
        data=replace(recipe.data, dataset=dataset, skeleton=skeleton_of(dataset), val_split="val"),
        benchmarks=(benchmark,),
    )
    made = CrowdPoseEvaluator if dataset == "crowdpose" else CocoEvaluator
    return made(recipe, benchmark, DataFiles(truth.parent, truth), with_images=False)


def recorded_poses(judge: CocoEvaluator, arrays: dict[str, np.ndarray]) -> Poses:
    """Both people's poses of recorded boxes, which become the table of the evaluator."""
    count, some = len(arrays["image"]), judge.table.select(np.zeros(len(arrays["image"]), int))
    places = {image_id: place for place, image_id in enumerate(some.image_ids.tolist())}
    judge.__dict__["table"] = replace(
        some,
        rows=np.arange(count),
        image_index=np.array([places[image_id] for image_id in arrays["image"].tolist()]),
        center_xy=arrays["center"].astype(float),
        scale_wh=arrays["scale"],  # whose product is float32 in the reference, too
        box_score=arrays["box_score"],
    )
    rows = np.repeat(np.arange(count), 2)
    return Poses(
        image_ids=arrays["image"][rows],
        keypoints=arrays["poses"][:, ::-1].reshape(2 * count, -1, 3).astype(float),
        scores=np.zeros(2 * count),
        boxes_xywh=np.full((2 * count, 4), np.nan),
        rows=rows,
        instances=np.tile([0, 1], count),
    )


def decoded_poses(
    judge: CocoEvaluator, heat: np.ndarray, box_score: list[float]
) -> tuple[Poses, np.ndarray]:
    """Poses that our codec finds in recorded heat maps (λ, side, N, J, h, w), and their rows."""
    table = judge.__dict__["table"] = replace(judge.table, box_score=np.array(box_score))
    count, maps = len(table), heat.astype(np.float32) / 256
    empty = np.empty((count, 0, 2)), np.empty((count, 0))
    image_ids = table.image_ids[table.image_index]
    place = Place(table.center_xy, table.scale_wh, image_ids, table.rows, *empty)
    plain, mirrored = (
        {name: maps[1 - number, side] for number, name in enumerate(INSTANCES)} for side in (0, 1)
    )
    order = judge.skeleton.flip_order
    poses = PairCodec().decode([View(plain, mirrored)], place, judge.benchmark, order)
    return judge.finish(poses), table.rows


def through_file(judge: CocoEvaluator, poses: Poses) -> CocoFound:
    """What is read of poses that were written."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "predictions.json")
        judge.write(poses, file, recipe="two_people", weights_sha256="", engine="")
        return judge.read(file)


def results_of(found: CocoFound) -> dict[str, CocoResults]:
    """By the record's names."""
    return {theirs: found.alone.get(ours, found.results) for theirs, ours in LISTS.items()}


def figures_off(values: dict[str, float], figures: dict[str, float], ending: str = "") -> float:
    """The largest difference from recorded figures; infinite where ours are others."""
    spelled = {name.replace("Ap", "AP"): value for name, value in figures.items()}
    key = f"_{ending}" if ending else ""
    ours = {NAMES[name]: values[name + key] for name in NAMES if name + key in values}
    if ours.keys() != spelled.keys():
        return np.inf
    return max(abs(value - spelled[name]) for name, value in ours.items())
