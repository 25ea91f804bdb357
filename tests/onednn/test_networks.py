"""Networks by oneDNN against Paddle's own layers, and where oneDNN steps aside for them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import paddle
import pytest
from test_layers import (
    EPS,
    normal,
    results,
    small_network,
)
from test_layers import test_frozen_statistics_pass_the_gradient_straight as passes_straight

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import BatchNorm2D, Conv2D, relu
from paddle_pose.onednn import check, layers, layout, norm, shuffle, sums
from paddle_pose.onednn import library as onednn

pytestmark = pytest.mark.skipif(
    not check.usable(paddle.zeros([1])), reason="this Paddle has no oneDNN 3, or it is off"
)

Gradients = tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]


def gradients_of_network(dtype: str) -> Gradients:
    """Loss, gradients and statistics of ``small_network``."""
    x, y = normal(2, 3, 64, 64), normal(2, 16, 16, 16, seed=6)
    network = small_network().to(dtype=dtype)
    network.train()
    images, truth = (paddle.to_tensor(v.astype(dtype)) for v in (x, y))
    loss = sum((out.heatmaps_BJHW - truth).square().mean() for out in network(images))
    loss.backward()
    found = {k: p.grad.numpy() for k, p in network.named_parameters() if p.grad is not None}
    moved = {k: v.numpy() for k, v in network.state_dict().items() if v.stop_gradient}
    assert len(moved) > 20
    return float(loss), found, moved


@pytest.fixture(scope="module")
def exact_and_paddles() -> tuple[Gradients, Gradients]:
    """The network's in float64, and by Paddle's layers in float32."""
    with pytest.MonkeyPatch.context() as off:
        off.setattr(onednn, "library", lambda: None)
        return gradients_of_network("float64"), gradients_of_network("float32")


def assert_as_good(ours: Gradients, exact: Gradients, paddles: Gradients) -> None:
    """Both round in float32 through the same depth: ours may err three times as much, not more."""
    assert ours[1].keys() == exact[1].keys()
    assert abs(ours[0] - exact[0]) <= 1e-5 * exact[0]
    for mine, theirs, truth in zip(ours[1:], paddles[1:], exact[1:], strict=True):
        mine, theirs = (
            np.sqrt(sum(((found[k] - truth[k]) ** 2).sum() for k in truth))
            for found in (mine, theirs)
        )
        assert mine <= 3 * theirs


def test_a_network_equals_itself_in_paddles_own_layers(exact_and_paddles):
    assert_as_good(gradients_of_network("float32"), *exact_and_paddles)


PLANS = (
    layout._copying,
    layers._convolution,
    layers._upsample,
    layers._max_pool,
    layers._relu,
    layers._hard_swish,
    shuffle._shuffle,
    norm._batch_norm,
    norm._moments,
    sums._sum,
)


def forget_plans() -> None:
    for plan in PLANS:
        plan.cache_clear()


@pytest.fixture
def refuse(monkeypatch) -> Iterator[Callable[[str], list[str]]]:
    """Lets oneDNN refuse to make some kind of thing; gives the list of what it refused."""

    def refusing(kind: str) -> list[str]:
        make, refused = onednn.Library.make, []

        def make_or_refuse(self: onednn.Library, name: str, *arguments: object) -> onednn.Made:
            if name.startswith(kind):
                refused.append(name)
                raise onednn.Failed(name)
            return make(self, name, *arguments)

        layout.block()
        monkeypatch.setattr(onednn.Library, "make", make_or_refuse)
        forget_plans()
        return refused

    yield refusing
    monkeypatch.undo()
    forget_plans()


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "convolution_forward",
        "convolution_backward_weights",
        "batch_normalization_forward",
        "pooling_backward",
        "resampling_forward",
        "reorder",
        "binary",
        "memory_create",
    ],
)
def test_paddles_kernels_take_over_what_onednn_refuses(kind, refuse, exact_and_paddles):
    refused = refuse(kind)
    assert_as_good(gradients_of_network("float32"), *exact_and_paddles)
    first = len(refused)
    assert first
    gradients_of_network("float32")
    assert len(refused) == first  # asked once per shape, not in every step


def test_a_relu_that_onednn_refuses(refuse):
    refused = refuse("eltwise_forward")
    assert relu(layout.to_blocked(paddle.full([1, 16, 1, 2], -1.0))).sum() == 0
    assert refused


def test_what_onednn_made_goes_with_its_plans(monkeypatch):
    make, alive = onednn.Library.make, []

    def make_and_note(self: onednn.Library, name: str, *arguments: object) -> onednn.Made:
        made = make(self, name, *arguments)
        alive.append(weakref.finalize(made, lambda: None))
        return made

    monkeypatch.setattr(onednn.Library, "make", make_and_note)
    forget_plans()
    gradients_of_network("float32")
    kept = sum(one.alive for one in alive)
    assert 0 < kept < len(alive)  # layouts and descriptions went as soon as plans were made
    forget_plans()
    gc.collect()
    assert not any(one.alive for one in alive)


def test_frozen_statistics_where_onednn_refuses(refuse):
    refuse("batch_normalization")
    passes_straight(True)


def test_a_failure_while_running_names_layer_and_remedy(monkeypatch):
    layer, x = Conv2D(16, 16, 3, padding=1), paddle.ones([2, 16, 4, 6])
    out = layer(x)

    def fail(*arguments: object) -> None:
        raise onednn.Failed("primitive_execute")

    monkeypatch.setattr(onednn.Library, "execute", fail)
    with pytest.raises(UserError, match=r"convolution_forward .*\(2, .*PADDLE_POSE_ONEDNN=0"):
        layer(x)
    with pytest.raises(Exception, match=r"convolution_backward_weights .*PADDLE_POSE_ONEDNN=0"):
        out.sum().backward()


@pytest.mark.parametrize(
    "how",
    [
        {"dilation": 2, "padding": 2},
        {"padding_mode": "reflect", "padding": 1},
        {"padding_mode": "circular", "padding": 1},
        {"padding": (1, 2)},
        {"padding": [1, 0, 2, 1]},
        {"padding": "SAME", "stride": 2},
        {"padding": "VALID"},
    ],
)
def test_other_windows_are_paddles(how):
    """Padding by pairs, names or reflection, and holes: whatever oneDNN is not asked for."""
    x, paddles = normal(2, 16, 9, 7), paddle.nn.Conv2D(16, 32, 3, **how).to(dtype="float64")
    layer = Conv2D(16, 32, 3, **how)
    layer.set_state_dict({k: v.astype("float32") for k, v in paddles.state_dict().items()})
    shape = paddles(paddle.to_tensor(x)).shape
    d_out = normal(*shape, seed=6)
    ours, exact = (results(f, t, [x], d_out) for f, t in ((layer, "float32"), (paddles, "float64")))
    # Sums of at most 32·9 products; those of weights (below 1) and values (below 5) stay below 5.
    for value, truth in zip(ours, exact, strict=True):
        assert abs(value - truth).max() <= 288 * 5 * EPS


def test_double_precision_is_left_to_paddle():
    assert not onednn.usable(paddle.zeros([1], dtype="float64"))
    layer = Conv2D(16, 16, 3, padding=1).to(dtype="float64")
    out = BatchNorm2D(16).to(dtype="float64")(layer(paddle.ones([1, 16, 4, 4], dtype="float64")))
    assert out.dtype == paddle.float64
    assert not layout.is_blocked(out)


def test_the_environment_switches_it_off():
    code = (
        "import paddle; from paddle_pose.onednn import library as onednn;"
        "print(onednn.usable(paddle.zeros([1])))"
    )
    environment = {**os.environ, "PADDLE_POSE_ONEDNN": "0"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split()[-1] == "False"
