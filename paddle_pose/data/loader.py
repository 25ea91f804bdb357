"""Batches from worker processes through shared memory, in an order that a resumed run repeats.

One stream carries a whole training run, over the ends of epochs and during validation, so workers
start once. The order of epoch e is a permutation drawn from (seed, e), and a sample from (seed, e,
index); so any number of workers and any point of resumption give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import paddle
from paddle.io import BatchSampler, DataLoader

from paddle_pose.data.order import epoch_order
from paddle_pose.data.top_down import PersonCrops, Sample, start_worker
from paddle_pose.errors import UserError
from paddle_pose.system import parallel


@dataclass(frozen=True)
class Batch:
    """Tensors of B people and where they stand in the run.

    Attributes:
        epoch, step: from 0; ``step`` within the epoch.
        images: (B, H, W, 3) uint8 RGB.
        targets: (B, J, h, w) float32.
        weights: (B, J) float32.
        center_xy, scale_wh: (B, 2) float64 of the crops, image pixels and 200-pixel units.
        index: (B,) int64 rows of the table.
    """

    epoch: int
    step: int
    images: paddle.Tensor
    targets: paddle.Tensor
    weights: paddle.Tensor
    center_xy: np.ndarray
    scale_wh: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class _Places:
    """What of a batch stays on the host; Paddle's loader passes on what is no array or sequence.

    As tensors they would travel to a GPU and back, and the way back waits for all work on it.
    """

    center_xy: np.ndarray
    scale_wh: np.ndarray
    index: np.ndarray


def steps_per_epoch(people: int, batch_size: int, *, drop_last: bool) -> int:
    """Batches of an epoch, whatever the number of ranks; Raises UserError for none."""
    steps = people // batch_size + (not drop_last and people % batch_size > 0)
    if steps == 0:
        raise UserError(
            f"{people} people make no batch of {batch_size}; lower train.batch_size or "
            "check data.limit and --dataset_root"
        )
    return steps


class _TrainSampler(BatchSampler):
    """Batches of (epoch, index) keys from one position of a run to its end."""

    def __init__(
        self,
        people: int,
        *,
        batch_size: int,
        seed: int,
        epochs: int,
        start: tuple[int, int],
        steps: int,
    ) -> None:
        self.people, self.batch_size, self.seed = people, batch_size, seed
        self.epochs, self.start, self.steps = epochs, start, steps

    def __len__(self) -> int:
        return (self.epochs - self.start[0]) * self.steps - self.start[1]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.start[0], self.epochs):
            order = epoch_order(self.people, self.seed, epoch)
            for step in range(self.start[1] if epoch == self.start[0] else 0, self.steps):
                chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
                yield parallel.part([(epoch, int(index)) for index in chosen])


class _SequentialSampler(BatchSampler):
    """Every row once, in order."""

    def __init__(self, people: int, *, batch_size: int) -> None:
        self.people, self.batch_size = people, batch_size

    def __len__(self) -> int:
        return -(-self.people // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for first in range(0, self.people, self.batch_size):
            yield list(range(first, min(first + self.batch_size, self.people)))


class _Guarded:
    """A data set that returns a UserError instead of raising it.

    An error raised in a worker reaches Paddle's reading thread, which prints a traceback of its
    own and leaves the run with a blocking queue; one that is returned reaches the run.
    """

    def __init__(self, crops: PersonCrops) -> None:
        self._crops = crops

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample | UserError:
        try:
            return self._crops[key]
        except UserError as error:
            return error


def _stack(samples: list[Sample | UserError]) -> tuple:
    """Images, targets, weights and places; a single column of UTF-8 stands for an error's line."""
    for sample in samples:
        if isinstance(sample, UserError):
            return (np.frombuffer(str(sample).encode(), np.uint8),)
    columns = [np.stack(column) for column in zip(*samples, strict=True)]
    return *columns[:3], _Places(*columns[3:])


def _load(crops: PersonCrops, sampler: BatchSampler, num_workers: int) -> Iterator[list]:
    if num_workers == 0:
        # Paddle's loader without workers reads in a thread, and an error there hangs the run.
        for keys in sampler:
            *columns, places = _stack([crops[key] for key in keys])
            yield [*map(paddle.to_tensor, columns), places]
        return
    for columns in DataLoader(
        _Guarded(crops),
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=_stack,
        use_shared_memory=True,
        worker_init_fn=start_worker,
        return_list=True,
    ):
        if len(columns) == 1:
            raise UserError(columns[0].numpy().tobytes().decode())
        yield columns


def training_batches(
    crops: PersonCrops,
    *,
    batch_size: int,
    epochs: int,
    start: tuple[int, int] = (0, 0),
    seed: int,
    num_workers: int,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Every batch of a run from position ``start`` (epoch, step) to its end."""
    steps = steps_per_epoch(len(crops), batch_size, drop_last=drop_last)
    sampler = _TrainSampler(
        len(crops), batch_size=batch_size, seed=seed, epochs=epochs, start=start, steps=steps
    )
    position = start[0] * steps + start[1]
    for number, columns in enumerate(_load(crops, sampler, num_workers), start=position):
        yield _batch(number // steps, number % steps, columns)


def evaluation_batches(crops: PersonCrops, *, batch_size: int, num_workers: int) -> Iterator[Batch]:
    """Every person once, in the order of the table."""
    sampler = _SequentialSampler(len(crops), batch_size=batch_size)
    for step, columns in enumerate(_load(crops, sampler, num_workers)):
        yield _batch(0, step, columns)


def _batch(epoch: int, step: int, columns: list) -> Batch:
    images, targets, weights, places = columns
    return Batch(
        epoch=epoch,
        step=step,
        images=images,
        targets=targets,
        weights=weights,
        center_xy=places.center_xy,
        scale_wh=places.scale_wh,
        index=places.index,
    )
