"""The second person of a box: recorded partners and samples, the rules at the border by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paddle_pose.data.records import PersonTable
from paddle_pose.data.two_people import NOBODY, inside, partners
from reproduce.aligning import crowds


def test_recorded_people_and_partners(reference_data: Path):
    rows = list(crowds.people_rows(reference_data))
    assert len(rows) == 20
    assert all(row.ok for row in rows), rows


def test_recorded_samples(reference_data: Path):
    rows = list(crowds.item_rows(reference_data))
    assert len(rows) == 6
    assert all(row.ok for row in rows), rows


def test_the_border_counts_as_inside_at_the_far_side():
    joints = np.array([[0, 0], [-1e-9, 5], [192, 256], [192.001, 5], [5, 256.001], [7, 8]], float)
    moved, seen = inside(joints, np.array([1, 1, 1, 1, 1, 0.0]), (192, 256))
    assert seen.tolist() == [1, 0, 1, 0, 0, 0]
    assert moved.tolist() == [[0, 0], [0, 0], [192, 256], [0, 0], [0, 0], [7, 8]]


def crowd(centers_xy: list[list[float]], images: list[int]) -> PersonTable:
    count = len(images)
    return PersonTable(
        skeleton="coco17",
        image_root=Path(),
        image_names=("a.jpg", "b.jpg", "c.jpg"),
        image_ids=np.arange(3),
        image_index=np.array(images),
        rows=np.arange(count),
        center_xy=np.array(centers_xy, float),
        scale_wh=np.ones((count, 2)),
        joints_xy=np.zeros((count, 17, 2)),
        visible=np.ones((count, 17)),
        head_size_px=np.full(count, np.nan),
        box_score=np.ones(count),
    )


def test_the_nearest_of_the_image_whatever_the_order_and_the_distance():
    centers = [[0.0, 0], [10, 0], [13, 0], [0, 1], [9000, 0], [0, 2]]
    found = partners(crowd(centers, [0, 0, 0, 1, 0, 2]))
    # 1 is nearest to 0, but 2 is nearer to 1; whoever is alone on an image has nobody.
    assert found.tolist() == [1, 2, 1, NOBODY, 2, NOBODY]


def test_of_equals_the_first_and_no_people_at_all():
    assert partners(crowd([[5.0, 0], [0, 0], [10, 0]], [0, 0, 0])).tolist() == [1, 0, 0]
    assert not len(partners(crowd([[0.0, 0]], [0]).select(np.arange(0))))
