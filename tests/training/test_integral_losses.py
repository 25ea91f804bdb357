"""Losses of coordinates equal AlphaPose's, with either gradient, also as a static graph."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.errors import UserError
from paddle_pose.models.blocks import StageOutput
from paddle_pose.settings import TrainSettings
from paddle_pose.training.integral_losses import coordinates
from paddle_pose.training.losses import loss_function, total
from reproduce.aligning import fastpose_codec

INTEGRAL = TrainSettings(loss="integral_l1")


def drawn(joints: int = 4, people: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (B, J, 6, 5), targets (B, J, 2) and weights (B, J), float64."""
    rng = np.random.default_rng(8)
    logits = rng.standard_normal((people, joints, 6, 5))
    targets = rng.uniform(-0.45, 0.45, (people, joints, 2))
    return logits, targets, rng.integers(0, 3, (people, joints)).astype(np.float64)


def value_and_gradient(codec, logits, targets, weights, settings=INTEGRAL):
    maps = paddle.to_tensor(logits, stop_gradient=False)
    given = {"coordinates": targets, "coordinate_weights": weights}
    loss = loss_function(settings, codec)
    parts = loss([StageOutput(maps)], {n: paddle.to_tensor(v) for n, v in given.items()})
    total(list(parts.values())).backward()
    return parts, maps.grad.numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients_equal_the_record(dtype):
    rows = list(fastpose_codec.loss_rows(dtype))
    assert len(rows) == 9 * (3 if dtype == "float32" else 2)
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


def by_the_formula(
    logits: np.ndarray, targets_BJ2: np.ndarray, weights_BJ: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and gradient of the L1 loss, the slope of a place i being -2 or 2 instead of i."""
    p = 1 / (1 + np.exp(-logits))
    whole = p.sum((2, 3), keepdims=True)
    q = p / whole
    value, by_q = 0.0, np.zeros_like(q)
    for axis, target in enumerate(np.moveaxis(targets_BJ2, 2, 0)):
        size = q.shape[3 - axis]
        shape = (1, 1, 1, size) if axis == 0 else (1, 1, size, 1)
        places = np.arange(size).reshape(shape)
        found = (q * places).sum((2, 3))
        error = found / size - 0.5 - target
        value += float((np.abs(error) * weights_BJ).sum() / len(q))
        slope = np.where(places < found[..., None, None], -2.0, 2.0) / size
        by_q += (np.sign(error) * weights_BJ / len(q))[..., None, None] * slope
    by_p = (by_q - (by_q * q).sum((2, 3), keepdims=True)) / whole
    return value, by_p * p * (1 - p)


def test_the_symmetric_gradient_is_that_of_the_formula():
    logits, targets, weights = drawn()
    parts, gradient = value_and_gradient(IntegralCodec(), logits, targets, weights)
    value, expected = by_the_formula(logits, targets.reshape(3, 4, 2), weights.reshape(3, 4))
    # Sums of 30 cells in another order, of terms up to 1: 30 × 2^-53, and as much for each factor.
    assert list(parts) == ["coordinates"]
    assert float(parts["coordinates"]) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("norm", ["sigmoid", "softmax", "divide_sum"])
def test_the_plain_gradient_is_the_slope(norm):
    logits, targets, weights = drawn()
    logits = logits + 6 * (norm == "divide_sum")  # far from a sum of 0
    codec = IntegralCodec(norm, symmetric=False)
    _, gradient = value_and_gradient(codec, logits, targets, weights)
    step, way = 1e-6, np.random.default_rng(1).standard_normal(logits.shape)
    above, below = (
        float(value_and_gradient(codec, logits + s * way, targets, weights)[0]["coordinates"])
        for s in (step, -step)
    )
    # Rounding of the two values (below 20: 20 × 2^-52 / 2e-6 = 2e-9), the third derivative × 1e-12.
    assert (above - below) / (2 * step) == pytest.approx(float((gradient * way).sum()), abs=1e-8)


def test_either_gradient_has_the_same_value():
    logits, targets, weights = drawn()
    both = [
        value_and_gradient(IntegralCodec(symmetric=way), logits, targets, weights)
        for way in (True, False)
    ]
    values = [float(parts["coordinates"]) for parts, _ in both]
    assert values[0] == values[1]
    assert np.abs(both[0][1] - both[1][1]).max() > 1e-3


@pytest.mark.parametrize("symmetric", [True, False])
def test_either_gradient_finds_the_place(symmetric):
    maps = paddle.create_parameter([1, 1, 8, 8], "float32")
    maps.set_value(paddle.zeros([1, 1, 8, 8]))
    wanted = paddle.to_tensor([[[0.2, -0.3]]])
    given = {"coordinates": wanted, "coordinate_weights": paddle.ones([1, 1])}
    loss = loss_function(INTEGRAL, IntegralCodec(symmetric=symmetric))
    adam = paddle.optimizer.Adam(0.1, parameters=[maps])
    for _ in range(150):
        value = loss([StageOutput(maps)], given)["coordinates"]
        value.backward()
        adam.step()
        adam.clear_grad()
    # It began at 0.1 and 0.2 of the map from there, and steps of 0.1 in a logit never rest.
    assert float(value) < 0.02


def test_the_codec_says_the_norm():
    logits, targets, weights = drawn()
    found = [
        float(value_and_gradient(codec, logits, targets, weights)[0]["coordinates"])
        for codec in (IntegralCodec(), IntegralCodec("softmax"), None)
    ]
    assert found[0] == found[2] != found[1]


def test_a_static_graph_gives_the_same():
    logits, _, _ = drawn()
    maps = paddle.to_tensor(logits)
    static = paddle.jit.to_static(lambda x: coordinates(x, "sigmoid", symmetric=True))
    eager = coordinates(maps, "sigmoid", symmetric=True)
    # A static graph multiplies by 1 / 5 and 1 / 6 in float32, at most 2^-25 of them off.
    np.testing.assert_allclose(static(maps).numpy(), eager.numpy(), rtol=0, atol=2**-25)


def test_maps_and_coordinates_must_be_as_many():
    logits, targets, weights = drawn()
    with pytest.raises(UserError, match=r"model.joints: the network puts out 3 maps for 4"):
        value_and_gradient(IntegralCodec(), logits[:, :3], targets, weights)


def test_combined_parts_are_named_and_weighed():
    """A perfect body, and hands off by 0.5 of the map on one axis each: only they count."""
    codec = CombinedCodec("softmax")
    targets = codec.encode(np.full((68, 2), 24.0), np.ones(68), (48, 48))
    maps = np.full((68, 12, 12), -1e4, np.float32)
    maps[:26] = targets["heatmaps"]
    maps[26:, 6, 0] = 0  # x is 0 of 12 cells where 6 is wanted, y is right
    loss = loss_function(TrainSettings(loss="combined"), codec)
    given = {name: paddle.to_tensor(one[None]) for name, one in targets.items()}
    parts = loss([StageOutput(paddle.to_tensor(maps[None]))], given)
    assert list(parts) == ["heatmaps", "coordinates"]
    assert float(parts["heatmaps"]) == 0
    # 42 joints × 0.5 × 0.01; a sum of 42 exact halves, one float32 factor.
    assert float(parts["coordinates"]) == pytest.approx(0.21, rel=2**-23)
