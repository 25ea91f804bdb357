"""Comparisons as data, and a side's process; ``turns.py`` measures them.

A file that has comparisons (``networks.py``, ``scoring.py``, …) offers
``comparisons(options: Options) -> list[Comparison]``; what a side does is a function in any file,
named ``module:function``, that returns a ``worker.Work`` in the side's own process.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECONDS_PER_RUN = 900
"""A side that is silent for longer has failed."""
SECONDS_TO_END = 30
PAIRS = 5
"""Of a row that does not have a number of its own."""


@dataclass(frozen=True)
class Options:
    """What the command line decides.

    Attributes:
        threads: of each side.
        pairs: measured runs of each side; None for each row's own number.
        quick: smallest sensible sizes: does it run at all?
        torch_python: interpreter of the environment that has PyTorch and the other rivals.
        hrnet, newell, mmpose: local clones of the official code.
        weights, weights_recipe, weights_data: a trained network and a data set, for what bfloat16
            does to scores; by default what ``make quickstart`` left.
        folder: for rendered people, kept between runs.
    """

    threads: int
    pairs: int | None = None
    quick: bool = False
    torch_python: Path = Path(sys.executable)
    hrnet: Path | None = None
    newell: Path | None = None
    mmpose: Path | None = None
    weights: Path | None = None
    weights_recipe: str = "quickstart:newell_hg1_synthetic"
    weights_data: Path | None = None
    folder: Path = ROOT / "output" / "bench"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        make: ``module:function`` that sets up and returns a ``worker.Work``.
        label: what runs, as the table says it.
        options: keyword arguments of ``make``, plain data.
        in_torch: run by ``Options.torch_python``, with PyTorch's own defaults.
        environment: variables on top of the threads.
        tree: folder of the code that runs, where it is another than this project's.
    """

    make: str
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    in_torch: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    tree: str = ""


@dataclass(frozen=True)
class Target:
    """What was asked for.

    Attributes:
        kind: ``speedup``: theirs / ours at least ``value``; ``overhead``: ours / theirs at most
            ``value``; ``limit``: ours alone at most ``value``.
        value: see kind.
    """

    kind: str
    value: float

    def reached(self, ours: list[float], theirs: list[float] | None) -> float | None:
        """Median over the pairs of the number that the target is about; None for half a pair."""
        if self.kind == "limit":
            return statistics.median(ours)
        if not theirs:
            return None
        pairs = zip(theirs, ours, strict=False)
        if self.kind == "speedup":
            return statistics.median(b / a for b, a in pairs)
        return statistics.median(a / b for b, a in pairs)

    def met(self, reached: float) -> bool:
        """Whether the number is good enough."""
        return reached >= self.value if self.kind == "speedup" else reached <= self.value


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes:
        name: short, for ``--only``.
        work: what is done, in words, with sizes and batch.
        ours: this project's side.
        also_ours: another way of its own; the row has the faster one of both.
        theirs: the other; None where there is none or it is missing here (see ``missing``), or
            where there are rivals.
        target: None for rows that only inform.
        unit: of a sample, such as ``s/image``.
        missing: why ``theirs`` is None although the row has another side.
        tolerance: largest difference of the two sides' figures.
        warm_up: runs before the first measured one.
        pairs: measured runs, unless ``Options.pairs`` says.
        expected_s: of one run on two cores, for the time left.
        anew: every pair in processes of its own, where a side's speed is decided as it starts.
        rivals: several others, each in each of its settings, all in turn; the one with the
            smallest median becomes the row's other side.
    """

    name: str
    work: str
    ours: Side
    theirs: Side | None = None
    target: Target | None = None
    unit: str = "s"
    missing: str = ""
    tolerance: float = 0.0
    warm_up: int = 1
    pairs: int = PAIRS
    expected_s: float = 2.0
    anew: bool = False
    rivals: tuple[Side, ...] = ()
    also_ours: Side | None = None

    @property
    def sides(self) -> list[Side]:
        """All that run, ours first."""
        return [side for side in (self.ours, self.also_ours, self.theirs, *self.rivals) if side]

    def runs(self, options: Options) -> tuple[int, int]:
        """Warm-up and measured runs of each side, of all its starts together."""
        pairs = 1 if options.quick else options.pairs or self.pairs
        return self.warm_up * (pairs if self.anew else 1), pairs


class SideError(Exception):
    """A side could not be measured; ``skipped`` when it said that it cannot run here."""

    def __init__(self, text: str, *, skipped: bool) -> None:
        super().__init__(text)
        self.skipped = skipped


def child_environment(side: Side, threads: int) -> dict[str, str]:
    """The caller's environment without thread settings, plus the stated number of threads.

    Ours adds what ``system.runtime`` chooses, in the child; PyTorch keeps its own defaults.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "KMP_", "MKL_", "GOMP_", "MALLOC_", "FLAGS_"))
    }
    count = str(threads)
    own = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    if not side.in_torch:
        own["FLAGS_paddle_num_threads"] = count
    return {**kept, **own, "PYTHONPATH": side.tree or str(ROOT), **side.environment}


class Child:
    """A side's process; a context manager that ends it."""

    def __init__(self, side: Side, options: Options) -> None:
        self.side, self.samples, self.busy = side, [], []
        self.peak_mib: float | None = None
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        python = options.torch_python if side.in_torch else sys.executable
        self._process = subprocess.Popen(  # noqa: S603
            [str(python), "-m", "benchmarks.worker", side.make, json.dumps(side.options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=side.tree or ROOT,
            env=child_environment(side, options.threads),
            start_new_session=True,
        )
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        # At the end of its input a side ends by itself, and takes its temporary folders away.
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with what it has started itself
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _read(self) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(SECONDS_PER_RUN):
                raise SideError(f"{self.side.label}: silent for {SECONDS_PER_RUN} s", skipped=False)
        line = self._process.stdout.readline()
        reply = json.loads(line) if line else {"failed": "the process ended"}
        if "skipped" in reply:
            raise SideError(f"{self.side.label}: {reply['skipped']}", skipped=True)
        if "failed" in reply:
            self._log.seek(0)
            tail = "".join(self._log.readlines()[-15:])
            raise SideError(f"{self.side.label}: {reply['failed']}\n{tail}", skipped=False)
        return reply

    def wait_ready(self) -> None:
        """Wait for the set-up; Raises SideError."""
        self.facts = self._read()["ready"]

    def run(self, *, keep: bool = True) -> None:
        """One run; kept as a sample unless it only warms up."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; ``_read`` says so
            self._process.stdin.write("run\n")
            self._process.stdin.flush()
        reply = self._read()
        self.peak_mib = reply["peak_mib"]
        if keep:
            self.samples.append(reply["sample"])
            self.busy.append(reply["busy_cores"])

    def figures(self) -> dict[str, float]:
        """Ends the input; what the side found."""
        self._process.stdin.close()
        reply = self._read()
        self.peak_mib = reply["peak_mib"]
        return reply["figures"]

    def measured(self) -> dict[str, Any]:
        """What the record keeps of this side."""
        return {
            "label": self.side.label,
            "median": statistics.median(self.samples),
            "samples": self.samples,
            "busy_cores": statistics.median(self.busy),
            "peak_mib": self.peak_mib,
            "facts": self.facts,
        }
