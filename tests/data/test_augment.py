"""Drawing and applying augmentations: HRNet's cases, and what holds for any of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_pose.data.augment import Augmentation, crop_image, draw, half_body
from paddle_pose.data.records import PersonRecord
from paddle_pose.errors import UserError
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings
from paddle_pose.skeletons import COCO17, MPII16


def person(visible: np.ndarray | None = None) -> PersonRecord:
    joints = np.random.default_rng(5).uniform(50, 200, (16, 2))
    return PersonRecord(
        row=0,
        image="a.jpg",
        center_xy=np.array([120.0, 110.0]),
        scale_wh=np.array([1.1, 1.1]),
        joints_xy=joints,
        visible=np.ones(16) if visible is None else visible,
        head_size_px=20.0,
        box_score=1.0,
    )


def draws(settings_: AugmentSettings, count: int = 4000, **kwargs) -> list[Augmentation]:
    rng = np.random.default_rng(0)
    return [draw(settings_, person(**kwargs), MPII16, 1.0, rng) for _ in range(count)]


def test_half_body_is_hrnets(reference_data: Path) -> None:
    recorded = json.loads((reference_data / "parity/pipeline/half_body.json").read_text())
    assert len(recorded["cases"]) == 28
    for case in recorded["cases"]:
        result = half_body(
            np.array(case["joints"]),
            np.array(case["vis"]),
            COCO17,
            192 / 256,
            pick_first_upper=case["randn"] < 0.5,
        )
        if case["center"] is None:
            assert result is None
            continue
        center, scale = result
        # float32 means and extents of at most 17 numbers below 1000: the order of the sum may
        # differ between numpy versions by two steps of 2**-14.
        np.testing.assert_allclose(center, case["center"], rtol=0, atol=2.0**-13)
        np.testing.assert_allclose(scale, case["scale"], rtol=3e-7)


def test_half_body_needs_two_joints() -> None:
    visible = np.zeros(16)
    visible[0] = 1
    assert half_body(np.zeros((16, 2)), visible, MPII16, 1.0, pick_first_upper=True) is None


def test_normal_draws_follow_the_settings() -> None:
    drawn = draws(AugmentSettings(shift_factor=0.1, color_jitter=0.2))
    scale = np.array([change.scale for change in drawn])
    rotation = np.array([change.rotation_deg for change in drawn])
    shift = np.array([change.shift for change in drawn])
    color = np.array([change.color for change in drawn])
    assert (scale.min(), scale.max()) == (0.75, 1.25)
    assert (rotation.min(), rotation.max()) == (-60, 60)
    # Fractions of 4000 draws; four standard deviations sqrt(p (1 - p) / 4000).
    for fraction, chance in (
        (np.mean(rotation != 0), 0.6),
        (np.mean([change.flip for change in drawn]), 0.5),
        (np.mean((scale == 0.75) | (scale == 1.25)), 0.3173),  # beyond one deviation
        (np.mean(np.abs(rotation) == 60), 0.6 * 0.0455),  # beyond two
    ):
        assert abs(fraction - chance) < 4 * np.sqrt(chance * (1 - chance) / 4000)
    assert np.abs(shift).max() == pytest.approx(0.2)
    assert color.min() >= 0.8
    assert color.max() <= 1.2
    assert all(change.half_body is None for change in drawn)


def test_uniform_draws_follow_the_settings() -> None:
    drawn = draws(AugmentSettings(distribution="uniform", rotation_probability=1.0))
    scale = np.array([change.scale for change in drawn])
    rotation = np.array([change.rotation_deg for change in drawn])
    # Extremes of 4000 uniform draws lie within 1 % of the ends (chance of missing: 0.99**4000).
    assert 0.75 <= scale.min() <= 0.755
    assert 1.245 <= scale.max() <= 1.25
    assert -30 <= rotation.min() <= -29.4
    assert 29.4 <= rotation.max() <= 30


def test_truncated_draws_are_mmposes_of_today() -> None:
    """A normal within one deviation, in the scale, the angle and a move that is not always made."""
    settings = AugmentSettings(
        distribution="truncated", scale_factor=0.5, rotation_deg=80.0, shift_factor=0.16,
        shift_probability=0.3,
    )  # fmt: skip
    drawn = draws(settings)
    scale = np.array([change.scale for change in drawn])
    rotation = np.array([change.rotation_deg for change in drawn])
    moved = np.array([change.shift for change in drawn]) * scale[:, None]  # of the person's size
    moves, turns = moved[moved[:, 0] != 0], rotation[rotation != 0]
    # Its variance is 1 - 2 φ(1) / (2 Φ(1) - 1) = 0.2911; that of n draws is off by less than
    # 0.2911 × 4 × sqrt(2 / n), as its tails are lighter than a normal's. Fractions as above.
    for values, size in ((scale - 1, 0.5), (turns, 80.0), (moves.ravel(), 0.16)):
        unit = values / size
        assert np.abs(unit).max() <= 1
        assert abs(unit.var() - 0.2911) < 0.2911 * 4 * np.sqrt(2 / len(unit))
    for fraction, chance in ((len(moves) / 4000, 0.3), (len(turns) / 4000, 0.6)):
        assert abs(fraction - chance) < 4 * np.sqrt(chance * (1 - chance) / 4000)


def test_half_body_only_for_people_with_enough_joints() -> None:
    always = AugmentSettings(half_body_probability=1.0, half_body_min_joints=8)
    assert all(change.half_body is not None for change in draws(always, 20))
    few = np.zeros(16)
    few[:8] = 1
    assert all(change.half_body is None for change in draws(always, 20, visible=few))


def test_nothing_to_change_changes_nothing() -> None:
    still = AugmentSettings(scale_factor=0, rotation_probability=0, flip_probability=0)
    assert draws(still, 50) == [Augmentation()] * 50
    change, record = Augmentation(), person()
    center, scale = change.crop_of(record.center_xy, record.scale_wh, 640)
    np.testing.assert_array_equal(center, record.center_xy)
    np.testing.assert_array_equal(scale, record.scale_wh)
    image = np.zeros((2, 2, 3), np.uint8)
    assert change.colors_of(image) is image


def test_flip_zeroes_missing_joints_and_leaves_the_record_alone() -> None:
    visible = np.ones(16)
    visible[0] = 0  # right ankle
    record = person(visible)
    before = record.joints_xy.copy(), record.center_xy.copy()
    change = Augmentation(flip=True)
    joints, seen = change.joints_of(record.joints_xy, visible, 300, MPII16.flip_order)
    center, _ = change.crop_of(record.center_xy, record.scale_wh, 300)
    assert seen[5] == 0  # it is the left ankle now
    assert joints[5].tolist() == [0, 0]
    np.testing.assert_array_equal(joints[0], [299 - before[0][5, 0], before[0][5, 1]])
    assert center.tolist() == [299 - 120.0, 110.0]
    np.testing.assert_array_equal(record.joints_xy, before[0])
    np.testing.assert_array_equal(record.center_xy, before[1])


def test_half_body_center_is_not_changed_in_place() -> None:
    half = np.array([30.0, 40.0], np.float32), np.array([1.0, 1.0], np.float32)
    change = Augmentation(flip=True, half_body=half)
    first = change.crop_of(np.zeros(2), np.ones(2), 100)
    second = change.crop_of(np.zeros(2), np.ones(2), 100)
    assert first[0].tolist() == second[0].tolist() == [69, 40]


def test_colors_are_clipped() -> None:
    image = np.full((1, 1, 3), 200, np.uint8)
    changed = Augmentation(color=(2.0, 0.5, 1.001)).colors_of(image)
    assert changed.dtype == np.uint8
    assert changed[0, 0].tolist() == [255, 100, 200]


def test_shift_is_in_crop_sizes() -> None:
    change = Augmentation(scale=2.0, shift=(0.1, -0.2))
    center, scale = change.crop_of(np.array([100.0, 100.0]), np.array([1.0, 1.5]), 640)
    assert scale.tolist() == [2.0, 3.0]
    np.testing.assert_allclose(center, [100 + 0.1 * 400, 100 - 0.2 * 600], rtol=1e-12)


def test_unknown_distribution_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'normal'"):
        draws(AugmentSettings(distribution="norml"), 1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(60, 100),
    st.integers(60, 90),
    st.floats(-60, 60),
    st.floats(0.75, 1.25),
    st.booleans(),
)
def test_the_lit_pixel_is_the_joint(
    x: int, y: int, angle: float, factor: float, flip: bool
) -> None:
    """Light a pixel, put a joint on it, transform both: the brightest pixel is the joint."""
    image = np.zeros((150, 160, 3), np.uint8)
    image[y, x] = 255
    change = Augmentation(scale=factor, rotation_deg=angle, flip=flip)
    # 128 image pixels on 512 crop pixels: the pixel becomes a bilinear tent with its top on the
    # joint. The nearest crop pixel is at most sqrt(1/2) away; the tent falls sqrt(2) times faster
    # along its diagonals than along its sides, so a brighter pixel is at most 1 away. OpenCV 4
    # interpolates in steps of 1/32 image pixel, 4 / factor / 32 crop pixels. The usual mistake,
    # W - x for W - 1 - x, is 4 / factor >= 3.2 crop pixels.
    center, scale = change.crop_of(np.array([80.0, 75.0]), np.array([0.64, 0.64]), 160)
    matrix = crop_matrix(center, scale, angle, (512, 512))
    crop = crop_image(image, matrix, (512, 512), flip=flip)[..., 0]
    joints, _ = change.joints_of(np.array([[x, y]]), np.ones(1), 160, np.array([0]))
    joint = transform_points(joints, matrix)[0]
    assert (joint > 2).all()
    assert (joint < 509).all()
    rows, columns = np.nonzero(crop == crop.max())
    distance = np.hypot(columns - joint[0], rows - joint[1])
    assert distance.min() <= 1 + 4 / factor / 32
