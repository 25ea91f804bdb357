"""Two poses a box: in whichever batches, drawn in two colours, refused where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose import configs, drawing
from paddle_pose.commands.predict import Drawing, Network, predict
from paddle_pose.errors import UserError
from paddle_pose.inference.frames import Frame, look
from paddle_pose.inference.people import FoundPoses
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.inference.where import Where
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import Recipe, dump_yaml
from paddle_pose.skeletons import COCO17
from paddle_pose.weights.checkpoint import save_weights

BOXES = [[5, 5, 40, 60], [20, 10, 30, 50], [50, 20, 40, 70]]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    recipe = configs.load("mipnet:w32_coco_256x192")
    data = replace(recipe.data, image_size_wh=(64, 64))
    return replace(recipe, model=replace(recipe.model, width=8), data=data)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)


def test_each_box_has_two_poses_and_the_owners_are_those_of_one(
    recipe: Recipe, picture: np.ndarray
):
    network = build(recipe.model)
    two = PosePredictor(network, recipe, batch_size=2, instances=2)
    found = two(picture, BOXES)
    assert found.rows.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.instances.tolist() == [0, 1, 0, 1, 0, 1]
    owners = PosePredictor(network, recipe, batch_size=2)(picture, BOXES)
    np.testing.assert_array_equal(owners.keypoints, found.keypoints[::2])
    frames = [Frame(picture, two.people(picture, BOXES[:n], n), n) for n in (3, 0, 1, 2)]
    seen = list(look(two, frames, batch_size=2, maps=True))
    assert [len(one.poses) for one in seen] == [6, 0, 2, 4]
    assert [one.maps is not None and len(one.maps) for one in seen] == [3, False, 1, 2]
    np.testing.assert_allclose(seen[0].poses.keypoints, found.keypoints, atol=1e-4)
    np.testing.assert_allclose(seen[3].poses.keypoints, found.keypoints[:4], atol=1e-4)


def test_a_network_for_one_person_refuses_two(recipe: Recipe):
    one = configs.load("hrnet:w32_coco_256x192")
    with pytest.raises(UserError, match="instances 2: recipe 'w32_coco_256x192' finds one person"):
        PosePredictor(build(replace(one.model, width=8)), one, instances=2)
    with pytest.raises(UserError, match="instances 3"):
        PosePredictor(build(recipe.model), recipe, instances=3)


def test_two_colours(picture: np.ndarray):
    black = np.zeros((300, 300, 3), np.uint8)
    rng = np.random.default_rng(1)
    poses = FoundPoses(
        image_ids=np.zeros(2, int),
        keypoints=np.concatenate([rng.uniform(20, 280, (2, 17, 2)), np.ones((2, 17, 1))], 2),
        scores=np.array([0.1, 0.9]),
        boxes_xywh=np.zeros((2, 4)),
        rows=np.zeros(2, int),
        instances=np.array([0, 1]),
        skeleton=COCO17,
    )
    shown = poses.draw(black)
    for color in drawing.INSTANCE_RGB:
        assert (shown == color).all(2).sum() > 100
    sides = [(shown == color).all(2).sum() for color in drawing.SIDE_RGB.values()]
    assert sides == [0, 0, 0]
    own = poses.keypoints[0, 0, :2].round().astype(int)
    assert tuple(shown[own[1], own[0]]) == drawing.INSTANCE_RGB[0]  # on top, though it scores less
    assert (poses.select(np.array([0])).draw(black) == drawing.SIDE_RGB["left"]).all(2).any()


def test_the_command_says_whose_each_pose_is(recipe: Recipe, picture: np.ndarray, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    save_weights(build(recipe.model), tmp_path / "two.pdparams")
    (tmp_path / "recipe.yaml").write_text(dump_yaml(recipe))
    network = Network(tmp_path / "two.pdparams", str(tmp_path / "recipe.yaml"), instances=2)
    how = Drawing(tmp_path / "out")
    assert predict([str(tmp_path / "a.png")], network, Where(BOXES), how) == 1
    records = json.loads((tmp_path / "out/results.json").read_text())
    assert [(one["box"], one["instance"]) for one in records] == [
        (box, name) for box in (1, 2, 3) for name in ("primary", "secondary")
    ]
