"""Sides of comparisons for tests of the benchmarks: light to import, since each is a process."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.worker import SkippedError, Work


def order(file: str, name: str, value: float) -> Work:
    """Notes each of its runs in a file that both sides share; its sample is ``value``."""

    def run() -> float:
        with open(file, "a", encoding="utf-8") as lines:
            lines.write(name)
        return value

    return Work(run, units=2, figures=lambda: {"found": value})


def with_folder(file: str) -> Work:
    """Leaves the place of its temporary folder in ``file``."""
    from benchmarks.pipeline import temporary_folder

    folder = temporary_folder()
    Path(file).write_text(str(folder), encoding="utf-8")
    return Work(lambda: None)


def unavailable() -> Work:
    raise SkippedError("needs a clone")


def broken() -> Work:
    print("this must not end up among the replies")
    raise ValueError("bad luck")


def dies_later() -> Work:
    return Work(lambda: os._exit(3))
