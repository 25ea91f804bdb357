"""DPG: recorded boxes, how often what is drawn, and where boxes may lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddle_pose.data import dpg
from paddle_pose.data.augment import draw
from paddle_pose.data.records import PersonRecord
from paddle_pose.errors import UserError
from paddle_pose.geometry import UNIT_PX
from paddle_pose.settings import AugmentSettings
from paddle_pose.skeletons import HALPE26
from reproduce.aligning import fastpose_data

COUNT = 8000
BOX = np.array([40.0, 30, 60, 100])


def test_recorded_boxes(reference_data: Path):
    rows = list(fastpose_data.box_rows(reference_data))
    assert len(rows) == 2
    assert all(row.ok for row in rows), rows


def test_draws_have_the_published_means_and_deviations():
    rng = np.random.default_rng(0)
    drawn = [dpg.draw_jitter(rng) for _ in range(COUNT)]
    parts = np.array([one.part for one in drawn if one.part is not None])
    # Four standard deviations of a count of 15 %, and of means of uniform numbers.
    assert abs(len(parts) / COUNT - 0.15) < 4 * np.sqrt(0.15 * 0.85 / COUNT)
    assert parts.min() > 0.85
    assert abs(parts.mean() - 0.925) < 4 * 0.15 / np.sqrt(12 * len(parts))
    places = np.array([one.place_xy for one in drawn if one.part is not None])
    assert np.abs(places.mean(0) - 0.5).max() < 4 / np.sqrt(12 * len(parts))
    moves = np.array([one.moves for one in drawn if one.part is None])
    deviations = np.array(dpg.DEVIATIONS)
    assert (np.abs(moves.mean(0) - dpg.MEANS) < 4 * deviations / np.sqrt(len(moves))).all()
    # A deviation's own standard deviation is σ / √(2 n).
    assert (np.abs(moves.std(0) / deviations - 1) < 4 / np.sqrt(2 * len(moves))).all()
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 4 / np.sqrt(len(moves))


def test_a_part_lies_in_the_box_and_grows_by_a_pixel():
    made = dpg.jittered(BOX, dpg.Jitter(0.9, (0.0, 1.0)), (640, 480))
    np.testing.assert_allclose(made, [40, 40, 55, 91], rtol=1e-15)


def test_sides_stay_within_the_image_and_two_pixels_apart():
    far = dpg.jittered(BOX, dpg.Jitter(None, moves=(-9, -9, 9, 9)), (120, 110))
    np.testing.assert_array_equal(far, [1, 1, 116, 106])
    crossed = dpg.jittered(BOX, dpg.Jitter(None, moves=(0.5, 0.5, -0.9, -0.9)), (640, 480))
    np.testing.assert_array_equal(crossed, [70, 80, 2, 2])
    nothing = dpg.jittered(BOX, dpg.Jitter(None, moves=(9, 9, 0, 0)), (120, 110))
    np.testing.assert_array_equal(nothing, BOX)


def person(seen: int, box: np.ndarray | None = BOX) -> PersonRecord:
    joints = np.random.default_rng(5).uniform(40, 100, (26, 2))
    visible = (np.arange(26) < seen).astype(float)
    scale = np.array([0.5, 0.625])
    return PersonRecord(0, "a.jpg", np.array([70.0, 80]), scale, joints, visible, np.nan, 1.0, box)


def test_half_body_goes_before_the_jittered_box():
    settings = AugmentSettings(
        scale_factor=0.35, rotation_deg=45, half_body_probability=0.3, half_body_min_joints=8,
        dpg=True,
    )  # fmt: skip
    plain = AugmentSettings(**{**vars(settings), "dpg": False})
    for seen, share in ((8, 0.0), (9, 0.3)):
        rng = np.random.default_rng(seen)
        drawn = [draw(settings, person(seen), HALPE26, 0.75, rng, (640, 480)) for _ in range(2000)]
        scales = [one.half_body[1] * UNIT_PX for one in drawn if one.half_body is not None]
        assert len(scales) == 2000
        upper = person(seen).joints_xy[:seen]  # the first eleven are the upper body
        height, width = np.ptp(upper[:, 1]), np.ptp(upper[:, 0])
        half = 1.5 * max(height, width / 0.75)
        # float32 extents: a jittered box is of that height by chance alone, and hardly ever.
        halves = np.mean([abs(scale[1] - half) < 1e-3 for scale in scales])
        assert abs(halves - share) <= 4 * np.sqrt(share * (1 - share) / 2000)
        assert np.std([scale[1] for scale in scales]) > 1
    rng = np.random.default_rng(0)
    assert draw(plain, person(8), HALPE26, 0.75, rng, (640, 480)).half_body is None


def test_without_boxes_there_is_no_dpg():
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=r"augment\.dpg: jitters boxes"):
        draw(AugmentSettings(dpg=True), person(9, None), HALPE26, 0.75, rng, (640, 480))
