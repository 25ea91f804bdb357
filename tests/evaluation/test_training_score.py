"""PCKh of a training batch, from the joints themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import paddle
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import mpii
from paddle_pose.data.loader import Batch, training_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.evaluation.training_score import TrainingPckh
from paddle_pose.poses.poses import Poses
from paddle_pose.settings import AugmentSettings, Benchmark, DataSettings

BENCHMARK = Benchmark(name="x", decoder="argmax")
CODEC = HeatmapCodec(sigma_px=1.0)


def score(table: PersonTable, heads: np.ndarray, codec, batch: Batch, outputs) -> tuple[int, int]:
    """With head sizes of the test's own."""
    return TrainingPckh(replace(table, head_size_px=heads), codec, BENCHMARK)(batch, outputs)


@pytest.fixture(scope="module")
def drawn(small_people) -> tuple[Batch, PersonTable]:
    """A batch of turned, mirrored and scaled people, and the table of them all."""
    table = mpii.load(small_people, "train")
    crops = PersonCrops(
        table, DataSettings(image_size_wh=(64, 64)), CODEC, augment=AugmentSettings(), seed=4
    )
    batches = training_batches(crops, batch_size=24, epochs=1, seed=4, num_workers=0)
    return next(batches), table


def test_targets_are_hits_where_a_head_is_larger_than_a_cell(drawn) -> None:
    batch, table = drawn
    outputs = {"heatmaps": batch.targets["heatmaps"].numpy()}
    # A target's centre is rounded to a cell, half a cell of 4 input pixels on each axis at most;
    # a head of 1.5 cells' diagonal leaves no doubt.
    cell_px = batch.place.scale_wh[:, 0] * 200 / 16
    heads = np.full_like(table.head_size_px, 1.5 * np.sqrt(2) * cell_px.max())
    hits, scored = score(table, heads, CODEC, batch, outputs)
    assert hits == scored > 200
    weights = batch.targets["weights"].numpy() > 0
    assert 0.9 * weights.sum() < scored <= weights.sum()  # a Gaussian may reach in from outside
    shifted = {"heatmaps": np.roll(outputs["heatmaps"], 6, axis=3)}
    assert score(table, heads, CODEC, batch, shifted)[0] < 0.1 * scored


def test_distances_are_image_pixels_of_each_person(drawn) -> None:
    batch, table = drawn
    place, distance_px = batch.place, 3.0 * batch.place.scale_wh[:, 0] * 200 / 64

    @dataclass(frozen=True)
    class ThreePixelsOff:
        """Three input pixels to the right of the truth, in the upright crop."""

        def decode(self, views, place, benchmark, flip_order) -> Poses:
            size_px = place.scale_wh[:, None, :1] * 200
            off_xy = (place.joints_xy + np.array([3.0, 0.0])) / 64 - 0.5
            image_xy = place.center_xy[:, None] + off_xy * size_px
            return Poses.at(place, np.concatenate([image_xy, image_xy[..., :1]], axis=2))

    for factor, share in ((2.001, 1), (1.999, 0)):
        heads = np.full(24, np.nan)
        heads[place.row] = factor * distance_px
        hits, scored = score(table, heads, ThreePixelsOff(), batch, {})
        assert hits == share * scored
        assert scored > 200
    assert score(table, heads * np.nan, ThreePixelsOff(), batch, {}) == (0, 0)


def test_without_one_pose_for_each_input_nothing_is_scored(drawn) -> None:
    batch, table = drawn

    class Nobody:
        def decode(self, views, place, benchmark, flip_order) -> Poses:
            return Poses.none(16)

    assert score(table, table.head_size_px, Nobody(), batch, {}) == (0, 0)
    place = batch.place._replace(joints_xy=np.empty((24, 0, 2)), visible=np.empty((24, 0)))
    outputs = {"heatmaps": batch.targets["heatmaps"].numpy()}
    blind = replace(batch, place=place)
    assert score(table, table.head_size_px, CODEC, blind, outputs) == (0, 0)


def test_the_batch_stays_as_it_is(drawn) -> None:
    batch, table = drawn
    before = [column.copy() for column in batch.place]
    outputs = {"heatmaps": batch.targets["heatmaps"].numpy()}
    score(table, table.head_size_px, CODEC, batch, outputs)
    for column, kept in zip(batch.place, before, strict=True):
        np.testing.assert_array_equal(column, kept)
    assert isinstance(batch.images, paddle.Tensor)
