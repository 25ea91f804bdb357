"""Batches from worker processes through shared memory, in an order that a resumed run repeats.

One stream carries a whole training run, over the ends of epochs and during validation, so workers
start once. The order of epoch e is a permutation drawn from (seed, e), and a sample from (seed, e,
index); so any number of workers and any point of resumption give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle.io import DataLoader

from paddle_pose.data.order import epoch_order
from paddle_pose.data.samples import Sample, Samples, start_worker
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place
from paddle_pose.system import parallel

Key = tuple[int, int]
"""Epoch and index of a sample."""


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


@dataclass(frozen=True)
class _Host:
    """What of a batch stays on the host; Paddle's loader passes on what is no array or sequence.

    As tensors places would travel to a GPU and back, and the way back waits for all work on it.
    Nor can Paddle's workers send an array of no numbers, which a place may hold.
    """

    names: tuple[str, ...] = ()
    place: Place | None = None
    error: str = ""


def steps_per_epoch(people: int, batch_size: int, *, drop_last: bool) -> int:
    """Batches of an epoch, whatever the number of ranks; Raises UserError for none."""
    steps = people // batch_size + (not drop_last and people % batch_size > 0)
    if steps == 0:
        raise UserError(
            f"{people} people make no batch of {batch_size}; lower train.batch_size or "
            "check data.limit and --dataset_root"
        )
    return steps


class _Guarded:
    """Samples that return a UserError instead of raising it.

    An error raised in a worker reaches Paddle's reading thread, which prints a traceback of its
    own and leaves the run with a blocking queue; one that is returned reaches the run.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: Key) -> Sample | UserError:
        try:
            return self._samples[key]
        except UserError as error:
            return error


def _stack(samples: list[Sample | UserError]) -> list[Any]:
    """Images, targets in the order of their names, and what stays on the host."""
    made = [sample for sample in samples if not isinstance(sample, UserError)]
    for sample in samples:
        if isinstance(sample, UserError):
            # Paddle's workers send no message without an array.
            return [np.zeros(1, np.uint8), _Host(error=str(sample))]
    names = tuple(made[0].targets)
    columns = [np.stack([sample.image_HWC for sample in made])]
    columns += [np.stack([sample.targets[name] for sample in made]) for name in names]
    return [*columns, _Host(names, Place.stacked([sample.place for sample in made]))]


def _load(samples: Samples, keys: Iterable[list[Key]], num_workers: int) -> Iterator[list[Any]]:
    """Batches as ``_stack`` gives them, in tensors."""
    if num_workers == 0:
        # Paddle's loader without workers reads in a thread, and an error there hangs the run.
        for chosen in keys:
            *columns, host = _stack([samples[key] for key in chosen])
            yield [*map(paddle.to_tensor, columns), host]
        return
    yield from DataLoader(
        _Guarded(samples),
        batch_sampler=keys,
        num_workers=num_workers,
        collate_fn=_stack,
        use_shared_memory=True,
        worker_init_fn=start_worker,
        return_list=True,
    )


def _batches(samples: Samples, keys: Iterable[list[Key]], num_workers: int) -> Iterator[tuple]:
    """Images, targets and places; Raises UserError."""
    for images, *targets, host in _load(samples, keys, num_workers):
        if host.error:
            raise UserError(host.error)
        yield images, dict(zip(host.names, targets, strict=True)), host.place


def training_batches(
    samples: Samples,
    *,
    batch_size: int,
    epochs: int,
    start: tuple[int, int] = (0, 0),
    seed: int,
    num_workers: int,
    drop_last: bool = False,
) -> Iterator[Batch]:
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
