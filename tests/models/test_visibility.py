"""SimpleBaseline with a visibility head: the plain network's maps, and a probability each."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import PoseResNet, PoseResNetVisibility
from paddle_pose.models.build import build
from paddle_pose.models.outputs import named
from paddle_pose.porting import network_keys
from paddle_pose.porting.names import convert, table_of
from reproduce.aligning import name_seeded

SMALL = PoseResNetVisibility(joints=3, layers=18)
RECIPE = "mmpose:res50_vis_coco_aic_merge_256x192"


def test_the_same_maps_and_a_probability_of_each_joint():
    seen, plain = build(SMALL), build(PoseResNet(joints=3, layers=18))
    plain.set_state_dict({name: seen.state_dict()[name] for name in plain.state_dict()})
    bias = np.array([-2.0, 0.0, 3.0], np.float32)
    seen.vis_head[2].weight.set_value(np.zeros((512, 3), np.float32))
    seen.vis_head[2].bias.set_value(bias)
    seen.eval()
    plain.eval()
    images = paddle.rand([2, 3, 64, 64])
    found = named(seen(images)[-1])
    assert list(found) == ["heatmaps", "visible"]
    # The same float32 operations in the same order.
    assert np.array_equal(found["heatmaps"].numpy(), plain(images)[0].heatmaps_BJHW.numpy())
    # An exponential, a sum and a quotient of float32, 2^-24 each, of numbers below 1.
    assert np.abs(found["visible"].numpy() - 1 / (1 + np.exp(-bias))).max() < 4 * 2.0**-24


def test_mmpose_keeps_the_maps_head_inside_the_other():
    wanted = network_keys(SMALL)
    state = {}
    for key, shape in wanted.shapes.items():
        part = "head.pose_head." if key.startswith(("final_", "deconv_")) else "backbone."
        part = "head." if key.startswith("vis_head.") else part
        shape = shape[:: -1 if key in wanted.linear else 1]
        state[part + name_seeded.official_name(key)] = np.zeros(shape, np.float32)
    assert {key for key in state if "vis" in key} == {
        "head.vis_head.2.weight",
        "head.vis_head.2.bias",
    }
    found = convert(state, table_of(SMALL), wanted, "x.pth")
    assert (found.spelling, set(found.arrays)) == ("mmpose", set(wanted.shapes))
    imagenet = {k[9:]: array for k, array in state.items() if k.startswith("backbone.")}
    begun = convert(imagenet, table_of(SMALL), wanted, "x.pth", backbone=True)
    assert {key.partition(".")[0] for key in begun.not_filled} == {
        "deconv_layers",
        "final_layer",
        "vis_head",
    }


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        (RECIPE, "train.loss=joints_mse"),
        (RECIPE, "model={kind: PoseResNet}"),
        (RECIPE, "train.use_target_weight=false"),
        ("mmpose:w32_coco_aic_merge_256x192", "train.loss=maps_and_visibility"),
    ],
)
def test_what_does_not_go_together(recipe, change):
    with pytest.raises(UserError, match=r"belong together|always weighs joints"):
        configs.chosen(recipe, assignments=[change])
