"""One step, and the loop over a run: loss, log lines, progress, stops on a non-finite loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn
from tqdm import tqdm

from paddle_pose import losses, parallel
from paddle_pose.data.loader import Batch
from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import PoseNetwork, StageOutput
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.schedules import learning_rate
from paddle_pose.settings import DataSettings, TrainSettings


@dataclass(frozen=True)
class TrainLog:
    """What a log line says; costs are means per step since the last line, in seconds."""

    epoch: int
    step: int
    steps_per_epoch: int
    loss: float
    lr: float
    reader_cost: float
    batch_cost: float
    ips: float
    eta_seconds: float
    pckh: float

    def line(self) -> str:
        """Paddle's standard fields, counted from 1 as people read them."""
        hours, rest = divmod(int(self.eta_seconds), 3600)
        pckh = "" if math.isnan(self.pckh) else f", train PCKh@0.5: {self.pckh:.2f}"
        return (
            f"[TRAIN] epoch: {self.epoch + 1}, step: {self.step + 1}/{self.steps_per_epoch}, "
            f"loss: {self.loss:.6f}, lr: {self.lr:.3e}, reader_cost: {self.reader_cost:.5f} sec, "
            f"batch_cost: {self.batch_cost:.5f} sec, ips: {self.ips:.2f} images/sec, "
            f"eta: {hours}:{rest // 60:02d}:{rest % 60:02d}{pckh}"
        )


@dataclass
class Hooks:
    """What the loop calls; each gets the position (epoch, next step) it would resume from.

    Attributes:
        log: a log line is due.
        save: a resumable checkpoint is due; all losses and weights so far are finite.
        epoch_end: an epoch's last step is done; validates where it is due.
        train_score: PCKh of a training batch from its last heat maps.
    """

    log: Callable[[TrainLog], None] = lambda log: None
    save: Callable[[int, int], None] = lambda epoch, step: None
    epoch_end: Callable[[int], None] = lambda epoch: None
    train_score: Callable[[Batch, np.ndarray], float] = lambda batch, heatmaps: math.nan


def loss_function(
    settings: TrainSettings,
) -> Callable[[list[StageOutput], paddle.Tensor, paddle.Tensor], paddle.Tensor]:
    """The recipe's loss; Raises UserError for an unknown name."""
    if settings.loss == "joints_mse":
        if settings.use_target_weight:
            return losses.joints_mse
        return lambda out, target, weight: losses.joints_mse(out, target, paddle.ones_like(weight))
    if settings.loss == "heatmap_mse":
        return lambda out, target, weight: losses.heatmap_mse(out, target)
    if settings.loss == "cell_cross_entropy":
        return losses.cell_cross_entropy
    hint = nearest(settings.loss, ["joints_mse", "heatmap_mse", "cell_cross_entropy"])
    raise UserError(f"train.loss: unknown '{settings.loss}'{hint}")


def make_optimizer(network: nn.Layer, settings: TrainSettings) -> paddle.optimizer.Optimizer:
    """Adam as torch.optim.Adam: betas 0.9 and 0.999, epsilon 1e-8, weight decay as L2."""
    clip = nn.ClipGradByGlobalNorm(settings.clip_norm) if settings.clip_norm > 0 else None
    return paddle.optimizer.Adam(
        learning_rate=settings.learning_rate,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        parameters=[p for p in network.parameters() if not p.stop_gradient],
        weight_decay=settings.weight_decay or None,
        grad_clip=clip,
    )


@dataclass
class Trainer:
    """A network with its optimiser; ``step`` is one update."""

    network: PoseNetwork
    settings: TrainSettings
    data: DataSettings
    optimizer: paddle.optimizer.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.network, self.settings)
        self._loss = loss_function(self.settings)
        several = parallel.ranks() > 1
        self._forward = paddle.DataParallel(self.network) if several else self.network
        self._normalize = ImageNormalizer(self.data)

    def step(self, batch: Batch, rate: float) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Forward, loss, backward, update; returns loss and last heat maps, both on the device."""
        outputs = self._forward(self._normalize(batch.images))
        loss = self._loss(outputs, batch.targets, batch.weights)
        loss.backward()
        self.optimizer.set_lr(rate)
        self.optimizer.step()
        self.optimizer.clear_grad()
        return loss.detach(), outputs[-1].heatmaps_BJHW.detach()


class _Losses:
    """Losses kept on the device; read, and checked, only when a line or a checkpoint is due."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, paddle.Tensor]] = []
        self._sum, self._count = 0.0, 0

    def add(self, epoch: int, step: int, loss: paddle.Tensor) -> None:
        self._pending.append((epoch, step, loss))

    def check(self) -> None:
        """Raises UserError naming the first step whose loss is not finite."""
        for epoch, step, loss in self._pending:
            value = float(loss)
            if not math.isfinite(value):
                raise UserError(
                    f"loss is {value} at epoch {epoch + 1}, step {step + 1}; the checkpoint before "
                    "it is kept: lower train.learning_rate or set train.clip_norm, then --resume"
                )
            self._sum += value
            self._count += 1
        self._pending.clear()

    def take_mean(self) -> float:
        """Mean since the last call."""
        mean = self._sum / max(self._count, 1)
        self._sum, self._count = 0.0, 0
        return mean


def require_finite(network: nn.Layer, epoch: int, step: int) -> None:
    """Raises UserError if a weight or running statistic is not finite: such a state is not kept."""
    for name, value in network.state_dict().items():
        if not bool(paddle.isfinite(value.sum())):
            raise UserError(
                f"weight '{name}' is not finite after epoch {epoch + 1}, step {step + 1}; the "
                "checkpoint before it is kept: lower train.learning_rate or set train.clip_norm"
            )


class _Clock:
    """Time spent waiting for data, and in all, since the last log line."""

    def __init__(self) -> None:
        self._start = self._mark = time.perf_counter()
        self._reading, self._images, self._steps = 0.0, 0, 0

    def batch_arrived(self, images: int) -> None:
        self._reading += time.perf_counter() - self._mark
        self._images += images * parallel.ranks()
        self._steps += 1

    def step_done(self) -> None:
        self._mark = time.perf_counter()

    def pause(self, seconds: float) -> None:
        """Leave out time spent on validation or a checkpoint."""
        self._start += seconds
        self._mark += seconds

    def lap(self) -> tuple[float, float, float]:
        """Reader seconds and all seconds per step, images per second; starts anew."""
        spent = time.perf_counter() - self._start
        steps = max(self._steps, 1)
        result = self._reading / steps, spent / steps, self._images / max(spent, 1e-9)
        self.__init__()
        return result


def fit(
    trainer: Trainer,
    batches: Iterator[Batch],
    *,
    steps_per_epoch: int,
    start: tuple[int, int] = (0, 0),
    hooks: Hooks,
) -> None:
    """Run from position ``start`` (epoch, step) to the end of the last epoch.

    Raises:
        UserError: the loss or a weight became non-finite; nothing of it was saved.
    """
    settings, recent, clock = trainer.settings, _Losses(), _Clock()
    total = settings.epochs * steps_per_epoch
    done = start[0] * steps_per_epoch + start[1]
    trainer.network.train()
    with tqdm(
        total=total,
        initial=done,
        unit="step",
        dynamic_ncols=True,
        disable=None if parallel.is_first() else True,
        smoothing=0.05,
    ) as bar:
        for batch in batches:
            clock.batch_arrived(batch.images.shape[0])
            rate = learning_rate(settings, done, steps_per_epoch)
            loss, heatmaps = trainer.step(batch, rate)
            recent.add(batch.epoch, batch.step, loss)
            done += 1
            last_of_epoch = batch.step + 1 == steps_per_epoch
            if done % settings.log_every == 0 or last_of_epoch:
                recent.check()
                reader, cost, ips = clock.lap()
                log = TrainLog(
                    epoch=batch.epoch,
                    step=batch.step,
                    steps_per_epoch=steps_per_epoch,
                    loss=recent.take_mean(),
                    lr=rate,
                    reader_cost=reader,
                    batch_cost=cost,
                    ips=ips,
                    eta_seconds=cost * (total - done),
                    pckh=hooks.train_score(batch, heatmaps.numpy()),
                )
                bar.set_postfix_str(
                    f"epoch {batch.epoch + 1} loss {log.loss:.5f} lr {rate:.2e} {ips:.1f} images/s"
                )
                hooks.log(log)
            began = time.perf_counter()
            if last_of_epoch:
                require_finite(trainer.network, batch.epoch, batch.step)
                hooks.epoch_end(batch.epoch)
                trainer.network.train()
                hooks.save(batch.epoch + 1, 0)
            elif settings.save_every and done % settings.save_every == 0:
                recent.check()
                require_finite(trainer.network, batch.epoch, batch.step)
                hooks.save(batch.epoch, batch.step + 1)
            clock.pause(time.perf_counter() - began)
            clock.step_done()
            bar.update()
