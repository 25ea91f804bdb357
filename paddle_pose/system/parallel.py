"""Several processes on one run: who this one is, started by ``paddle.distributed.launch``.

Each rank takes its part of every batch, gradients are averaged, rank 0 writes and scores.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_pose.errors import Fault, UserError
from paddle_pose.system import ending

if TYPE_CHECKING:
    from paddle.nn import Layer

LONGEST_WAIT_S = 1800.0
"""How long ranks wait for one that scores or writes: what Paddle allows NCCL."""

_FLAG = 1 << 32
"""A counter's upper half: signals; its lower half: ranks that came."""

_meetings = 0
_agreements = 0


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

    with ending.held():
        paddle.distributed.init_parallel_env()
        ending.take_again()  # Paddle has taken SIGTERM


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
    """Return once every rank is here; Raises Stopped on all of them if one is asked to stop before.

    Gloo gives up on a rank that comes 30 seconds late to a collective operation, and says so
    nowhere; so ranks meet here, in Paddle's own key-value store, before the first one after work
    that only some of them do.
    """
    global _meetings
    if ranks() == 1:
        return
    _meetings += 1
    name, verdict = f"meeting/{_meetings}", f"verdict/{_meetings}"
    came = _add(name, 1)
    if came % _FLAG == ranks():  # the last to come says whether somebody left before
        _add(verdict, 1 + (came >= _FLAG))
    began, flagged = time.monotonic(), False
    while not (found := _add(verdict, 0)):
        if not flagged and (ending.asked() or leaving()):
            flagged = True
            if _add(name, _FLAG) % _FLAG < ranks():
                leave()
        if time.monotonic() - began > LONGEST_WAIT_S:
            raise UserError(
                f"process {rank()} waited {LONGEST_WAIT_S / 60:.0f} minutes for the others; "
                "read their logs, then start again (train.py --resume goes on)"
            )
        time.sleep(0.002)
    if found > 1:
        leave()


def agree(number: int) -> int:
    """The signal that this rank was asked to stop by, SIGTERM if another was, 0 if none was.

    Each calls it at the same point. Two counters in turn suffice: nobody reaches the next but one
    before all have read this one.
    """
    global _agreements
    if ranks() == 1:
        return number
    name, _agreements = f"agreement/{_agreements % 2}", _agreements + 1
    expected = ranks() * ((_agreements + 1) // 2)
    found = _add(name, 1 + bool(number) * _FLAG)
    while found % _FLAG < expected:
        time.sleep(0.0002)
        found = _add(name, 0)
    return number or (signal.SIGTERM if found >= _FLAG else 0)


def leaving() -> bool:
    """Whether some rank has left outside of a step, which the others then do as well."""
    return ranks() > 1 and _add("left", 0) > 0


def stop_if_asked() -> None:
    """Raises Stopped if this process, or another rank, was asked to stop: between batches."""
    if ending.asked() or leaving():
        leave()


def leave() -> None:
    """Let the other ranks know, and raise Stopped."""
    if ranks() > 1:
        _add("left", 1)
    raise ending.Stopped(ending.asked() or signal.SIGTERM)


def let_first_finish(*, at_most_s: float = 60.0) -> None:
    """Return once rank 0 has saved and is here as well: a launcher stops all when one ends.

    Until then its death is still told; rank 0 stays until the others know that it has saved.
    """
    if ranks() == 1:
        return
    if is_first():
        unwatch()
        _add("finished", 1)
    until = time.monotonic() + (5 if is_first() else at_most_s)
    name, enough = ("known", ranks() - 1) if is_first() else ("finished", 1)
    while _add(name, 0) < enough and time.monotonic() < until:
        time.sleep(0.05)
    unwatch()
    if not is_first():
        with contextlib.suppress(Fault):
            _add("known", 1)


def end() -> None:
    """End this rank, its work done; nothing to do for one process.

    At once: what Paddle's and Gloo's destructors still say to each other fails where the other rank
    has gone before, and would end a finished run with an error.
    """
    if ranks() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _store() -> Any:
    from paddle.base import core

    return core.create_or_get_global_tcp_store()


def _add(name: str, value: int) -> int:
    """Add to a counter that all ranks see; Raises Fault once rank 0, which keeps it, has gone."""
    try:
        with ending.held():  # a signal would break off Paddle's talk with the store
            return _store().add(f"paddle_pose/{name}", value)
    except (RuntimeError, ValueError, OSError) as error:
        await_watch()
        raise Fault("process 0 of this run has ended: its log says why") from error


_watching = False


def watch(remedy: Callable[[], str]) -> None:
    """End this rank, in one line, soon after another rank of this machine died.

    Otherwise it would wait for the dead one inside Paddle, until the launcher kills it.

    Args:
        remedy: how to go on, for the line.
    """
    global _watching
    if ranks() == 1:
        return
    store, own = _store(), f"{uuid.getnode()} {os.getpid()}"
    with ending.held():
        store.set(f"paddle_pose/process/{rank()}", own)
    wait_for_all()
    with ending.held():
        found = [store.get(f"paddle_pose/process/{r}").decode().split() for r in range(ranks())]
    here = {r: int(pid) for r, (node, pid) in enumerate(found) if node == own.split()[0]}
    _watching = True
    ending.before_abort(await_watch)  # Gloo aborts where a rank that it talks with dies
    threading.Thread(target=_watch, args=(here, remedy), daemon=True).start()


def unwatch() -> None:
    """From here on the other ranks may end before this one."""
    global _watching
    _watching = False


def await_watch() -> None:
    """Give the watch time to end this process, if what failed here is that another rank died."""
    if _watching:
        time.sleep(2.5)


def _watch(processes: dict[int, int], remedy: Callable[[], str]) -> None:
    missed = 0
    while _watching and missed < 3:
        time.sleep(0.4)
        gone = [r for r, pid in processes.items() if not _runs(pid)]
        missed = missed + 1 if gone else 0
    if not _watching:
        return
    line = f"error: process {gone[0]} of {ranks()} was killed or has ended; {remedy()}"
    places = ["/proc/self/fd/2"]
    if rank() == min(processes.keys() - set(gone)):
        # The launcher shows the log of rank 0 alone, and no more of it once a rank is dead.
        places.append(f"/proc/{os.getppid()}/fd/2")
    for place in places:
        with contextlib.suppress(OSError), open(place, "a", encoding="utf-8") as stderr:
            stderr.write(line + "\n")
    os._exit(1)


def _runs(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Path("/proc/self").exists() is False
    return status.rpartition(")")[2].split()[0] not in "ZX"


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
