"""Kills, signals, dead workers and ranks: who stops a run, and when."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import psutil

from reproduce.reliability import runs
from reproduce.reliability.runs import Ended, Lab
from reproduce.reliability.tries import (
    Try,
    first_of,
    in_shared_memory,
    resumed,
    short_of,
    still_there,
)  # fmt: skip


def killed(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """``kill -9`` on all processes, one to three times; with 0, 1, 2 workers, some with 2 ranks."""
    run, ranks = place / "run", 2 if number % 9 == 8 else 1
    workers, lost, hits = number % 3 if ranks == 1 else 0, 0, 0
    victims: list[psutil.Process] = []
    for _ in range(draw.randint(1, 3)):
        words = lab.words(run, "--resume", workers=workers, ranks=ranks)
        process = lab.start(words, place / "log")
        if runs.wait_for(runs.moment(lab, draw, run, before=runs.lines(run)), process):
            victims += runs.kill(process)
            lost, hits = max(lost, runs.steps_lost(run)), hits + 1
        else:
            runs.kill(process)
    alive = still_there(victims)
    unequal = resumed(lab, run, workers=workers, ranks=ranks)
    wrong = first_of(alive, unequal, in_shared_memory(victims))
    return Try(wrong and f"{wrong} ({workers} workers, {ranks} ranks)", lost=lost, hits=hits)


def signalled(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """SIGTERM or SIGINT, to the main process or to all, while it trains."""
    run, which = place / "run", (signal.SIGTERM, signal.SIGINT)[number % 2]
    workers, group = number // 2 % 3, draw.random() < 0.5
    process = lab.start(lab.words(run, workers=workers), place / "log")
    if not runs.wait_for(runs.moment(lab, draw, run), process):
        return Try("the run ended before the signal", hits=0)
    members = runs.family(process)
    (os.killpg if group else os.kill)(process.pid, which)
    ended = lab.ended(process, place / "log", 45)
    alive, lost = still_there(members), runs.steps_lost(run)
    short = short_of(ended, (128 + which,))
    wrong = first_of(short, alive, in_shared_memory(members), resumed(lab, run, workers=workers))
    to = f"{which.name} to {'all' if group else 'the main process'}, {workers} workers"
    return Try(wrong and f"{wrong} ({to})", ended.last_line, lost)


def interrupted_early(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """SIGINT while the program starts."""
    pause = draw.uniform(0.1, 2.5)
    process = lab.start(lab.words(place / "run"), place / "log")
    time.sleep(pause)
    members = runs.family(process)
    os.killpg(process.pid, signal.SIGINT)
    ended = lab.ended(process, place / "log", 45)
    if ended.code == 0:  # its work was done already
        return Try(runs.difference(lab.whole(), place / "run"), hits=0)
    wrong = first_of(short_of(ended, (130, -signal.SIGINT), resume=False), still_there(members))
    return Try(wrong and f"{wrong} (after {pause:.1f} s)", ended.last_line)


def worker_killed(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """``kill -9`` on one of the loader's processes, as the system does when memory runs out."""
    run, workers = place / "run", 1 + number % 2
    process = lab.start(lab.words(run, workers=workers), place / "log")
    if not runs.wait_for(runs.moment(lab, draw, run, before=1), process):
        return Try("the run ended before the kill", hits=0)
    members = runs.family(process)
    children = [member for member in members[1:] if _is_python(member)]
    if not children:
        return Try(hits=0)
    with contextlib.suppress(psutil.NoSuchProcess):
        draw.choice(children).kill()
    ended = lab.ended(process, place / "log", 60)
    if ended.code == 0:  # its work was done already
        return Try(runs.difference(lab.whole(), run), hits=0)
    wrong = first_of(short_of(ended, (1, 2)), still_there(members))
    lost = runs.steps_lost(run)
    return Try(first_of(wrong, resumed(lab, run, workers=workers)), ended.last_line, lost)


def _is_python(member: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "train.py" in " ".join(member.cmdline())
    return False


def rank_killed(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """``kill -9`` on one of two ranks."""
    run = place / "run"
    process = lab.start(lab.words(run, ranks=2), place / "log")
    if not runs.wait_for(runs.moment(lab, draw, run), process):
        return Try("the run ended before the kill", hits=0)
    members = runs.family(process)
    ranks = [m for m in members[1:] if _is_python(m)]
    with contextlib.suppress(psutil.NoSuchProcess, IndexError):
        ranks[number % 2].kill()
    ended = lab.ended(process, place / "log")
    if ended.code == 0:  # its work was done already
        return Try(runs.difference(lab.whole(2), run), hits=0)
    logs = "".join(f.read_text(errors="replace") for f in place.glob("run_ranks/workerlog.*"))
    both = Ended(ended.code, ended.text + logs)
    wrong = first_of(short_of(both, (1, 2)), still_there(members))
    lost = runs.steps_lost(run)
    return Try(first_of(wrong, resumed(lab, run, ranks=2)), ended.last_line, lost)
