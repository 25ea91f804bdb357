"""Networks of coordinates as any other: predicted, validated, exported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest
import yaml

from paddle_pose import configs
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.errors import UserError
from paddle_pose.inference import export
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.build import build
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.checks import require_sound
from paddle_pose.skeletons import MPII16

MODEL = NewellHourglass(stacks=1, features=16, depth=2, stem=8, conv_bias=True)


@pytest.fixture(scope="module")
def recipe():
    recipe = replace(
        configs.load("quickstart:newell_hg1_synthetic"), model=MODEL, codec=IntegralCodec("softmax")
    )
    recipe = recipes.override(recipe, ["data.image_size_wh=[64,96]", "train.loss=integral_l1"])
    require_sound(recipe)
    return recipe


@pytest.fixture(scope="module")
def network():
    paddle.seed(5)
    return build(MODEL)


def test_a_recipe_is_read_as_it_was_written(recipe, tmp_path):
    for one in (recipe.codec, CombinedCodec("divide_sum", symmetric=False, sigma_px=3.0)):
        file = tmp_path / "recipe.yaml"
        file.write_text(recipes.dump_yaml(replace(recipe, codec=one)), "utf-8")
        assert recipes.read_yaml(file).codec == one


def test_an_exported_network_gives_the_same_poses(recipe, network, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (120, 100, 3), np.uint8)
    box = [10.0, 8.0, 60.0, 100.0]
    export.export(network, recipe, MPII16, tmp_path / "served", ("paddle",))
    card = yaml.safe_load((tmp_path / "served/paddle/model.yaml").read_text("utf-8"))
    assert card["codec"] == {
        "kind": "IntegralCodec",
        "norm": "softmax",
        "symmetric": True,
        "double_first": None,
    }
    expected = PosePredictor(network, recipe, engine="eager")(pixels, box)
    found = PosePredictor.from_exported(tmp_path / "served")(pixels, box)
    assert (found.keypoints[..., 2] == 1).all()
    # Maps may differ by the bound, of their largest value m: each cell's share by a factor of
    # exp(±2 · bound · m), so a mean place by 4 · bound · m of the crop's 125 pixels; m is below 4.
    tolerance = 4 * export.FLOAT_BOUND * 4 * 125
    np.testing.assert_allclose(found.keypoints, expected.keypoints, rtol=0, atol=tolerance)
    x, y, width, height = expected.boxes_xywh[0]
    inside = expected.keypoints[0, :, :2] - [x, y]
    assert ((inside > 0) & (inside < [width, height])).all()


def test_it_says_that_it_has_no_heat_maps(recipe, network):
    predictor = PosePredictor(network, recipe, engine="eager")
    with pytest.raises(UserError, match="--heatmaps: a codec of kind IntegralCodec has none"):
        predictor.draw_heatmaps(np.zeros((50, 50, 3), np.uint8))
