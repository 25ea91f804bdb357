"""A fault, tried many times at random places, and what became of each try."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from paddle_pose.files import leftovers
from reproduce.reliability import runs
from reproduce.reliability.runs import Ended, Lab


class NotTried(Exception):
    """This machine does not let it be tried; the reason."""


@dataclass
class Try:
    """What became of one.

    Attributes:
        wrong: how it fell short of the promise; empty where it held.
        line: the last thing that was printed.
        lost: steps that had to be done again.
        hits: faults that came about in it.
    """

    wrong: str = ""
    line: str = ""
    lost: int = 0
    hits: int = 1


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: short, for ``--only`` and records.
        title: what is done, for tables.
        promise: what must become of it.
        tries: in a whole campaign.
        one: a single try, in a folder of its own, with its number and its own random draws.
    """

    name: str
    title: str
    promise: str
    tries: int
    one: Callable[[Lab, Path, random.Random, int], Try]


def run_fault(
    fault: Fault, lab: Lab, seed: int, tries: int, *, tick: Callable[[], object] = lambda: None,
    at_once: int = 2, until: float = float("inf"),
) -> dict[str, Any]:  # fmt: skip
    """So many tries, some at once; none begins after ``until`` (monotonic seconds)."""

    def one(number: int) -> Try | None:
        if time.monotonic() > until:
            return None
        place = lab.folder / f"{fault.name}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            return fault.one(lab, place, random.Random(f"{seed}/{fault.name}/{number}"), number)
        except NotTried:
            raise
        except Exception as error:  # the others are tried all the same
            return Try(f"the try itself failed: {error!r}"[:300], hits=0)
        finally:
            shutil.rmtree(place, ignore_errors=True)
            tick()

    try:
        with ThreadPoolExecutor(at_once) as pool:
            found = [one for one in pool.map(one, range(tries)) if one is not None]
    except NotTried as reason:
        return {"title": fault.title, "promise": fault.promise, "not_tried": str(reason)}
    wrong = [{"what": one.wrong, "line": one.line} for one in found if one.wrong]
    return {
        "title": fault.title, "promise": fault.promise, "seed": seed, "tried": len(found),
        "hits": sum(one.hits for one in found), "as_promised": len(found) - len(wrong),
        "wrong": wrong, "lost_steps": max((one.lost for one in found), default=0),
        "line": next((one.line for one in found if one.line and not one.wrong), ""),
    }  # fmt: skip


def resumed(lab: Lab, run: Path, *, workers: int = 0, ranks: int = 1) -> str:
    """Resume to the end: how it differs from the uninterrupted run, or what it left behind."""
    ended = lab.run(
        lab.words(run, "--resume", workers=workers, ranks=ranks), run.with_suffix(".resumed.log")
    )
    if ended.code != 0:
        return f"the resumption ended with {ended.code}: {ended.last_line}"
    if left := leftovers(run):
        return f"left {left[0].name}"
    return runs.difference(lab.whole(ranks), run)


def still_there(members: list[psutil.Process]) -> str:
    """How many processes of a run outlive it; they are ended."""
    alive = psutil.wait_procs(members, timeout=20)[1]
    for member in alive:
        member.kill()
    return f"{len(alive)} processes outlive the run" if alive else ""


def in_shared_memory(members: list[psutil.Process]) -> str:
    """Files that killed processes left in shared memory; they are removed."""
    left = runs.shared_files(members)
    for file in left:
        file.unlink(missing_ok=True)
    return f"left {len(left)} files in /dev/shm" if left else ""


def short_of(ended: Ended, codes: tuple[int, ...], *, resume: bool = True) -> str:
    """How an ended run falls short of one line, a documented code and the way to go on."""
    if ended.code is None:
        return "hangs"
    if not ended.is_one_line:
        return f"a traceback, exit code {ended.code}"
    if ended.code not in codes:
        return f"exit code {ended.code}"
    return "does not say how to resume" if resume and "--resume" not in ended.text else ""


def first_of(*findings: str) -> str:
    """The first thing that is wrong; empty for nothing."""
    return next((one for one in findings if one), "")
