"""Loss scaling, Paddle's own on a CPU, where it is told that there is a GPU."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import paddle
from paddle import nn

from paddle_pose.settings import TrainSettings
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.precision import Precision


def test_a_step_that_is_not_finite_is_left_out_and_halves_the_scale(monkeypatch):
    """What PyTorch's scaler does, too: 2^16 at first, half after each of them."""
    place = SimpleNamespace(is_gpu_place=lambda: True)
    tracer = SimpleNamespace(_expected_place=place)
    settings = TrainSettings(amp="O1", amp_dtype="float16", learning_rate=0.1)
    with monkeypatch.context() as told:
        told.setattr("paddle.amp.grad_scaler._dygraph_tracer", lambda: tracer)
        precision = Precision(settings)
    layer = nn.Linear(2, 1, bias_attr=False)
    adam = make_optimizer(layer, settings)
    scales, moved = [], []
    for value in (1.0, float("inf"), 2.0):
        with precision.computing():
            before = layer.weight.numpy().copy()
        precision.backward((layer.weight * value).sum())
        precision.update(adam)
        adam.clear_grad()
        scales += np.ravel(precision.state()["scale"]).tolist()
        moved.append(bool((layer.weight.numpy() != before).all()))
    assert scales == [65536.0, 32768.0, 32768.0]
    assert moved == [True, False, True]
    assert layer.weight.dtype == paddle.float32
