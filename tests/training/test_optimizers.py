"""Steps of the optimisers against their formulas, group by group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.settings import Adam, Momentum, ParameterGroup, RMSprop, TrainSettings
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.rmsprop import optimizer_of

STEPS, RATE = 4, 0.01
EXACT = 1e-13
"""Relative: some 40 float64 operations of 1.1e-16 each in four steps, tenfold."""
GROUPS = (
    ParameterGroup("slow.*", rate=0.1, decay=0.0),
    ParameterGroup("*.bias", rate=2.0, decay=0.5),
    ParameterGroup("slow.bias", rate=50.0),  # too late: the first group has it
)
OF = {  # rate and decay of each parameter under GROUPS
    "slow.weight": (0.1, 0.0),
    "slow.bias": (0.1, 0.0),
    "fast.weight": (1.0, 1.0),
    "fast.bias": (2.0, 0.5),
}


@pytest.fixture(autouse=True)
def float64():
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


class Two(paddle.nn.Layer):
    """Two small layers."""

    def __init__(self) -> None:
        super().__init__()
        paddle.seed(3)
        self.slow, self.fast = paddle.nn.Linear(2, 3), paddle.nn.Linear(3, 2)


def gradient(name: str, step: int, shape: list[int]) -> np.ndarray:
    return np.random.default_rng([step, sum(map(ord, name))]).normal(size=shape)


def trained(chosen: Adam | Momentum | RMSprop) -> tuple[dict, dict]:
    """Weights before and after STEPS steps with drawn gradients."""
    network = Two()
    for value in network.parameters():
        value.set_value(paddle.rand(value.shape, "float64") - 0.5)
    before = {name: value.numpy() for name, value in network.named_parameters()}
    optimizer = optimizer_of(network, TrainSettings(optimizer=chosen))
    optimizer.set_lr(RATE)
    for step in range(STEPS):
        drawn = {
            n: paddle.to_tensor(gradient(n, step, p.shape)) for n, p in network.named_parameters()
        }
        sum((p * drawn[n]).sum() for n, p in network.named_parameters()).backward()
        optimizer.step()
        optimizer.clear_grad()
    return before, {name: value.numpy() for name, value in network.named_parameters()}


def by_hand(chosen: Adam | Momentum | RMSprop, name: str, weight: np.ndarray) -> np.ndarray:
    """torch.optim's, written out; Paddle holds momentum and its L2 in float32."""
    rate, decay = OF[name] if chosen.groups else (1.0, 1.0)
    l2 = chosen.l2 * decay
    if isinstance(chosen, Momentum):
        l2, momentum = float(np.float32(l2)), float(np.float32(chosen.momentum))
    weight, first, second = weight.copy(), 0.0, 0.0
    for step in range(STEPS):
        g = gradient(name, step, weight.shape)
        g = g + l2 * weight + decay * chosen.l1 * np.sign(weight)
        if isinstance(chosen, Momentum):
            first = momentum * first + g
            moved = g + momentum * first if chosen.nesterov else first
        elif isinstance(chosen, RMSprop):
            second = chosen.alpha * second + (1 - chosen.alpha) * g**2
            moved = g / (np.sqrt(second) + chosen.epsilon)
        else:
            first = chosen.beta1 * first + (1 - chosen.beta1) * g
            second = chosen.beta2 * second + (1 - chosen.beta2) * g**2
            unbiased = second / (1 - chosen.beta2 ** (step + 1))
            mean = first / (1 - chosen.beta1 ** (step + 1))
            moved = mean / (np.sqrt(unbiased) + chosen.epsilon)
        weight -= RATE * rate * moved
    return weight


@pytest.mark.parametrize(
    "chosen",
    [
        Adam(),
        Adam(beta1=0.8, beta2=0.99, epsilon=1e-3, l2=0.1, groups=GROUPS),
        Adam(l1=0.1, groups=GROUPS),
        Momentum(),
        Momentum(momentum=0.5, nesterov=True, l2=0.1, groups=GROUPS),
        Momentum(l1=0.1, groups=GROUPS),
        RMSprop(),
        RMSprop(alpha=0.9, epsilon=0.125, l2=0.1, groups=GROUPS),  # 2.6 adds it as a float32
    ],
    ids=repr,
)
def test_steps_by_hand(chosen: Adam | Momentum | RMSprop) -> None:
    before, after = trained(chosen)
    assert before.keys() == after.keys() == OF.keys()
    for name, weight in before.items():
        expected = by_hand(chosen, name, weight)
        np.testing.assert_allclose(after[name], expected, rtol=EXACT, atol=EXACT, err_msg=name)
        assert not np.array_equal(after[name], weight)


def test_default_groups_change_no_bit() -> None:
    for chosen in (Adam(l2=0.1), Momentum(l2=0.1)):
        alike = replace(chosen, groups=(ParameterGroup("*"),))
        for one, two in zip(trained(chosen), trained(alike), strict=True):
            for name in one:
                np.testing.assert_array_equal(one[name], two[name])


def test_a_rate_of_zero_freezes() -> None:
    before, after = trained(Adam(groups=(ParameterGroup("slow.*", rate=0.0),)))
    np.testing.assert_array_equal(before["slow.weight"], after["slow.weight"])
    assert not np.array_equal(before["fast.weight"], after["fast.weight"])


def test_a_pattern_of_no_parameter_is_refused() -> None:
    groups = (ParameterGroup("*.bias"), ParameterGroup("bakcbone.*"))
    with pytest.raises(UserError, match=r"no trained parameter is named 'bakcbone\.\*'.*'slow\."):
        make_optimizer(Two(), TrainSettings(optimizer=Adam(groups=groups)))
