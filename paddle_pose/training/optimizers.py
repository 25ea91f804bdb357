"""The recipe's optimiser on a network's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import paddle
from paddle import nn
from paddle.regularizer import L1Decay, L2Decay, WeightDecayRegularizer

from paddle_pose.errors import UserError
from paddle_pose.settings import Momentum, Optimizer, ParameterGroup, TrainSettings


def make_optimizer(network: nn.Layer, settings: TrainSettings) -> paddle.optimizer.Optimizer:
    """The optimiser of what the network trains; its steps are those of torch.optim.

    Not ``use_multi_tensor``: on a CPU it equals this to a rounding (1.5e-8 of weights near 0.1
    after 5 steps of given gradients), not to the bit, and a network of ours was up to 1e-2 apart
    after 5 steps; it refuses float64, in which steps are compared with the reference. It would
    save about 1 ms of a step of 130 (the quickstart's network, batch 8).

    Raises:
        UserError: a group that no parameter belongs to.
    """
    chosen = settings.optimizer
    for parameter, group in _grouped(network, chosen.groups):
        parameter.optimize_attr["learning_rate"] = group.rate
        parameter.regularizer = _decay(chosen, group.decay)
    common = {
        "learning_rate": settings.learning_rate,
        "parameters": [p for p in network.parameters() if not p.stop_gradient],
        "weight_decay": _decay(chosen),
        "grad_clip": nn.ClipGradByGlobalNorm(settings.clip_norm) if settings.clip_norm else None,
    }
    if isinstance(chosen, Momentum):
        return paddle.optimizer.Momentum(
            momentum=chosen.momentum, use_nesterov=chosen.nesterov, **common
        )
    return paddle.optimizer.Adam(
        # RMSprop's comes from rmsprop.optimizer_of.
        beta1=chosen.beta1,  # type: ignore[union-attr]
        beta2=chosen.beta2,  # type: ignore[union-attr]
        epsilon=chosen.epsilon,
        **common,
    )


def _decay(chosen: Optimizer, factor: float = 1.0) -> WeightDecayRegularizer | None:
    """What is added to gradients; None adds nothing, to a group what the rest gets."""
    if chosen.l1:
        return L1Decay(chosen.l1 * factor)
    return L2Decay(chosen.l2 * factor) if chosen.l2 else None


def _grouped(
    network: nn.Layer, groups: tuple[ParameterGroup, ...]
) -> Iterator[tuple[paddle.Tensor, ParameterGroup]]:
    """Parameters and the first group that each belongs to."""
    trained = {n: p for n, p in network.named_parameters() if not p.stop_gradient}
    for group in groups:
        if not any(fnmatchcase(name, group.pattern) for name in trained):
            raise UserError(
                f"train.optimizer.groups: no trained parameter is named '{group.pattern}'; "
                f"names are like '{next(iter(trained), '')}' (a * stands for anything)"
            )
    for name, parameter in trained.items():
        first = next((group for group in groups if fnmatchcase(name, group.pattern)), None)
        if first is not None:
            yield parameter, first
