"""Graphs: folding a network changes nothing but the rounding."""

from __future__ import annotations

import copy

import numpy as np
import paddle
import pytest
from paddle import nn
from seeded_networks import seeded

from paddle_pose.inference import engine, graph
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    BodyPoseNet,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
    Hourglass52,
    HRNet,
    MIPNet,
    MIPPoseResNet,
    NewellHourglass,
    PoseResNet,
)
from paddle_pose.settings import DataSettings

SMALL: tuple[Architecture, ...] = (
    Hourglass52(joints=5, stacks=1),
    NewellHourglass(joints=5, stacks=2, features=32, depth=2, stem=16),
    HRNet(joints=5, width=8),
    PoseResNet(joints=5, layers=18),
    MIPNet(joints=5, width=8),
    MIPPoseResNet(joints=5, layers=18),
    FastPose(joints=5),
    FastPoseDuc(joints=5, convolutions=(1, 1, 1)),
    FastPoseMobile(joints=5, size="small", conv_dim=64),
    AlphaSimplePose(joints=5),
    BodyPoseNet(joints=5, limbs=4, stages=2, width=8, features=16, attention=True),
)
STAY = {"NewellHourglass", "MIPNet", "MIPPoseResNet"}
"""Not all batch norms follow a convolution: they come before it, or a gate stands between."""


def traced(layer: nn.Layer, shape: tuple[int, ...]) -> graph.Graph:
    made = graph.trace(layer, paddle.static.InputSpec(list(shape), "uint8", name="images"))
    graph.fold(made)
    return made


@pytest.mark.skipif(not engine.onednn_here(), reason="this Paddle has no oneDNN")
@pytest.mark.parametrize("architecture", SMALL, ids=lambda one: type(one).__name__)
def test_the_compiled_network_errs_as_float32_does(architecture):
    network = seeded(architecture)
    side = max(64, network.size_multiple)
    data = DataSettings(image_size_wh=(side, side))
    images = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), np.uint8)
    whole = engine._WholeNetwork(network, data, flip_test=False)
    exact = copy.deepcopy(whole).to(dtype="float64")
    exact.eval()
    with paddle.no_grad():
        expected = [one.numpy() for one in exact(paddle.to_tensor(images))]
    errors = {}
    for kind in ("eager", "onednn"):
        options = {"flip_test": False, "engine": kind, "batch_size": 1}
        found, _ = engine.make_forward(network, data, **options)(images)
        errors[kind] = [
            np.sqrt(np.mean((ours - right) ** 2)) / right.std()
            for ours, right in zip(found.values(), expected, strict=True)
        ]
    # Eager rounds each value of each layer; folded, the weights are rounded once more, and where
    # a batch norm takes a large mean away their error weighs more than the sum's: up to 2.9 times
    # eager's in all here, twice that is allowed. An epsilon that is left out errs by 5e-6 a layer.
    for ours, eager in zip(errors["onednn"], errors["eager"], strict=True):
        assert ours < 5.8 * eager + 2.0**-24

    kinds = [one.type for one in traced(whole, images.shape).program.blocks[0].ops]
    assert (type(architecture).__name__ in STAY) == ("batch_norm" in kinds)
    assert "fused_conv2d" in kinds


class Corners(nn.Layer):
    """What folds in part or not at all, each with another layer's help."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2D(3, 4, 3, padding=1)
        self.twice = nn.Conv2D(4, 4, 1)  # one filter of two batch norms
        self.norms = nn.LayerList([nn.BatchNorm2D(4) for _ in range(3)])
        self.up = nn.Conv2DTranspose(4, 6, 2, stride=2, groups=2)
        self.after = nn.BatchNorm2D(6)

    @paddle.jit.not_to_static
    def forward(self, images_BHWC: paddle.Tensor) -> list[paddle.Tensor]:
        x = self.first(images_BHWC.astype(self.first.weight.dtype).transpose([0, 3, 1, 2]) / 255)
        shared = self.norms[0](x)  # x is read three times: its batch norm stays
        a = nn.functional.relu(self.norms[1](self.twice(shared)))
        b = self.norms[2](self.twice(x)) + x + a
        return [self.after(self.up(b)), nn.functional.relu(b)]


def test_what_others_read_stays_and_shared_filters_fold_apart(tmp_path):
    paddle.seed(3)
    layer = Corners()
    with paddle.no_grad():
        for one in layer.norms + nn.LayerList([layer.after]):
            for name in ("weight", "bias", "_mean", "_variance"):
                value = getattr(one, name)
                value.set_value(paddle.rand(value.shape) + 0.5)
    layer.eval()
    images = np.random.default_rng(2).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with paddle.no_grad():
        expected = [one.numpy() for one in layer(paddle.to_tensor(images))]
    made = traced(layer, images.shape)
    kinds = [one.type for one in made.program.blocks[0].ops]
    assert kinds.count("batch_norm") == 1  # the one of x
    assert kinds.count("fused_conv2d") == 3
    assert layer(paddle.to_tensor(images))[0].shape == expected[0].shape  # runs as before
    if not engine.onednn_here():
        return
    again = graph.Graph.read(*made.write(tmp_path / "written"))
    assert again.program == made.program
    assert all((again.arrays[name] == array).all() for name, array in made.arrays.items())
    config = engine.cpu_config(*again.write(tmp_path / "network"))
    predictor = engine.paddle_inference.create_predictor(config)
    predictor.get_input_handle("images").copy_from_cpu(images)
    predictor.run()
    for name, right in zip(predictor.get_output_names(), expected, strict=True):
        found = predictor.get_output_handle(name).copy_to_cpu()
        # Five layers of sums of at most 36 products: 2^-24·sqrt(5·36) = 8e-7 of the largest value.
        np.testing.assert_allclose(found, right, atol=3e-6 * np.abs(right).max(), rtol=0)
