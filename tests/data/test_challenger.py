"""AI Challenger's people beside COCO's, on tiny files laid out as a user has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddle_pose import configs
from paddle_pose.data import challenger
from paddle_pose.errors import UserError
from paddle_pose.evaluation import DataFiles
from paddle_pose.evaluation.task import training_people
from paddle_pose.files import write_json
from paddle_pose.models.architectures import HRNetMore
from paddle_pose.models.build import build
from paddle_pose.skeletons import COCO17, Skeleton

RECIPE = "mmpose:w32_coco_aic_{}_256x192"


@pytest.fixture
def root(tmp_path):
    """COCO and AI Challenger side by side, one picture and one person each, ids alike."""

    def lay(folder: str, file: str, images: str, skeleton: Skeleton) -> None:
        joints = np.arange(3 * len(skeleton)).reshape(-1, 3) + 1
        joints[:, 2] = 2
        joints[0, 2] = 0
        person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50]}
        names = [name.replace("_", " ").capitalize() for name in skeleton.joints]
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
            "annotations": [person | {"keypoints": joints.ravel().tolist(), "num_keypoints": 9}],
            "categories": [{"id": 1, "name": "person", "keypoints": names}],
        }
        write_json(tmp_path / folder / "annotations" / file, content)
        (tmp_path / folder / images).mkdir(parents=True)
        (tmp_path / folder / images / "a.jpg").touch()

    lay("coco", "person_keypoints_train2017.json", "train2017", COCO17)
    pictures = "ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902"
    lay("aic", "aic_train.json", pictures, challenger.AIC14)
    return tmp_path / "coco"


@pytest.mark.parametrize(("way", "count"), [("merge", 17), ("combine", 19)])
def test_joints_are_found_by_name(root, way, count, capsys):
    table = training_people(configs.load(RECIPE.format(way)), DataFiles(root))
    assert table.joints_xy.shape == (2, count, 2)
    assert len(set(table.image_ids.tolist())) == 2
    theirs = challenger.AIC14.joints
    whole = challenger.joint_set(f"aic_{way}d").joints
    for place, name in enumerate(whole):
        shown = table.visible[1, place]
        if name not in theirs or name == "right_shoulder":  # its first, which is not labelled
            assert not shown, name
        else:
            number = theirs.index(name)
            assert shown, name
            assert table.joints_xy[1, place].tolist() == [3 * number + 1, 3 * number + 2]
    assert table.visible[0].tolist() == [0, *[1] * 16, *[0] * (count - 17)]
    assert "'train' has 1 images, the official one 210,000" in capsys.readouterr().out


def test_a_missing_file_says_where_it_belongs(root):
    (root.parent / "aic/annotations/aic_train.json").unlink()
    with pytest.raises(UserError, match=r"as mmpose gives it, goes into \.\./aic/annotations"):
        training_people(configs.load(RECIPE.format("merge")), DataFiles(root))


def test_more_maps_are_put_out_in_training_alone():
    """The same maps: those of joints that nobody asks for are cut off behind."""
    network = build(HRNetMore(joints=3, width=8, more=2))
    images = paddle.rand([1, 3, 64, 64])
    (all_of_it,) = network(images)
    assert all_of_it.heatmaps_BJHW.shape == [1, 5, 16, 16]
    network.eval()
    (asked,) = network(images)
    assert asked.heatmaps_BJHW.shape == [1, 3, 16, 16]
    whole = super(type(network), network).forward(images)[0].heatmaps_BJHW
    assert np.array_equal(asked.heatmaps_BJHW.numpy(), whole.numpy()[:, :3])


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        (RECIPE.format("combine"), ["data.join=aic_merged"]),
        (RECIPE.format("combine"), ["model.more=3"]),
        (RECIPE.format("merge"), ["data.join=aic_combined"]),
        (RECIPE.format("merge"), ["data.dataset=crowdpose"]),
    ],
)
def test_what_does_not_go_together(recipe, changes):
    with pytest.raises(UserError, match=r"data\.join=aic_\w+: goes with data\."):
        configs.chosen(recipe, assignments=changes)


def test_nothing_changes_for_joints_that_are_the_same(root):
    recipe = configs.load(RECIPE.format("merge"))
    plain = replace(recipe, data=replace(recipe.data, join="none"))
    table = training_people(plain, DataFiles(root))
    assert challenger.as_joints(table, COCO17, COCO17) is table
