"""Networks: outputs equal the references', nothing unused is built, counts are the published ones.

The records in tests/parity/models were made with the official PyTorch code: name-seeded weights
and images (reproduce/aligning/name_seeded.py), outputs computed in float64, every third row and
column kept.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn
from places import PARITY
from seeded_networks import seeded

from paddle_pose.errors import UserError
from paddle_pose.models import hourglass52, hrnet
from paddle_pose.models.architectures import (
    BearpawHourglass,
    Hourglass52,
    HRNet,
    MIPNet,
    MIPPoseResNet,
    NewellHourglass,
    PoseResNet,
    with_joints,
)
from paddle_pose.models.blocks import BatchNorm2D, Conv2D, upsample
from paddle_pose.models.build import build
from paddle_pose.models.counting import count, count_parameters
from reproduce.aligning import forward, name_seeded
from reproduce.aligning.networks import NETWORKS

RECORDED = {
    "newell_hg2_mpii_256": NewellHourglass(joints=16, stacks=2),
    "hourglass52_mpii_256": Hourglass52(joints=16, stacks=1),
    "hrnet_w32_mpii_256x256": HRNet(joints=16, width=32),
    "hrnet_w48_coco_384x288": HRNet(joints=17, width=48),
    "pose_resnet50_mpii_256x256": PoseResNet(joints=16, layers=50),
    "mipnet_w32_coco_128x96": MIPNet(joints=17, width=32),
    "mipnet_w32_coco_128x96_four_gates": MIPNet(joints=17, width=32, modulated=(True,) * 4),
    "mipnet_w48_coco_384x288": MIPNet(joints=17, width=48),
    "mipnet_resnet50_coco_128x96": MIPPoseResNet(joints=17, layers=50),
}
SMALL = (
    NewellHourglass(joints=5, stacks=3, features=32, depth=2, stem=16),
    BearpawHourglass(joints=5, stacks=2, features=16, depth=1, stem=8),
    HRNet(joints=5, width=8),
    PoseResNet(joints=5, layers=18),
    MIPNet(joints=5, width=8),
    MIPPoseResNet(joints=5, layers=18),
)


@pytest.fixture
def default_dtype():
    """Sets Paddle's default precision for one test."""
    yield paddle.set_default_dtype
    paddle.set_default_dtype("float32")


@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_equal_the_reference(network):
    """With the tolerances of reproduce.align, and beyond the largest difference."""
    model = NETWORKS[network].model
    record = name_seeded.read_record(PARITY / "models" / f"{model}.json.gz")
    assert NETWORKS[network].load().model == RECORDED[model]
    arrays = name_seeded.tensors(record["state_dict"], record["gain"])
    assert name_seeded.sha256(arrays) == record["weights_sha256"]
    recorded = np.load(PARITY / "models" / f"{model}.npz")

    for dtype in ("float64", "float32"):
        outputs = forward.outputs(network, dtype)
        rows = forward.rows_of(network, dtype, outputs)
        assert len(outputs) == len(rows) == len(recorded.files)
        assert all(row.ok for row in rows), rows
        for index, output in enumerate(outputs):
            expected = recorded[f"output_{index}"].astype(np.float64)
            assert list(output.shape) == record["outputs"][index]["shape"]
            assert output.dtype == dtype
            if dtype == "float64":
                # Every value alone: rounded to float32, and what forward.py allows for depth.
                difference = np.abs(output[:, :, ::3, ::3] - expected)
                largest = record["outputs"][index]["max_abs"]
                assert (difference <= 2**-24 * np.abs(expected) + 1e-11 * largest).all()
            # Between the kept rows too: the energy of the whole map (relative, 1e-5 of float32).
            rms = np.sqrt(np.mean(output.astype(np.float64) ** 2))
            assert rms == pytest.approx(record["outputs"][index]["rms"], rel=1e-5)


@pytest.mark.parametrize("name", RECORDED)
def test_counts_equal_the_record(name):
    record = name_seeded.read_record(PARITY / "models" / f"{name}.json.gz")
    height, width = record["input"]["shape"][2:]
    counts = count(build(RECORDED[name]), (width, height))
    # Integers: no tolerance. The record gives 1e9 multiply-adds with all digits.
    assert counts.parameters == record["parameters"] - record["parameters_in_unused_layers"]
    assert counts.macs == round(record["gmacs_per_image"] * 1e9)


def test_newell_eight_stacks_have_the_official_parameters_less_the_unused():
    # The official network counts 32,819,328. Its unused 1×1 short cuts with bias: one of width 128
    # (pre.3), and per stack of width 256 three at each of 4 depths, one at the bottom, one after.
    unused = (128 * 128 + 128) + 8 * (3 * 4 + 1 + 1) * (256 * 256 + 256)
    network = build(NewellHourglass(joints=16, stacks=8))
    assert count_parameters(network) == 32_819_328 - unused


def test_bearpaws_two_stacks_have_the_official_parameters():
    # As its example/main.py:112 counts them, run @edc7aec.
    assert count_parameters(build(BearpawHourglass(joints=16, stacks=2))) == 6_730_912


@pytest.mark.parametrize(
    ("architecture", "size_wh", "published_m", "published_gflops"),
    [
        # HRNet's README.md:34-43, COCO; its GFLOPs are its own counter's, see Counts.
        (HRNet(width=32), (192, 256), 28.5, 7.1),
        (HRNet(width=48), (192, 256), 63.6, 14.6),
        (PoseResNet(layers=50), (192, 256), 34.0, 8.9),
        (PoseResNet(layers=101), (192, 256), 53.0, 12.4),
        (PoseResNet(layers=152), (192, 256), 68.6, 15.7),
    ],
)
def test_published_parameters_and_gflops(architecture, size_wh, published_m, published_gflops):
    counts = count(build(architecture), size_wh)
    # One decimal is printed: half a unit of it. Two of the ResNet rows are cut instead of rounded
    # (8.99 is 8.9, 15.76 is 15.7, but 12.38 is 12.4): a unit for those.
    unit = 0.1
    assert counts.parameters / 1e6 == pytest.approx(published_m, abs=unit / 2)
    cut = isinstance(architecture, PoseResNet)
    assert counts.hrnet_gflops == pytest.approx(published_gflops, abs=unit if cut else unit / 2)


def test_hrnet_counter_takes_transposed_convolutions_four_times():
    counts = count(build(PoseResNet(joints=17, layers=18)), (64, 64))
    # 4×4 kernels to 256 channels from 512 at 2×2, then from 256 at 4×4 and 8×8.
    deconvolutions = 256 * 16 * (512 * 2**2 + 256 * 4**2 + 256 * 8**2)
    assert counts.hrnet_macs - counts.macs == 3 * deconvolutions


def test_counting_leaves_the_network_as_it_was():
    network = build(SMALL[0])
    network.pre.eval()
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    count(network, (64, 64))
    assert network.training
    assert network.hgs.training
    assert not network.pre[0].training
    after = network.state_dict()
    assert all(np.array_equal(before[key], after[key].numpy()) for key in before)


@pytest.fixture
def narrow(monkeypatch):
    """Fewer and narrower layers where no argument asks for them, to be quick."""
    monkeypatch.setattr(hourglass52, "CHANNELS", (16, 16, 24, 24, 24, 32))
    monkeypatch.setattr(hourglass52, "BLOCKS", (2, 1, 1, 1, 1, 2))
    monkeypatch.setattr(hrnet, "BLOCKS_PER_BRANCH", 1)
    monkeypatch.setattr(hrnet, "MODULES_PER_STAGE", {2: 1, 3: 1, 4: 2})


@pytest.mark.parametrize("architecture", [*SMALL, Hourglass52(joints=5, stacks=2)])
@pytest.mark.usefixtures("narrow")
def test_every_parameter_is_used(architecture):
    """Gradients reach everything built; outputs are a quarter of the input, one per stack."""
    network = build(architecture)
    height, width = 128, 256
    outputs = network(paddle.rand([2, 3, height, width]))
    assert len(outputs) == getattr(architecture, "stacks", 1)
    for output in outputs:
        assert output.heatmaps_BJHW.shape == [2, 5, height // 4, width // 4]
    sum(output.heatmaps_BJHW.square().sum() for output in outputs).backward()
    lacking = [n for n, p in network.named_parameters() if not p.stop_gradient and p.grad is None]
    assert lacking == []


@pytest.mark.parametrize("architecture", SMALL)
def test_only_the_last_layer_depends_on_the_joints(architecture):
    few = build(architecture).state_dict()
    many = build(with_joints(architecture, 7)).state_dict()
    assert few.keys() == many.keys()
    changed = {key.split(".")[0] for key in few if few[key].shape != many[key].shape}
    assert changed <= {"outs", "merge_preds", "final_layer", "score", "score_"}


@pytest.mark.parametrize("architecture", [*SMALL, Hourglass52(joints=5, stacks=2)])
@pytest.mark.usefixtures("narrow")
def test_static_graph_equals_eager(architecture, tmp_path):
    """A saved network whose batch and size are left open, as an export makes it."""
    network = seeded(architecture)
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "images")
    paddle.jit.save(network, str(tmp_path / "model"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "model"))
    images = paddle.rand([2, 3, 128, 256])
    with paddle.no_grad():
        expected = [output.heatmaps_BJHW.numpy() for output in network(images)]
        got = loaded(images)
    got = [item.numpy() for item in (got if isinstance(got, list | tuple) else [got])]
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        # Other kernels, the same sums in another order: float32 networks of this depth are off by
        # 6e-7 to 1.7e-6 of the largest (float32_error_max of the records); three times that.
        assert np.abs(one - other).max() <= 5e-6 * np.abs(other).max()


def test_seeded_outputs_depend_on_every_image_and_row():
    network = seeded(SMALL[0])
    images = paddle.rand([2, 3, 64, 96])
    with paddle.no_grad():
        together = network(images)[-1].heatmaps_BJHW.numpy()
        alone = network(images[1:])[-1].heatmaps_BJHW.numpy()
    assert np.abs(together[1:] - alone).max() <= 5e-6 * np.abs(alone).max()
    assert np.abs(together[1] - together[0]).max() > 0.01 * np.abs(alone).max()


def test_fast_kernels_equal_the_plain_ones(default_dtype):
    default_dtype("float64")
    layer, x = Conv2D(7, 5, 1), paddle.rand([2, 7, 6, 9])
    plain = nn.functional.conv2d(x, layer.weight, layer.bias)
    # Sums of 7 products, float64.
    np.testing.assert_allclose(layer(x).numpy(), plain.numpy(), rtol=1e-14, atol=1e-15)
    strided = Conv2D(7, 5, 1, stride=2)
    padded = Conv2D(7, 5, 1, padding=1)
    assert strided(x).shape == [2, 5, 3, 5]
    assert padded(x).shape == [2, 5, 8, 11]
    doubled = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    assert np.array_equal(upsample(x, 2).numpy(), doubled.numpy())


def test_wrong_sizes_are_named():
    with pytest.raises(UserError, match=r"72×64.*multiples of 32"):
        build(NewellHourglass(features=8, depth=3))(paddle.zeros([1, 3, 64, 72]))
    with pytest.raises(UserError, match=r"layers=20.*18, 34, 50"):
        build(PoseResNet(layers=20))


def weights_of(network: nn.Layer, kind: type) -> list[nn.Layer]:
    return [layer for layer in network.sublayers() if isinstance(layer, kind)]


def assert_batch_norms_begin_at_identity(network: nn.Layer) -> None:
    layers = weights_of(network, nn.BatchNorm2D)
    assert layers
    assert all(isinstance(layer, BatchNorm2D) for layer in layers)
    for layer in layers:
        assert (layer.weight.numpy() == 1).all()
        assert (layer.bias.numpy() == 0).all()
        assert (layer._momentum, layer._epsilon) == (0.9, 1e-5)


@pytest.mark.parametrize("architecture", [HRNet(width=8), PoseResNet(layers=18), Hourglass52()])
def test_weights_begin_normal(architecture):
    paddle.seed(1)
    network = build(architecture)
    for layer in weights_of(network, nn.Conv2D) + weights_of(network, nn.Conv2DTranspose):
        weight = layer.weight.numpy().astype(np.float64)
        # Standard errors of mean and deviation of n normal values; 6 of them for some 300 draws.
        error = 6 * 0.001 / math.sqrt(weight.size)
        assert abs(weight.mean()) < error
        assert abs(weight.std() - 0.001) < error / math.sqrt(2)
        assert np.abs(weight).max() > 0.002  # not uniform, which would end at 0.00173
    assert_batch_norms_begin_at_identity(network)
    biases = [
        layer.bias.numpy() for layer in weights_of(network, nn.Conv2D) if layer.bias is not None
    ]
    assert len(biases) == 1
    if isinstance(architecture, PoseResNet):
        assert 0 < np.abs(biases[0]).max() <= 1 / 16  # PyTorch's default, 256 channels in
    else:
        assert (biases[0] == 0).all()


def test_newell_weights_begin_uniform_by_fan_in():
    paddle.seed(1)
    network = build(NewellHourglass(stacks=2, features=64))
    scaled_biases = []
    for layer in weights_of(network, nn.Conv2D):
        weight = layer.weight.numpy().astype(np.float64)
        bound = 1 / math.sqrt(math.prod(weight.shape[1:]))
        assert np.abs(weight).max() <= bound * (1 + 1e-6)  # float32
        assert np.abs(weight).max() > bound * 0.95
        # Uniform: deviation bound/√3, its standard error √(0.2/n) of it; 6 for some 100 draws.
        error = 6 * math.sqrt(0.2 / weight.size)
        assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=error)
        scaled_biases.append(layer.bias.numpy() / bound)
    biases = np.concatenate(scaled_biases)
    assert np.abs(biases).max() <= 1 + 1e-6
    assert biases.std() == pytest.approx(3**-0.5, rel=6 * math.sqrt(0.2 / biases.size))
    assert_batch_norms_begin_at_identity(network)


@pytest.mark.parametrize("architecture", SMALL)
def test_the_seed_alone_decides_the_first_weights(architecture):
    def first_weights(seed: int) -> dict[str, np.ndarray]:
        paddle.seed(seed)
        return {key: value.numpy() for key, value in build(architecture).state_dict().items()}

    one = first_weights(1)
    np.random.RandomState().rand(3)
    again, other = first_weights(1), first_weights(2)
    assert all(np.array_equal(one[key], again[key]) for key in one)
    assert any(not np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_variance_is_unbiased(dtype, default_dtype):
    default_dtype(dtype)
    rng = np.random.default_rng(0)
    layer, paddles_own = BatchNorm2D(3), nn.BatchNorm2D(3)
    mean, variance = np.zeros(3), np.ones(3)
    # Float32 rounds each of some 5 operations by 6e-8; in float64 the kernel's momentum is a
    # float32, 2.4e-8 off. Biased, the first step would be off by 0.1/7 · variance: 1e-2.
    tolerance = 1e-6 if dtype == "float32" else 1e-7
    for _ in range(2):
        x = rng.normal(1.0, 2.0, (2, 3, 2, 2)).astype(dtype)
        inputs = paddle.to_tensor(x, stop_gradient=False)
        out = layer(inputs)
        assert np.array_equal(out.numpy(), paddles_own(paddle.to_tensor(x)).numpy())
        mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * x.var((0, 2, 3), ddof=1)
        np.testing.assert_allclose(layer._mean.numpy(), mean, rtol=0, atol=tolerance)
        np.testing.assert_allclose(layer._variance.numpy(), variance, rtol=tolerance)
        out.square().sum().backward()  # the running statistics may move before this
        assert inputs.grad is not None
    assert layer._variance.dtype == layer.weight.dtype
    assert sorted(layer.state_dict()) == ["_mean", "_variance", "bias", "weight"]


def test_frozen_statistics_stay():
    x = paddle.rand([2, 3, 4, 4])
    for layer in (BatchNorm2D(3), BatchNorm2D(3, use_global_stats=True)):
        if not layer._use_global_stats:
            layer.eval()
        out = layer(x)
        assert (layer._mean.numpy() == 0).all()
        assert (layer._variance.numpy() == 1).all()
        np.testing.assert_allclose(out.numpy(), x.numpy() / np.sqrt(1 + 1e-5), rtol=1e-6)


def test_batch_norm_of_one_value_does_not_divide_by_zero():
    layer, x = BatchNorm2D(3), paddle.rand([1, 3, 1, 1])
    assert np.array_equal(layer(x).numpy(), x.numpy())
    assert (layer._variance.numpy() == 1).all()


def test_variants_are_one_number_apart():
    assert replace(HRNet(), width=48) == HRNet(width=48)
    names = set(build(HRNet(width=8)).state_dict())
    assert names == set(build(HRNet(width=16)).state_dict())
