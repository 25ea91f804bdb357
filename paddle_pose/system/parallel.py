"""Several processes on one run: who this one is, started by ``paddle.distributed.launch``.

Each rank takes its part of every batch, gradients are averaged, rank 0 writes and scores.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_pose.errors import UserError

if TYPE_CHECKING:
    from paddle.nn import Layer

LONGEST_WAIT_S = 1800.0
"""How long ranks wait for one that scores or writes: what Paddle allows NCCL."""

_meetings = 0


def rank() -> int:
    """This process's number, from 0; 0 when there is one process."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0"))


def ranks() -> int:
    """How many processes share the run."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def is_first() -> bool:
    """Whether this process writes, scores and prints."""
    return rank() == 0


def quiet_unless_first() -> None:
    """Drop what any rank but 0 prints."""
    if not is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def start(batch_size: int = 0, accumulate_steps: int = 1) -> None:
    """Join the other processes; nothing to do for one.

    Raises:
        UserError: the batch does not divide evenly among ranks and accumulation steps.
    """
    parts = ranks() * accumulate_steps
    if batch_size % parts:
        times = f" × {accumulate_steps} accumulation steps" if accumulate_steps > 1 else ""
        raise UserError(
            f"train.batch_size={batch_size}: is of all {ranks()} processes{times} together, so it "
            f"must be a multiple of {parts}"
        )
    if ranks() == 1:
        return
    import paddle.distributed

    paddle.distributed.init_parallel_env()


def part_size(people: int) -> int:
    """How many of a batch's people are this rank's; sizes differ by one at most."""
    return people // ranks() + (rank() < people % ranks())


def part(keys: list) -> list:
    """This rank's part of a batch, in order: no key is on two ranks.

    A rank without any (the last batch of an epoch may be so short) takes the batch's first key,
    so that it can keep step: ``share`` makes it count nothing in the loss, ``BatchNorm2D.counted``
    nothing in statistics over all ranks.
    """
    each, rest = divmod(len(keys), ranks())
    first = rank() * each + min(rank(), rest)
    return keys[first : first + part_size(len(keys))] or keys[:1]


def share(people: int) -> float:
    """Weight of this rank's mean loss: the mean over ranks is then that over the whole batch."""
    return part_size(people) * ranks() / people


def wait_for_all() -> None:
    """Return once every rank is here.

    Gloo gives up on a rank that comes 30 seconds late to a collective operation, and says so
    nowhere; so ranks meet here, in Paddle's own key-value store, before the first one after work
    that only some of them do.
    """
    global _meetings
    if ranks() == 1:
        return
    from paddle.base import core

    _meetings += 1
    store, name = core.create_or_get_global_tcp_store(), f"paddle_pose/meeting/{_meetings}"
    store.add(name, 1)
    began = time.monotonic()
    while store.add(name, 0) < ranks():
        if time.monotonic() - began > LONGEST_WAIT_S:
            raise UserError(
                f"process {rank()} waited {LONGEST_WAIT_S / 60:.0f} minutes for the others; "
                "read their logs, then start again (train.py --resume goes on)"
            )
        time.sleep(0.002)


def total(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Sum over ranks, element by element, in float64; the values themselves for one rank."""
    own = np.asarray(values, np.float64)
    if ranks() == 1 or own.size == 0:
        return own
    import paddle

    summed = paddle.to_tensor(own)
    paddle.distributed.all_reduce(summed)
    return summed.numpy()


def take_statistics_of_first(network: Layer) -> None:
    """Give every rank the running statistics of rank 0, which are the ones that are saved."""
    import paddle.distributed

    if ranks() == 1:
        return
    wait_for_all()
    for value in network.state_dict().values():
        if value.stop_gradient:
            paddle.distributed.broadcast(value, src=0)


def rows(people: int, batch_size: int, of_rank: int | None = None) -> np.ndarray:
    """Row numbers that a rank predicts: every ``ranks()``-th batch of one process, whole.

    So each forward pass sees the people that it would see in one process, and gives the same bits
    (with as many threads: the math library's sums depend on them).
    """
    first = rank() if of_rank is None else of_rank
    starts = range(first * batch_size, people, ranks() * batch_size)
    own = [np.arange(start, min(start + batch_size, people)) for start in starts]
    return np.concatenate(own) if own else np.empty(0, np.int64)


def gather(own: np.ndarray) -> list[np.ndarray]:
    """Every rank's (N, K) float64 array, N as many as each has, in the order of the ranks."""
    if ranks() == 1:
        return [own]
    import paddle

    def all_of(array: np.ndarray) -> list[np.ndarray]:
        parts: list[Any] = []
        paddle.distributed.all_gather(parts, paddle.to_tensor(array))
        return [part.numpy() for part in parts]

    wait_for_all()
    lengths = [int(part[0]) for part in all_of(np.array([len(own)], np.int64))]
    padded = np.zeros((max(1, *lengths), own.shape[1]), np.float64)
    padded[: len(own)] = own
    return [part[:n] for part, n in zip(all_of(padded), lengths, strict=True)]
