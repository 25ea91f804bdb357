"""One side of a comparison in its own process: sets up once, then runs whenever it is told to.

Paddle and PyTorch in one process fight over OpenMP; in two, each has its own threads and the idle
one sleeps in ``read``. Standard library only: the other side's interpreter runs this file too.
Protocol, a line of JSON each: ``ready`` or ``skipped`` or ``failed`` first; then for every line
on standard input one sample; at the end of input the figures that both sides must agree on.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


class SkippedError(Exception):
    """This side cannot run here; its text says why."""


@dataclass(frozen=True)
class Work:
    """What a side does.

    Attributes:
        run: one measured run. Its time is the sample, unless it returns a number: then that is.
        units: pieces of work (images, people) in one run; the sample is divided by it.
        facts: what the record should know: versions, commits; ``multiply_adds`` of one unit and
            its ``precision``, for the share of the machine's matrix-product rate.
        prepare: done before each run, not measured.
        figures: results that the other side must find too, asked for after the last run.
    """

    run: Callable[[], float | None]
    units: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    figures: Callable[[], dict[str, float]] = dict


def peak_mib() -> float | None:
    """Largest resident memory of this process so far; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    # Not getrusage: its maximum includes what the parent held when it forked.
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def measure(work: Work) -> dict[str, Any]:
    """Run once: the sample per unit, and processor time over elapsed time."""
    work.prepare()
    clock, processor = time.perf_counter(), time.process_time()
    value = work.run()
    seconds = time.perf_counter() - clock
    busy = (time.process_time() - processor) / max(seconds, 1e-9)
    sample = (seconds if value is None else float(value)) / work.units
    return {"sample": sample, "seconds": seconds, "busy_cores": busy, "peak_mib": peak_mib()}


def serve(make: str, options: dict[str, Any], replies: TextIO) -> None:
    """Set up ``module:function`` with its options and answer until the input ends."""

    def reply(**content: Any) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    try:
        module, _, function = make.partition(":")
        work = getattr(importlib.import_module(module), function)(**options)
        reply(ready=work.facts)
        for _ in sys.stdin:
            reply(**measure(work))
        reply(figures=work.figures(), peak_mib=peak_mib())
    except (SkippedError, ImportError) as error:
        reply(skipped=f"{error}")
    except Exception as error:
        traceback.print_exc()
        reply(failed=f"{type(error).__name__}: {error}")


def main() -> None:
    """``python -m benchmarks.worker MODULE:FUNCTION OPTIONS_AS_JSON``."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not end up among the replies
    # ``python -m`` runs this file as __main__: the sides must see these very classes.
    sys.modules["benchmarks.worker"] = sys.modules["__main__"]
    serve(sys.argv[1], json.loads(sys.argv[2]), replies)


if __name__ == "__main__":
    main()
