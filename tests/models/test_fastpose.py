"""AlphaPose's networks: recorded outputs and training step, sizes, first weights, refusals."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models import se_resnet
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
    parameters_about,
    with_joints,
)
from paddle_pose.models.blocks import BatchNorm2D, DeformableConv2D, Head
from paddle_pose.models.build import build
from paddle_pose.porting import network_keys
from reproduce.aligning import fastpose_networks as aligning

THREE = (False, True, True, True)


@pytest.fixture
def shallow(monkeypatch):
    """Two blocks in the second layer, one in the others."""
    monkeypatch.setitem(se_resnet.BLOCKS, 50, (1, 2, 1, 1))


SMALL = {
    "fastpose": FastPose(joints=5),
    "deformable": FastPose(joints=5, deformable=THREE),
    "modulated": FastPose(joints=5, deformable=(True, False, False, False), modulated=True),
    "shuffle": FastPoseDuc(joints=5, convolutions=(2, 1, 1)),
    "plain": FastPoseDuc(joints=5, backbone="plain", convolutions=(1, 1, 2)),
    "simple": AlphaSimplePose(joints=5),
    "large": FastPoseMobile(joints=5, size="large", conv_dim=8),
    "small": FastPoseMobile(joints=5, size="small", conv_dim=12),
}


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        *((model, "float64") for model in aligning.MODELS),
        *((model, "float32") for model in aligning.MODELS if "mobile" in model),
    ],
)
def test_outputs_equal_the_reference(model, dtype):
    maps, (output,) = aligning.maps_of(model, dtype), aligning.record_of(model)["outputs"]
    row = aligning.row_of(model, dtype, maps)
    assert row.ok, row
    # Between the kept rows too: the energy of the whole map, 1e-5 of float32's sums.
    assert list(maps.shape) == output["shape"]
    assert np.sqrt((maps.astype(np.float64) ** 2).mean()) == pytest.approx(output["rms"], rel=1e-5)


def test_parameters_and_macs_equal_the_records():
    assert all(row.ok for row in aligning.parameter_rows())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_training_step_equals_the_recorded_one(dtype):
    rows = aligning.training_rows(dtype)
    assert len(rows) == {"float64": 8, "float32": 6}[dtype]
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


COUNTS = {
    FastPose(17, 50, 128): 40_577_745,
    FastPose(136, 50, 256): 42_052_296,
    FastPoseDuc(17, 50): 57_853_777,
    AlphaSimplePose(17, 50): 33_999_697,
    FastPoseMobile(136, "large", 256): 7_860_664,
    FastPoseMobile(136, "small", 256): 4_930_984,
}
"""As published, or counted in the reference."""


@pytest.mark.parametrize("architecture", [*COUNTS, *SMALL.values(), FastPose(layers=152)])
def test_parameters(architecture):
    shapes = network_keys(architecture).shapes
    count = sum(
        math.prod(shape) for name, shape in shapes.items()
        if not name.endswith(("._mean", "._variance"))
    )  # fmt: skip
    assert count == COUNTS.get(architecture, count)
    assert parameters_about(architecture) == pytest.approx(count, rel=0.1)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.usefixtures("shallow")
def test_every_parameter_is_used(name):
    network = build(SMALL[name])
    (output,) = network(paddle.rand([2, 3, 64, 96]))
    assert output.heatmaps_BJHW.shape == [2, 5, 16, 24]
    output.heatmaps_BJHW.square().sum().backward()
    lacking = [n for n, p in network.named_parameters() if not p.stop_gradient and p.grad is None]
    assert lacking == []


@pytest.mark.parametrize("name", ["fastpose", "shuffle", "simple", "small"])
@pytest.mark.usefixtures("shallow")
def test_only_the_last_layer_depends_on_the_joints(name):
    few, many = (network_keys(one).shapes for one in (SMALL[name], with_joints(SMALL[name], 7)))
    assert few.keys() == many.keys()
    last = "final_layer" if name == "simple" else "conv_out"
    assert {key.split(".")[0] for key in few if few[key] != many[key]} == {last}


def sample(image_HW: np.ndarray, y: float, x: float) -> float:
    """Between four pixels, outside of which there are zeros."""
    total, (height, width) = 0.0, image_HW.shape
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += image_HW[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("modulated", [False, True])
def test_a_deformable_convolution_is_its_definition(modulated, stride):
    """Sum over taps of weight × (mask ×) the pixel at the tap's place plus its move."""
    rng, side = np.random.default_rng(0), 6 // stride
    image, weight = rng.standard_normal((2, 3, 6, 6)), rng.standard_normal((4, 3, 3, 3))
    moves = rng.uniform(-2, 2, (2, 27 if modulated else 18, side, side))
    expected = np.zeros((2, 4, side, side))
    for b, o, h, w, tap in np.ndindex(2, 4, side, side, 9):
        down, right = moves[b, 2 * tap, h, w], moves[b, 2 * tap + 1, h, w]
        mask = 1 / (1 + math.exp(-moves[b, 18 + tap, h, w])) if modulated else 1
        y, x = h * stride - 1 + tap // 3 + down, w * stride - 1 + tap % 3 + right
        for c in range(3):
            pixel = sample(image[b, c], y, x)
            expected[b, o, h, w] += weight[o, c, tap // 3, tap % 3] * pixel * mask
    layer = DeformableConv2D(3, 4, 3, stride, 1, bias_attr=False).to(dtype="float64")
    layer.weight.set_value(weight)
    found = layer(paddle.to_tensor(image), paddle.to_tensor(moves)).numpy()
    # 27 products of a few float64 operations each.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * 27 * 9)


def layers_of(network: nn.Layer, *kinds: type) -> list[tuple[str, nn.Layer]]:
    return [(name, one) for name, one in network.named_sublayers() if isinstance(one, kinds)]


@pytest.mark.parametrize("name", ["deformable", "shuffle", "simple", "small"])
@pytest.mark.usefixtures("shallow")
def test_weights_begin_as_the_references(name):
    paddle.seed(1)
    network, mobile = build(SMALL[name]), name == "small"
    for key, layer in layers_of(network, nn.Conv2D, nn.Conv2DTranspose, nn.Linear):
        weight = layer.weight.numpy().astype(np.float64)
        last = key.startswith(("conv_out", "final_layer", "deconv_layers"))
        fan_in = weight.shape[0] if isinstance(layer, nn.Linear) else math.prod(weight.shape[1:])
        if last:
            deviation = 0.001
        elif mobile and key.startswith("preact"):
            deviation = math.sqrt(2 / (weight.shape[0] * math.prod(weight.shape[2:])))
        else:
            deviation = 1 / math.sqrt(3 * fan_in)
            assert np.abs(weight).max() <= 1 / math.sqrt(fan_in) * (1 + 1e-6)  # uniform; float32
        # The standard error of a normal deviation, which a uniform one's is below; 6 for 100 draws.
        assert weight.std() == pytest.approx(deviation, rel=6 / math.sqrt(2 * weight.size))
        bias = 0 if layer.bias is None else np.abs(layer.bias.numpy()).max()
        of_torch = isinstance(layer, nn.Linear) or key.endswith("conv2_offset")
        assert 0 < bias <= fan_in**-0.5 * (1 + 1e-6) if of_torch else bias == 0
    for key, layer in layers_of(network, nn.BatchNorm2D):
        assert isinstance(layer, BatchNorm2D)
        assert (layer.weight.numpy() == 1).all()
        assert (layer.bias.numpy() == 0).all()
        light = mobile and key.startswith("preact")
        assert (layer._epsilon, layer._momentum) == ((1e-3, 0.99) if light else (1e-5, 0.9))
    assert len(layers_of(network, Head)) == (1 if name != "deformable" else 1 + 4)


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        (FastPose(layers=34), r"model\.layers=34: .*\[50, 101, 152\]"),
        (FastPose(conv_dim=64), r"model\.conv_dim=64: FastPose has 128 or 256"),
        (FastPose(modulated=True), r"model\.modulated: weighs the taps of model\.deformable"),
        (FastPoseMobile(size="medium"), r"model\.size='medium': .* large or small"),
        (FastPoseMobile(size="smal"), r"did you mean 'small'"),
        (FastPoseMobile(conv_dim=0), r"model\.conv_dim=0"),
        (FastPoseDuc(backbone="se_resnet"), r"expected one of shuffle, se-resnet, plain"),
        (FastPoseDuc(convolutions=(4, 0, 1)), r"model\.convolutions=\[4, 0, 1\]"),
    ],
)
def test_what_there_is_not_is_refused(architecture, line):
    with pytest.raises(UserError, match=line):
        build(architecture)


@pytest.mark.usefixtures("shallow")
def test_a_size_that_cannot_be_halved_is_named():
    with pytest.raises(UserError, match=r"FastPoseMobileNetwork: images of 192×240.*of 32"):
        build(SMALL["small"])(paddle.zeros([1, 3, 240, 192]))
