"""The second person of a box: recorded partners and samples, the rules at the border by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.data import coco
from paddle_pose.data.augment import STILL, Crop, Photo
from paddle_pose.data.records import PersonTable
from paddle_pose.data.two_people import NOBODY, TwoPeopleCrops, inside, partners
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings, DataSettings

SETS = {
    "coco_train": ("coco", "annotations/person_keypoints_train2017.json", "train2017"),
    "coco_val": ("coco", "annotations/person_keypoints_val2017.json", "val2017"),
    "ochuman": ("ochuman", "annotations/ochuman_3images.json", "val"),
    "crowdpose_2images": ("crowdpose", "annotations/crowdpose_test_2images.json", "test"),
    "crowdpose_val_a": ("crowdpose", "annotations/crowdpose_val.json.gz", "val"),
}
AUGMENT = AugmentSettings(scale_factor=0.35, rotation_deg=45.0, half_body_probability=0.3)


def people(shared: Path, name: str, size_wh: tuple[int, int] = (192, 256)) -> PersonTable:
    dataset, file, split = SETS[name]
    root = shared / "data" / dataset
    return coco.load(
        root,
        split,
        image_size_wh=size_wh,
        skeleton_name="crowdpose14" if dataset == "crowdpose" else "coco17",
        annotations=root / file,
        with_images=False,
        stated=DataSettings(dataset=dataset),
    )


def ids_of(shared: Path, name: str) -> np.ndarray:
    """Annotation ids by row."""
    dataset, file, _ = SETS[name]
    data = (shared / "data" / dataset / file).read_bytes()
    text = gzip.decompress(data) if file.endswith(".gz") else data
    return np.array([record["id"] for record in json.loads(text)["annotations"]])


@pytest.mark.parametrize("name", SETS)
def test_partners_and_the_rule_of_three_equal_the_record(reference_data: Path, name: str):
    folder = reference_data / "parity/mipnet"
    recorded = np.load(folder / "records.npz")
    ids, counts = recorded[f"{name}/ids"], recorded[f"{name}/counts"]
    sets = json.loads((folder / "records.json").read_text())["sets"]
    table = people(reference_data, name)
    if name == "crowdpose_val_a":
        half = np.isin(table.image_ids[table.image_index], np.sort(table.image_ids)[::2])
        table = table.select(np.flatnonzero(half))
    own = ids_of(reference_data, name)[table.rows]
    np.testing.assert_array_equal(own, ids[:, 1])
    found = partners(table)
    np.testing.assert_array_equal(np.where(found == NOBODY, -1, own[found]), ids[:, 2])
    scale_off = np.abs(np.c_[table.center_xy, table.scale_wh] - recorded[f"{name}/center_scale"])
    assert scale_off.max() <= 1e-6 * np.abs(recorded[f"{name}/center_scale"]).max()
    border = [case[0] for case in sets[name]["border_cases"]]
    samples = TwoPeopleCrops(table, DataSettings(image_size_wh=(192, 256)), PairCodec())
    for index, (joints, counted) in enumerate(zip(joints_of(samples), counts, strict=True)):
        if own[index] in border:
            continue
        (_, seen), (_, second) = joints
        replaced = counted[2] < 4 or found[index] == NOBODY
        assert (seen > 0).sum() == counted[1], index
        assert (second > 0).sum() == counted[1 if replaced else 2], index
        assert ids[index, 3] == own[index if replaced else found[index]]
        # 34 coordinates, each off by the float32 points of the affine matrix; as recorded.
        sums = [joints_xy.sum() for joints_xy, _ in joints]
        np.testing.assert_allclose(sums, recorded[f"{name}/sums"][index, :2], rtol=0, atol=0.05)


def joints_of(samples: TwoPeopleCrops) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Both people of every test crop; no picture is needed."""
    size_wh, none = samples.image_size_wh, np.zeros((8, 8, 3), np.uint8)
    for index in range(len(samples)):
        record = samples.table[index]
        matrix = crop_matrix(record.center_xy, record.scale_wh, 0.0, size_wh)
        joints_xy = transform_points(record.joints_xy, matrix)
        crop = Crop(none, matrix, record.center_xy, record.scale_wh, joints_xy, record.visible)
        yield samples.both(index, crop, STILL, Photo(none, 8, 1))


class Chance:
    """Gives what was recorded, call by call."""

    def __init__(self, draws: list[list]) -> None:
        self.draws = list(draws)

    def random(self) -> float:
        name, value = self.draws.pop(0)
        assert name in ("rand", "rnd")
        return value

    def standard_normal(self) -> float:
        name, value = self.draws.pop(0)
        assert name == "randn"
        return value


def items(folder: Path) -> list[dict]:
    return json.loads((folder / "parity/mipnet/items.json").read_text())["items"]


@pytest.mark.parametrize("number", range(12))
def test_samples_equal_the_record(reference_data: Path, number: int):
    item = items(reference_data)[number]
    arrays = np.load(reference_data / "parity/mipnet/items.npz")
    key, name, size_wh = item["key"], item["set"], tuple(item["size"])
    dataset = SETS[name][0]
    folder = SETS[name][2] if dataset == "coco" else "."
    table = people(reference_data, name, size_wh)
    data = DataSettings(image_size_wh=size_wh)
    still = item["mode"].startswith("test")
    table = replace(table, image_root=reference_data / "data" / dataset / "images" / folder)
    samples = TwoPeopleCrops(
        table, data, PairCodec(float(item["sigma"])), augment=None if still else AUGMENT
    )
    assert ids_of(reference_data, name)[table.rows[item["db_index"]]] == item["annotation_a"]
    chance = Chance(item["draws"])
    with patch.object(np.random, "default_rng", lambda *_: chance):
        sample = samples[item["db_index"]]
    assert not chance.draws
    targets = sample.targets
    assert sorted(targets) == [
        "target_primary", "target_secondary", "weight_primary", "weight_secondary",
    ]  # fmt: skip
    # The float32 points of the reference's affine matrix; as recorded.
    np.testing.assert_allclose(sample.place.joints_xy, arrays[f"{key}/joints_a"], atol=1e-3)
    np.testing.assert_array_equal(sample.place.visible, arrays[f"{key}/vis_a"])
    for ours, theirs in (("primary", "a"), ("secondary", "b")):
        np.testing.assert_array_equal(targets[f"weight_{ours}"], arrays[f"{key}/weight_{theirs}"])
        thin = targets[f"target_{ours}"][:, ::4, ::4]
        # float32 exp may differ by a step between libraries.
        np.testing.assert_allclose(thin, arrays[f"{key}/target_{theirs}_thin"], atol=1e-6)
        sums = targets[f"target_{ours}"].sum((1, 2), np.float64)
        np.testing.assert_allclose(sums, item[f"target_{theirs}"]["sum_per_joint"], atol=1e-4)
    crop = sample.image_HWC.reshape(-1, 3)
    np.testing.assert_allclose(crop.mean(0), item["crop"]["mean"], atol=0.05)
    np.testing.assert_allclose(crop.std(0), item["crop"]["std"], atol=0.05)


def test_joints_on_and_over_the_border_equal_the_record(reference_data: Path):
    recorded = np.load(reference_data / "parity/mipnet/items.npz")
    arrays = {name: recorded[f"border/{name}"] for name in ("joints_in", "vis_in", "target")}
    joints_xy, seen = inside(arrays["joints_in"], arrays["vis_in"], (192, 256))
    np.testing.assert_array_equal(joints_xy, recorded["border/joints_out"])
    np.testing.assert_array_equal(seen, recorded["border/vis_out"])
    made = PairCodec(2.0).encode(joints_xy, seen, (192, 256))
    np.testing.assert_array_equal(made["weights"], recorded["border/weight"])
    np.testing.assert_allclose(made["heatmaps"], arrays["target"], atol=1e-6)  # float32 exp


def test_the_border_counts_as_inside_at_the_far_side():
    joints = np.array([[0, 0], [-1e-9, 5], [192, 256], [192.001, 5], [5, 256.001], [7, 8]], float)
    moved, seen = inside(joints, np.array([1, 1, 1, 1, 1, 0.0]), (192, 256))
    assert seen.tolist() == [1, 0, 1, 0, 0, 0]
    assert moved.tolist() == [[0, 0], [0, 0], [192, 256], [0, 0], [0, 0], [7, 8]]


def crowd(centers_xy: list[list[float]], images: list[int]) -> PersonTable:
    count = len(images)
    return PersonTable(
        skeleton="coco17",
        image_root=Path(),
        image_names=("a.jpg", "b.jpg", "c.jpg"),
        image_ids=np.arange(3),
        image_index=np.array(images),
        rows=np.arange(count),
        center_xy=np.array(centers_xy, float),
        scale_wh=np.ones((count, 2)),
        joints_xy=np.zeros((count, 17, 2)),
        visible=np.ones((count, 17)),
        head_size_px=np.full(count, np.nan),
        box_score=np.ones(count),
    )


def test_the_nearest_of_the_image_whatever_the_order_and_the_distance():
    centers = [[0.0, 0], [10, 0], [13, 0], [0, 1], [9000, 0], [0, 2]]
    found = partners(crowd(centers, [0, 0, 0, 1, 0, 2]))
    # 1 is nearest to 0, but 2 is nearer to 1; whoever is alone on an image has nobody.
    assert found.tolist() == [1, 2, 1, NOBODY, 2, NOBODY]


def test_of_equals_the_first_and_no_people_at_all():
    assert partners(crowd([[5.0, 0], [0, 0], [10, 0]], [0, 0, 0])).tolist() == [1, 0, 0]
    assert not len(partners(crowd([[0.0, 0]], [0]).select(np.arange(0))))
