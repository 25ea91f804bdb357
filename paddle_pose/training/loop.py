"""One step, and the loop over a run: loss, log lines, progress, stops on a non-finite loss."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn
from tqdm import tqdm

from paddle_pose.data.loader import Batch
from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import BatchNorm2D, PoseNetwork, StageOutput
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.settings import DataSettings, TrainSettings
from paddle_pose.system import parallel
from paddle_pose.training import losses
from paddle_pose.training.ema import Average
from paddle_pose.training.precision import Precision
from paddle_pose.training.schedules import learning_rate
from paddle_pose.weights.checkpoint import exact_weights


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
    """What the loop calls, on every rank; positions are (epoch, next step) to resume from.

    Attributes:
        log: a log line is due.
        save: a resumable checkpoint is due; all losses and weights so far are finite.
        epoch_end: an epoch's last step is done; validates where it is due.
        train_score: hits and scored joints of this rank's part of a batch, from its heat maps.
    """

    log: Callable[[TrainLog], None] = lambda log: None
    save: Callable[[int, int], None] = lambda epoch, step: None
    epoch_end: Callable[[int], None] = lambda epoch: None
    train_score: Callable[[Batch, np.ndarray], tuple[int, int]] = lambda batch, heatmaps: (0, 0)


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
    """Adam as torch.optim.Adam: betas 0.9 and 0.999, epsilon 1e-8, weight decay as L2.

    Not ``use_multi_tensor``: on a CPU it equals this to a rounding (1.5e-8 of weights near 0.1
    after 5 steps of given gradients), not to the bit, and a network of ours was up to 1e-2 apart
    after 5 steps; it refuses float64, in which steps are compared with the reference. It would
    save about 1 ms of a step of 130 (the quickstart's network, batch 8).
    """
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
    """A network with its optimiser; ``step`` is one update.

    Attributes:
        network: trained, in place.
        settings: how.
        data: what the images are normalised by.
        average: moving average of the weights, or None.
        precision: mixed precision, where the recipe asks for it.
    """

    network: PoseNetwork
    settings: TrainSettings
    data: DataSettings
    optimizer: paddle.optimizer.Optimizer = field(init=False)
    average: Average | None = field(init=False, default=None)
    precision: Precision = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self._synchronized = [
            layer
            for layer in self.network.sublayers()
            if settings.sync_batch_norm and isinstance(layer, BatchNorm2D)
        ]
        for layer in self._synchronized:
            layer.over_all_ranks = True
        if settings.ema_decay or settings.amp == "O2":
            self.average = Average(self.network, settings.ema_decay)
        self.optimizer = make_optimizer(self.network, settings)
        self.precision = Precision(settings)
        self.precision.prepare(self.network, self.optimizer)
        self._loss = loss_function(settings)
        self._several = parallel.ranks() > 1
        parallel.wait_for_all()
        self._forward = paddle.DataParallel(self.network) if self._several else self.network
        self._normalize = ImageNormalizer(self.data)
        self._exact: dict[str, paddle.Tensor] = {}

    def step(
        self, batch: Batch, rate: float, people: int | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Forward, loss, backward, update; returns loss and last heat maps, both on the device.

        Args:
            batch: this rank's part.
            rate: learning rate.
            people: in the parts of all ranks together; None for as many as here on every rank.

        The mean over ranks of the loss, and of its gradient, is that over all people.
        """
        rows = batch.images.shape[0]
        people = people or rows * parallel.ranks()
        # As many passes on every rank: with sync_batch_norm they wait for each other in each.
        passes = max(min(self.settings.accumulate_steps, people // parallel.ranks()), 1)
        for layer in self._synchronized:
            layer.counted = parallel.part_size(people) > 0
        pass_losses, maps = [], []
        for number, part in enumerate(_split(batch, passes), start=1):
            weight = parallel.share(people) * part[0].shape[0] / rows
            with self._without_exchange(last=number == passes):
                loss, heatmaps = self._add_gradient(*part, weight)
            pass_losses.append(loss)
            maps.append(heatmaps)
        self.optimizer.set_lr(rate)
        self.precision.update(self.optimizer)
        # Zeros would be written, and the next gradient added to them: 4 % of a step on a CPU.
        self.optimizer.clear_grad(set_to_zero=False)
        if passes == 1:
            return pass_losses[0], maps[0]
        return paddle.add_n(pass_losses), paddle.concat(maps)

    def _without_exchange(self, *, last: bool) -> contextlib.AbstractContextManager:
        """Gradients are exchanged in the last backward pass of an update only."""
        return self._forward.no_sync() if self._several and not last else contextlib.nullcontext()

    def _add_gradient(
        self,
        images: paddle.Tensor,
        targets: paddle.Tensor,
        weights: paddle.Tensor,
        share: float,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Add the gradient of ``share`` × the loss; returns that product, and the last maps."""
        with self.precision.computing():
            outputs = self._forward(self._normalize(images))
        outputs = self.precision.for_loss(outputs)
        loss = self._loss(outputs, targets, weights)
        if share != 1:
            loss = loss * share
        self.precision.backward(loss)
        return loss.detach(), outputs[-1].heatmaps_BJHW.detach()

    def follow(self, step: int) -> None:
        """Take the weights after update ``step`` of the run (from 0) into the average."""
        if self.settings.ema_decay:
            self._exact = self._exact or exact_weights(self.network, self.optimizer)
            self.average.follow(self._exact, step)

    @property
    def averaged(self) -> PoseNetwork | None:
        """The moving average, which a state to resume from must hold; None without one."""
        return self.average.network if self.settings.ema_decay else None

    def evaluated(self) -> PoseNetwork:
        """The network that is validated and kept as best: the average, else the weights in full.

        With half-precision weights these are the optimiser's float32 copies, in a second network.
        """
        if self.average is None:
            return self.network
        if not self.settings.ema_decay:
            self.average.copy(exact_weights(self.network, self.optimizer))
        return self.average.network


def _split(batch: Batch, passes: int) -> Iterator[tuple[paddle.Tensor, ...]]:
    """Images, targets and weights of a batch in so many parts of (nearly) equal size."""
    columns = (batch.images, batch.targets, batch.weights)
    if passes == 1:
        yield columns
        return
    for rows in np.array_split(np.arange(batch.images.shape[0]), passes):
        yield tuple(column[rows[0] : rows[-1] + 1] for column in columns)


class _Losses:
    """Losses kept on the device; read, and averaged over ranks, when a line or a state is due."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, paddle.Tensor]] = []
        self._sum, self._count = 0.0, 0

    def add(self, epoch: int, step: int, loss: paddle.Tensor) -> None:
        self._pending.append((epoch, step, loss))

    def check(self) -> None:
        """Raises UserError naming the first step whose loss is not finite."""
        if not self._pending:
            return
        own = paddle.stack([loss for _, _, loss in self._pending]).numpy()
        means = parallel.total(own) / parallel.ranks()
        for (epoch, step, _), value in zip(self._pending, means.tolist(), strict=True):
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
        self._images += images
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
    people: int,
    steps_per_epoch: int,
    start: tuple[int, int] = (0, 0),
    hooks: Hooks,
) -> None:
    """Run from position ``start`` (epoch, step) to the end of the last epoch.

    Args:
        trainer: what to train.
        batches: this rank's parts of all batches from ``start`` on.
        people: in an epoch; the last batch may be short.
        steps_per_epoch: updates in an epoch.
        start: epoch and step, from 0.
        hooks: what happens besides.

    Raises:
        UserError: the loss or a weight became non-finite; nothing of it was saved.
    """
    settings, recent, clock = trainer.settings, _Losses(), _Clock()
    total = settings.epochs * steps_per_epoch
    done = start[0] * steps_per_epoch + start[1]
    trainer.network.train()
    apart = True
    with tqdm(
        total=total,
        initial=done,
        unit="step",
        dynamic_ncols=True,
        disable=None if parallel.is_first() else True,
        smoothing=0.05,
    ) as bar:
        for batch in batches:
            of_all = min(settings.batch_size, people - batch.step * settings.batch_size)
            clock.batch_arrived(of_all)
            if apart:
                parallel.wait_for_all()
                apart = False
            rate = learning_rate(settings, done, steps_per_epoch)
            loss, heatmaps = trainer.step(batch, rate, of_all)
            trainer.follow(done)
            recent.add(batch.epoch, batch.step, loss)
            done += 1
            last_of_epoch = batch.step + 1 == steps_per_epoch
            if done % settings.log_every == 0 or last_of_epoch:
                recent.check()
                reader, cost, ips = clock.lap()
                score = (0, 0)
                if parallel.part_size(of_all):
                    score = hooks.train_score(batch, heatmaps.numpy())
                hits, scored = parallel.total(score)
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
                    pckh=100.0 * float(hits / scored) if scored else math.nan,
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
                apart = True
            elif settings.save_every and done % settings.save_every == 0:
                recent.check()
                require_finite(trainer.network, batch.epoch, batch.step)
                hooks.save(batch.epoch, batch.step + 1)
                apart = True
            clock.pause(time.perf_counter() - began)
            clock.step_done()
            bar.update()
