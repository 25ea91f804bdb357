"""Several processes on one run: who this one is, started by ``paddle.distributed.launch``.

Each rank takes its part of every batch, gradients are averaged, rank 0 writes and validates.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from paddle_pose.errors import UserError

if TYPE_CHECKING:
    from paddle.nn import Layer


def rank() -> int:
    """This process's number, from 0; 0 when there is one process."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0"))


def ranks() -> int:
    """How many processes share the run."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def is_first() -> bool:
    """Whether this process writes, validates and speaks."""
    return rank() == 0


def start(batch_size: int) -> None:
    """Join the other processes; nothing to do for one.

    Raises:
        UserError: the batch does not divide evenly among the ranks.
    """
    if ranks() == 1:
        return
    if batch_size % ranks():
        raise UserError(
            f"train.batch_size={batch_size}: is of all {ranks()} processes together, so it must be "
            f"a multiple of {ranks()}"
        )
    import paddle.distributed

    paddle.distributed.init_parallel_env()


def part(keys: list) -> list:
    """This rank's part of a batch: every rank gets equally many, what is left over nobody.

    Only the last, short batch of an epoch can have a rest; the next epoch's order is another.
    """
    each = len(keys) // ranks()
    return keys[rank() * each : (rank() + 1) * each]


def take_statistics_of_first(network: Layer) -> None:
    """Give every rank the running statistics of rank 0, which are the ones that are saved."""
    import paddle.distributed

    for value in network.state_dict().values():
        if value.stop_gradient:
            paddle.distributed.broadcast(value, src=0)


def gather(part_of_rows: np.ndarray, rows: int) -> np.ndarray:
    """All rows from the parts ``rows[rank::ranks]`` of every rank, in order, on every rank."""
    if ranks() == 1:
        return part_of_rows
    import paddle.distributed

    longest = -(-rows // ranks())
    padded = np.zeros((longest, *part_of_rows.shape[1:]))
    padded[: len(part_of_rows)] = part_of_rows
    parts: list = []
    paddle.distributed.all_gather(parts, paddle.to_tensor(padded))
    whole = np.empty((rows, *part_of_rows.shape[1:]))
    for number, part in enumerate(parts):
        whole[number :: ranks()] = part.numpy()[: len(range(number, rows, ranks()))]
    return whole
