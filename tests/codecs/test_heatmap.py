"""Targets and decoders against HRNet's and mmpose's arrays, and by invariants."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import PARITY

from paddle_pose.codecs import heatmap, peaks
from paddle_pose.errors import UserError
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import DECODERS, CodecSettings
from paddle_pose.skeletons import COCO17, MPII16

EDGES = np.load(PARITY / "pipeline" / "target_edges.npz")
EDGE_CASES = json.loads((PARITY / "pipeline" / "target_edges.json").read_text())["cases"]
SETS = {"coco256x192": (COCO17, 2.0), "mpii256": (MPII16, 2.0), "mpii384": (MPII16, 3.0)}


@pytest.fixture(params=SETS)
def recorded(request: pytest.FixtureRequest) -> tuple[dict, np.ndarray, float]:
    """Recorded arrays of one set, its flip order and sigma; only the first is in the repository."""
    path = PARITY / "decode" / f"{request.param}.npz"
    if not path.is_file():
        folder: Path = request.getfixturevalue("reference_data")
        path = folder / "parity" / "decode" / path.name
    skeleton, sigma_px = SETS[request.param]
    arrays = dict(np.load(path))
    for name in ("heatmaps", "heatmaps_flipped_out"):
        arrays[name] = arrays[name].astype(np.float32)
    return arrays, skeleton.flip_order, sigma_px


def to_image(arrays: dict, coords: np.ndarray) -> np.ndarray:
    height, width = arrays["heatmaps"].shape[2:]
    return heatmap.to_image(coords, arrays["center"], arrays["scale"], (width, height))


# Image coordinates of the sets stay below 1024 px and are stored as float32: half a step of 2**-14.
# The three points behind the matrix are the same float32 in both, so nothing else may differ.
IMAGE_PX = 2.0**-15 + 1e-9


def test_argmax_is_hrnets(recorded) -> None:
    arrays, _, sigma_px = recorded
    coords, scores = heatmap.decode(arrays["heatmaps"], "argmax", sigma_px=sigma_px)
    np.testing.assert_array_equal(coords, arrays["max_preds"])
    np.testing.assert_array_equal(scores, arrays["maxvals"][..., 0])
    image_xy = to_image(arrays, coords)
    np.testing.assert_allclose(image_xy, arrays["final_preds_post0"], rtol=0, atol=IMAGE_PX)


def test_quarter_offset_is_hrnets(recorded) -> None:
    arrays, _, sigma_px = recorded
    coords, _ = heatmap.decode(arrays["heatmaps"], "quarter_offset", sigma_px=sigma_px)
    image_xy = to_image(arrays, coords)
    np.testing.assert_allclose(image_xy, arrays["final_preds_post1"], rtol=0, atol=IMAGE_PX)


@pytest.mark.parametrize("shift", [False, True])
def test_flip_merge_is_hrnets(recorded, shift: bool) -> None:
    arrays, order, sigma_px = recorded
    merged = heatmap.merge_flip(arrays["heatmaps"], arrays["heatmaps_flipped_out"], order, shift)
    coords, scores = heatmap.decode(merged, "quarter_offset", sigma_px=sigma_px)
    name = f"flip_shift{int(shift)}"
    # (a + b) × 0.5 of the same float32 numbers: equal.
    np.testing.assert_array_equal(scores, arrays[f"{name}_maxvals"][..., 0])
    image_xy = to_image(arrays, coords)
    np.testing.assert_allclose(image_xy, arrays[f"{name}_final_preds"], rtol=0, atol=IMAGE_PX)
    if f"{name}_avg_n0_k0_3" in arrays:
        np.testing.assert_array_equal(merged[0, :4], arrays[f"{name}_avg_n0_k0_3"])


@pytest.mark.parametrize("decoder", ["quarter_offset_per_axis", "dark"])
def test_decoding_is_mmposes(recorded, decoder: str) -> None:
    arrays, _, sigma_px = recorded
    name = {"quarter_offset_per_axis": "msra", "dark": "dark"}[decoder]
    coords, scores = heatmap.decode(arrays["heatmaps"], decoder, sigma_px=sigma_px)
    np.testing.assert_array_equal(scores, arrays[f"mmpose_{name}_score"])
    # Quarters of a cell are exact in float32. DARK divides differences of logarithms (rounding
    # 1e-6 each) by a curvature of 1 / (sigma**2 + sigma**2) >= 1/18: 1e-3 is 50 times that.
    tolerance = 0 if name == "msra" else 1e-3
    cells = arrays[f"mmpose_{name}_input_space"] / 4
    np.testing.assert_allclose(coords, cells, rtol=0, atol=tolerance)


def test_the_two_quarter_rules_differ_where_they_should(recorded) -> None:
    """Teeth: near a border one axis moves in mmpose and none in HRNet."""
    arrays, _, sigma_px = recorded
    both, scores = heatmap.decode(arrays["heatmaps"], "quarter_offset", sigma_px=sigma_px)
    each, _ = heatmap.decode(arrays["heatmaps"], "quarter_offset_per_axis", sigma_px=sigma_px)
    assert set(np.unique(np.abs(both - each)[scores > 0])) <= {0, 0.25}
    assert (each[scores <= 0] == -1).all()
    assert (both[scores <= 0] == 0).all()


def test_dark_kernel_is_mmposes() -> None:
    kernels = {sigma: heatmap.dark_kernel(sigma) for sigma in (1, 1.5, 2, 3)}
    assert kernels == {1: 3, 1.5: 7, 2: 11, 3: 17}


def test_dark_blurs_every_map_alone() -> None:
    """Stacking the maps for one blur must not let a neighbour shine in."""
    maps = np.stack([bump(15.3, y, (32, 24)) for y in (21.2, 12.0, 2.3)])[None]
    maps[0, 1, [0, -1]] = 1000  # would reach the last row of the map before, the first of the next
    together, _ = heatmap.decode(maps, "dark", sigma_px=2)
    for joint in (0, 2):
        alone, _ = heatmap.decode(maps[:, joint : joint + 1], "dark", sigma_px=2)
        # The same sums, at most in another order; see test_decoding_is_mmposes. The farthest
        # weight of the blur is 0.009, times 1000 far above the bump itself.
        np.testing.assert_allclose(together[0, joint], alone[0, 0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_mirrored_and_transposed_maps_give_mirrored_and_transposed_joints(decoder: str) -> None:
    """A mix-up of axes, width and height, or a one-sided border rule shows here."""
    rng = np.random.default_rng(1)
    maps = np.stack([bump(rng.uniform(4, 42), rng.uniform(4, 58), (48, 64)) for _ in range(60)])
    maps = maps.reshape(4, 15, 64, 48)
    coords, scores = heatmap.decode(maps, decoder, sigma_px=2)
    mirrored, _ = heatmap.decode(maps[..., ::-1], decoder, sigma_px=2)
    turned, turned_scores = heatmap.decode(maps.swapaxes(2, 3), decoder, sigma_px=2)
    # DARK's blur sums in another order; see test_decoding_is_mmposes.
    tolerance = 1e-3 if decoder == "dark" else 0
    np.testing.assert_allclose(mirrored[..., 0], 47 - coords[..., 0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(mirrored[..., 1], coords[..., 1], rtol=0, atol=tolerance)
    np.testing.assert_allclose(turned[..., ::-1], coords, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(turned_scores, scores)


def bump(x: float, y: float, size_wh: tuple[int, int], sigma: float = 2) -> np.ndarray:
    columns, rows = np.arange(size_wh[0]), np.arange(size_wh[1])[:, None]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(st.floats(8, 40), st.floats(8, 56))
def test_decoders_find_a_bump_between_the_cells(x: float, y: float) -> None:
    maps = bump(x, y, (48, 64))[None, None]
    error = {
        decoder: np.abs(heatmap.decode(maps, decoder, sigma_px=2)[0][0, 0] - (x, y)).max()
        for decoder in DECODERS
    }
    rounding = 1e-3  # float32: bumps closer than this to the middle of two cells may tie
    assert error["argmax"] <= 0.5 + rounding
    assert error["quarter_offset"] <= 0.25 + rounding
    assert error["quarter_offset_per_axis"] <= 0.25 + rounding
    # DARK is exact but for the blur's cut at 2.5 sigma: the logarithm of the blurred bump is then
    # no parabola. The step -L'/L'' of one axis in float64, over all offsets within half a cell,
    # misses by at most 3.42e-4.
    assert error["dark"] <= 3.5e-4 + rounding


def test_unknown_decoder_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'dark'"):
        heatmap.decode(np.zeros((1, 1, 8, 8), np.float32), "drak", sigma_px=2)


def test_no_people_is_no_error() -> None:
    for decoder in DECODERS:
        coords, scores = heatmap.decode(np.zeros((0, 16, 8, 8), np.float32), decoder, sigma_px=2)
        assert coords.shape == (0, 16, 2)
        assert scores.shape == (0, 16)


@pytest.mark.parametrize("case", EDGE_CASES, ids=lambda case: case["tag"])
def test_targets_at_the_borders_are_hrnets(case: dict) -> None:
    codec = CodecSettings(sigma_px=case["sigma"], stride=4)
    targets, weights = heatmap.encode(
        EDGES["joints"], EDGES["vis"], tuple(case["image_size_wh"]), codec
    )
    # exp in float32 may differ by one step (6e-8) between libraries.
    np.testing.assert_allclose(targets, EDGES[f"{case['tag']}/target"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(weights, EDGES[f"{case['tag']}/target_weight"][:, 0])
    empty = np.flatnonzero((weights > 0) & (targets.max(axis=(1, 2)) == 0))
    assert set(case["weight_1_but_empty"]) <= set(empty.tolist())


def test_targets_are_mmposes_too(reference_data: Path) -> None:
    arrays = np.load(reference_data / "parity" / "decode" / "mmpose_encode.npz")
    targets, _ = heatmap.encode(
        arrays["keypoints"][0], arrays["visible"][0], (256, 256), CodecSettings()
    )
    np.testing.assert_allclose(targets, arrays["msra_heatmaps"], rtol=0, atol=1e-7)


def test_invisible_joints_draw_nothing() -> None:
    joints = np.array([[100.0, 100.0], [np.nan, np.nan], [100.0, 100.0]])
    targets, weights = heatmap.encode(joints, np.array([1, 0, 0]), (256, 256), CodecSettings())
    assert weights.tolist() == [1, 0, 0]
    assert targets.max(axis=(1, 2)).tolist() == [1, 0, 0]
    targets[0] = 7  # a caller may write into the targets without spoiling the next ones
    again, _ = heatmap.encode(joints, np.array([1, 0, 0]), (256, 256), CodecSettings())
    assert again[0].max() == 1


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 189), st.floats(0, 253), st.sampled_from([1.0, 2.0, 3.0]))
def test_round_trip(x: float, y: float, sigma_px: float) -> None:
    codec = CodecSettings(sigma_px=sigma_px)
    targets, weights = heatmap.encode(np.array([[x, y]]), np.ones(1), (192, 256), codec)
    assert weights[0] == 1
    coords, scores = heatmap.decode(targets[None], "quarter_offset", sigma_px=sigma_px)
    # The centre is rounded to a cell (half of 4 px) and lies inside the map up to 189.99 × 253.99;
    # a whole target has equal neighbours and gets no quarter offset, a cut one is not inside.
    assert scores[0, 0] == 1
    assert np.abs(coords[0, 0] * 4 - (x, y)).max() <= 2


def test_targets_of_a_symmetric_person_are_symmetric() -> None:
    """Encoding mirrors as the flip test does: cell c of the mirrored map is W - 1 - c, one off."""
    joints = np.array([[80.0, 40.0], [176.0, 40.0]])
    targets, _ = heatmap.encode(joints, np.ones(2), (256, 256), CodecSettings())
    # 80 = 256 - 176: mirrored in continuous pixels, hence one cell apart after mirroring the map;
    # this is what the shift of merge_flip undoes.
    merged = heatmap.merge_flip(targets[None, :1], targets[None, 1:], np.array([0]), True)
    np.testing.assert_array_equal(merged[0, 0], targets[0])


def test_merge_of_a_perfectly_symmetric_network_is_itself() -> None:
    maps = np.random.default_rng(2).random((2, 16, 8, 6), np.float32)
    mirrored = maps[:, MPII16.flip_order, :, ::-1]
    merged = heatmap.merge_flip(maps, mirrored, MPII16.flip_order, False)
    np.testing.assert_array_equal(merged, maps)
    shifted = heatmap.merge_flip(np.zeros_like(maps), mirrored, MPII16.flip_order, True)
    np.testing.assert_array_equal(shifted[..., 1:], maps[..., :-1] / 2)
    np.testing.assert_array_equal(shifted[..., 0], maps[..., 0] / 2)


def test_to_image_is_the_inverse_crop_matrix() -> None:
    rng = np.random.default_rng(3)
    center, scale = rng.uniform(0, 1500, (20, 2)), rng.uniform(0.3, 9, (20, 2))
    coords = rng.uniform(0, 48, (20, 16, 2))
    image_xy = heatmap.to_image(coords, center, scale, (48, 64))
    for person in range(20):
        inverse = crop_matrix(center[person], scale[person], 0, (48, 64), inverse=True)
        expected = transform_points(coords[person], inverse)
        # The same float32 points, solved in closed form: 4000 px × 1e-16 × the solver's growth.
        np.testing.assert_allclose(image_xy[person], expected, rtol=0, atol=1e-8)


def test_blur_border_is_zero_as_in_mmpose() -> None:
    """The one OpenCV option DARK relies on: BORDER_CONSTANT means zeros in GaussianBlur."""
    blurred = cv2.GaussianBlur(
        np.ones((9, 9), np.float32), (11, 11), 0, borderType=cv2.BORDER_CONSTANT
    )
    assert blurred[0, 0] < 0.5


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_lazy_merging_is_merging(decoder: str, shift: bool, threads: int, monkeypatch) -> None:
    """Bit for bit, over chunks, threads, ties, empty maps and maps that are no copies."""
    monkeypatch.setattr(peaks, "CHUNK_CELLS", 4 * 17 * 10 * 8)
    monkeypatch.setattr(peaks, "thread_count", lambda: threads)
    rng = np.random.default_rng(5)
    # Steps of an eighth make equal maxima, which must go to the first cell.
    maps = rng.integers(-8, 9, (2, 11, 17, 10, 8)).astype(np.float32) / 8
    maps[:, 3, :5] = 0
    one, other = maps[0], maps[1].swapaxes(2, 3).copy().swapaxes(2, 3)
    back = other[:, COCO17.flip_order, :, ::-1]
    if shift:
        back = np.concatenate([back[..., :1], back[..., :-1]], axis=3)
    plain = (one + back) * np.float32(0.5)
    merged = heatmap.merge_flip(one, other, COCO17.flip_order, shift)
    np.testing.assert_array_equal(merged, plain)
    expected = heatmap.decode(plain, decoder, sigma_px=2)
    got = heatmap.decode_flipped(one, other, COCO17.flip_order, decoder, shift=shift, sigma_px=2)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    cells = plain.reshape(11, 17, 80).argmax(axis=2)
    np.testing.assert_array_equal(peaks.find(plain).cells, cells.reshape(-1))
    assert expected[0].dtype == expected[1].dtype == np.float32


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_maps_of_other_precisions_are_read_in_float32(decoder: str, dtype: str) -> None:
    """Float64 and Paddle's bfloat16, which NumPy gets as uint16: as their float32 values."""
    maps = np.random.default_rng(6).standard_normal((2, 3, 17, 12, 10))
    values = maps.astype(np.float32)
    if dtype == "bfloat16":
        maps = (values.view(np.uint32) >> 16).astype(np.uint16)
        values = (maps.astype(np.uint32) << 16).view(np.float32)
    order, how = COCO17.flip_order, {"shift": True, "sigma_px": 2}
    for got, expected in (
        (
            heatmap.decode(maps[0], decoder, sigma_px=2),
            heatmap.decode(values[0], decoder, sigma_px=2),
        ),
        (
            heatmap.decode_flipped(*maps, order, decoder, **how),
            heatmap.decode_flipped(*values, order, decoder, **how),
        ),
    ):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
        assert got[1].dtype == np.float32
    merged = heatmap.merge_flip(*maps, order, True)
    np.testing.assert_array_equal(merged, heatmap.merge_flip(*values, order, True))
    assert merged.dtype == np.float32


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(8, 8), (16, 12), (24, 5), (9, 7), (64, 48)]),
    st.sampled_from(["noise", "ties", "bumps", "nan"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_bounds_lose_no_maximum(
    seed: int, size_hw: tuple[int, int], kind: str, shift: bool
) -> None:
    """Over every cell of the merged maps: the same first maximum, its value and its neighbours."""
    rng, shape = np.random.default_rng(seed), (2, 17, *size_hw)
    maps = rng.normal(0, 0.1 if kind == "bumps" else 1, (2, *shape)).astype(np.float32)
    if kind == "ties":
        maps = np.rint(maps)
    elif kind == "bumps":
        for flat in maps.reshape(-1, size_hw[0] * size_hw[1]):
            flat[rng.integers(len(flat))] += 1
    elif kind == "nan":
        maps[rng.random(maps.shape) < 0.01] = np.nan
    order, width = COCO17.flip_order, size_hw[1]
    merged = peaks.merge(maps[0], maps[1], order, shift=shift)
    found = peaks.find_merged(maps[0], maps[1], order, shift=shift)
    flat = merged.reshape(34, -1)
    np.testing.assert_array_equal(found.cells, flat.argmax(axis=1))
    np.testing.assert_array_equal(found.values[0], flat[np.arange(34), found.cells])
    around = np.pad(merged.reshape(34, *size_hw), ((0, 0), (1, 1), (1, 1)))
    y, x = np.divmod(found.cells, width)
    for value, (down, right) in zip(
        found.values[1:], ((0, 1), (0, -1), (1, 0), (-1, 0)), strict=True
    ):
        row, column = y + down, x + right
        inside = (row >= 0) & (row < size_hw[0]) & (column >= 0) & (column < width)
        expected = around[np.arange(34), row + 1, column + 1]
        np.testing.assert_array_equal(value[inside], expected[inside])
