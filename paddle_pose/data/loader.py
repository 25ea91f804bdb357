"""Batches from worker processes through shared memory, in an order that a resumed run repeats.

One stream carries a whole training run, over the ends of epochs and during validation, so workers
start once. The order of epoch e is a permutation drawn from (seed, e), and a sample from (seed, e,
index); so any number of workers and any point of resumption give the same batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import paddle

from paddle_pose.data import workers
from paddle_pose.data.order import epoch_order
from paddle_pose.data.samples import Samples
from paddle_pose.data.workers import Key
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place
from paddle_pose.system import parallel


@dataclass(frozen=True)
class Batch:
    """Tensors of B inputs and where they stand in the run.

    Attributes:
        epoch, step: from 0; ``step`` within the epoch.
        images: (B, H, W, 3) uint8 RGB.
        targets: by name, each with a leading B.
        place: stacked; stays on the host.
    """

    epoch: int
    step: int
    images: paddle.Tensor
    targets: dict[str, paddle.Tensor]
    place: Place


def steps_per_epoch(people: int, batch_size: int, *, drop_last: bool) -> int:
    """Batches of an epoch, whatever the number of ranks; Raises UserError for none."""
    steps = people // batch_size + (not drop_last and people % batch_size > 0)
    if steps == 0:
        raise UserError(
            f"{people} people make no batch of {batch_size}; lower train.batch_size or "
            "check data.limit and --dataset_root"
        )
    return steps


def _batches(samples: Samples, keys: Iterable[list[Key]], num_workers: int) -> Iterator[tuple]:
    """Images, targets and places; Raises UserError or Fault."""

    def take(arrays: list[np.ndarray]) -> list[paddle.Tensor]:
        return [paddle.to_tensor(array) for array in arrays]

    if num_workers == 0:
        made = workers.made_here(samples, keys, take)
    else:
        made = workers.made_by_workers(samples, keys, num_workers, take)
    with contextlib.closing(made):
        for (images, *targets), names, place in made:
            yield images, dict(zip(names, targets, strict=True)), place


def training_batches(
    samples: Samples,
    *,
    batch_size: int,
    epochs: int,
    start: tuple[int, int] = (0, 0),
    seed: int,
    num_workers: int,
    drop_last: bool = False,
) -> Generator[Batch, None, None]:
    """Every batch of a run from position ``start`` (epoch, step) to its end."""
    steps = steps_per_epoch(len(samples), batch_size, drop_last=drop_last)
    first = start[0] * steps + start[1]

    def keys() -> Iterator[list[Key]]:
        for epoch in range(start[0], epochs):
            order = epoch_order(len(samples), seed, epoch)
            for step in range(start[1] if epoch == start[0] else 0, steps):
                chosen = order[step * batch_size : (step + 1) * batch_size]
                yield parallel.part([(epoch, int(index)) for index in chosen])

    made = _batches(samples, keys(), num_workers)
    for number, parts in enumerate(made, start=first):
        yield Batch(*divmod(number, steps), *parts)


def evaluation_batches(samples: Samples, *, batch_size: int, num_workers: int) -> Iterator[Batch]:
    """Every sample once, in order, as in epoch 0."""
    every = [(0, index) for index in range(len(samples))]
    keys = [every[first : first + batch_size] for first in range(0, len(every), batch_size)]
    for step, parts in enumerate(_batches(samples, keys, num_workers)):
        yield Batch(0, step, *parts)
