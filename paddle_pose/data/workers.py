"""Processes that make batches ahead, in memory shared with this one. Free of Paddle.

Batches go through anonymous shared memory, which has no name and no file: it ends with the last
process that holds it, and neither the size of /dev/shm nor a limit on file sizes touches it.
Each worker has two slots and makes every N-th batch; a slot is used again and again.
"""

from __future__ import annotations

import itertools
import mmap
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import numpy as np

from paddle_pose.data.samples import Sample, Samples, name_of, start_worker
from paddle_pose.errors import Fault, UserError, is_memory
from paddle_pose.poses.poses import Place
from paddle_pose.system import ending

Key = tuple[int, int]
"""Epoch and index of a sample."""

Take = Callable[[list[np.ndarray]], list[Any]]

SLOTS = 2
SLOT_BYTES = 1 << 30
"""Address space of a slot; it takes memory only where a batch is written."""
PATIENCE_S = 60.0
"""A worker may be slow or stopped; after so long the run says that it waits."""

_NO_RESERVE = 0x4000 if sys.platform.startswith("linux") else 0
_ALIGNED = 64


class Columns(NamedTuple):
    """A batch on the host.

    Attributes:
        arrays: images, then targets in the order of ``names``.
        names: of the targets.
        place: stacked.
    """

    arrays: list[np.ndarray]
    names: tuple[str, ...]
    place: Place


def made_here(
    samples: Samples, keys: Iterable[list[Key]], take: Take
) -> Generator[tuple[list[Any], tuple[str, ...], Place], None, None]:
    """Batches made in this process; Raises UserError, or Fault naming the sample."""
    for chosen in keys:
        arrays, names, place = _stack(_made(samples, chosen), None)
        yield take(arrays), names, place


def _made(samples: Samples, keys: list[Key]) -> list[Sample]:
    found = []
    for key in keys:
        try:
            found.append(samples[key])
        except (UserError, Fault):
            raise
        except Exception as error:
            if is_memory(error):
                raise Fault("memory ran out while reading photos; fewer --num_workers") from error
            line = f"{name_of(samples, key)}, epoch {key[0] + 1}: {type(error).__name__}: {error}"
            raise Fault(
                f"{line}; a fault of the program, please report it", traceback.format_exc()
            ) from error
    return found


def _stack(samples: list[Sample], slot: mmap.mmap | None) -> Columns:
    """Samples side by side, in the slot if it has room for them."""
    names = tuple(samples[0].targets)
    columns: list[list[Any]] = [[sample.image_HWC for sample in samples]]
    columns += [[sample.targets[name] for sample in samples] for name in names]
    arrays, used = [], 0
    for column in columns:
        shape = (len(column), *np.shape(column[0]))
        kind = np.result_type(*{np.asarray(one).dtype for one in column})
        size = int(np.prod(shape)) * kind.itemsize
        if slot is not None and used + size <= SLOT_BYTES:
            out: np.ndarray = np.ndarray(shape, kind, slot, used)
            used += -(-size // _ALIGNED) * _ALIGNED
        else:
            out = np.empty(shape, kind)
        arrays.append(np.stack(column, out=out))
    return Columns(arrays, names, Place.stacked([sample.place for sample in samples]))


class _Worker:
    """One process, its pipe and its slots."""

    def __init__(self, samples: Samples) -> None:
        self.slots = [_slot() for _ in range(SLOTS)]
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self.process = context.Process(
            target=_serve, args=(samples, theirs, self.pipe, self.slots), daemon=True
        )
        with ending.held():
            self.process.start()
        theirs.close()

    def ask(self, keys: list[Key], slot: int) -> None:
        try:
            self.pipe.send((keys, slot))
        except OSError:
            raise self._died() from None

    def receive(self) -> Columns:
        """The next batch that was asked for; Raises what the worker raised, or that it died."""
        began = said = time.monotonic()
        while not wait([self.pipe, self.process.sentinel], timeout=1.0):
            if number := ending.asked():
                raise ending.Stopped(number)
            if time.monotonic() - said > PATIENCE_S:
                said = time.monotonic()
                print(
                    f"=> waiting for photos for {said - began:.0f} s: is loader process "
                    f"{self.process.pid} stopped, or the disk slow?",
                    file=sys.stderr,
                    flush=True,
                )
        try:
            error, names, place, slot, parts = self.pipe.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if error is not None:
            raise error
        arrays = [
            part
            if isinstance(part, np.ndarray)
            else np.ndarray(part[0], part[1], self.slots[slot], part[2])
            for part in parts
        ]
        return Columns(arrays, names, place)

    def _died(self) -> Fault:
        self.process.join(5)
        code = self.process.exitcode or 0
        why = f"exit code {code}"
        if code < 0:
            why = f"signal {-code}" + ("; out of memory?" if -code == signal.SIGKILL else "")
        return Fault(
            f"a loader process was killed ({why}); fewer need less memory: --num_workers N"
        )


def _slot() -> mmap.mmap | None:
    """None where even address space is short; batches then go through the pipe."""
    try:
        return mmap.mmap(-1, SLOT_BYTES, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    except (OSError, ValueError):
        return None


def _serve(
    samples: Samples, pipe: Connection, parents: Connection, slots: list[mmap.mmap | None]
) -> None:
    """Make what is asked for until nobody asks any more."""
    ending.ignore()
    parents.close()
    start_worker()
    while True:
        try:
            keys, number = pipe.recv()
        except (EOFError, OSError):
            return
        slot = slots[number]
        try:
            batch = _stack(_made(samples, keys), slot)
            answer: tuple = (None, batch.names, batch.place, number, _parts(batch.arrays, slot))
        except (UserError, Fault) as error:
            answer = (error, (), None, number, [])
        except Exception as error:
            trace = "" if is_memory(error) else traceback.format_exc()
            answer = (Fault(f"a loader process failed: {error!r}", trace), (), None, number, [])
        try:
            pipe.send(answer)
        except OSError:
            return


def _parts(arrays: list[np.ndarray], slot: mmap.mmap | None) -> list[Any]:
    """Shape, kind and offset of what lies in the slot; other arrays as they are."""
    memory: object = slot  # which arrays that lie in it have as their base
    start = None if slot is None else np.frombuffer(slot, np.uint8).ctypes.data
    parts: list[Any] = []
    for array in arrays:
        if start is not None and array.base is memory:
            parts.append((array.shape, array.dtype, array.ctypes.data - start))
        else:
            parts.append(array)
    return parts


def _end(processes: list[Any]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def made_by_workers(
    samples: Samples, keys: Iterable[list[Key]], num_workers: int, take: Take
) -> Generator[tuple[list[Any], tuple[str, ...], Place], None, None]:
    """Batches in the order of their keys; ``take`` copies arrays out of memory that is used again.

    Raises:
        UserError: what a sample raised.
        Fault: a worker died, or failed in another way.
    """
    waiting = iter(keys)
    workers: list[_Worker] = []
    processes: list[Any] = []
    # Before multiprocessing's own end, which asks by SIGTERM and then waits.
    end = Finalize(None, _end, (processes,), exitpriority=10)
    try:
        for _ in range(num_workers):
            workers.append(_Worker(samples))
            processes.append(workers[-1].process)
        turns = itertools.cycle(workers)
        first = list(itertools.islice(waiting, SLOTS * num_workers))
        for number, chosen in enumerate(first):
            workers[number % num_workers].ask(chosen, number // num_workers)
        left = len(first)
        number = 0
        while left:
            worker = next(turns)
            arrays, names, place = worker.receive()
            taken = take(arrays)
            left -= 1
            for chosen in itertools.islice(waiting, 1):
                worker.ask(chosen, number // num_workers % SLOTS)
                left += 1
            yield taken, names, place
            number += 1
    finally:
        end()
