"""Constants that batch norms take off leave the network, which stays the same function."""

from __future__ import annotations

import copy

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_pose.inference.centring import centred
from paddle_pose.models.architectures import HRNet, NewellHourglass
from paddle_pose.models.blocks import PoseNetwork, StageOutput
from paddle_pose.models.build import build

TINY = NewellHourglass(stacks=2, features=16, depth=2, stem=8, conv_bias=True)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)


def drifted():
    """A network in float64 whose biases training has left far from 0."""
    paddle.seed(1)
    network = build(TINY)
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D) and layer.bias is not None:
            layer.bias.set_value(paddle.randn(layer.bias.shape) * 30)
    network.train()
    with paddle.no_grad():
        for _ in range(30):  # running means follow
            network(paddle.randn([2, 3, 64, 64]))
    network.eval()
    return network


def outputs(network, images):
    with paddle.no_grad():
        return network(paddle.to_tensor(images))[-1].heatmaps_BJHW.numpy()


def means_read(network, images):
    """The largest mean of a channel that a batch norm reads, against its deviation."""
    found = []

    def note(_, given):
        values = given[0].numpy()
        found.append(np.abs(values.mean((0, 2, 3))).max() / values.std((0, 2, 3)).mean())

    norms = [one for one in network.sublayers() if isinstance(one, nn.BatchNorm2D)]
    hooks = [one.register_forward_pre_hook(note) for one in norms]
    outputs(network, images)
    for hook in hooks:
        hook.remove()
    return max(found)


def test_an_hourglass_is_centred_and_the_same(images):
    network = drifted()
    made = centred(network, images)
    assert made is not network
    assert means_read(network, images) > 50
    assert means_read(made, images) < 10
    exact = outputs(copy.deepcopy(network).to(dtype="float64"), images.astype(np.float64))
    found = outputs(made, images)
    assert found.dtype == np.float32
    largest = np.abs(exact).max()
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5 * largest)
    # It errs less than the network as it was.
    assert np.abs(found - exact).max() < np.abs(outputs(network, images) - exact).max()


def test_a_network_without_such_biases_stays_itself(images):
    network = build(HRNet(joints=16, width=4))
    network.eval()
    assert centred(network, images) is network


class _ReluAfterBias(PoseNetwork):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3, padding=1)

    def forward(self, images_BCHW):
        return [StageOutput(nn.functional.relu(self.conv(images_BCHW)))]


def test_what_something_else_reads_stays(images):
    network = _ReluAfterBias()
    network.eval()
    assert centred(network, images) is network
