"""Every fault that is tried, in the order of the tables; here damage and sameness."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from reproduce.reliability import disks, killing, runs
from reproduce.reliability.runs import Lab
from reproduce.reliability.tries import Fault, Try, short_of


def damaged_state(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """A bit of the state's header, length or tensors, or its end cut off; then ``--resume``."""
    run = place / "run"
    shutil.copytree(lab.stopped(), run)
    state = run / "last" / "checkpoint.safetensors"
    data, what = bytearray(state.read_bytes()), ("tensor", "header", "cut", "length")[number % 4]
    start = 8 + int.from_bytes(data[:8], "little")
    if what == "cut":
        del data[draw.randrange(len(data)) :]
    else:
        low, high = {"tensor": (start, len(data)), "header": (8, start), "length": (0, 8)}[what]
        data[draw.randrange(low, high)] ^= 1 << draw.randrange(8)
    state.write_bytes(data)
    ended = lab.run(lab.words(run, "--resume"), place / "log")
    if ended.code == 0:
        wrong = runs.difference(lab.whole(), run) and "went on to other results without a word"
    else:
        wrong = short_of(ended, (2,), resume=False)
    return Try(wrong and f"{wrong} ({what})", ended.last_line)


def damaged_weights(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """A bit of ``best_model``, then ``val.py``: the same score, or a line."""
    weights = place / "best_model" / "model.pdparams"
    shutil.copytree(lab.whole() / "best_model", weights.parent)
    data = bytearray(weights.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    weights.write_bytes(data)
    ended = lab.run(disks.val_words(lab, weights, place / "eval"), place / "log")
    if ended.code == 0:
        return Try("a bit of the weights is not noticed", ended.last_line)
    return Try(short_of(ended, (2,), resume=False), ended.last_line)


SURROUNDINGS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("again", {}, 0),
    ("1 worker", {}, 1),
    ("2 workers", {}, 2),
    ("PYTHONHASHSEED=1", {"environment": {"PYTHONHASHSEED": "1"}}, 0),
    ("LC_ALL=C", {"environment": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}}, 0),
    ("LANG=de_DE.UTF-8", {"environment": {"LANG": "de_DE.UTF-8"}}, 1),
    ("TZ=Asia/Kathmandu", {"environment": {"TZ": "Asia/Kathmandu"}}, 0),
    ("started in /", {"cwd": "/"}, 2),
    ("python -O", {"environment": {"PYTHONOPTIMIZE": "1"}}, 0),
    ("no HOME", {"environment": {"HOME": "/nowhere"}}, 0),
    ("MALLOC_ARENA_MAX=1", {"environment": {"MALLOC_ARENA_MAX": "1"}}, 1),
    ("umask 077", {"umask": 0o077}, 0),
)


def same(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """The same seed under other surroundings: every bit as before."""
    what, changes, workers = SURROUNDINGS[number % len(SURROUNDINGS)]
    ended = lab.run(lab.words(place / "run", workers=workers), place / "log", **dict(changes))
    if ended.code != 0:
        return Try(f"{what}: exit code {ended.code}", ended.last_line)
    unequal = runs.difference(lab.whole(), place / "run")
    return Try(unequal and f"{what}: {unequal}", what)


_EQUAL = "resumed, every bit as in a run that was never stopped"

FAULTS: tuple[Fault, ...] = (
    Fault("kills", "kill -9 on a whole run, 1 to 3 times, in a write too", _EQUAL, 36,
          killing.killed),
    Fault("signals", "SIGTERM, SIGINT while training", f"143 or 130, one line; {_EQUAL}", 12,
          killing.signalled),
    Fault("early", "SIGINT while starting", "one line at most, no traceback", 6,
          killing.interrupted_early),
    Fault("workers", "kill -9 on a loader process", f"one line that says --resume; {_EQUAL}", 8,
          killing.worker_killed),
    Fault("ranks", "kill -9 on one of two ranks", f"all end, one line; {_EQUAL}", 4,
          killing.rank_killed),
    Fault("disks", "disk full, train and resume", f"one line, exit code 2; {_EQUAL}", 16,
          disks.disk_full),
    Fault("scoring_disks", "disk full, val", "one line, exit code 2", 4, disks.disk_full_scoring),
    Fault("file_limits", "ulimit -f", f"one line, no hang; {_EQUAL}", 6, disks.file_limit),
    Fault("shared_memory", "a shared memory of 64 KB to 4 MB", "equal bits, or one line", 6,
          disks.small_shared_memory),
    Fault("states", "damaged state: header, length, tensors, cut", "refused in one line, or equal",
          16, damaged_state),
    Fault("weights", "damaged best weights", "refused in one line", 8, damaged_weights),
    Fault("same", "the same seed under other surroundings", "every bit equal", len(SURROUNDINGS),
          same),
)  # fmt: skip

BY_NAME = {fault.name: fault for fault in FAULTS}
