"""Pruning: the recorded choices, smaller networks that compute what they should, every family."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.models import pruning
from paddle_pose.models.architectures import (
    Architecture,
    BodyPoseNet,
    FastPoseMobile,
    HRNet,
    NewellHourglass,
    PoseResNet,
    Pruned,
)
from paddle_pose.models.blocks import (
    Conv2D,
    Head,
    PoseNetwork,
    StageOutput,
    add,
    concat,
    relu,
    scale,
)
from paddle_pose.models.build import build
from paddle_pose.models.keras_layers import KerasBatchNorm2D
from paddle_pose.models.pruning import PruningRule, choose, follow, shrink
from paddle_pose.recipes.recipe import Recipe, from_dict, to_dict
from reproduce.aligning import bodyposenet_network, bodyposenet_prune


def parameters(network: PoseNetwork) -> int:
    return sum(int(np.prod(one.shape)) for one in network.parameters())


class Small(PoseNetwork):
    """The recorded small network: a sum, a product, a concatenation, an output in the middle."""

    size_multiple = 1

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        for key in arrays:
            name, _, part = key.rpartition(".")
            if part == "weight" and arrays[key].ndim == 4:
                outputs, inputs, side = arrays[key].shape[:3]
                kind = Head if name.endswith("out") else Conv2D
                has_bias = None if f"{name}.bias" in arrays else False
                conv = kind(inputs, outputs, side, padding=side // 2, bias_attr=has_bias)
                conv.weight.set_value(arrays[key])
                if conv.bias is not None:
                    conv.bias.set_value(arrays[f"{name}.bias"])
                self.add_sublayer(name.replace("/", "_"), conv)
        self.bn = KerasBatchNorm2D(24)

    def forward(self, x: paddle.Tensor) -> list[StageOutput]:
        b = relu(self.b(self.bn(self.a(x))))
        total = add(relu(self.p(b)), relu(self.q(b)))
        v = relu(self.v(relu(self.v0(total))))
        product = scale(relu(self.u(total)), v)
        middle = self.mid_out(relu(self.e(product)))
        f = relu(self.f(concat(b, middle, product)))
        return [StageOutput(middle), StageOutput(self.last_out(f))]


@pytest.fixture(scope="module")
def recorded() -> tuple[dict, dict[str, np.ndarray]]:
    words, arrays = bodyposenet_network.record("prune")
    return words, {
        key.removeprefix("small/"): arrays[key] for key in arrays.files if key.startswith("small/")
    }


def test_all_recorded_choices_of_the_small_network(recorded) -> None:
    said, arrays = recorded
    network = Small(arrays)
    channels, whole = follow(network), parameters(network)
    for run in said["small"]["runs"]:
        names = ("threshold", "normalizer", "equalization", "granularity", "min_filters")
        rule = PruningRule(*(run[name] for name in names), tuple(run["excluded"]))
        kept = choose(network, rule, channels)
        assert {name: places.tolist() for name, places in kept.items()} == run["kept"]
        if run in said["small"]["runs"][::7]:
            smaller = Small(arrays)
            shrink(smaller, kept, channels)
            assert [whole, parameters(smaller)] == run["parameters"]


def test_recorded_choices_and_outputs_of_bodyposenet() -> None:
    rows = bodyposenet_prune.rows()
    assert rows
    assert all(row.ok for row in rows), rows


def silenced(network: PoseNetwork, kept: dict[str, np.ndarray]) -> None:
    """The whole network with everything that is not kept at 0."""
    layers = dict(network.named_sublayers())
    for name, places in kept.items():
        layer = layers[name]
        gone = np.setdiff1d(np.arange(pruning.widths(network)[name]), places)
        for part in ("weight", "bias"):
            value = getattr(layer, part)
            if value is None:
                continue
            array = value.numpy()
            axis = 1 if part == "weight" and not isinstance(layer, paddle.nn.Conv2D) else 0
            np.moveaxis(array, axis, 0)[gone] = 0
            value.set_value(array)


NETWORKS = {
    "newell": (NewellHourglass(stacks=2, features=16, depth=2, stem=16), 64),
    "hrnet": (HRNet(width=4), 64),
    "resnet": (PoseResNet(layers=18), 64),
    "mobile": (FastPoseMobile(size="small", conv_dim=16, joints=4), 64),
    "bodypose": (BodyPoseNet(stages=2, width=8, features=16, attention=True), 64),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_smaller_network_computes_what_the_silenced_one_does(name: str) -> None:
    """Where a filter is 0 before its batch norm, what the norm makes of it must be taken out too.

    So norms are set to pass zeros on: mean 0, shift 0.
    """
    paddle.seed(3)
    architecture, side = NETWORKS[name]
    network, draw = build(architecture), np.random.default_rng(3)
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.layer.norm._BatchNormBase):
            layer.bias.set_value(paddle.zeros_like(layer.bias))
        if isinstance(layer, paddle.nn.Conv2D):  # else all filters have about the same norm
            by = draw.uniform(0.2, 1, [layer.weight.shape[0], 1, 1, 1]).astype(np.float32)
            layer.weight.set_value(layer.weight.numpy() * by)
    network.eval()
    channels = follow(network)
    rule = PruningRule(threshold=0.6, granularity=2, min_filters=2)
    kept = choose(network, rule, channels)
    assert kept
    linear = {n for n, one in network.named_sublayers() if isinstance(one, paddle.nn.Linear)}
    image = paddle.randn([1, 3, side, side])
    silenced(network, {n: places for n, places in kept.items() if n not in linear})
    with paddle.no_grad():
        wanted = [one.numpy() for stage in network(image) for one in stage if one is not None]
        before = parameters(network)
        shrink(network, kept, channels)
        found = [one.numpy() for stage in network(image) for one in stage if one is not None]
    assert parameters(network) < before
    for one, other in zip(found, wanted, strict=True):
        # float32 sums over fewer terms, in another order: some 1e-7 of the largest for each layer.
        assert np.abs(one - other).max() <= 2e-5 * max(1e-3, np.abs(other).max())


@pytest.mark.parametrize("name", ["hrnet", "bodypose"])
def test_the_recipe_builds_the_smaller_network(name: str) -> None:
    architecture: Architecture = NETWORKS[name][0]
    network = build(architecture)
    channels = follow(network)
    kept = choose(network, PruningRule(threshold=0.8, granularity=2, min_filters=2), channels)
    shrink(network, kept, channels)
    filters = {one: len(places) for one, places in kept.items()}
    recipe = Recipe(name="small", model=Pruned(architecture, filters))
    read = from_dict(to_dict(recipe))
    assert read == recipe
    again = build(read.model)
    shapes = [{k: v.shape for k, v in one.state_dict().items()} for one in (network, again)]
    assert shapes[0] == shapes[1]
    again.train()
    loss = sum(one.mean() for one in again(paddle.randn([2, 3, 64, 64]))[-1] if one is not None)
    loss.backward()
    assert all(one.grad is not None for one in again.parameters() if not one.stop_gradient)


def test_values_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="normalizer 'L3'; did you mean 'L2'"):
        PruningRule(normalizer="L3")
    with pytest.raises(UserError, match="equalization 'onion'; did you mean 'union'"):
        PruningRule(equalization="onion")
    with pytest.raises(UserError, match="threshold nan: must be 0 or more"):
        PruningRule(threshold=float("nan"))
    with pytest.raises(UserError, match="threshold 99: no norm is above 1 by max"):
        PruningRule(threshold=99)
    assert PruningRule(threshold=1.6, normalizer="L2")
    with pytest.raises(UserError, match="at least 1"):
        PruningRule(granularity=0)
    network = build(NETWORKS["newell"][0])
    with pytest.raises(UserError, match="excluded: no layer 'pre'"):
        choose(network, PruningRule(excluded=("pre",)), follow(network))
    name = next(iter(pruning.widths(network)))
    with pytest.raises(UserError, match="has no 99999 outputs to keep"):
        pruning.narrow(network, {name: 99_999})


def test_filters_that_no_pruning_leaves_are_refused() -> None:
    small = BodyPoseNet(width=4, features=8, stages=2)
    for name in ("block_1a_bn_1", "heatmap_out", "nothing"):
        with pytest.raises(UserError, match=f"model.filters: {name} has no 2 outputs to keep"):
            build(Pruned(small, {name: 2}))
    added = NewellHourglass(stacks=1, features=16, stem=16, depth=1)
    groups = follow(build(added)).groups()
    one = next(group for group in groups if len(group) > 1)[0]
    with pytest.raises(UserError, match="layers that are added keep different numbers: "):
        build(Pruned(added, {one: 2}))
