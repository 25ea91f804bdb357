"""One step, and the loop over a run: loss, log lines, progress, stops on a non-finite loss."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn
from tqdm import tqdm

from paddle_pose.data.loader import Batch
from paddle_pose.errors import UserError
from paddle_pose.metrics.pckh import PCKH
from paddle_pose.models.blocks import BatchNorm2D, PoseNetwork
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.models.instances import all_instances
from paddle_pose.models.outputs import named
from paddle_pose.settings import DataSettings, TrainSettings
from paddle_pose.system import ending, parallel
from paddle_pose.training import losses
from paddle_pose.training.ema import Average
from paddle_pose.training.precision import Precision
from paddle_pose.training.progress import WARM_STEPS, Clock, Lap, Losses, Named, TrainLog
from paddle_pose.training.rmsprop import optimizer_of
from paddle_pose.training.schedules import learning_rate
from paddle_pose.weights.checkpoint import exact_weights


@dataclass
class Hooks:
    """What the loop calls, on every rank; positions are (epoch, next step) to resume from.

    Attributes:
        first_step: the first one is done; its seconds.
        log: a log line is due.
        save: a resumable checkpoint is due; all losses and weights so far are finite.
        epoch_end: an epoch's last step is done; validates where it is due.
        train_score: hits and scored joints of this rank's part of a batch, from its outputs; a
            pair for each of ``train_scores``.
        train_scores: names in the log.
    """

    first_step: Callable[[float], None] = lambda seconds: None
    log: Callable[[TrainLog], None] = lambda log: None
    save: Callable[[int, int], None] = lambda epoch, step: None
    epoch_end: Callable[[int], None] = lambda epoch: None
    train_score: Callable[[Batch, dict[str, np.ndarray]], Sequence[float]] = (
        lambda batch, outputs: (0, 0)
    )
    train_scores: tuple[str, ...] = (PCKH,)


@dataclass
class Trainer:
    """A network with its optimiser; ``step`` is one update.

    Attributes:
        network: trained, in place.
        settings: how.
        data: what the images are normalised by.
        loss: ``(outputs, targets) -> {name: part}``; None for the settings' own.
        average: moving average of the weights, or None.
        precision: mixed precision, where the recipe asks for it.
        recent: losses since the last log line; a state holds them.
    """

    network: PoseNetwork
    settings: TrainSettings
    data: DataSettings
    loss: losses.Loss | None = None
    optimizer: paddle.optimizer.Optimizer = field(init=False)
    average: Average | None = field(init=False, default=None)
    precision: Precision = field(init=False)
    recent: Losses = field(init=False, default_factory=Losses)

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
        self.optimizer = optimizer_of(self.network, settings)
        self.recent = Losses()
        self.precision = Precision(settings)
        self.precision.prepare(self.network, self.optimizer)
        self._loss = self.loss or losses.loss_function(settings)
        self._several = parallel.ranks() > 1
        parallel.wait_for_all()
        whole = all_instances(self.network)
        self._forward = paddle.DataParallel(whole) if self._several else whole
        self._normalize = ImageNormalizer(self.data)
        self._exact: dict[str, paddle.Tensor] = {}

    def step(self, batch: Batch, rate: float, people: int | None = None) -> tuple[Named, Named]:
        """Forward, loss, backward, update; returns parts of the loss and final outputs by name.

        Both are on the device.

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
        parts, outputs = [], []
        for number, (images, targets) in enumerate(_split(batch, passes), start=1):
            weight = parallel.share(people) * images.shape[0] / rows
            with self._without_exchange(last=number == passes):
                found = self._add_gradient(images, targets, weight)
            parts.append(found[0])
            outputs.append(found[1])
        self.optimizer.set_lr(rate)
        self.precision.update(self.optimizer)
        # Zeros would be written, and the next gradient added to them: 4 % of a step on a CPU.
        self.optimizer.clear_grad(set_to_zero=False)
        if passes == 1:
            return parts[0], outputs[0]
        return _merged(parts, paddle.add_n), _merged(outputs, paddle.concat)

    def _without_exchange(self, *, last: bool) -> contextlib.AbstractContextManager:
        """Gradients are exchanged in the last backward pass of an update only."""
        return self._forward.no_sync() if self._several and not last else contextlib.nullcontext()

    def _add_gradient(
        self, images: paddle.Tensor, targets: Named, share: float
    ) -> tuple[Named, Named]:
        """Add the gradient of ``share`` × the loss; returns those parts, and the last outputs."""
        with self.precision.computing():
            outputs = self._forward(self._normalize(images))
        outputs = self.precision.for_loss(outputs)
        parts = self._loss(outputs, targets)
        if share != 1:
            parts = {name: part * share for name, part in parts.items()}
        self.precision.backward(losses.total(list(parts.values())))
        final = named(outputs[-1])
        return (
            {name: part.detach() for name, part in parts.items()},
            {name: output.detach() for name, output in final.items()},
        )

    def follow(self, step: int) -> None:
        """Take the weights after update ``step`` of the run (from 0) into the average."""
        if self.average is not None and self.settings.ema_decay:
            self._exact = self._exact or exact_weights(self.network, self.optimizer)
            self.average.follow(self._exact, step)

    @property
    def averaged(self) -> PoseNetwork | None:
        """The moving average, which a state to resume from must hold; None without one."""
        if self.average is None or not self.settings.ema_decay:
            return None
        return self.average.network

    def evaluated(self) -> PoseNetwork:
        """The network that is validated and kept as best: the average, else the weights in full.

        With half-precision weights these are the optimiser's float32 copies, in a second network.
        """
        if self.average is None:
            return self.network
        if not self.settings.ema_decay:
            self.average.copy(exact_weights(self.network, self.optimizer))
        return self.average.network


def _split(batch: Batch, passes: int) -> Iterator[tuple[paddle.Tensor, Named]]:
    """Images and targets of a batch in so many parts of (nearly) equal size."""
    if passes == 1:
        yield batch.images, batch.targets
        return
    for rows in np.array_split(np.arange(batch.images.shape[0]), passes):
        part = slice(rows[0], rows[-1] + 1)
        yield batch.images[part], {name: one[part] for name, one in batch.targets.items()}


def _merged(each: list[Named], merge: Callable[[list[paddle.Tensor]], paddle.Tensor]) -> Named:
    return {name: merge([one[name] for one in each]) for name in each[0]}


def require_finite(network: nn.Layer, epoch: int, step: int) -> None:
    """Raises UserError if a weight or running statistic is not finite: such a state is not kept."""
    for name, value in network.state_dict().items():
        if not bool(paddle.isfinite(value.sum())):
            raise UserError(
                f"weight '{name}' is not finite after epoch {epoch + 1}, step {step + 1}; the "
                "checkpoint before it is kept: lower train.learning_rate or set train.clip_norm"
            )


def fit(
    trainer: Trainer,
    batches: Iterator[Batch],
    *,
    people: int,
    steps_per_epoch: int,
    start: tuple[int, int] = (0, 0),
    rate: Callable[[int], float] | None = None,
    hooks: Hooks,
) -> Lap | None:
    """Run from position ``start`` (epoch, step) to the end of the last epoch, or to ``max_steps``.

    Args:
        trainer: what to train.
        batches: this rank's parts of all batches from ``start`` on.
        people: in an epoch; the last batch may be short.
        steps_per_epoch: updates in an epoch.
        start: epoch and step, from 0; step ``steps_per_epoch`` leaves the end of the epoch to do.
        rate: learning rate of each step of the run, from 0; None for one stage.
        hooks: what happens besides.

    Returns:
        With ``max_steps``, the steps after the first WARM_STEPS; None where there were none.

    Raises:
        UserError: the loss or a weight became non-finite; nothing of it was saved.
        Stopped: a signal asked for it; the state is saved, at the end of the step under way.
        Fault: a loader process died; the state is saved. So it is where a sample is broken.
    """
    settings = trainer.settings
    rate = rate or (lambda step: learning_rate(settings, step, steps_per_epoch))
    run = _Fit(trainer, batches, people, steps_per_epoch, rate, hooks)
    run.done = run.saved = start[0] * steps_per_epoch + start[1]
    run.warm = run.done + WARM_STEPS
    with ending.politely():
        run.to_the_end(epoch_to_end=start[0] if start[1] == steps_per_epoch else None)
    return run.speed


@dataclass
class _Fit:
    """The loop of ``fit`` and where it stands.

    Attributes:
        done: steps of the run.
        saved: steps in the newest state.
        warm: steps of the run after which a speed is measured.
        apart: whether ranks must meet before they exchange anything.
        speed: see ``fit``.
        first: whether no step is done yet.
    """

    trainer: Trainer
    batches: Iterator[Batch]
    people: int
    steps_per_epoch: int
    rate: Callable[[int], float]
    hooks: Hooks
    done: int = 0
    saved: int = 0
    warm: int = 0
    apart: bool = True
    first: bool = True
    clock: Clock = field(default_factory=Clock)
    speed: Lap | None = None

    @property
    def total(self) -> int:
        """Steps of the run."""
        settings = self.trainer.settings
        whole = settings.epochs * self.steps_per_epoch
        return min(whole, settings.max_steps) if settings.max_steps else whole

    def to_the_end(self, epoch_to_end: int | None) -> None:
        settings, steps, total = self.trainer.settings, self.steps_per_epoch, self.total
        self.trainer.network.train()
        with tqdm(
            total=total,
            initial=self.done,
            unit="step",
            dynamic_ncols=True,
            disable=None if parallel.is_first() else True,
            smoothing=0.05,
        ) as bar:
            if epoch_to_end is not None:
                self._end_epoch(epoch_to_end)
            while self.done < total and (batch := self._next_batch()) is not None:
                self._step(batch, bar)
                began = time.perf_counter()
                if number := parallel.agree(ending.asked()):
                    self._save(batch.epoch, batch.step + 1)
                    raise ending.Stopped(number)
                if batch.step + 1 == steps:
                    self._end_epoch(batch.epoch)
                elif self.done == total or (
                    settings.save_every and self.done % settings.save_every == 0
                ):
                    self._save(batch.epoch, batch.step + 1)
                if self.apart and self.done < total:
                    parallel.stop_if_asked()
                self.clock.pause(time.perf_counter() - began)
                if settings.max_steps and self.done == self.warm < total:
                    self.trainer.recent.check()  # waits for the device
                    self.clock.lap("speed")
                self.clock.step_done()
                bar.update()

    def _next_batch(self) -> Batch | None:
        try:
            return next(self.batches, None)
        except (Exception, ending.Stopped):
            # Several ranks cannot sum up their last losses here: the others may be at work.
            if self.done > self.saved and parallel.ranks() == 1 and not ending.at_once():
                self._save(*divmod(self.done, self.steps_per_epoch))
            raise

    def _step(self, batch: Batch, bar: tqdm) -> None:
        settings = self.trainer.settings
        of_all = min(settings.batch_size, self.people - batch.step * settings.batch_size)
        self.clock.batch_arrived(of_all)
        if self.apart:
            parallel.wait_for_all()
            self.apart = False
        rate = self.rate(self.done)
        began = time.perf_counter()
        parts, outputs = self.trainer.step(batch, rate, of_all)
        if self.first:
            self.first = False
            next(iter(parts.values())).numpy()  # a GPU is still at work
            self.hooks.first_step(time.perf_counter() - began)
        self.trainer.follow(self.done)
        self.trainer.recent.add(batch.epoch, batch.step, parts)
        self.done += 1
        is_last = self.done == self.total
        if (
            self.done % settings.log_every
            and batch.step + 1 != self.steps_per_epoch
            and not is_last
        ):
            return
        self.trainer.recent.check()
        if is_last and settings.max_steps and self.done > self.warm:
            self.speed = self.clock.lap("speed")
        lap = self.clock.lap()
        names = self.hooks.train_scores or (PCKH,)
        score: Sequence[float] = (0,) * 2 * len(names)
        if parallel.part_size(of_all):
            arrays = {name: output.numpy() for name, output in outputs.items()}
            score = self.hooks.train_score(batch, arrays)
        scores = zip(names, parallel.total(score).reshape(-1, 2).tolist(), strict=True)
        means = self.trainer.recent.take_means()
        log = TrainLog(
            epoch=batch.epoch,
            step=batch.step,
            steps_per_epoch=self.steps_per_epoch,
            loss=sum(means.values()),
            losses=means,
            lr=rate,
            reader_cost=lap.reader_cost,
            batch_cost=lap.batch_cost,
            ips=lap.ips,
            eta_seconds=lap.batch_cost * (self.total - self.done),
            scores={name: 100.0 * hits / scored for name, (hits, scored) in scores if scored},
        )
        bar.set_postfix_str(
            f"epoch {batch.epoch + 1} loss {log.loss:.5f} lr {log.lr:.2e} {log.ips:.1f} images/s"
        )
        self.hooks.log(log)

    def _save(self, epoch: int, step: int) -> None:
        self.trainer.recent.check()
        require_finite(self.trainer.network, epoch, step - 1)
        self.hooks.save(epoch, step)
        self.saved, self.apart = self.done, True

    def _end_epoch(self, epoch: int) -> None:
        """What is due after the last step; where that fails, a state remembers that it is due."""
        require_finite(self.trainer.network, epoch, self.steps_per_epoch - 1)
        try:
            self.hooks.epoch_end(epoch)
        except (Exception, ending.Stopped):
            if not ending.at_once():
                self.hooks.save(epoch, self.steps_per_epoch)
            raise
        self.trainer.network.train()
        self._save(epoch + 1, 0)
