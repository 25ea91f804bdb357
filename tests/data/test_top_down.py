"""Crops and targets against HRNet's on real photos, and what a sample may depend on."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import top_down as datasets
from paddle_pose.data.augment import Augmentation, half_body
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops, Sample, read_photo, reduction_for
from paddle_pose.errors import UserError
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings, DataSettings
from paddle_pose.skeletons import COCO17, skeleton_named


def table_of(
    folder: Path,
    images: list[str],
    center_xy: np.ndarray,
    scale_wh: np.ndarray,
    joints_xy: np.ndarray,
    visible: np.ndarray,
    skeleton: str = "mpii16",
) -> PersonTable:
    """A table with one image per person."""
    count = len(images)
    return PersonTable(
        skeleton=skeleton,
        image_root=folder,
        image_names=tuple(images),
        image_ids=np.arange(count),
        image_index=np.arange(count),
        rows=np.arange(count),
        center_xy=center_xy,
        scale_wh=scale_wh,
        joints_xy=joints_xy,
        visible=visible,
        head_size_px=np.full(count, np.nan),
        box_score=np.ones(count),
    )


@pytest.fixture(scope="session")
def mpii(reference_data: Path) -> PersonTable:
    """The five recorded people, by the rule of HRNet's loader."""
    folder = reference_data / "data" / "mpii"
    rows = json.loads((folder / "annot" / "valid_5.json").read_text())
    center = np.array([row["center"] for row in rows], np.float64)
    scale = np.array([row["scale"] for row in rows], np.float64)
    center[:, 1] += 15 * scale
    return table_of(
        folder / "images",
        [row["image"] for row in rows],
        center - 1,
        np.stack([scale * 1.25] * 2, axis=1),
        np.array([row["joints"] for row in rows], np.float64) - 1,
        np.array([row["joints_vis"] for row in rows], np.float64),
    )


@pytest.fixture
def drawings(tmp_path: Path) -> PersonTable:
    """Three people on small drawings, for whoever has no photos."""
    rng = np.random.default_rng(4)
    for name in ("0.png", "1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, (90, 120, 3), np.uint8))
    joints = rng.uniform(10, 80, (3, 16, 2))
    center, scale = np.full((3, 2), 50.0), np.full((3, 2), 0.5)
    return table_of(tmp_path, ["0.png", "1.png", "2.png"], center, scale, joints, np.ones((3, 16)))


def recorded_crop(arrays: dict, key: str) -> np.ndarray:
    if f"{key}/crop_png" not in arrays:  # the crop does not depend on sigma and is stored once
        key = key.replace("384_s3", "384_s2")
    return cv2.imdecode(arrays[f"{key}/crop_png"], cv2.IMREAD_COLOR)[..., ::-1]


def assert_same_sample(sample: Sample, arrays: dict, key: str) -> None:
    difference = np.abs(sample.image_HWC.astype(int) - recorded_crop(arrays, key))
    if int(cv2.__version__.split(".")[0]) >= 5:  # the version the crops were recorded with
        assert difference.max() == 0
    else:  # OpenCV 4 interpolates in steps of 1/32; measured between 4.10 and 5.0: 4 and 0.24
        assert difference.max() <= 4
        assert difference.mean() <= 0.24
    # float32 exp may differ by a step (6e-8) between libraries; a cell off would be 0.1.
    np.testing.assert_allclose(
        sample.targets["heatmaps"], arrays[f"{key}/target"], rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(sample.targets["weights"], arrays[f"{key}/target_weight"][:, 0])
    np.testing.assert_array_equal(
        sample.place.center_xy, arrays[f"{key}/center"].astype(np.float64)
    )
    np.testing.assert_array_equal(sample.place.scale_wh, arrays[f"{key}/scale"].astype(np.float64))


def assert_same_joints(
    table: PersonTable, row: int, change: Augmentation, width: int, arrays: dict, key: str
) -> None:
    order = skeleton_named(table.skeleton).flip_order
    joints, visible = change.joints_of(table.joints_xy[row], table.visible[row], width, order)
    height, heatmap_width = arrays[f"{key}/target"].shape[1:]
    matrix = crop_matrix(
        arrays[f"{key}/center"],
        arrays[f"{key}/scale"],
        float(arrays[f"{key}/rotation"]),
        (heatmap_width * 4, height * 4),
    )
    seen = arrays[f"{key}/vis_out"] > 0
    np.testing.assert_array_equal(visible > 0, seen)
    # float64 on both sides: 1e-4 px is the recorded files' own allowance, a pixel is 1.
    np.testing.assert_allclose(
        transform_points(joints, matrix)[seen], arrays[f"{key}/joints_out"][seen], rtol=0, atol=1e-4
    )


def crops_with(
    table: PersonTable, size_wh: list, sigma: float, monkeypatch, change: Augmentation | None
) -> PersonCrops:
    """Crops of which every draw gives ``change`` (None: test crops)."""
    monkeypatch.setattr(datasets, "draw", lambda *_: change)
    data = DataSettings(image_size_wh=tuple(size_wh))
    augment = None if change is None else AugmentSettings()
    return PersonCrops(table, data, HeatmapCodec(sigma_px=sigma), augment=augment)


def test_mpii_test_crops_are_hrnets(reference_data: Path, mpii: PersonTable, monkeypatch) -> None:
    folder = reference_data / "parity" / "pipeline"
    arrays = dict(np.load(folder / "mpii_test.npz"))
    items = json.loads((folder / "mpii_test.json").read_text())["items"]
    assert len(items) == 15
    for item in items:
        row, key = item["db_index"], item["key"]
        crops = crops_with(mpii, item["size"], item["sigma"], monkeypatch, None)
        assert_same_sample(crops[row], arrays, key)
        assert_same_joints(mpii, row, Augmentation(), 0, arrays, key)


def test_mpii_training_crops_are_hrnets(
    reference_data: Path, mpii: PersonTable, monkeypatch
) -> None:
    folder = reference_data / "parity" / "pipeline"
    arrays = dict(np.load(folder / "mpii_aug.npz"))
    items = json.loads((folder / "mpii_aug.json").read_text())["items"]
    assert len(items) == 6
    for item in items:
        row, key = item["db_index"], item["key"]
        change = Augmentation(item["scale_multiplier"], item["rotation_deg"], item["flip"])
        crops = crops_with(mpii, item["size"], item["sigma"], monkeypatch, change)
        assert_same_sample(crops[row], arrays, key)
        width = cv2.imread(str(mpii.image_root / item["image"])).shape[1]
        assert_same_joints(mpii, row, change, width, arrays, key)


def test_coco_crops_are_hrnets(reference_data: Path, monkeypatch) -> None:
    folder = reference_data / "parity" / "pipeline"
    arrays = dict(np.load(folder / "coco.npz"))
    items = json.loads((folder / "coco.json").read_text())["items"]
    assert len(items) == 13
    for item in items:
        key = item["key"]
        table = table_of(
            reference_data / "data/coco/images/val2017",
            [item["image"]],
            arrays[f"{key}/center_in"][None],
            arrays[f"{key}/scale_in"][None],
            arrays[f"{key}/joints_src"][None],
            arrays[f"{key}/vis"][None],
            "coco17",
        )
        change = None
        if not item.get("mode", "").startswith("test"):
            half = None
            if "half_body" in item:
                half = half_body(
                    table.joints_xy[0],
                    table.visible[0],
                    COCO17,
                    192 / 256,
                    pick_first_upper=item["half_body"].startswith("upper"),
                )
            change = Augmentation(
                item["scale_multiplier"], item["rotation_deg"], item["flip"], half_body=half
            )
        crops = crops_with(table, item["size"], item["sigma"], monkeypatch, change)
        assert_same_sample(crops[0], arrays, key)
        width = cv2.imread(str(table.image_root / item["image"])).shape[1]
        assert_same_joints(table, 0, change or Augmentation(), width, arrays, key)


def same(first: Sample, second: Sample) -> bool:
    assert first.targets.keys() == second.targets.keys()
    left, right = ([s.image_HWC, *s.targets.values(), *s.place] for s in (first, second))
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def augmented(table: PersonTable, seed: int = 0) -> PersonCrops:
    settings = AugmentSettings(half_body_probability=0.3, shift_factor=0.02, color_jitter=0.1)
    data = DataSettings(image_size_wh=(96, 128))
    return PersonCrops(table, data, HeatmapCodec(), augment=settings, seed=seed)


def test_a_sample_depends_on_seed_epoch_and_index_alone(drawings: PersonTable) -> None:
    crops = augmented(drawings)
    expected = {(e, i): crops.sample(e, i) for e in range(3) for i in range(3)}
    for key in reversed(expected):  # another order, through another copy, as in a worker process
        assert same(pickle.loads(pickle.dumps(crops))[key], expected[key])
        assert same(crops[list(key)], expected[key])
    assert not same(expected[0, 1], expected[1, 1])
    assert not same(augmented(drawings, seed=1).sample(0, 1), expected[0, 1])
    assert same(crops[2], expected[0, 2])


def test_shapes_types_and_rows(drawings: PersonTable) -> None:
    crops = augmented(drawings)
    sample = crops[1, 2]
    assert sample.image_HWC.shape == (128, 96, 3)
    assert sample.image_HWC.dtype == np.uint8
    assert sample.image_HWC.flags.c_contiguous
    assert sample.targets["heatmaps"].shape == (16, 32, 24)
    assert sample.targets["heatmaps"].dtype == sample.targets["weights"].dtype == np.float32
    assert sample.place.center_xy.dtype == sample.place.scale_wh.dtype == np.float64
    assert (sample.place.row, sample.place.image_id) == (2, drawings.image_ids[2])
    assert sample.place.row.dtype == sample.place.image_id.dtype == np.int64
    assert sample.place.joints_xy.shape == (16, 2)
    assert sample.place.joints_xy.dtype == sample.place.visible.dtype == np.float64
    assert len(crops) == len(list(crops)) == 3
    with pytest.raises(IndexError):
        crops[0, 3]


def test_without_targets_the_crop_is_the_same(drawings: PersonTable) -> None:
    data = DataSettings(image_size_wh=(64, 64))
    full = PersonCrops(drawings, data, HeatmapCodec())[1]
    bare = PersonCrops(drawings, data, HeatmapCodec(), with_targets=False)[1]
    np.testing.assert_array_equal(full.image_HWC, bare.image_HWC)
    assert bare.targets == {}
    assert bare.place.joints_xy.shape == (0, 2)


def test_missing_images_are_named(drawings: PersonTable) -> None:
    (drawings.image_root / "1.png").unlink()
    crops = PersonCrops(drawings, DataSettings(), HeatmapCodec())
    with pytest.raises(UserError, match=r"1\.png: image not found"):
        crops[1]
    (drawings.image_root / "0.png").rename(drawings.image_root / "0.PNG")
    assert crops[0].image_HWC.shape == (256, 256, 3)


def test_decoded_images_are_not_written_to(drawings: PersonTable) -> None:
    crops = augmented(drawings)
    crops.sample(0, 0)
    kept = next(iter(crops._decoded.values())).pixels_HWC
    before = kept.copy()
    for epoch in range(8):
        crops.sample(epoch, 0)
    assert len(crops._decoded) == 1
    np.testing.assert_array_equal(kept, before)


def spot_table(
    folder: Path, size_wh: tuple[int, int], spot_xy: np.ndarray, sigma_px: float
) -> PersonTable:
    """One person whose joints are all at a soft bright spot in a dark JPEG of that size."""
    x, y = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    spot = 240 * np.exp(-((x - spot_xy[0]) ** 2 + (y - spot_xy[1]) ** 2) / (2 * sigma_px**2))
    image = np.dstack([spot] * 3).round().astype(np.uint8)
    cv2.imwrite(str(folder / "spot.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    center = np.array([size_wh]) / 2
    joints = np.tile(spot_xy, (1, 16, 1))
    return table_of(folder, ["spot.jpg"], center, np.ones((1, 2)), joints, np.ones((1, 16)))


@pytest.mark.parametrize("size_wh", [(640, 480), (643, 475), (641, 481)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_lit_spot_is_where_its_joint_is(
    tmp_path: Path, monkeypatch, size_wh: tuple[int, int], flip: bool, reduction: int
) -> None:
    """The pixel's centre, the odd last block and the mirrored first one, at every reduction."""
    spot_xy = np.array([324.3, 243.6])
    table = spot_table(tmp_path, size_wh, spot_xy, 4.0 * reduction)
    side_px = 40
    change = Augmentation(scale=(reduction + 0.3) * side_px / 200, rotation_deg=17, flip=flip)
    monkeypatch.setattr(datasets, "draw", lambda *_: change)
    data = DataSettings(image_size_wh=(side_px, side_px), reduced_decoding=True)
    crops = PersonCrops(table, data, HeatmapCodec(), augment=AugmentSettings())
    sample = crops[0]
    (photo,) = crops._decoded.values()
    assert photo.reduction == reduction
    assert photo.width_px == size_wh[0]
    assert photo.pixels_HWC.shape[:2] == tuple(-(-side // reduction) for side in size_wh[::-1])
    light = sample.image_HWC[..., 1].astype(float)
    light[light < 4] = 0  # what JPEG's rounding leaves of the dark
    rows, columns = np.mgrid[:side_px, :side_px]
    seen_xy = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
    joints, _ = change.joints_of(
        table.joints_xy[0], table.visible[0], size_wh[0], crops.skeleton.flip_order
    )
    matrix = crop_matrix(sample.place.center_xy, sample.place.scale_wh, 17, (side_px, side_px))
    expected_xy = transform_points(joints[0], matrix)
    # OpenCV 4 interpolates in steps of 1/32 source pixel, so a pixel's light is off by 1/64 of one
    # at most, and a source pixel is smaller than one of the crop; the rest is for rounded light.
    # The centre of a block of two taken for its corner would be off by 0.5 / 2.3 = 0.22.
    assert np.abs(seen_xy - expected_xy).max() < 1 / 32


def test_reduced_decoding_is_for_training_alone(tmp_path: Path) -> None:
    table = spot_table(tmp_path, (640, 480), np.array([300, 200]), 40)
    table = replace(table, scale_wh=np.full((1, 2), 2.4))
    plain = DataSettings(image_size_wh=(64, 64))
    reduced = DataSettings(image_size_wh=(64, 64), reduced_decoding=True)
    assert same(
        PersonCrops(table, plain, HeatmapCodec())[0],
        PersonCrops(table, reduced, HeatmapCodec())[0],
    )
    crops = PersonCrops(table, reduced, HeatmapCodec(), augment=AugmentSettings(), seed=1)
    samples = [crops[epoch, 0] for epoch in range(6)]
    again = PersonCrops(table, reduced, HeatmapCodec(), augment=AugmentSettings(), seed=1)
    assert all(same(again[epoch, 0], samples[epoch]) for epoch in reversed(range(6)))


def test_only_jpegs_are_reduced(drawings: PersonTable) -> None:
    photo = read_photo(drawings.image_root, "0.png", 4)
    assert (photo.reduction, photo.width_px) == (1, 120)
    assert photo.pixels_HWC.shape == (90, 120, 3)


@pytest.mark.parametrize(
    ("shrink", "reduction"), [(0.4, 1), (1.99, 1), (2, 2), (3.99, 2), (4, 4), (7.9, 4), (40, 8)]
)
def test_crops_are_never_made_from_coarser_pixels(shrink: float, reduction: int) -> None:
    scale_wh = np.array([shrink * 192 / 200, 9.0])
    assert reduction_for(scale_wh, (192, 256)) == reduction
