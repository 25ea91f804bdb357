"""DARK, UDP and maps of offsets: mmpose's records, there and back, and the mirror image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddle_pose.codecs.codec import maps_of, matrix_of
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.codecs.views import View
from paddle_pose.data.augment import Augmentation, Photo
from paddle_pose.data.records import PersonRecord
from paddle_pose.errors import UserError
from paddle_pose.geometry import transform_points
from paddle_pose.settings import Benchmark
from reproduce.aligning import encodings

SIZE_WH, CELLS_WH = (192, 256), (48, 64)
JOINTS = 17
CODECS = {
    "unbiased": (HeatmapCodec(encoding="unbiased"), "dark"),
    "udp": (HeatmapCodec(encoding="udp"), "udp"),
    "udp, mirrored": (HeatmapCodec(encoding="udp"), "udp_mirrored"),
    "offsets": (OffsetCodec(), "offsets"),
    "offsets, blurred": (OffsetCodec(), "offsets_blurred"),
}


def test_crops_and_targets_are_mmposes() -> None:
    rows = list(encodings.target_rows())
    assert len(rows) == 9
    assert all(row.ok for row in rows), rows


def test_decoders_are_mmposes() -> None:
    rows = list(encodings.decode_rows(None))
    assert len(rows) == 20
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


def test_decoders_are_mmposes_on_the_larger_records(reference_data: Path) -> None:
    rows = list(encodings.decode_rows(reference_data))[20:]
    assert len(rows) == 3
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_loss_of_offsets_is_mmposes(dtype: str) -> None:
    rows = list(encodings.loss_rows(dtype))
    assert len(rows) == 4
    assert all(row.ok for row in rows), rows


def people(count: int, scale_to: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres, scales of the input's aspect, and joints in the image well inside the crops."""
    rng = np.random.default_rng(5)
    center = rng.uniform(200, 400, (count, 2))
    scale = np.array(SIZE_WH) / 256 * rng.uniform(0.8, scale_to + 1, (count, 1))
    inside = rng.uniform(-0.25, 0.25, (count, JOINTS, 2))
    return center, scale, center[:, None] + inside * (scale * 200)[:, None]


@pytest.mark.parametrize("name", CODECS)
def test_a_joint_comes_back_where_it_was(name: str) -> None:
    codec, decoder = CODECS[name]
    center, scale, joints = people(4)
    maps = []
    for one, size, xy in zip(center, scale, joints, strict=True):
        matrix = matrix_of(codec)(one, size, 0.0, SIZE_WH)
        made = codec.encode(transform_points(xy, matrix), np.ones(JOINTS), SIZE_WH)
        assert (made["weights"] == 1).all()
        maps.append(made["heatmaps"])
    assert np.shape(maps)[1] == maps_of(codec, JOINTS)
    place = encodings.place_at(center, scale)
    benchmark = Benchmark(name="x", decoder=decoder, shift_heatmap=False)
    poses = codec.decode([View({"heatmaps": np.array(maps)})], place, benchmark, np.arange(JOINTS))
    px_per_cell = (scale * 200 / np.array(CELLS_WH))[:, None]
    apart = np.abs((poses.keypoints[..., :2] - joints) / px_per_cell).max()
    # The logarithm of a Gaussian is a parabola, whose top one Newton step finds. What is left:
    # - OpenCV cuts the blur at 5.5 cells, which leaves a fourth cumulant of about -4 beside a
    #   variance of 8: from half a cell away the step errs by 0.5^3 × 4 / (6 × 8^3) = 1.6e-4, by
    #   differences over two cells (DARK) some times that.
    # - UDP cuts the Gaussian 5.5 cells away at least, where it is 0.023, times the blur's last
    #   weight 0.009: 2e-4 of the peak, a difference that is divided by a curvature of 1 / 8 and
    #   multiplied by the share of the sides that differs, half a cell: 8e-4.
    # - Offsets are float32 of up to 64 cells, their matrix float32 of 1024 px: 1e-4. They are
    #   planes, which a blur keeps away from borders, and joints here are 12 cells inside.
    bound = 1e-4 if name.startswith("offsets") else 1e-3
    assert apart < bound


@pytest.mark.parametrize("name", ["udp", "offsets"])
def test_a_mirrored_map_needs_no_shift(name: str) -> None:
    """The targets of a mirrored input are the mirrored targets; by HRNet's unit they are not."""
    codec, _ = CODECS[name]
    rng = np.random.default_rng(3)
    # In cells, away from halves: which cell is nearest must not hang on rounding.
    cells = np.stack([rng.integers(8, 40, 6), rng.integers(8, 56, 6)], 1) + rng.uniform(-0.4, 0.4)
    joints = cells * (np.array(SIZE_WH) - 1) / (np.array(CELLS_WH) - 1)
    mirrored = joints * [-1, 1] + [SIZE_WH[0] - 1, 0]
    plain, other = (codec.encode(xy, np.ones(6), SIZE_WH)["heatmaps"] for xy in (joints, mirrored))
    order = np.arange(6)
    views = [View({"heatmaps": plain[None]}, {"heatmaps": other[None]})]
    merged = codec.heatmaps(views, order, shift=False)
    discs = plain[::3] if name == "offsets" else plain
    # Quotients of sizes are float32 (6e-8 of 64 cells), a Gaussian's slope is at most 0.31.
    np.testing.assert_allclose(merged[0], discs, rtol=0, atol=2e-6)
    by_size = HeatmapCodec()
    apart = [by_size.encode(xy, np.ones(6), SIZE_WH)["heatmaps"] for xy in (joints, mirrored)]
    assert np.abs(apart[1][..., ::-1] - apart[0]).max() > 0.1


def test_mirrored_offsets_change_their_sign() -> None:
    codec, decoder = OffsetCodec(), "offsets"
    joints = np.array([[50.3, 80.2], [120.9, 199.7]])
    mirrored = (joints * [-1, 1] + [SIZE_WH[0] - 1, 0])[::-1]  # left is right
    maps = [codec.encode(xy, np.ones(2), SIZE_WH)["heatmaps"][None] for xy in (joints, mirrored)]
    views = [View({"heatmaps": maps[0]}, {"heatmaps": maps[1]})]
    merged = codec.merged(views, np.array([1, 0]), shift=False)
    # As above; offsets are in radii of 3.5 cells and reach 64 cells: 64 / 3.5 × 2^-23.
    np.testing.assert_allclose(merged, maps[0], rtol=0, atol=1e-5)
    cells, scores = codec.cells(merged, decoder)
    expected = joints * (np.array(CELLS_WH) - 1) / (np.array(SIZE_WH) - 1)
    np.testing.assert_allclose(cells[0], expected, rtol=0, atol=1e-4)
    assert (scores > 0.3).all()


def test_empty_maps_and_nobody_are_numbers() -> None:
    for codec, decoder in CODECS.values():
        for count in (0, 2):
            maps = np.zeros((count, maps_of(codec, 3), 32, 24), np.float32)
            cells, scores = codec.cells(maps, decoder)
            assert cells.shape == (count, 3, 2)
            assert (cells == -1).all()
            assert (scores == 0).all()


def test_offsets_of_several_scales_are_refused() -> None:
    view = View({"heatmaps": np.zeros((1, 3, 32, 24))}, None, 1.2)
    place = encodings.place_at(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(UserError, match="one scale"):
        OffsetCodec().decode([view], place, Benchmark(name="x", decoder="offsets"), np.arange(1))


def test_scaled_views_keep_their_middle_by_udp() -> None:
    """A larger crop's map is brought back about (size - 1) / 2."""
    codec = HeatmapCodec(encoding="udp")
    joint = np.array([[60.0, 90.0]])
    middle = (np.array(SIZE_WH) - 1) / 2
    maps = [
        codec.encode(middle + (joint - middle) / scale, np.ones(1), SIZE_WH)["heatmaps"][None]
        for scale in (1.0, 1.25)
    ]
    views = [View({"heatmaps": one}, None, s) for one, s in zip(maps, (1.0, 1.25), strict=True)]
    cells = [
        codec.cells(codec.heatmaps(some, np.arange(1), shift=False), "udp")[0]
        for some in (views[:1], views)
    ]
    # Bilinear interpolation of a Gaussian keeps its middle; a cell's 1/32, OpenCV's step, is left.
    # About size / 2 it would be off by 0.5 × (1 - 1 / 1.25) / 2 = 0.05 in the mean of the two.
    assert np.abs(cells[0] - cells[1]).max() < 1 / 32


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation_deg", [0.0, 17.0])
def test_a_lit_spot_is_where_its_joint_is(flip: bool, rotation_deg: float) -> None:
    """UDP's crop moves light and joints alike, and a positive angle counter-clockwise."""
    spot_xy, size_wh = np.array([124.3, 83.6]), (240, 180)
    x, y = np.meshgrid(*map(np.arange, size_wh))
    light = 240 * np.exp(-((x - spot_xy[0]) ** 2 + (y - spot_xy[1]) ** 2) / (2 * 16))
    photo = Photo(np.dstack([light] * 3).round().astype(np.uint8), size_wh[0], 1)
    record = PersonRecord(
        image="x", row=0, center_xy=np.array([118.0, 90.0]), scale_wh=np.array([0.3, 0.3]),
        joints_xy=np.tile(spot_xy, (2, 1)), visible=np.ones(2), head_size_px=1.0, box_score=1.0,
    )  # fmt: skip
    change = Augmentation(rotation_deg=rotation_deg, flip=flip)
    matrix = matrix_of(HeatmapCodec(encoding="udp"))
    crop = change.view(record, photo, (40, 40), np.array([1, 0]), matrix_of=matrix)
    seen = crop.image_HWC[..., 1].astype(float)
    rows, columns = np.mgrid[:40, :40]
    seen_xy = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum()
    # OpenCV 4 interpolates in steps of 1/32 source pixel; HRNet's crop is off by up to 0.5 × 1/40
    # of the way from the middle in addition, and half a pixel there.
    assert np.abs(seen_xy - crop.joints_xy[0]).max() < 1 / 32
    middle = transform_points(crop.center_xy, crop.matrix)
    np.testing.assert_allclose(middle, 19.5, rtol=0, atol=1e-4)  # a float32 matrix: 118 × 2^-23
    if rotation_deg and not flip:
        right = transform_points(np.add(crop.center_xy, [10, 0]), crop.matrix) - middle
        assert right[1] < 0
