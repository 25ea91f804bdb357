"""Inference: crops to key points in image pixels, with and without the flip test."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddle_pose.codecs import heatmap
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import mpii
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.inference import predict as inference
from paddle_pose.inference.engine import make_forward
from paddle_pose.models.blocks import PoseNetwork, StageOutput
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.poses.poses import Poses
from paddle_pose.settings import Benchmark, DataSettings
from paddle_pose.skeletons import MPII16

DATA = DataSettings(image_size_wh=(64, 64), rgb_mean=(0, 0, 0), rgb_std=(1, 1, 1))
CODEC = HeatmapCodec(sigma_px=1.0)


class Brightest(PoseNetwork):
    """Every joint's map is the picture's red channel, averaged over 4×4 pixels."""

    def forward(self, images_BCHW):
        red = paddle.nn.functional.avg_pool2d(images_BCHW[:, :1], 4)
        return [StageOutput(paddle.tile(red, [1, 16, 1, 1]))]


class Oracle(PoseNetwork):
    """Gives the targets of the people in table order, whatever the picture."""

    def __init__(self, crops: PersonCrops):
        super().__init__()
        self.maps = np.stack([crops[i].targets["heatmaps"] for i in range(len(crops))])
        self.next = 0

    def forward(self, images_BCHW):
        count = images_BCHW.shape[0]
        maps = self.maps[self.next : self.next + count]
        self.next += count
        return [StageOutput(paddle.to_tensor(maps))]


def predict(network, table, benchmark, workers=0):
    """(N, 16, 3) key points."""
    forward = make_forward(network, DATA, flip_test=benchmark.flip_test, engine="eager")
    views = [
        PersonCrops(table, DATA, CODEC, with_targets=False, view_scale=scale)
        for scale in benchmark.test_scales
    ]
    order = MPII16.flip_order
    parts = inference.predict(
        forward, views, CODEC, benchmark, order, batch_size=3, num_workers=workers
    )
    return Poses.joined(parts).keypoints


@pytest.fixture(scope="module")
def table(small_people):
    return mpii.load(small_people, "valid")


def test_perfect_maps_give_the_joints_back(table):
    oracle = Oracle(PersonCrops(table, DATA, CODEC))
    found = predict(oracle, table, Benchmark(name="x", flip_test=False, decoder="argmax"))
    cell_px = table.scale_wh[:, 0] * 200 / 16
    errors = np.abs(found[:, :, :2] - table.joints_xy) / cell_px[:, None, None]
    # A target's centre is the joint rounded to a whole cell: at most half a cell on each axis. Only
    # joints inside the crop have a target.
    inside = np.abs(table.joints_xy - table.center_xy[:, None]).max(2) < cell_px[:, None] * 7.4
    seen = (table.visible > 0) & inside
    assert seen.sum() > 60
    assert errors[seen].max() <= 0.5 + 1e-6


def test_flip_test_is_blind_to_mirroring(table):
    """A map that depends on the picture alone, mirrored and mirrored back, is itself."""
    plain = predict(Brightest(), table, Benchmark(name="x", flip_test=False, decoder="argmax"))
    both = predict(Brightest(), table, Benchmark(name="x", shift_heatmap=False, decoder="argmax"))
    np.testing.assert_allclose(plain, both, atol=1e-6)
    shifted = predict(Brightest(), table, Benchmark(name="x", decoder="argmax"))
    assert not np.allclose(plain, shifted)


def test_workers_and_batches_change_nothing(table):
    benchmark = Benchmark(name="x")
    np.testing.assert_array_equal(
        predict(Brightest(), table, benchmark), predict(Brightest(), table, benchmark, workers=2)
    )


def test_poses_know_their_rows_and_boxes(table):
    some = table.select(np.array([5, 2]))
    forward = make_forward(Brightest(), DATA, flip_test=False, engine="eager")
    (poses,) = inference.predict(
        forward,
        [PersonCrops(some, DATA, CODEC, with_targets=False)],
        CODEC,
        Benchmark(name="x", flip_test=False),
        MPII16.flip_order,
        batch_size=3,
        num_workers=0,
    )
    assert poses.rows.tolist() == [5, 2]
    np.testing.assert_array_equal(poses.image_ids, table.image_ids[some.image_index])
    size = some.scale_wh * 200
    np.testing.assert_allclose(poses.boxes_xywh[:, 2:], size, rtol=1e-15)
    np.testing.assert_allclose(
        poses.boxes_xywh[:, :2] + size / 2, some.center_xy, rtol=0, atol=1e-12
    )  # one rounding of numbers below 1,000: 2^-43


def test_normalizer_equals_its_formula():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ours = ImageNormalizer(DataSettings())(paddle.to_tensor(images)).numpy()
    turned = ImageNormalizer(DataSettings(channel_order="bgr"))(paddle.to_tensor(images)).numpy()
    expected = ((images[..., ::-1] / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(turned, expected, atol=1e-6)
    expected = ((images / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    # Values up to 2.7 from a product and a sum of float32 numbers up to 4.4: 3 roundings of 2.4e-7.
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_scaled_maps_come_back_to_their_place():
    """A bump in a crop 1.25 times as large lies 1.25 times as far out in the plain one."""
    cells = np.arange(32)
    bump = np.exp(-((cells[:, None] - 20) ** 2 + (cells[None] - 12) ** 2) / 8.0)
    moved = heatmap.rescale_maps(bump[None, None].astype(np.float32), 1.25)[0, 0]
    total = moved.sum()
    x, y = (moved.sum(0) * cells).sum() / total, (moved.sum(1) * cells).sum() / total
    # Bilinear resampling keeps the mean of a smooth bump to a few hundredths of a cell.
    assert x == pytest.approx(16 + (12 - 16) * 1.25, abs=0.05)
    assert y == pytest.approx(16 + (20 - 16) * 1.25, abs=0.05)


def test_scale_one_alone_changes_nothing(table):
    one = predict(Brightest(), table, Benchmark(name="x"))
    twice = predict(Brightest(), table, Benchmark(name="x", test_scales=(1.0, 1.0)))
    np.testing.assert_allclose(one, twice, atol=1e-6)
    with pytest.raises(UserError, match="test_scales"):
        predict(Brightest(), table, Benchmark(name="x", test_scales=(0.0,)))
