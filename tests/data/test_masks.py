"""Shapes of COCO files as pixels: by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask

from paddle_pose.data.masks import counted, shape_of
from paddle_pose.errors import UserError


def test_run_lengths_and_their_text():
    rng = np.random.default_rng(3)
    shape = rng.random((30, 41)) < 0.02
    shape[5:25, 7:19] = True
    told = coco_mask.encode(np.asfortranarray(shape.astype(np.uint8)))
    text = told["counts"].decode() if isinstance(told["counts"], bytes) else told["counts"]
    found = shape_of({"size": [30, 41], "counts": text}, (41, 30), "x")
    np.testing.assert_array_equal(found, shape)
    flat = shape.T.ravel()
    changes = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    np.testing.assert_array_equal(
        shape_of({"size": [30, 41], "counts": runs}, (41, 30), "x"), shape
    )


def test_polygons_are_joined():
    square = [2, 1, 6, 1, 6, 4, 2, 4]
    other = [7, 5, 9, 5, 9, 8, 7, 8]
    wanted = np.zeros((10, 12), bool)
    wanted[1:4, 2:6] = wanted[5:8, 7:9] = True
    np.testing.assert_array_equal(shape_of([square, other], (12, 10), "x"), wanted)
    assert shape_of([], (12, 10), "x") is None
    assert shape_of(None, (12, 10), "x") is None


def test_a_labelled_person_is_seen_in_a_crowd_and_not_in_front_of_an_unlabelled_one():
    crowd, labelled, unlabelled = (np.zeros((2, 4), bool) for _ in range(3))
    crowd[:, :3], labelled[:, 1:], unlabelled[1, 2] = True, True, True
    found = counted([crowd], [labelled], [unlabelled], (4, 2))
    np.testing.assert_array_equal(found, [[0, 255, 255, 255], [0, 255, 0, 255]])
    assert (counted([], [], [], (4, 2)) == 255).all()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[1, 2, 3, 4]], "expected polygons"),
        ([[1, 2, 3, 4, 5, 6, 7]], "expected polygons"),
        ([1, 2, 3, 4, 5, 6], "expected polygons"),
        ([[1, 2, 3, "4", 5, 6]], "not a finite number"),
        ([[1, 2, 3, 4e9, 5, 6]], "far out of the picture"),
        ({"size": [4, 2], "counts": [8]}, "of size"),
        ({"size": [2, 4], "counts": [7]}, "no run lengths"),
        ({"size": [2, 4], "counts": [9, -1]}, "no run lengths"),
        ({"size": [2, 4], "counts": "oooooooooooooooooo"}, "no run lengths"),
        ({"size": [2, 4], "counts": "\n"}, "no run lengths"),
        ({"size": [2, 4]}, "no run lengths"),
    ],
)
def test_broken_ones_are_named(segmentation, said):
    with pytest.raises(UserError, match=f"file: annotations.3.*{said}"):
        shape_of(segmentation, (4, 2), "file: annotations[3]")
