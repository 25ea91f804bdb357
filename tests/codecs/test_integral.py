"""Coordinates: targets and decoding against AlphaPose's records, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from places import PARITY

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec, heat_joints, unflipped
from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.poses.poses import Place
from paddle_pose.settings import Benchmark
from reproduce.aligning import fastpose_codec

SIZE_WH, CELLS_WH = (192, 256), (48, 64)
BENCHMARK = Benchmark(name="x")


def test_targets_equal_the_record():
    rows = list(fastpose_codec.target_rows())
    assert len(rows) == 9
    assert all(row.ok for row in rows), rows


def test_coordinates_and_scores_equal_the_record():
    rows = list(fastpose_codec.small_rows())
    assert len(rows) == 8
    assert all(row.ok for row in rows), rows


def test_every_codec_decodes_as_recorded(reference_data):
    rows = list(fastpose_codec.decode_rows(reference_data))
    assert len(rows) == 2 * 12 + 1
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


def place_of(people: int) -> Place:
    """Crops of the input's aspect, 0.9 image pixels an input pixel."""
    rng, ids = np.random.default_rng(2), np.arange(people)
    center = rng.uniform(100, 400, (people, 2)).astype(np.float32).astype(np.float64)
    scale = np.tile(np.array(SIZE_WH) * 0.9 / 200, (people, 1))
    return Place(center, scale, ids, ids, np.empty((people, 0, 2)), np.empty((people, 0)))


def drawn(joints_xy: np.ndarray) -> np.ndarray:
    """(K, 64, 48) maps whose mean position is the joint: each axis shared by two cells."""
    lines = []
    for axis, count in enumerate(CELLS_WH):
        at = joints_xy[:, axis] * count / SIZE_WH[axis]
        lines.append(np.maximum(0, 1 - np.abs(np.arange(count) - at[:, None])))
    return lines[1][:, :, None] * lines[0][:, None]


def in_image(joints_xy: np.ndarray, place: Place) -> np.ndarray:
    return np.stack([
        transform_points(
            joints, crop_matrix(place.center_xy[n], place.scale_wh[n], 0, SIZE_WH, inverse=True)
        )
        for n, joints in enumerate(joints_xy)
    ])  # fmt: skip


# float32 maps: 2^-24 of the larger of two shares moves a joint by as much of a cell at 64, twice;
# 3.6 image pixels a cell. The matrices' points are float32 below 512 px: half a step, 2^-16 px,
# in each of three, and at most 2 × as far out as they stand: 6 of them.
THERE_AND_BACK_PX = 2 * 64 * 2**-24 * 3.6 + 6 * 2**-16


def test_a_joint_comes_back_where_it_was():
    joints = np.random.default_rng(1).uniform(4, 180, (3, 17, 2))
    place, maps = place_of(3), np.stack([drawn(one) for one in joints])
    poses = IntegralCodec("divide_sum").decode([View({"heatmaps": maps})], place, BENCHMARK, None)
    off = np.abs(poses.keypoints[..., :2] - in_image(joints, place)).max()
    assert off < THERE_AND_BACK_PX
    assert (poses.keypoints[..., 2] == 1).all()
    made = IntegralCodec().encode(joints[0], np.ones(17), SIZE_WH)["coordinates"]
    cells, _ = IntegralCodec("divide_sum").cells(maps[:1])
    # A target is a float32 below 0.5, half a step 2^-26; cells as above.
    np.testing.assert_allclose(made, cells[0] / CELLS_WH - 0.5, rtol=0, atol=2**-26 + 2**-23)


def test_combined_joints_come_back_by_either_half():
    joints = np.random.default_rng(3).uniform(8, 180, (2, 136, 2))
    place, codec = place_of(2), CombinedCodec("divide_sum")
    targets = [codec.encode(one, np.ones(136), SIZE_WH) for one in joints]
    assert targets[0]["heatmaps"].shape == (26, 64, 48)
    assert targets[0]["coordinates"].shape == (110, 2)
    assert {*targets[0]["weights"], *targets[0]["coordinate_weights"]} == {1}
    maps = np.stack([
        np.concatenate([one["heatmaps"], drawn(xy[26:])])
        for one, xy in zip(targets, joints, strict=True)
    ])  # fmt: skip
    poses = codec.decode([View({"heatmaps": maps})], place, BENCHMARK, np.arange(136))
    off = np.abs(poses.keypoints[..., :2] - in_image(joints, place))
    # A Gaussian stands on the nearest cell: half a cell of 3.6 image pixels.
    assert off[:, :26].max() <= 1.8 + THERE_AND_BACK_PX
    assert off[:, 26:].max() < THERE_AND_BACK_PX


@pytest.mark.parametrize(("joints", "doubled"), [(136, 26), (68, 26), (133, 23), (26, 0), (17, 0)])
def test_the_body_weighs_two_and_what_is_outside_keeps_its_weight(joints, doubled):
    visible = np.ones(joints)
    visible[3] = 0
    made = IntegralCodec().encode(np.full((joints, 2), -50.0), visible, SIZE_WH)
    expected = np.where(np.arange(joints) < doubled, 2, 1) * visible
    np.testing.assert_array_equal(made["coordinate_weights"], expected)
    assert (made["coordinates"] < -0.5).all()
    assert visible.max() == 1
    # Said instead of found out from the number of joints.
    for first in (0, 5):
        made = IntegralCodec(double_first=first).encode(np.zeros((joints, 2)), visible, SIZE_WH)
        expected = np.where(np.arange(joints) < first, 2, 1) * visible
        np.testing.assert_array_equal(made["coordinate_weights"], expected)


def test_a_larger_view_is_brought_back_about_its_middle():
    joints = np.random.default_rng(4).uniform(60, 120, (1, 5, 2))
    place, middle = place_of(1), np.array(SIZE_WH) / 2
    nearer = drawn(middle + (joints[0] - middle) * 2)[None]
    plain = IntegralCodec("divide_sum")
    views = [View({"heatmaps": drawn(joints[0])[None]}), View({"heatmaps": nearer}, scale=0.5)]
    poses = plain.decode(views, place, BENCHMARK, None)
    off = np.abs(poses.keypoints[..., :2] - in_image(joints, place)).max()
    assert off < THERE_AND_BACK_PX


def test_mirrored_maps_come_back_as_recorded():
    arrays = np.load(PARITY / "decode" / "alphapose.npz")
    order = np.array([0, 2, 1, 4, 3, 5, 6, 7])
    found = unflipped(arrays["logits"], order, shift=False)
    np.testing.assert_array_equal(found, arrays["flip_heatmap_noshift"])
    shifted = unflipped(arrays["logits"], order, shift=True)
    np.testing.assert_array_equal(shifted[..., 1:], found[..., :-1])
    np.testing.assert_array_equal(shifted[..., 0], found[..., 0])


def test_the_flip_test_averages_coordinates_not_maps():
    joints = np.array([[[40.0, 100.0], [120.0, 90.0]]])
    order, place = np.array([1, 0]), place_of(1)
    elsewhere = joints + np.array([8, 0])
    # Cell c of the mirrored maps is cell 47 - c, and 48 - c once it is moved.
    mirrored = drawn((elsewhere[0])[order])[None, :, :, ::-1]
    mirrored = np.concatenate([mirrored[..., -1:], mirrored[..., :-1]], 3)
    view = View({"heatmaps": drawn(joints[0])[None]}, {"heatmaps": mirrored})
    poses = IntegralCodec("divide_sum").decode([view], place, BENCHMARK, order)
    off = np.abs(poses.keypoints[..., :2] - in_image(joints + np.array([4, 0]), place)).max()
    assert off < THERE_AND_BACK_PX


def test_extreme_logits_are_numbers():
    maps = np.zeros((1, 2, 4, 4), np.float32)
    maps[0, 0, 1, 2], maps[0, 1] = 1e4, -60
    for norm in ("sigmoid", "softmax"):
        cells, scores = IntegralCodec(norm).cells(maps)
        assert np.isfinite(cells).all()
        assert np.isfinite(scores).all()
    np.testing.assert_array_equal(IntegralCodec("softmax").cells(maps)[0][0, 0], [2, 1])


def test_too_few_joints_for_two_codecs_are_named():
    assert [heat_joints(joints) for joints in (136, 133, 68)] == [26, 23, 26]
    with pytest.raises(UserError, match=r"CombinedCodec: 17 joints; it needs body, face and hands"):
        CombinedCodec().encode(np.zeros((17, 2)), np.ones(17), SIZE_WH)


def test_heat_maps_are_those_of_hrnet():
    """AlphaPose's targets need no code: the record's 17 joints are HeatmapCodec's to the bit."""
    case, _, targets, _ = next(fastpose_codec.cases())
    seen = (targets["weights"][0] > 0).astype(float)
    made = HeatmapCodec(sigma_px=2.0).encode(case["joints"][0], seen, (48, 64))
    np.testing.assert_array_equal(made["heatmaps"], targets["heatmaps"][0])
