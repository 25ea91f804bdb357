"""Crop matrices against HRNet's, and what they must do whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import PARITY

from paddle_pose.geometry import (
    UNIT_PX,
    box_to_center_scale,
    crop_matrix,
    flip_points,
    transform_points,
)
from paddle_pose.skeletons import COCO17, MPII16

AFFINE_TABLE = json.loads((PARITY / "pipeline" / "affine_table.json").read_text())["table"]


@pytest.mark.parametrize("row", AFFINE_TABLE)
def test_crop_matrix_is_the_reference_s(row: dict) -> None:
    for key, inverse in (("M", False), ("M_inv", True)):
        matrix = crop_matrix(
            np.array(row["center"]),
            np.array(row["scale"]),
            row["rot_deg"],
            tuple(row["size_wh"]),
            inverse=inverse,
        )
        # The same float32 points go into the same float64 solver; 1e-9 of the largest entry leaves
        # room for another solver (condition number <= 1e6 times 1e-16), not for another point
        # (one float32 step is 6e-8).
        recorded = np.array(row[key])
        np.testing.assert_allclose(matrix, recorded, rtol=0, atol=1e-9 * np.abs(recorded).max())


def test_float32_scale_keeps_float32_width() -> None:
    # 200 × this float32 is no float32; the reference rounds it before it takes the half.
    scale = np.array([1.6171092, 2.1561456], np.float32)
    width = np.float32(scale[0] * np.float32(UNIT_PX))
    assert float(width) != float(scale[0]) * UNIT_PX
    exact = crop_matrix(np.zeros(2), scale.astype(np.float64), 0, (192, 256), inverse=True)
    rounded = crop_matrix(np.zeros(2), scale, 0, (192, 256), inverse=True)
    assert rounded[1, 1] == np.float32(width / 2) / 96
    assert abs(exact[1, 1] - rounded[1, 1]) < 1e-6


centers = st.floats(0, 2000)
scales = st.floats(0.1, 10)
angles = st.floats(-90, 90)


@settings(max_examples=60, deadline=None)
@given(centers, centers, scales, angles)
def test_inverse_undoes_the_crop(x: float, y: float, scale: float, angle: float) -> None:
    arguments = (np.array([x, y]), np.array([scale, scale]), angle, (256, 256))
    there, back = crop_matrix(*arguments), crop_matrix(*arguments, inverse=True)
    corners = np.array([[0.0, 0.0], [255.0, 0.0], [0.0, 255.0], [255.0, 255.0]])
    again = transform_points(transform_points(corners, back), there)
    # Both solve the same three float32 points in float64. Image coordinates reach 4000 px, times
    # at most 256 / 20 crop pixels each, times 1e-16, times the solver's growth (< 1e4).
    np.testing.assert_allclose(again, corners, rtol=0, atol=4000 * 13 * 1e-16 * 1e4)


@settings(max_examples=60, deadline=None)
@given(centers, centers, scales, angles)
def test_center_and_width_of_the_crop(x: float, y: float, scale: float, angle: float) -> None:
    center = np.array([x, y])
    back = crop_matrix(center, np.array([scale, 99.0]), angle, (192, 256), inverse=True)
    # The crop's middle is the centre up to float32: half a step of 2**-13 below 2048.
    middle = transform_points(np.array([96.0, 128.0]), back)
    np.testing.assert_allclose(middle, center, rtol=0, atol=2.0**-14 + 1e-9)
    # The width is scale[0] × 200; each of three float32 points adds at most 2**-12 below 4096.
    sides = transform_points(np.array([[0.0, 128.0], [192.0, 128.0]]), back)
    assert abs(np.linalg.norm(sides[1] - sides[0]) - scale * UNIT_PX) < 6 * 2.0**-12


def test_positive_rotation_turns_content_counter_clockwise() -> None:
    matrix = crop_matrix(np.array([100.0, 100.0]), np.array([1.28, 1.28]), 90, (256, 256))
    right_of_center = transform_points(np.array([150.0, 100.0]), matrix)
    # float32 points: 6e-8 × 256 px
    np.testing.assert_allclose(right_of_center, [128, 128 - 50], rtol=0, atol=1e-4)


@pytest.mark.parametrize("skeleton", [MPII16, COCO17])
def test_flip_points_twice_is_identity(skeleton) -> None:
    points = np.random.default_rng(0).integers(-50, 700, (3, len(skeleton), 2)).astype(float)
    once = flip_points(points, 640, skeleton.flip_order)
    np.testing.assert_array_equal(flip_points(once, 640, skeleton.flip_order), points)
    left, right = skeleton.flip_pairs[0]
    np.testing.assert_array_equal(once[:, left, 0], 639 - points[:, right, 0])


@settings(max_examples=60, deadline=None)
@given(centers, centers, st.floats(1, 900), st.floats(1, 900), st.sampled_from([0.75, 1.0]))
def test_box_fits_into_its_crop(x: float, y: float, w: float, h: float, ratio: float) -> None:
    center, scale = box_to_center_scale(np.array([x, y, w, h]), ratio, padding=1.25)
    size = scale * UNIT_PX
    # float32 throughout: relative 6e-8 per operation, four operations.
    assert size[0] / size[1] == pytest.approx(ratio, rel=1e-6)
    assert max(size[0] / (1.25 * w), size[1] / (1.25 * h)) >= 1 - 1e-6
    assert min(size[0] / (1.25 * w), size[1] / (1.25 * h)) == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(center, [x + w / 2, y + h / 2], rtol=6e-8)


def test_detector_boxes_are_the_reference_s(reference_data: Path) -> None:
    recorded = json.loads((reference_data / "parity/pipeline/coco.json").read_text())
    rows = recorded["detection_boxes_center_scale_192x256"]
    assert len(rows) == 118
    boxes = np.array([row["bbox"] for row in rows])
    center, scale = box_to_center_scale(boxes, 192 / 256)
    # The same float32 operations in the same order: equal, not close.
    np.testing.assert_array_equal(center, np.array([row["center"] for row in rows], np.float32))
    np.testing.assert_array_equal(scale, np.array([row["scale"] for row in rows], np.float32))
