"""A long run, watched: memory, open files, threads and shared memory against steps done."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil

from reproduce.reliability import runs
from reproduce.reliability.runs import STEPS, Lab

STEPS_IN_ALL, WORKERS = 660, 2
FIRST, WIDTH = 100, 60
"""Growth is from the median over steps 100 to 160 to that over the last 60."""
GROWTH = 0.02
EVERY_SECONDS = 0.5
COLUMNS = ("step", "rank_mib", "all_mib", "files", "threads", "shared_files")


def watched(lab: Lab, steps: int = STEPS_IN_ALL, tick: Callable[[int], object] = lambda _: None,
            first: int = FIRST, width: int = WIDTH) -> dict[str, Any]:  # fmt: skip
    """Train so many steps, a validation every fourth, with two workers; samples and growth."""
    run = lab.folder / "soak"
    shutil.rmtree(run, ignore_errors=True)
    log = lab.folder / "soak.log"
    log.unlink(missing_ok=True)
    words = lab.words(run, f"train.epochs={steps // STEPS}", "train.save_every=0", workers=WORKERS)
    members: set[psutil.Process] = set()
    process = lab.start(words, log)
    samples: list[dict[str, float]] = []
    last, changed = 0, time.monotonic()
    while process.poll() is None:
        done = _steps_done(run)
        if done != last:
            tick(done - last)
            last, changed = done, time.monotonic()
        if time.monotonic() - changed > runs.LONGEST_SECONDS:
            runs.kill(process)
            break
        members |= set(family := runs.family(process))
        if done and (sample := _sample(family, done)):
            samples.append(sample)
        time.sleep(EVERY_SECONDS)
    left = len(runs.shared_files(list(members)))
    shutil.rmtree(run, ignore_errors=True)
    return {
        "steps": last, "validations": last // STEPS, "workers": WORKERS,
        "exit_code": process.wait(), "left_in_shared_memory": left,
        "growth": {name: _growth(samples, name, first, width, last) for name in COLUMNS[1:]},
        "columns": list(COLUMNS), "samples": _thinned(samples),
    }  # fmt: skip


def _steps_done(run: Any) -> int:
    file = run / "metrics.jsonl"
    if not file.exists():
        return 0
    lines = file.read_bytes().rpartition(b"\n")[0].splitlines()
    return sum(json.loads(line)["kind"] == "train" for line in lines)


def _sample(members: list[psutil.Process], step: int) -> dict[str, float] | None:
    """Of the rank, and of it and its workers together, in shared pages counted once each."""
    with contextlib.suppress(psutil.Error, IndexError):
        memory = [member.memory_full_info() for member in members]
        return {
            "step": step,
            "rank_mib": memory[0].rss / 2**20,
            "all_mib": sum(one.pss for one in memory) / 2**20,
            "files": members[0].num_fds(),
            "threads": members[0].num_threads(),
            "shared_files": len(runs.shared_files(members)),
        }
    return None


def _growth(
    samples: list[dict[str, float]], name: str, first: int, width: int, last: int
) -> float | None:
    """From the first steps after the hundredth to the last ones, as a part of the former."""
    early = [s[name] for s in samples if first <= s["step"] < first + width]
    late = [s[name] for s in samples if last - width < s["step"]]
    if not early or not late or not statistics.median(early):
        return None
    return round(statistics.median(late) / statistics.median(early) - 1, 4)


def _thinned(samples: list[dict[str, float]], most: int = 120) -> list[list[float]]:
    """Rows for the record, evenly spread."""
    chosen = samples[:: max(len(samples) // most, 1)]
    return [[round(sample[name], 1) for name in COLUMNS] for sample in chosen]
