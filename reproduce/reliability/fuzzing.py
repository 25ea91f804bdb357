"""Mutants, each read in a process of its own: how it ended, and those that ended badly, kept."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import pickle
import random
import resource
import select
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from paddle_pose.errors import LONGEST_LINE, UserError
from reproduce.reliability.mutations import Mutant, mutant
from reproduce.reliability.readers import READERS, Reader
from reproduce.reliability.runs import ONE_THREAD
from reproduce.reliability.seeds import Reading

SECONDS, BYTES = 10.0, 2 << 30
"""What a reader may take for one file, beyond what the process had before: seconds of its own."""
BUSY = 6
"""On a busy machine a reader may take so many times as long, if it does not compute."""
PROCESSES = 2
KEPT = 2
"""Mutants of one kind of fault that are kept as files."""

GOOD = ("same", "other content", "refused")
BAD = ("traceback", "crash", "hang", "memory", "silent", "unclear")
"""How reading ends. ``unclear``: refused, but in no line, several, or one that is too long."""


@dataclass
class Ending:
    """How one reading ended.

    Attributes:
        word: of GOOD or BAD.
        line: the message, or the kind of error and where it was raised: faults of one kind have
            the same ``kind``.
    """

    word: str
    line: str = ""
    kind: str = ""
    reading: Reading = field(default_factory=dict)
    said: str = ""


def read_in_child(reader: Reader, folder: Path) -> Ending:
    """Read; to be called in a process that may be lost."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            reading = reader.read(folder)
    except UserError as error:
        if _ran_out(error):
            return Ending("memory", str(error), "memory ran out, and the line says something else")
        text = str(error)
        good = 0 < len(text) <= LONGEST_LINE + 3 and "\n" not in text
        return Ending("refused" if good else "unclear", text, "not one short line")
    except MemoryError as error:
        return Ending("memory", repr(error), _place(error))
    except BaseException as error:
        return Ending("traceback", f"{type(error).__name__}: {error}"[:300], _place(error))
    return Ending("same", reading=reading, said=said.getvalue())


def _ran_out(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def _place(error: BaseException) -> str:
    """``TypeError at data/boxes.py:71``, of the innermost frame in this project's package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/paddle_pose/" in frame.filename] or frames[-1:]
    where = own[-1].filename.rpartition("/paddle_pose/")[2]
    return f"{type(error).__name__} at {where}:{own[-1].lineno}"


def judge(ending: Ending, sound: Ending, reader: Reader, made: Mutant) -> Ending:
    """An accepted mutant beside the sound file: the same, other content, or wrong in silence."""
    if ending.word != "same":
        return ending
    now, before = ending.reading, sound.reading
    for name, value in now.items():
        was = before.get(name)
        if not _finite(value) and (was is None or _finite(was)):
            return Ending("silent", f"{name} is not finite ({made.how})", "not finite")
        if name.startswith("score ") and value == -1 and was != -1:
            return Ending("silent", f"{name} is -1 ({made.how})", "a score of -1")
    differing = [name for name in {**before, **now} if not _equal(before.get(name), now.get(name))]
    if not differing:
        return Ending("same")
    if reader.guarded:
        return Ending("silent", f"{differing[0]} differs ({made.how})", "differs, unnoticed")
    moved = [name for name in differing if name.startswith("score ")]
    if moved and made.absurd and ending.said == sound.said:
        change = f"{before.get(moved[0])} → {now.get(moved[0])}"
        return Ending("silent", f"{moved[0]} {change} ({made.how})", "an absurd value was taken")
    return Ending("other content")


def _finite(value: Any) -> bool:
    array = np.asarray(value)
    return not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    a, b = np.asarray(left), np.asarray(right)
    return (a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()) or (
        a.dtype.kind in "US" and a.tolist() == b.tolist()
    )  # fmt: skip


# Processes.


def preload() -> None:
    """Import, before any fork, what readers import when they first need it; nothing is run."""
    import faster_coco_eval
    import h5py
    import matplotlib.pyplot
    import scipy.io

    from paddle_pose.system import runtime

    os.environ |= ONE_THREAD
    runtime.configure(quiet=True)
    runtime.import_paddle()
    import visualdl

    import paddle_pose.commands.train

    del faster_coco_eval, h5py, matplotlib, scipy, visualdl, paddle_pose


@dataclass
class _Child:
    pid: int
    pipe: int
    until: float
    number: int
    answer: bytearray = field(default_factory=bytearray)


def _start(work: Callable[[], Ending], number: int, seconds: float) -> _Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Child(pid, reading, time.monotonic() + seconds, number)
    os.close(reading)
    code = 1
    try:
        os.setsid()  # so that what it starts can be ended with it
        faulthandler.disable()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + BYTES + BYTES // 2
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ending = work()
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if used > BYTES and ending.word not in ("crash", "hang", "memory"):
            ending = Ending("memory", f"{used >> 20} MiB; {ending.line}"[:200], "more than 2 GiB")
        with open(writing, "wb") as file:
            file.write(pickle.dumps(ending))
        code = 0
    finally:
        os._exit(code)


def _is_late(child: _Child, seconds: float) -> bool:
    over = time.monotonic() - child.until
    if over < 0:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        times = psutil.Process(child.pid).cpu_times()
        return over > (BUSY - 1) * seconds or times.user + times.system > seconds
    return False


def _kill(child: _Child) -> None:
    for end in (os.killpg, os.kill):  # before setsid there is no such group
        with contextlib.suppress(ProcessLookupError):
            end(child.pid, signal.SIGKILL)


def _ended(child: _Child, status: int | None) -> Ending:
    if status is None:
        return Ending("hang", f"more than {SECONDS:g} s", "hang")
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Ending("crash", name, name)
    if not child.answer:
        return Ending("crash", "no answer", "no answer")
    return pickle.loads(bytes(child.answer))  # noqa: S301


def each_alone(
    works: Iterator[Callable[[int], Ending]], processes: int = PROCESSES, seconds: float = SECONDS
) -> Iterator[tuple[int, Ending]]:
    """Run each work in a process of its own, some at a time; number and ending as they end.

    A work is given the slot that it runs in: no two at a time have the same.
    """
    running: dict[int, tuple[_Child, int]] = {}
    free, waiting, number = list(range(processes)), True, 0
    try:
        while waiting or running:
            while free and waiting:
                work = next(works, None)
                if work is None:
                    waiting = False
                    break
                slot = free.pop()
                child = _start(lambda w=work, s=slot: w(s), number, seconds)  # type: ignore[misc]
                running[child.pipe] = (child, slot)
                number += 1
            ready = select.select(list(running), [], [], 0.2)[0] if running else []
            for pipe in list(running):
                child, slot = running[pipe]
                late = _is_late(child, seconds)
                if pipe in ready and (part := os.read(pipe, 1 << 20)):
                    child.answer += part
                    continue
                if pipe not in ready and not late:
                    continue
                if late:
                    _kill(child)
                status = os.waitpid(child.pid, 0)[1]
                os.close(pipe)
                del running[pipe]
                free.append(slot)
                yield child.number, _ended(child, None if late else status)
    finally:
        for child, _ in running.values():
            _kill(child)
            os.waitpid(child.pid, 0)
            os.close(child.pipe)


def alone(work: Callable[[], Ending], seconds: float = 60.0) -> Ending:
    """One work in a process of its own."""
    return next(each_alone(iter([lambda slot: work()]), 1, seconds))[1]


# A reader and its mutants.


def made_for(reader: Reader, data: bytes, seed: int, number: int) -> Mutant:
    """Mutant number so much of a reader: a function of the seed."""
    return mutant(data, reader.form, random.Random(f"{seed}/{reader.name}/{number}"), reader.bombs)


def seed_folder(reader: Reader, work: Path) -> tuple[Path, bytes, Ending]:
    """The sound folder, the bytes that are broken, and what they are read as; from a child."""
    folder = work / "sound"
    shutil.rmtree(work, ignore_errors=True)

    def make() -> Ending:
        with contextlib.redirect_stdout(io.StringIO()):
            reader.make(folder)
        return Ending("same")

    made = alone(make)
    _copy(folder, work / "check")
    sound = alone(lambda: read_in_child(reader, work / "check"))
    if made.word != "same" or sound.word != "same":
        raise UserError(f"{reader.name}: its sound file is not read ({made.line or sound.line})")
    return folder, (folder / reader.file).read_bytes(), sound


def _copy(sound: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(sound, place)


def try_mutants(
    reader: Reader,
    count: int,
    seed: int,
    work: Path,
    keep: Path,
    *,
    tick: Callable[[], object] = lambda: None,
    until: float = float("inf"),
    processes: int = PROCESSES,
) -> dict[str, Any]:
    """Read so many mutants; counts by ending, and faults by kind with an example each.

    None is begun after ``until`` (monotonic seconds).
    """
    folder, data, sound = seed_folder(reader, work)
    writes = reader.file.startswith(("run/", "eval/")) or "stamp" in reader.name

    def work_of(number: int) -> Callable[[int], Ending]:
        def one(slot: int) -> Ending:
            place = work / f"slot{slot}"
            if writes or not place.is_dir():
                _copy(folder, place)
            made = made_for(reader, data, seed, number)
            file = place / reader.file
            file.unlink(missing_ok=True)
            file.write_bytes(made.data)
            os.utime(file, ns=(number, number))  # caches go by the time of change
            ending = judge(read_in_child(reader, place), sound, reader, made)
            ending.reading = {}
            return ending

        return one

    works = (work_of(n) for n in range(count) if time.monotonic() < until)
    counts: Counter[str] = Counter()
    faults: dict[str, dict[str, Any]] = {}
    longest = 0
    for number, ending in each_alone(works, processes):
        counts[ending.word] += 1
        tick()
        longest = max(longest, len(ending.line) if ending.word in ("refused", "unclear") else 0)
        if ending.word not in BAD:
            continue
        fault = faults.setdefault(f"{ending.word}: {ending.kind}", {"times": 0, "examples": []})
        fault["times"] += 1
        if fault["times"] <= KEPT:
            made = made_for(reader, data, seed, number)
            keep.mkdir(parents=True, exist_ok=True)
            name = f"{READERS.index(reader):02d}-{seed}-{number}-{Path(reader.file).name}"
            (keep / name).write_bytes(made.data)
            line = _without_paths(ending.line)[:200]
            fault["examples"].append({"file": name, "how": made.how[:100], "line": line})
    shutil.rmtree(work, ignore_errors=True)
    return {
        "tried": sum(counts.values()), "seed": seed,
        "endings": {word: counts[word] for word in (*GOOD, *BAD)},
        "longest_line": longest, "faults": dict(sorted(faults.items())),
    }  # fmt: skip


def _without_paths(line: str) -> str:
    """A message without the folders of this machine."""
    return " ".join(
        word.rpartition("/")[2] if word.startswith("/") else word for word in line.split(" ")
    )


def replay(file: Path, work: Path) -> Ending:
    """Read a mutant that was kept again; its name says the reader."""
    number, seed, count, _ = file.name.split("-", 3)
    reader = READERS[int(number)]
    folder, data, sound = seed_folder(reader, work)
    made = made_for(reader, data, int(seed), int(count))
    (folder / reader.file).write_bytes(file.read_bytes())
    return alone(lambda: judge(read_in_child(reader, folder), sound, reader, made))


def mutants_of(reader: Reader, total: int) -> int:
    """This reader's part of all mutants."""
    return max(round(total * reader.share / sum(one.share for one in READERS)), 1)
