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

from paddle_pose.codecs import heatmap
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.poses.poses import Place
from paddle_pose.settings import DECODERS, Benchmark
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


def encode(codec: HeatmapCodec, *person) -> tuple[np.ndarray, np.ndarray]:
    targets = codec.encode(*person)
    assert list(targets) == ["heatmaps", "weights"]
    return targets["heatmaps"], targets["weights"]


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
    codec = HeatmapCodec(sigma_px=case["sigma"], stride=4)
    targets, weights = encode(codec, EDGES["joints"], EDGES["vis"], tuple(case["image_size_wh"]))
    # exp in float32 may differ by one step (6e-8) between libraries.
    np.testing.assert_allclose(targets, EDGES[f"{case['tag']}/target"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(weights, EDGES[f"{case['tag']}/target_weight"][:, 0])
    empty = np.flatnonzero((weights > 0) & (targets.max(axis=(1, 2)) == 0))
    assert set(case["weight_1_but_empty"]) <= set(empty.tolist())


def test_targets_are_mmposes_too(reference_data: Path) -> None:
    arrays = np.load(reference_data / "parity" / "decode" / "mmpose_encode.npz")
    targets, _ = encode(HeatmapCodec(), arrays["keypoints"][0], arrays["visible"][0], (256, 256))
    np.testing.assert_allclose(targets, arrays["msra_heatmaps"], rtol=0, atol=1e-7)


def test_invisible_joints_draw_nothing() -> None:
    joints = np.array([[100.0, 100.0], [np.nan, np.nan], [100.0, 100.0]])
    targets, weights = encode(HeatmapCodec(), joints, np.array([1, 0, 0]), (256, 256))
    assert weights.tolist() == [1, 0, 0]
    assert targets.max(axis=(1, 2)).tolist() == [1, 0, 0]
    targets[0] = 7  # a caller may write into the targets without spoiling the next ones
    again, _ = encode(HeatmapCodec(), joints, np.array([1, 0, 0]), (256, 256))
    assert again[0].max() == 1


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 189), st.floats(0, 253), st.sampled_from([1.0, 2.0, 3.0]))
def test_round_trip(x: float, y: float, sigma_px: float) -> None:
    codec = HeatmapCodec(sigma_px=sigma_px)
    targets, weights = encode(codec, np.array([[x, y]]), np.ones(1), (192, 256))
    assert weights[0] == 1
    coords, scores = heatmap.decode(targets[None], "quarter_offset", sigma_px=sigma_px)
    # The centre is rounded to a cell (half of 4 px) and lies inside the map up to 189.99 × 253.99;
    # a whole target has equal neighbours and gets no quarter offset, a cut one is not inside.
    assert scores[0, 0] == 1
    assert np.abs(coords[0, 0] * 4 - (x, y)).max() <= 2


def test_targets_of_a_symmetric_person_are_symmetric() -> None:
    """Encoding mirrors as the flip test does: cell c of the mirrored map is W - 1 - c, one off."""
    joints = np.array([[80.0, 40.0], [176.0, 40.0]])
    targets, _ = encode(HeatmapCodec(), joints, np.ones(2), (256, 256))
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
def test_merging_and_searching_to_the_bit(shift: bool) -> None:
    """Ties, empty maps and maps that are no copies: the mean, and its first maximum."""
    rng = np.random.default_rng(5)
    # Steps of an eighth make equal maxima, which must go to the first cell.
    maps = rng.integers(-8, 9, (2, 11, 17, 10, 8)).astype(np.float32) / 8
    maps[:, 3, :5] = 0
    one, other = maps[0], maps[1].swapaxes(2, 3).copy().swapaxes(2, 3)
    before = other.copy()
    back = other[:, COCO17.flip_order, :, ::-1]
    if shift:
        back = np.concatenate([back[..., :1], back[..., :-1]], axis=3)
    plain = (one + back) * np.float32(0.5)
    np.testing.assert_array_equal(heatmap.merge_flip(one, other, COCO17.flip_order, shift), plain)
    np.testing.assert_array_equal(other, before)
    coords, scores = heatmap.decode(plain, "argmax", sigma_px=2)
    flat = plain.reshape(11, 17, 80)
    y, x = np.divmod(flat.argmax(axis=2), 8)
    np.testing.assert_array_equal(coords, np.where(scores > 0, (x, y), 0).transpose(1, 2, 0))
    np.testing.assert_array_equal(scores, flat.max(axis=2))
    assert coords.dtype == scores.dtype == np.float32


def place_of(people: int) -> Place:
    rng = np.random.default_rng(7)
    return Place(
        center_xy=rng.uniform(100, 900, (people, 2)),
        scale_wh=rng.uniform(0.5, 4, (people, 2)),
        image_id=np.arange(people) + 40,
        row=np.arange(people) + 3,
        joints_xy=np.empty((people, 0, 2)),
        visible=np.empty((people, 0)),
    )


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_poses_are_the_decoded_mean_of_all_views(decoder: str, shift: bool) -> None:
    rng = np.random.default_rng(8)
    maps = rng.random((4, 5, 17, 16, 12), np.float32)
    place, codec = place_of(5), HeatmapCodec(sigma_px=1.5)
    views = [
        View({"heatmaps": maps[0]}, {"heatmaps": maps[1]}),
        View({"heatmaps": maps[2]}, {"heatmaps": maps[3]}, scale=1.25),
    ]
    benchmark = Benchmark(name="x", decoder=decoder, shift_heatmap=shift)
    poses = codec.decode(views, place, benchmark, COCO17.flip_order)
    merged = [heatmap.merge_flip(*pair, COCO17.flip_order, shift) for pair in (maps[:2], maps[2:])]
    mean = (merged[0] + heatmap.rescale_maps(merged[1], 1.25)) / 2
    cells, scores = heatmap.decode(mean, decoder, sigma_px=1.5)
    image_xy = heatmap.to_image(cells, place.center_xy, place.scale_wh, (12, 16))
    np.testing.assert_array_equal(poses.keypoints[..., :2], image_xy)
    np.testing.assert_array_equal(poses.keypoints[..., 2], scores)
    np.testing.assert_array_equal(poses.rows, place.row)
    np.testing.assert_array_equal(poses.image_ids, place.image_id)
    single = codec.decode(views[:1], place, benchmark, COCO17.flip_order)
    cells, _ = heatmap.decode(merged[0], decoder, sigma_px=1.5)
    image_xy = heatmap.to_image(cells, place.center_xy, place.scale_wh, (12, 16))
    np.testing.assert_array_equal(single.keypoints[..., :2], image_xy)
    for impossible in ([], [View({"heatmaps": maps[0]}, scale=0.0)]):
        with pytest.raises(UserError, match="test_scales"):
            codec.decode(impossible, place, benchmark, COCO17.flip_order)


def test_logits_of_a_gaussian_give_the_gaussian() -> None:
    cells = np.arange(16)
    squares = (cells[:, None] - 8) ** 2 + (cells[None] - 7) ** 2
    logits = (-squares / 2.0 + 3.0)[None, None].astype(np.float32)
    codec = HeatmapCodec(sigma_px=1.0, maps="logits")
    maps = codec.heatmaps([View({"heatmaps": logits})], np.arange(1), shift=True)
    # The sum of a Gaussian of σ = 1 over whole cells is 2π to 1e-8; float32 does the rest.
    np.testing.assert_allclose(maps[0, 0], np.exp(-squares / 2.0), atol=1e-6)
    plain = HeatmapCodec().heatmaps([View({"heatmaps": logits})], np.arange(1), shift=True)
    np.testing.assert_array_equal(plain, logits)


def test_stride_is_the_codecs() -> None:
    """Twice the stride, half the map; decoding lands where it did."""
    joints = np.array([[64.0, 128.0]])
    place = place_of(1)
    found = []
    for stride in (4, 8):
        codec = HeatmapCodec(stride=stride)
        targets, _ = encode(codec, joints, np.ones(1), (128, 256))
        assert targets.shape == (1, 256 // stride, 128 // stride)
        view = View({"heatmaps": targets[None]})
        found.append(codec.decode([view], place, Benchmark(name="x"), np.arange(1)).keypoints)
    # (64, 128) is a whole cell of both, and the middle: both maps hold the crop's centre exactly.
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0][0, 0, :2], place.center_xy[0], rtol=1e-6)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_maps_of_other_precisions_are_read_in_float32(decoder: str, dtype: str) -> None:
    """Float64 and Paddle's bfloat16, which NumPy gets as uint16: as their float32 values."""
    maps = np.random.default_rng(6).standard_normal((2, 3, 17, 12, 10))
    values = maps.astype(np.float32)
    if dtype == "bfloat16":
        maps = (values.view(np.uint32) >> 16).astype(np.uint16)
        values = (maps.astype(np.uint32) << 16).view(np.float32)
    order = COCO17.flip_order
    got = heatmap.decode(maps[0], decoder, sigma_px=2)
    expected = heatmap.decode(values[0], decoder, sigma_px=2)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    assert got[1].dtype == np.float32
    merged = heatmap.merge_flip(*maps, order, True)
    np.testing.assert_array_equal(merged, heatmap.merge_flip(*values, order, True))
    assert merged.dtype == np.float32
