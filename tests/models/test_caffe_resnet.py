"""SimpleBaseline of Caffe's style: the plain network but for where layers 2 to 4 halve."""

from __future__ import annotations

import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import CaffePoseResNet, PoseResNet
from paddle_pose.models.build import build
from paddle_pose.porting import network_keys


def test_the_stride_stands_in_the_first_convolution():
    caffe, plain = (build(kind(joints=3, layers=50)) for kind in (CaffePoseResNet, PoseResNet))
    images = paddle.rand([1, 3, 64, 64])
    for network, strides in ((caffe, (2, 1)), (plain, (1, 2))):
        blocks = [layer[0] for layer in (network.layer2, network.layer3, network.layer4)]
        found = [(block.conv1._stride[0], block.conv2._stride[0]) for block in blocks]
        assert found == [strides] * 3
    assert caffe(images)[0].heatmaps_BJHW.shape == [1, 3, 16, 16]
    caffe.set_state_dict(plain.state_dict())
    assert not paddle.allclose(caffe(images)[0].heatmaps_BJHW, plain(images)[0].heatmaps_BJHW)


def test_names_and_shapes_are_the_plain_network_s():
    wanted = (network_keys(kind(joints=17, layers=50)) for kind in (CaffePoseResNet, PoseResNet))
    caffe, plain = (dict(one.shapes) for one in wanted)
    assert caffe == plain


def test_shallow_networks_have_no_such_style():
    with pytest.raises(UserError, match="Caffe's style is of 50, 101 and 152"):
        build(CaffePoseResNet(layers=18))
