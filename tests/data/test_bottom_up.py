"""Whole pictures to train on: recorded places and samples, one lit pixel, chance, refusals."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import whole_pictures

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.configs import bodyposenet
from paddle_pose.data.bottom_up import (
    OUTSIDE,
    STILL,
    BottomUpSamples,
    Change,
    Person,
    draw,
    input_matrix,
    mask_cells,
    warped,
)
from paddle_pose.data.whole_people import from_annotations
from paddle_pose.errors import UserError
from paddle_pose.geometry import transform_points
from paddle_pose.settings import SPATIAL_MODES, SpatialSettings
from reproduce.aligning import bodyposenet_data as aligning

RECIPE = bodyposenet.vgg19_coco()
TURNED = Change(True, False, (7, -9), 1.3, 0.5)
PERSON = Person(np.array([70.0, 60.0]), 80.0)


def test_recorded_places(reference_data):
    rows = list(aligning.place_rows(reference_data))
    assert len(rows) == 4
    pixels = rows.pop()
    assert all(row.ok for row in rows), rows
    # Before version 5 OpenCV takes places to 1/32 pixel: 1/64 off in x and in y, of noise that may
    # change by 255 a pixel.
    more = 0 if int(cv2.__version__.partition(".")[0]) >= 5 else 2 * 255 / 64
    assert pixels.difference <= pixels.tolerance + more


def test_recorded_samples(reference_data):
    rows = list(aligning.loader_rows(reference_data))
    assert len(rows) == 4
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("mode", SPATIAL_MODES)
def test_a_blob_is_where_its_joint_goes(mode):
    y, x = np.mgrid[:120, :160] + 0.5
    blob = 120 * np.exp(-((x - 61.5) ** 2 + (y - 51.5) ** 2) / 50)
    picture = np.repeat((OUTSIDE + blob).round().astype(np.uint8)[..., None], 3, 2)
    matrix = input_matrix(TURNED, SpatialSettings(mode=mode), (160, 120), PERSON, (128, 128))
    made = warped(picture, matrix, (128, 128)).astype(float)[..., 0] - OUTSIDE
    rows, columns = np.mgrid[:128, :128]
    middle = np.array([(columns * made).sum(), (rows * made).sum()]) / made.sum()
    # Joints are counted from the corner, array places from the first pixel's middle. Rounding to
    # whole levels (deviation 0.29) of some 36 s² pixels 2 s away moves the middle of a blob of
    # deviation s and height 120 by 0.29 · 6 s · 2 s / (120 · 2 π s²) = 0.005; five times that.
    wanted = transform_points(np.array([61.5, 51.5]), matrix) - 0.5
    np.testing.assert_allclose(middle, wanted, rtol=0, atol=0.025)


def test_a_mask_is_picked_at_first_pixels_and_all_outside_counts():
    mask = np.full((120, 160), 255, np.uint8)
    mask[40:80, 40:80] = 0
    whole = np.array([[1.0, 0, 0], [0, 1, 0]])
    cells = mask_cells(mask, whole, (192, 128), 8)
    wanted = np.ones((16, 24))
    wanted[5:10, 5:10] = 0  # pixels 40, 48, … 72
    np.testing.assert_array_equal(cells, wanted)
    half = mask_cells(mask, np.array([[1.0, 0, 0.5], [0, 1, 0]]), (192, 128), 8)
    assert half[5, 5] == 0.5  # half of pixel 39, which counts
    assert (mask_cells(np.zeros((4, 4), np.uint8), whole, (64, 64), 8)[1:] == 1).all()


def samples(tmp_path, **changes) -> BottomUpSamples:
    people = from_annotations(whole_pictures.write(tmp_path / "data"), "train2017", "bodypose18")
    augment = {0: replace(RECIPE.augment, **changes)}
    data = replace(RECIPE.data, image_size_wh=(64, 64))
    return BottomUpSamples(people, data, PafCodec(), augment=augment, seed=3)


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path):
    made = samples(tmp_path)
    again, other = made[2, 1], made[3, 1]
    for first, then in zip(made[2, 1].targets.values(), again.targets.values(), strict=True):
        np.testing.assert_array_equal(first, then)
    assert not np.array_equal(other.image_HWC, again.image_HWC)
    shapes = {name: one.shape for name, one in again.targets.items()}
    assert shapes == {"heatmaps": (19, 8, 8), "pafs": (38, 8, 8), "mask": (8, 8)}
    assert again.image_HWC.dtype == np.uint8
    assert made.name_of((2, 1)) == "001.png, annotation 1"
    assert (again.place.image_id, again.place.row) == (1, 1)


class Noting(PafCodec):
    """Gives its joints back as well."""

    def encode(self, joints_xy, visible, image_size_wh):
        made = super().encode(joints_xy, visible, image_size_wh)
        return made | {"joints": joints_xy, "counts": visible}


def test_mirroring_swaps_left_and_right(tmp_path):
    made = samples(tmp_path)
    made.codec = Noting()
    spatial = SpatialSettings()
    plain, mirrored = (made.changed(3, Change(flip=flip), spatial) for flip in (False, True))
    wanted = plain.targets["joints"][:, made.flip_order] * [-1, 1] + [64, 0]
    # A product and a sum in float64 of numbers below 100.
    np.testing.assert_allclose(mirrored.targets["joints"], wanted, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        mirrored.targets["counts"], plain.targets["counts"][:, made.flip_order]
    )
    assert not plain.targets["counts"].all()
    apart = mirrored.image_HWC.astype(int) - plain.image_HWC[:, ::-1]
    assert np.abs(apart).max() <= 1  # halves are rounded either way


def test_unlabelled_people_and_crowds_are_masked(tmp_path):
    made = samples(tmp_path)
    spatial = SpatialSettings(mode="standard")
    for index in (0, 2):
        assert made.changed(index, STILL, spatial).targets["mask"].min() == 0
    assert made.changed(3, STILL, spatial).targets["mask"].min() == 1


def test_what_is_drawn():
    spatial = SpatialSettings(
        shift_px=3, zoom_probability=0.25, zoom=(0.8, 1.2), flip_vertical_probability=0.1
    )
    rng = np.random.default_rng(0)
    made = [draw(RECIPE.augment, spatial, rng) for _ in range(4000)]
    turns = np.array([one.rotation_rad for one in made])
    # Counts of 4000 draws: 5 deviations are 158 of p = 0.5, 137 of 0.25, 95 of 0.1, 111 of 1/7.
    assert abs(sum(one.flip for one in made) - 2000) < 158
    assert abs(sum(one.flip_vertical for one in made) - 400) < 95
    assert abs(sum(one.zoom != 1 for one in made) - 1000) < 137
    assert all(0.8 <= one.zoom <= 1.2 for one in made)
    shifts, counts = np.unique([one.shift_xy for one in made], return_counts=True)
    assert shifts.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert np.abs(counts - 8000 / 7).max() < 160
    assert np.abs(turns).max() <= np.deg2rad(40)
    # A uniform's deviation is 40° / √3; of 4000 its mean's is 0.37°, five times that 1.8°.
    assert abs(np.rad2deg(turns.mean())) < 1.8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale_factor": 0.2}, "augment.scale_factor: is of crops"),
        ({"color_jitter": 0.2}, "augment.color_jitter: is of crops"),
        ({"spatial": None}, "need augment.spatial"),
        ({"distribution": "normal"}, "augment.distribution=uniform"),
    ],
)
def test_changes_of_crops_are_refused(tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        samples(tmp_path, **changes)
