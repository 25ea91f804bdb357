"""What a run says of itself: losses, costs, log lines."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from operator import sub
from typing import Any

import paddle

from paddle_pose.errors import UserError
from paddle_pose.system import parallel

Named = dict[str, paddle.Tensor]


@dataclass(frozen=True)
class TrainLog:
    """What a log line says: means per step since the last line, costs in seconds.

    ``loss`` is the sum of the named parts ``losses``; ``scores`` are of the last batch, in per
    cent, those that it has.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    loss: float
    losses: dict[str, float]
    lr: float
    reader_cost: float
    batch_cost: float
    ips: float
    eta_seconds: float
    scores: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """Paddle's standard fields, counted from 1 as people read them."""
        hours, rest = divmod(int(self.eta_seconds), 3600)
        scores = "".join(f", train {name}: {value:.2f}" for name, value in self.scores.items())
        parts = ""
        if len(self.losses) > 1:
            parts = "".join(f", {name}: {value:.6f}" for name, value in self.losses.items())
        return (
            f"[TRAIN] epoch: {self.epoch + 1}, step: {self.step + 1}/{self.steps_per_epoch}, "
            f"loss: {self.loss:.6f}{parts}, lr: {self.lr:.3e}, "
            f"reader_cost: {self.reader_cost:.5f} sec, batch_cost: {self.batch_cost:.5f} sec, "
            f"ips: {self.ips:.2f} images/sec, "
            f"eta: {hours}:{rest // 60:02d}:{rest % 60:02d}{scores}"
        )


class Losses:
    """Losses kept on the device; read, and averaged over ranks, when a line or a state is due."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, Named]] = []
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, epoch: int, step: int, parts: Named) -> None:
        """A step's parts, still on the device."""
        self._pending.append((epoch, step, parts))

    def check(self) -> None:
        """Raises UserError naming the first step whose loss is not finite."""
        if not self._pending:
            return
        own = paddle.stack([part for *_, parts in self._pending for part in parts.values()])
        together = parallel.total(own.numpy()) / parallel.ranks()
        means = together.reshape(len(self._pending), -1).tolist()
        for (epoch, step, parts), values in zip(self._pending, means, strict=True):
            if not math.isfinite(sum(values)):
                named_parts = ", ".join(map("{} {}".format, parts, values))
                raise UserError(
                    f"loss is {sum(values)} ({named_parts}) at epoch {epoch + 1}, step {step + 1}; "
                    "the checkpoint before it is kept: lower train.learning_rate or set "
                    "train.clip_norm, then --resume"
                )
            for name, value in zip(parts, values, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._count += 1
        self._pending.clear()

    def state(self) -> dict[str, Any]:
        """What a state must hold for the next log line to be that of a run never stopped."""
        return {"sums": self._sums, "count": self._count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from ``state``; from nothing where a state of an earlier program has none."""
        self._sums, self._count = dict(state.get("sums", {})), state.get("count", 0)

    def take_means(self) -> dict[str, float]:
        """Mean of each part since the last call."""
        means = {name: value / max(self._count, 1) for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


@dataclass(frozen=True)
class Lap:
    """Some steps: what a step took, and how many images a second came through.

    Attributes:
        steps: how many.
        reader_cost: seconds of a step that the loop waited for its batch.
        batch_cost: all seconds of a step.
        ips: images a second.
    """

    steps: int
    reader_cost: float
    batch_cost: float
    ips: float

    def line(self) -> str:
        """With and without the wait for the loader's processes."""
        alone = self.ips * self.batch_cost / max(self.batch_cost - self.reader_cost, 1e-9)
        return (
            f"=> speed: {self.ips:.4f} images/sec over {self.steps} steps after the first "
            f"{WARM_STEPS} (reader_cost: {self.reader_cost:.5f} sec, batch_cost: "
            f"{self.batch_cost:.5f} sec; {alone:.4f} images/sec without the wait for the loader)"
        )


WARM_STEPS = 50
"""Steps before a speed is measured: memory is found and workers run by then."""


class Clock:
    """Time spent waiting for data, and in all; a lap goes on where the last of its name ended."""

    def __init__(self) -> None:
        self._mark = time.perf_counter()
        self._paused, self._reading, self._images, self._steps = 0.0, 0.0, 0, 0
        self._began: dict[str, tuple[float, float, int, int]] = {"": self._now()}

    def _now(self) -> tuple[float, float, int, int]:
        spent = time.perf_counter() - self._paused
        return spent, self._reading, self._images, self._steps

    def batch_arrived(self, images: int) -> None:
        """The wait for so many images is over."""
        self._reading += time.perf_counter() - self._mark
        self._images += images
        self._steps += 1

    def step_done(self) -> None:
        """The wait for the next batch begins."""
        self._mark = time.perf_counter()

    def pause(self, seconds: float) -> None:
        """Leave out time spent on validation or a checkpoint."""
        self._paused += seconds
        self._mark += seconds

    def lap(self, name: str = "") -> Lap:
        """Since the last lap of that name, for a new one since the clock was made; begins one."""
        now = self._now()
        spent, reading, images, steps = map(sub, now, self._began.get(name, self._began[""]))
        self._began[name] = now
        each = max(steps, 1)
        return Lap(steps, reading / each, spent / each, images / max(spent, 1e-9))
