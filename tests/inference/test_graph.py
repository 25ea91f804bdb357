"""Graphs: folding a network changes nothing but the rounding."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from seeded_networks import seeded

from paddle_pose.inference import engine, graph
from paddle_pose.models.architectures import (
    Architecture,
    BodyPoseNet,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
    HRNet,
    MIPNet,
    MIPPoseResNet,
    NewellHourglass,
    PoseResNet,
)
from paddle_pose.settings import DataSettings

SMALL: tuple[Architecture, ...] = (
    NewellHourglass(joints=5, stacks=2, features=32, depth=2, stem=16),
    HRNet(joints=5, width=8),
    PoseResNet(joints=5, layers=18),
    MIPNet(joints=5, width=8),
    MIPPoseResNet(joints=5, layers=18),
    FastPose(joints=5),
    FastPoseDuc(joints=5, convolutions=(1, 1, 1)),
    FastPoseMobile(joints=5, size="small", conv_dim=64),
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
        # x again: the sum that became part of a convolution must not be written over it.
        return [self.after(self.up(b)), nn.functional.relu(b), nn.functional.relu(x)]


def test_what_others_read_stays_and_shared_filters_fold_apart(tmp_path):
    paddle.seed(3)
    layer = Corners()
    with paddle.no_grad():
        for one in [*layer.norms, layer.after]:
            for name in ("weight", "bias", "_mean", "_variance"):
                value = getattr(one, name)
                value.set_value(paddle.rand(value.shape) + 0.5)
    layer.eval()
    kinds = folds_and_runs(layer, tmp_path)
    assert kinds.count("batch_norm") == 1  # the one of x
    assert kinds.count("fused_conv2d") == 3


def folds_and_runs(layer: nn.Layer, folder: Path) -> list[str]:
    """The operations that are left; what they compute is what the layer does."""
    images = np.random.default_rng(2).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with paddle.no_grad():
        expected = [one.numpy() for one in layer(paddle.to_tensor(images))]
    made = traced(layer, images.shape)
    kinds = [one.type for one in made.program.blocks[0].ops]
    assert tuple(layer(paddle.to_tensor(images))[0].shape) == expected[0].shape  # runs as before
    if not engine.onednn_here():
        return kinds
    again = graph.Graph.read(*made.write(folder / "written"))
    assert again.program == made.program
    assert all((again.arrays[name] == array).all() for name, array in made.arrays.items())
    config = engine.cpu_config(*again.write(folder / "network"))
    predictor = engine.paddle_inference.create_predictor(config)
    predictor.get_input_handle("images").copy_from_cpu(images)
    predictor.run()
    for name, right in zip(predictor.get_output_names(), expected, strict=True):
        found = predictor.get_output_handle(name).copy_to_cpu()
        # Five layers of sums of at most 36 products: 2^-24·sqrt(5·36) = 8e-7 of the largest value.
        np.testing.assert_allclose(found, right, atol=3e-6 * np.abs(right).max(), rtol=0)
    return kinds


class Odd(nn.Layer):
    """A convolution and batch norm in an order that the walk does not know."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how
        self.convolution = nn.Conv2D(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2D(4)
        for one in (self.norm.weight, self.norm.bias, self.norm._mean, self.norm._variance):
            one.set_value(paddle.rand([4]) + 0.5)

    @paddle.jit.not_to_static
    def forward(self, images_BHWC: paddle.Tensor) -> list[paddle.Tensor]:
        given = images_BHWC.astype("float32").transpose([0, 3, 1, 2]) / 255
        x = self.convolution(given)
        if self._how == "written over":
            paddle.assign(given * 0, given)  # where the batch norm stands it is too late
            return [self.norm(x), given]
        if self._how == "a sum over the width":
            x = x + paddle.arange(64, dtype="float32")
        elif self._how == "a sum the other way round":
            x = self.norm.bias.reshape([1, 4, 1, 1]) + x
        elif self._how == "no weights":
            norm = self.norm
            return [nn.functional.batch_norm(x, norm._mean, norm._variance, epsilon=1e-4)]
        elif self._how == "a branch" and not paddle.in_dynamic_mode():
            few = paddle.less_than(x[0, 0, 0, 0], paddle.full([], 1e9))
            return [paddle.static.nn.cond(few, lambda: self.norm(x), lambda: x)]
        elif self._how == "an error":
            raise ValueError("no such network")
        return [self.norm(x)]


@pytest.mark.parametrize(
    "how",
    [
        "written over",
        "a sum over the width",
        "a sum the other way round",
        "no weights",
        pytest.param(
            "a branch",
            marks=pytest.mark.skipif(
                not paddle.__version__.startswith("2."), reason="Paddle 3 cannot trace it"
            ),
        ),
    ],
)
def test_what_the_walk_does_not_know_stays(how, tmp_path):
    paddle.seed(4)
    layer = Odd(how)
    layer.eval()
    if how == "no weights":  # Paddle's oneDNN dies of it
        made = traced(layer, (2, 64, 64, 3))
        assert "batch_norm" in [one.type for one in made.program.blocks[0].ops]
        return
    kinds = folds_and_runs(layer, tmp_path)
    assert ("batch_norm" in kinds) == (how != "a branch")
    assert ("conditional_block" in kinds) == (how == "a branch")


def test_a_network_that_cannot_be_traced_runs_as_before():
    layer = Odd("an error")
    with pytest.raises(ValueError, match="no such network"):
        traced(layer, (1, 8, 8, 3))
    assert not hasattr(layer.forward, "rollback")
