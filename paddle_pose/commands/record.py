"""The run folder: what was run, on what, with what result. Written atomically, safe to resume."""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from paddle_pose.errors import UserError
from paddle_pose.files import append_line, json_text, leftovers, write_json, write_text
from paddle_pose.typed import from_plain

PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "numpy", "opencv-python-headless", "scipy")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "FLAGS_paddle_num_threads",
    "MKL_DEBUG_CPU_TYPE",
    "KMP_BLOCKTIME",
    "OMP_WAIT_POLICY",
)


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        run = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def code_state() -> dict[str, Any]:
    """Commit, and whether tracked files were as committed; None where this code is in no clone."""
    if not _git("ls-files", Path(__file__).name):  # another project's clone may be around
        return {"commit": None, "clean": None}
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "clean": None if changes is None else changes == ""}


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Versions, CPU and thread settings; nothing that names the machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "packages": versions,
        "variables": {n: os.environ[n] for n in THREAD_VARIABLES if n in os.environ},
    }


def command_line() -> str:
    """How the program was called, without the interpreter's path."""
    return shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])


def now() -> str:
    """UTC time to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Result:
    """How a run ended; ``best`` and ``last`` are scores, of an ``epoch``."""

    finished: str
    epochs: int
    best: dict[str, float | None]
    last: dict[str, float | None]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Record:
    """What resuming needs of ``record.json``; ``saved`` is whether there ever was a state."""

    data: dict[str, dict[str, Any]]
    processes: int
    pretrained_model: dict[str, str] | None
    resumed: list[dict[str, Any]]
    result: Result | None
    saved: bool = False


@dataclass(frozen=True)
class Sums:
    """Parts of the loss, added up since the last log line, and over how many steps."""

    sums: dict[str, float]
    count: int


@dataclass(frozen=True)
class Position:
    """Where a state stands: the next epoch and step, and what was found until then.

    Attributes:
        epoch, step: from 0.
        best: scores of the best epoch so far, with its number.
        last_scores: of the last validation.
        loss_scaling: of mixed precision.
        recent: sums since the last log line, and their count.
    """

    epoch: int
    step: int
    best: dict[str, float | None] = field(default_factory=dict)
    last_scores: dict[str, float | None] = field(default_factory=dict)
    loss_scaling: dict[str, Any] = field(default_factory=dict)
    recent: Sums = field(default_factory=lambda: Sums({}, 0))


_WAY_OUT = "take it from a copy, or start a new run with --output_dir"


class RunFolder:
    """``output/<recipe>/``: recipe.yaml, record.json, metrics.jsonl, log.txt, weights, last/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state_file = root / "last" / "checkpoint.safetensors"
        self.earlier_state = root / "last" / "earlier.safetensors"
        self.best_weights = root / "best_model" / "model.pdparams"
        self.last_weights = root / "last" / "model.pdparams"
        self.metrics_file = root / "metrics.jsonl"
        self.record_file = root / "record.json"
        self.recipe_file = root / "recipe.yaml"
        self.log_file = root / "log.txt"

    @classmethod
    def of(cls, weights: Path) -> RunFolder | None:
        """The run whose best, last or kept weights a file is; None where it lies elsewhere."""
        run = cls(weights.parent.parent)
        names = (run.best_weights, run.last_weights, run.weights_after(0))
        inside = weights.parent.name in {one.parent.name for one in names}
        return run if inside and run.recipe_file.is_file() else None

    def weights_after(self, epoch: int) -> Path:
        """Where ``train.keep_every`` keeps those of an epoch (from 0), by its number from 1."""
        return self.root / "epochs" / f"epoch_{epoch + 1:04d}.pdparams"

    def lock(self) -> None:
        """Hold the folder for this process, without what killed writes left in it.

        Raises:
            UserError: another process trains there, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # The system drops it with the process, however that ends; workers do not inherit it.
            self._lock = (self.root / ".lock").open("w")
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for file in leftovers(self.root):
                file.unlink(missing_ok=True)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(
                f"{self.root}: another process is training here; wait for it, or choose "
                "another --output_dir"
            ) from error
        except OSError as error:
            raise UserError(f"{self.root}: cannot write ({error.strerror or error})") from error

    def start(self, recipe_yaml: str, facts: Mapping[str, Any]) -> None:
        """Make the folder for a new run; an earlier run there is moved aside, not lost."""
        if self.record_file.exists():
            number, place = 1, self.root.resolve()
            while (aside := place.with_name(f"{place.name}.previous-{number}")).exists():
                number += 1
            try:
                place.rename(aside)
            except OSError as error:
                raise UserError(
                    f"{self.root}: holds an earlier run that cannot be moved ({error.strerror})"
                ) from error
            self.lock()
            print(f"=> an earlier run was here: moved to {aside}", flush=True)
        write_text(self.recipe_file, recipe_yaml)
        write_text(self.metrics_file, "")
        record = {
            "command": command_line(),
            "started": now(),
            "code": code_state(),
            "environment": environment(),
            **facts,
            "resumed": [],
            "result": None,
        }
        self.write_record(record)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Replace record.json."""
        write_json(self.record_file, record)

    def read_record(self) -> dict[str, Any]:
        """What record.json says, all of it; Raises UserError if it is not there or broken."""
        try:
            values = json.loads(self.record_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{self.root}: no run to resume here (no record.json)") from error
        except (OSError, ValueError, RecursionError) as error:
            text = f"{self.record_file}: cannot be read ({str(error)[:80]}); {_WAY_OUT}"
            raise UserError(text) from error
        if not isinstance(values, dict):
            raise UserError(f"{self.record_file}: holds no object; {_WAY_OUT}")
        return values

    def record(self) -> Record:
        """What resuming needs of it; Raises UserError as ``read_record``, or naming a bad key."""
        try:
            return from_plain(Record, self.read_record(), str(self.record_file))
        except UserError as error:
            way_out = "" if _WAY_OUT in str(error) else f"; {_WAY_OUT}"
            raise UserError(f"{error}{way_out}") from error

    def state_saved(self) -> None:
        """Note, once, that there is a state: without it a loss of ``last/`` would look like none.

        Runs of older versions are known by their metrics alone.
        """
        values = self.read_record()
        if not values.get("saved"):
            self.write_record({**values, "saved": True})

    def resume(self, start: tuple[int, int], recipe_yaml: str, changed: Mapping[str, Any]) -> None:
        """Note a resumption with what it changes; drop metric lines that will be written again."""
        kept, broken = [], 0
        lines = self._metric_lines()
        for number, line in enumerate(lines, start=1):
            place = _place(line)
            if place is None:
                broken += number < len(lines)  # the last one was torn by the end of the run
            elif place < start:
                kept.append(line)
        if broken:
            print(f"=> {self.metrics_file}: {broken} unreadable lines left out", flush=True)
        resumed = self.record().resumed
        write_text(self.metrics_file, "".join(line + "\n" for line in kept))
        note = {"at": now(), "code": code_state(), "command": command_line()}
        at = {"epoch": start[0], "step": start[1]}
        resumed.append({**note, **at, "changed": dict(changed)})
        self.write_record({**self.read_record(), "resumed": resumed})
        write_text(self.recipe_file, recipe_yaml)

    def _metric_lines(self) -> list[str]:
        if not self.metrics_file.is_file():
            return []
        return self.metrics_file.read_bytes().decode("utf-8", "replace").splitlines()

    def last_metric(self) -> tuple[int, float] | None:
        """Epoch and step of the last training line that can be read; None without any."""
        places = [_place(line) for line in self._metric_lines()]
        return max((p for p in places if p is not None and p[1] != math.inf), default=None)

    def metric(self, **values: Any) -> None:
        """Append one line to metrics.jsonl."""
        append_line(self.metrics_file, json_text(values))

    def log(self, line: str) -> None:
        """Append one line to log.txt, with the time."""
        append_line(self.log_file, f"{now()} {line}")


def _place(line: str) -> tuple[int, float] | None:
    """Epoch and step of a metric line, a validation behind all steps; None if it is unreadable."""
    try:
        values = json.loads(line)
        place = values["epoch"], math.inf if values["kind"] == "eval" else values["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_place = type(place[0]) is int and type(place[1]) in (int, float)
    return place if is_place and "\ufffd" not in line else None
