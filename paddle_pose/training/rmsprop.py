"""RMSprop as PyTorch has it; Paddle's own adds epsilon under the root, where 1e-8 is 1e-4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import paddle
from paddle import nn

from paddle_pose.settings import Adam, RMSprop, TrainSettings
from paddle_pose.training.optimizers import make_optimizer


class _RMSProp(paddle.optimizer.RMSProp):
    """Weights move by rate × gradient / (root of the mean of its squares + epsilon).

    Source: pytorch/pytorch torch/optim/rmsprop.py _single_tensor_rmsprop 2.13.0
    """

    def _add_accumulator(self, name: str, *arguments: Any, **more: Any) -> Any:
        if name == self._mean_square_acc_str:  # those of momentum would be zeros, as large
            return super()._add_accumulator(name, *arguments, **more)
        return None

    def _append_optimize_op(self, block: Any, parameter_and_gradient: Any) -> None:
        parameter, gradient = parameter_and_gradient
        squares = self._get_accumulator_master(self._mean_square_acc_str, parameter)
        exact = self._master_weights.get(parameter.name, parameter)  # O2 keeps float32 beside
        gradient = gradient.astype(exact.dtype)
        new = squares.scale(self._rho) + gradient.square().scale(1 - self._rho)
        paddle.assign(new, squares)
        rate = self._create_param_lr(parameter_and_gradient).astype(exact.dtype)
        moved = exact - rate * gradient / (new.sqrt() + self._epsilon)
        paddle.assign(moved, exact)
        if exact is not parameter:
            paddle.assign(moved.astype(parameter.dtype), parameter)


def optimizer_of(network: nn.Layer, settings: TrainSettings) -> paddle.optimizer.Optimizer:
    """``make_optimizer``, and the one of this file.

    Raises:
        UserError: a group that no parameter belongs to.
    """
    chosen = settings.optimizer
    if not isinstance(chosen, RMSprop):
        return make_optimizer(network, settings)
    decays = Adam(l2=chosen.l2, l1=chosen.l1, groups=chosen.groups)
    like = make_optimizer(network, replace(settings, optimizer=decays))  # marks the parameters
    return _RMSProp(
        settings.learning_rate,
        rho=chosen.alpha,
        epsilon=chosen.epsilon,
        parameters=like._parameter_list,
        weight_decay=like.regularization,
        grad_clip=like._grad_clip,
    )
