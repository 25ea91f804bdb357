"""Mixed precision as a recipe asks for it; float32 where it does not.

On a GPU by ``paddle.amp``. On a CPU, where Paddle ignores that, level O1 in bfloat16 by our own
layers: feature maps, their gradients and the factors of convolutions are bfloat16; weights and
their gradients, sums, batch norm's statistics, what the network puts out, losses and the optimiser
are float32.
"""

from __future__ import annotations

import contextlib
from typing import Any

import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models import blocks
from paddle_pose.settings import TrainSettings


def require_device(settings: TrainSettings, device: str) -> None:
    """Raises UserError where mixed precision would be ignored: on a CPU all but bfloat16 O1."""
    if settings.amp == "none" or device != "cpu":
        return
    if (settings.amp, settings.amp_dtype) != ("O1", "bfloat16"):
        raise UserError(
            f"train.amp={settings.amp}: Paddle {paddle.__version__} has mixed precision on GPUs "
            f"and would train in float32 here, in {settings.amp_dtype} at least; take "
            "train.amp=none on a CPU, or train.amp=O1 with train.amp_dtype=bfloat16"
        )
    if fault := blocks.bfloat16_fault():
        raise UserError(
            f"train.amp=O1 train.amp_dtype=bfloat16: {fault}; take train.amp=none on this CPU"
        )


class Precision:
    """How the forward pass computes, and how gradients that float16 would lose are scaled.

    ``O1`` computes convolutions and products in half precision, weights stay float32. ``O2`` keeps
    all weights but batch norm's in half precision, and the optimiser a float32 copy of each.
    Losses are always float32.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._level, self._dtype = settings.amp, settings.amp_dtype
        self.on = settings.amp != "none"
        wanted = (self._level, self._dtype, paddle.get_device())
        self._on_cpu = wanted == ("O1", "bfloat16", "cpu") and not blocks.bfloat16_fault()
        self._scaler = paddle.amp.GradScaler(enable=self.on and self._dtype == "float16")

    def prepare(self, network: nn.Layer, optimizer: paddle.optimizer.Optimizer) -> None:
        """O2: turn the weights into half precision, in place; before ``paddle.DataParallel``."""
        if self._level == "O2":
            paddle.amp.decorate(network, optimizer, level="O2", dtype=self._dtype)
        if self._on_cpu:
            kinds = [type(layer) for layer in network.sublayers()]
            left = [f"{kinds.count(k)} {k.__name__}" for k in blocks.FLOAT32_ONLY if k in kinds]
            print(
                "=> feature maps and convolutions in bfloat16; weights, statistics, losses and "
                f"{'optimiser' if not left else 'optimiser, ' + ', '.join(left)} in float32",
                flush=True,
            )

    def computing(self) -> contextlib.AbstractContextManager:
        """Where the forward pass runs."""
        if not self.on:
            return contextlib.nullcontext()
        if self._on_cpu:
            return blocks.in_bfloat16()
        return paddle.amp.auto_cast(level=self._level, dtype=self._dtype)

    def for_loss(self, outputs: list[Any]) -> list[Any]:
        """The stages' tuples of tensors in float32."""
        if not self.on:
            return outputs
        return [one._make(x if x is None else x.astype("float32") for x in one) for one in outputs]

    def backward(self, loss: paddle.Tensor) -> None:
        """Gradients of the loss, scaled up in float16."""
        (self._scaler.scale(loss) if self.on else loss).backward()

    def update(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """One step of the optimiser; left out where a float16 gradient was not finite."""
        if self.on:
            self._scaler.step(optimizer)
            self._scaler.update()
        else:
            optimizer.step()

    def state(self) -> dict[str, Any]:
        """The loss scale and its counters, as plain data; empty without scaling."""
        state = self._scaler.state_dict()
        return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in state.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        if state:
            self._scaler.load_state_dict(state)
