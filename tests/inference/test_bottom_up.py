"""Everybody in whole pictures, by a network that sees all and by a small one of drawn weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle_maps import oracle, people_at, tiny_recipe, worst_shift_px
from PIL import Image

from paddle_pose.errors import UserError
from paddle_pose.inference import bottom_up
from paddle_pose.inference import predictor as predictor_file
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.build import build
from paddle_pose.settings import WholeImage

SIZE_WH = 420, 240
JOINTS = people_at((90, 120), (210, 130), (330.3, 121.7))
PICTURE = np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8)


@pytest.fixture(scope="module")
def network():
    return build(tiny_recipe().model)


def seeing(network, monkeypatch, recipe, benchmark=None, joints=JOINTS):
    """A predictor whose network is the oracle."""
    protocol = recipe.benchmark(benchmark)
    seen = oracle(joints, SIZE_WH, protocol)
    monkeypatch.setattr(predictor_file, "forward_of", lambda *_, **__: seen)
    return PosePredictor(network, recipe, benchmark=benchmark)


@pytest.mark.parametrize(
    ("mode", "scales"),
    [
        ("adjust", (1.0,)), ("adjust", (0.5, 1.0, 1.5, 2.0)), ("pad", (1.0,)),
        ("pad", (1.0, 2.0)), ("stretch", (1.0,)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("offsets", ["reference", "exact"])
def test_everybody_is_found_where_they_stand(network, monkeypatch, mode, scales, offsets):
    whole = WholeImage((288, 384), mode)
    recipe = tiny_recipe()
    one = replace(recipe.benchmarks[0], whole=whole, test_scales=scales)
    codec = replace(recipe.codec, offsets=offsets)
    recipe = replace(recipe, benchmarks=(one,), codec=codec)
    found = seeing(network, monkeypatch, recipe)(PICTURE)
    assert len(found) == 3
    found = found.select(np.argsort(found.keypoints[:, 0, 0]))
    # The maximum of the smallest scale's maps is so far off; averaging draws the sum between them.
    ratios = np.array([384 / SIZE_WH[0], 288 / SIZE_WH[1]])
    zoom = {"adjust": ratios.max(), "pad": ratios.min(), "stretch": ratios}[mode]
    bound = worst_shift_px() / (zoom * min(scales))
    assert (np.abs(found.keypoints[..., :2] - JOINTS) <= bound).all()
    assert (found.keypoints[..., 2] > 0.8).all()
    assert found.rows.tolist() == [-1] * 3
    low, high = found.keypoints[..., :2].min(1), found.keypoints[..., :2].max(1)
    np.testing.assert_array_equal(found.boxes_xywh, np.concatenate([low, high - low], 1))


def test_several_pictures_some_empty(network, monkeypatch):
    predictor = seeing(network, monkeypatch, tiny_recipe())
    many = predictor([PICTURE, Image.fromarray(PICTURE)])
    assert many.image_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert many.joint_names[1] == "neck"
    drawn = many.of_image(1).draw(PICTURE)
    assert (drawn != PICTURE).any()
    nobody = seeing(network, monkeypatch, tiny_recipe(), joints=people_at((9000.0, 9000.0)))
    assert len(nobody(PICTURE)) == 0


def test_a_joint_that_is_not_found_is_at_the_corner_without_a_score(network, monkeypatch):
    joints = JOINTS[:1].copy()
    joints[0, 4] = -500  # a wrist outside
    found = seeing(network, monkeypatch, tiny_recipe(), joints=joints)(PICTURE)
    assert found.keypoints[0, 4].tolist() == [0, 0, 0]
    assert found.boxes_xywh[0, 0] > 40


def test_what_makes_no_sense_is_refused(network, monkeypatch):
    predictor = seeing(network, monkeypatch, tiny_recipe())
    with pytest.raises(UserError, match=r"boxes: recipe 'tiny.*leave them out"):
        predictor(PICTURE, [[0, 0, 10, 10]])
    with pytest.raises(UserError, match="instances 2: recipe 'tiny"):
        PosePredictor(network, tiny_recipe(), instances=2)
    broken = lambda images: ({"heatmaps": np.full((1, 19, 4, 4), np.nan, np.float32),  # noqa: E731
                              "pafs": np.zeros((1, 38, 4, 4), np.float32)}, None)  # fmt: skip
    monkeypatch.setattr(predictor_file, "forward_of", lambda *_, **__: broken)
    with pytest.raises(UserError, match="no numbers"):
        PosePredictor(network, tiny_recipe())(PICTURE)


def test_drawn_weights_compile_for_one_size_alone(network, capsys):
    recipe = tiny_recipe()
    assert bottom_up.one_size(recipe.benchmark("coco_val_strict"))
    for name in ("coco_val_single", "coco_val_multi_scale"):
        assert not bottom_up.one_size(recipe.benchmark(name))
        assert len(PosePredictor(network, recipe, benchmark=name)(PICTURE)) == 0
    PosePredictor(network, recipe, engine="onednn")
    assert "inputs of many sizes, computed without compiling" in capsys.readouterr().out
    with pytest.raises(UserError, match="bfloat16: is compiled for one size"):
        PosePredictor(network, recipe, precision="bfloat16")


def test_a_compiled_network_gives_what_the_eager_one_gives(network):
    recipe = tiny_recipe()
    protocol = recipe.benchmark("coco_val_strict")
    picture = np.random.default_rng(0).integers(0, 255, (90, 200, 3), dtype=np.uint8)
    taken = bottom_up.whole_picture(picture, protocol.whole, (1.0,), 8, 0).crops[0]
    assert taken.shape == (1, 120, 160, 3)
    eager, compiled = (
        bottom_up.forward_of(network, recipe.data, protocol, engine=engine, precision="float32",
                             batch_size=1)(taken)[0]
        for engine in ("eager", "onednn")
    )  # fmt: skip
    for name, values in eager.items():
        # As engine.py has it: equal within 1e-5 of the largest value.
        off = np.abs(values - compiled[name]).max()
        assert off <= 1e-5 * np.abs(values).max()
    assert eager["heatmaps"].shape == (1, 19, 15, 20)
    assert eager["pafs"].shape == (1, 38, 15, 20)
