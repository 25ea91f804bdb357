"""Kinds of keypoint errors on poses worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.metrics import error_kinds
from paddle_pose.metrics.error_kinds import (
    GOOD,
    INVERSION,
    JITTER,
    KINDS,
    MISS,
    NONE,
    SWAP,
    corrected,
    judge,
    oks_widths_px,
    pckh_widths_px,
    rotations,
    taken,
)
from paddle_pose.poses.oks import oks
from paddle_pose.skeletons import COCO17, MPII16, Skeleton

FLIP = np.array([0, 2, 1])
"""A nose and two hands."""

WIDTH = 10.0
TWO_PEOPLE = np.array([[[0, 0], [100, 0], [200, 0]], [[0, 500], [100, 500], [200, 500]]], float)


def at(ks: float) -> float:
    """Pixels away from a joint where its similarity is ``ks``."""
    return WIDTH * float(np.sqrt(-2 * np.log(ks)))


def kinds_of(pose: list[list[float]], **changes: np.ndarray) -> list[int]:
    given = {"truth_xy": TWO_PEOPLE, "labelled": np.ones((2, 3), bool)} | changes
    kinds, _ = judge(
        np.array([pose], float),
        np.array([0]),
        given["truth_xy"],
        given["labelled"],
        np.full((2, 3), WIDTH),
        given.get("images", np.array([7, 7])),
        FLIP,
    )
    return kinds[0].tolist()


def test_the_limits_of_good_and_jitter():
    ends = [at(0.85) * 0.999, at(0.85) * 1.001, at(0.5) * 0.999]
    assert kinds_of([[0, ends[0]], [100, ends[1]], [200, ends[2]]]) == [GOOD, JITTER, JITTER]
    assert kinds_of([[0, at(0.5) * 1.001], [100, 0], [200, 0]])[0] == MISS


def test_inversion_swap_and_miss():
    # The left hand on the right one, the right hand on the other person's, the nose nowhere.
    assert kinds_of([[50, 250], [200, 3], [200, 500]]) == [MISS, INVERSION, SWAP]
    # On the other person's twin is a swap, too; a nose on a hand is none of these.
    assert kinds_of([[100, 0], [200, 500], [200, 0]]) == [MISS, SWAP, GOOD]


def test_the_most_similar_place_decides():
    close = TWO_PEOPLE.copy()
    close[0, 2] = [108, 0]  # the hands are 8 px apart
    near_left, near_right = [103.0, 0.0], [105.0, 0.0]
    assert kinds_of([[0, 0], near_left, near_right], truth_xy=close) == [GOOD, GOOD, GOOD]
    assert kinds_of([[0, 0], near_right, near_left], truth_xy=close)[1:] == [INVERSION] * 2
    same = TWO_PEOPLE.copy()
    same[:, 1:] = same[:, :1]  # as similar to all of them: the own joint is first
    same[1] = same[0]
    assert kinds_of([[0, 0]] * 3, truth_xy=same) == [GOOD] * 3


def test_what_is_not_labelled_is_no_place_and_no_error():
    labelled = np.array([[True, True, False], [True, True, True]])
    pose = [[0.0, 0.0], [200.0, 0.0], [0.0, 0.0]]  # a left hand on the unlabelled right one
    assert kinds_of(pose, labelled=labelled) == [GOOD, MISS, NONE]


def test_people_of_other_images_take_no_part():
    pose = [[0.0, 500.0], [100.0, 0.0], [200.0, 0.0]]
    assert kinds_of(pose)[0] == SWAP
    assert kinds_of(pose, images=np.array([7, 8]))[0] == MISS


def test_a_joint_that_is_not_finite_is_a_miss():
    assert kinds_of([[np.nan, 0], [100, 0], [200, np.inf]]) == [MISS, GOOD, MISS]


def test_widths_are_those_of_oks_and_of_half_a_head():
    areas, sigmas = np.array([400.0]), COCO17.oks_sigmas[:3]
    widths = oks_widths_px(areas, sigmas)
    pose, truth = np.array([[3.0, 4.0]] * 3), np.zeros((3, 2))
    bells = np.exp(-25 / widths[0] ** 2 / 2)
    assert bells.mean() == pytest.approx(oks(pose, truth, np.array(sigmas), areas[0]), rel=1e-12)
    width = pckh_widths_px(np.array([40.0]), 1)[0, 0]
    assert np.exp(-(20.0**2) / width**2 / 2) == pytest.approx(0.5, rel=1e-12)
    good_to = width * np.sqrt(-2 * np.log(0.85)) / 40
    assert good_to == pytest.approx(0.2421, abs=5e-5)  # 0.5 √(ln 0.85 / ln 0.5)


def test_corrections_come_as_near_as_the_paper_says():
    truth = np.repeat(TWO_PEOPLE[:1], 2, axis=0)
    poses = np.array([[[0, 9], [203, 0], [150, 50]], [[0, 0], [100, 0], [200, 1]]], float)
    widths = np.full((2, 3), WIDTH)
    kinds, similar = judge(
        poses, np.array([0, 1]), truth, np.ones((2, 3), bool), widths, np.array([1, 2]), FLIP
    )
    assert kinds.tolist() == [[JITTER, INVERSION, MISS], [GOOD] * 3]
    rest = (truth, widths, kinds, similar)
    distance = np.linalg.norm(corrected(poses, *rest, [JITTER, INVERSION, MISS]) - truth, axis=2)
    # As near as 3 px, which it was from the other hand; what is good stays where it is.
    np.testing.assert_allclose(distance, [[at(0.85), 3.0, at(0.5)], [0, 0, 1]], rtol=1e-8)
    assert (distance[0, [0, 2]] <= [at(0.85), at(0.5)]).all()
    np.testing.assert_array_equal(corrected(poses, *rest, [SWAP]), poses)
    on_truth = corrected(poses, *rest, [MISS], on_truth=True)
    np.testing.assert_array_equal(on_truth[0], [[0, 9], [203, 0], [200, 0]])


def test_poses_take_people_by_cocos_rule():
    none = np.zeros(3, bool)
    oks_rows = np.array([[0.9, 0.6, 0.0], [0.8, 0.3, 0.0], [0.7, 0.2, 0.05]])
    assert taken(oks_rows, none, none).tolist() == [0, 1, -1]
    crowd = np.array([True, False, False])  # taken last, and by several
    assert taken(oks_rows, crowd, crowd).tolist() == [1, 0, 0]


@pytest.mark.parametrize("skeleton", [COCO17, MPII16])
def test_torsos_turn(skeleton: Skeleton):
    truth = np.zeros((5, len(skeleton), 2))
    for row, shoulder in enumerate([(0, -50), (50, 0), (0, 50), (-40, -40)]):
        for side in ("left", "right"):
            truth[row, skeleton.index(f"{side}_shoulder")] = shoulder
    labelled = np.ones(truth.shape[:2], bool)
    labelled[0, skeleton.index("left_hip")] = False  # the right side says it
    labelled[4] = False
    found = rotations(truth, labelled, skeleton)
    np.testing.assert_allclose(found, [0, 90, 180, 45, np.nan])
    kinds = np.zeros(truth.shape[:2], int)
    counts = {name: sum(row.values()) for name, row in
              error_kinds.by_rotation(kinds, found).items()}  # fmt: skip
    j = len(skeleton)
    assert list(counts.values()) == [j, j, j, j, j]


def test_tables_count_every_labelled_joint_once():
    kinds = np.array([[GOOD, MISS, NONE], [JITTER, SWAP, INVERSION]])
    assert error_kinds.tally(kinds) == dict.fromkeys(KINDS, 1)
    sizes = error_kinds.by_size(kinds, np.array([31.0, 32.0]), (32.0, 96.0))
    assert [sum(row.values()) for row in sizes.values()] == [2, 3, 0]
    assert list(sizes) == ["under 32 px", "32 to 96 px", "from 96 px"]
