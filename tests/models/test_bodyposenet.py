"""BodyPoseNet: outputs equal the recorded ones, images of any size, weights begin as Keras's."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from seeded_networks import seeded

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import BodyPoseNet, parameters_about
from paddle_pose.models.build import build
from paddle_pose.models.counting import count, count_parameters
from paddle_pose.models.keras_layers import KerasBatchNorm2D, SameConv2D, tanh
from paddle_pose.onednn import layout
from reproduce.aligning import bodyposenet_network as aligned

SMALL = BodyPoseNet(joints=3, limbs=2, stages=2, width=4, features=8)
OLD = BodyPoseNet(joints=3, limbs=2, stages=3, width=4, features=8, shared=False, attention=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", ["lite3_181x203", "lite2_attention_96x128"])
def test_outputs_equal_the_reference(case, dtype):
    rows = aligned.output_rows(case, dtype)
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_training_mode_and_moving_averages_equal_the_reference(dtype):
    rows = aligned.trained_rows(dtype)
    assert len(rows) == 2
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize(
    ("architecture", "official"),
    [
        (BodyPoseNet(), 16_777_835),
        (BodyPoseNet(stages=2), 12_365_234),
        (BodyPoseNet(stages=2, attention=True), 12_660_402),
        (BodyPoseNet(shared=False), 25_965_035),
    ],
)
def test_parameters_are_the_official_ones(architecture, official):
    with paddle.LazyGuard():
        network = build(architecture)
    # Keras counts the moving averages too: two for each channel of the backbone.
    moving = 2 * sum(layer._num_features for layer in network.sublayers(include_self=False)
                     if isinstance(layer, KerasBatchNorm2D))  # fmt: skip
    assert count_parameters(network) + moving == official
    assert parameters_about(architecture) == pytest.approx(official, rel=0.01)


@pytest.mark.parametrize("architecture", [SMALL, OLD])
@pytest.mark.parametrize("size", [(40, 48), (33, 71), (8, 1)])
def test_cells_are_an_eighth_of_any_size_and_everything_is_used(architecture, size):
    network = build(architecture)
    outputs = network(paddle.rand([2, 3, *size]))
    assert len(outputs) == architecture.stages
    cells = [math.ceil(side / 8) for side in size]
    for output in outputs:
        assert output.heatmaps_BJHW.shape == [2, 4, *cells]
        assert output.pafs_BLHW.shape == [2, 4, *cells]
    sum(maps.square().sum() for output in outputs for maps in output).backward()
    lacking = [n for n, p in network.named_parameters() if not p.stop_gradient and p.grad is None]
    assert lacking == []


@pytest.mark.parametrize("architecture", [SMALL, OLD])
def test_static_graph_equals_eager_at_any_size(architecture, tmp_path):
    network = seeded(architecture)
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "images")
    paddle.jit.save(network, str(tmp_path / "model"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "model"))
    for size in ((64, 96), (50, 37)):
        images = paddle.rand([2, 3, *size])
        with paddle.no_grad():
            expected = [maps.numpy() for output in network(images) for maps in output]
            got = [maps.numpy() for maps in loaded(images)]
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            # As in test_models: three times what float32 networks of this depth are off.
            assert np.abs(one - other).max() <= 5e-6 * np.abs(other).max()


@pytest.mark.parametrize("size", [(6, 6), (7, 6), (5, 9)])
@pytest.mark.parametrize("channels", [32, 18])
def test_same_padding_is_tensorflows_in_both_layouts(channels, size):
    layer = SameConv2D(channels, 32, 3, 2)
    x = paddle.rand([2, channels, *size]) - 0.5
    # By hand: rows before 0 only where the size is odd, one row after the last.
    before = [side % 2 for side in size]
    padded = np.pad(x.numpy().astype(np.float64), [(0, 0), (0, 0), *((one, 1) for one in before)])
    weight, bias = (paddle.to_tensor(p.numpy().astype(np.float64)) for p in layer.parameters())
    wanted = F.conv2d(paddle.to_tensor(padded), weight, bias, 2).numpy()
    wanted = wanted[:, :, : -(-size[0] // 2), : -(-size[1] // 2)]
    for given in (x, layout.to_blocked(x)):
        ours = layout.to_plain(layer(given)).numpy()
        # A float32 sum of n = 9 × channels products: (n + 4)·2^-24·0.2·sqrt(n) of the largest.
        terms = 9 * channels
        bound = (terms + 4) * 2.0**-24 * max(1, 0.2 * terms**0.5)
        assert ours.shape == wanted.shape
        assert np.abs(ours - wanted).max() <= bound * np.abs(wanted).max()


def test_moving_averages_are_alike_in_both_layouts_and_still_for_one_value():
    x, found = paddle.rand([2, 32, 3, 3]), []
    for given in (x, layout.to_blocked(x)):
        layer = KerasBatchNorm2D(32)
        layer(given)
        found.append(layer._variance.numpy())
        # n = 18: biased × n / (n - 1) × n / (n - 1.001), a hundredth of it; float32 rounds 1.
        wanted = 0.99 + 0.01 * x.numpy().var((0, 2, 3)) * (18 / 17) * (18 / 16.999)
        np.testing.assert_allclose(found[-1], wanted, rtol=3 * 2**-24, atol=0)
        layer(given[:1, ..., :1, :1] if given.ndim == 4 else x[:1, :, :1, :1])
        assert np.array_equal(layer._variance.numpy(), found[-1])


def test_tanh_has_the_same_values_in_graphs():
    x = paddle.linspace(-4, 4, 33)
    spec = [paddle.static.InputSpec([33], "float32")]
    static = paddle.jit.to_static(tanh, input_spec=spec, full_graph=True)
    # 2 / (1 + exp(-2x)) - 1 loses a digit near 0: 4 roundings of numbers up to 2.
    np.testing.assert_allclose(static(x).numpy(), np.tanh(x.numpy()), rtol=0, atol=4 * 2**-23)


def test_weights_begin_as_keras_has_them():
    paddle.seed(1)
    network = build(BodyPoseNet(stages=2, width=16, features=32))
    for name, layer in network.named_sublayers():
        if isinstance(layer, KerasBatchNorm2D):
            assert (layer._epsilon, layer._momentum) == (1e-3, 0.99)
        if not isinstance(layer, nn.Conv2D):
            continue
        weight = layer.weight.numpy().astype(np.float64)
        if name.startswith("block_"):
            taps = math.prod(weight.shape[2:])
            bound = math.sqrt(6 / (taps * sum(weight.shape[:2])))
            assert bound * 0.9 < np.abs(weight).max() <= bound * (1 + 1e-6)  # float32
            assert layer.bias is None
        else:
            # Standard error of the deviation of n normal values; 6 of them for some 20 draws.
            assert abs(weight.std() / 0.01 - 1) < 6 / math.sqrt(2 * weight.size)
            assert np.abs(weight).max() > 0.018  # not uniform, which would end at 0.0173
            assert (layer.bias.numpy() == 0).all()
    assert build(BodyPoseNet(width=4, features=8, initializer="xavier"))
    with pytest.raises(UserError, match=r"model\.initializer=x: must be random_normal or xavier"):
        build(BodyPoseNet(initializer="x"))


def test_macs_count_strided_convolutions_at_their_results():
    counted = count(build(SMALL), (16, 16))
    wide, deep = 4, 8
    backbone = 9 * (3 * wide + wide**2) * 256 + 9 * (2 * wide**2 + 4 * wide**2) * 64
    backbone += 9 * (8 + 3 * 16) * wide**2 * 16 + 9 * (32 + 64 + 32) * wide**2 * 4
    first = 9 * (4 * wide * deep + 3 * deep**2) + 2 * 4 * deep**2 + 4 * deep * 8
    later = 49 * ((deep + 8) * deep + 4 * deep**2) + 2 * deep**2 + deep * 8
    assert counted.macs == backbone + (first + later) * 4
