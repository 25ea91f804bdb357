"""Panels of people: the drawn joints are where the crop shows them."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.commands import gallery
from paddle_pose.data import mpii
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.poses import predictions
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import MPII16


def people(small_people):
    table, truth = mpii.load(small_people, "valid"), mpii.truth(small_people, "valid")
    keypoints = np.concatenate([table.joints_xy, np.ones((len(table), 16, 1))], 2)
    return table, truth, keypoints


def test_truth_as_prediction_scores_everybody_full(small_people):
    _, truth, keypoints = people(small_people)
    assert (gallery.pckh_by_person(keypoints, truth, MPII16) == 100).all()
    far = keypoints + np.array([1e4, 0, 0])
    assert (gallery.pckh_by_person(far, truth, MPII16) == 0).all()


def test_a_panel_shows_what_it_draws(small_people):
    """The panel's centre pixel is the image's pixel at the crop centre, within interpolation."""
    table, _, keypoints = people(small_people)
    one = gallery.panel(table, 0, keypoints[0], (200, 200))
    np.testing.assert_allclose(one.truth[:, :2], one.prediction[:, :2])
    seen = table.visible[0] > 0
    offsets = (one.truth[seen, :2] - 100) * (table.scale_wh[0, 0] * 200 / 200)
    # The matrix is made from float32 points of up to 1,000 px: 6e-5 px each, magnified once.
    np.testing.assert_allclose(offsets, table.joints_xy[0][seen] - table.center_xy[0], atol=5e-3)
    image = read_rgb(table.image_root / table[0].image)
    assert one.image_rgb.shape == (200, 200, 3)
    assert abs(one.image_rgb.mean() - image.mean()) < 128


def test_unlabelled_joints_are_not_drawn(small_people):
    table, _, keypoints = people(small_people)
    missing = np.argwhere(table.visible == 0)
    assert len(missing)
    person, joint = missing[0]
    one = gallery.panel(table, int(person), keypoints[person], (64, 64))
    assert one.prediction[joint, 2] == 0


def test_spread_goes_from_best_to_worst():
    order = gallery.spread(np.array([10.0, 90.0, np.nan, 50.0, 70.0]), 3)
    assert order[0] == 1
    assert order[-1] == 2
    assert len(gallery.spread(np.arange(4.0), 9)) == 4


def test_grid_is_written(small_people, tmp_path):
    table, truth, keypoints = people(small_people)
    gallery.write_grid(table, truth, keypoints, tmp_path / "grid.png", people=4)
    assert read_rgb(tmp_path / "grid.png").shape[1] > 6 * 200


def test_door_refuses_other_people(small_people, tmp_path):
    """Predictions of another annotation file, or of another number of people, are not drawn."""
    table, _, keypoints = people(small_people)
    poses = Poses(
        image_ids=table.image_ids[table.image_index],
        keypoints=keypoints,
        scores=np.ones(len(table)),
        boxes_xywh=np.full((len(table), 4), np.nan),
        rows=table.rows,
        instances=np.zeros(len(table), np.int64),
    )
    images = tuple(table.image_names[i] for i in table.image_index)
    made = predictions.Predictions(
        poses, "mpii16", images, recipe="x", benchmark={}, annotation_sha256="0" * 64
    )
    predictions.write_json(made, tmp_path / "predictions.json")
    predictions.write_mat(made.select(np.arange(3)), tmp_path / "pred.mat")
    for file in ("predictions.json", "pred.mat"):
        words = ["--predictions", tmp_path / file, "--dataset_root", small_people]
        words += ["--output", tmp_path / "grid.png"]
        with pytest.raises(UserError, match=file):
            gallery.main([*map(str, words)])
        assert not (tmp_path / "grid.png").exists()
