"""The run folder: what was run, on what, with what result. Written atomically, safe to resume."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from paddle_pose.errors import UserError
from paddle_pose.files import append_line, json_text, leftovers, write_json, write_text

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


class RunFolder:
    """``output/<recipe>/``: recipe.yaml, record.json, metrics.jsonl, log.txt, weights, last/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state_file = root / "last" / "checkpoint.safetensors"
        self.best_weights = root / "best_model" / "model.pdparams"
        self.metrics_file = root / "metrics.jsonl"
        self.record_file = root / "record.json"
        self.recipe_file = root / "recipe.yaml"
        self.log_file = root / "log.txt"

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
        """What record.json says; Raises UserError if it is not there or broken."""
        try:
            return json.loads(self.record_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{self.root}: no run to resume here (no record.json)") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{self.record_file}: cannot be read ({error})") from error

    def resume(
        self, position: Mapping[str, Any], recipe_yaml: str, changed: Mapping[str, Any]
    ) -> None:
        """Note a resumption with what it changes; drop metric lines that will be written again."""
        written = ""
        if self.metrics_file.is_file():
            written = self.metrics_file.read_text(encoding="utf-8")
        kept = [
            line
            for line in written.splitlines()
            if _is_before(line, position["epoch"], position["step"])
        ]
        write_text(self.metrics_file, "".join(line + "\n" for line in kept))
        record = self.read_record()
        note = {"at": now(), "code": code_state(), "command": command_line()}
        place = {"epoch": position["epoch"], "step": position["step"]}
        record["resumed"].append({**note, **place, "changed": dict(changed)})
        self.write_record(record)
        write_text(self.recipe_file, recipe_yaml)

    def metric(self, **values: Any) -> None:
        """Append one line to metrics.jsonl."""
        append_line(self.metrics_file, json_text(values))

    def log(self, line: str) -> None:
        """Append one line to log.txt, with the time."""
        append_line(self.log_file, f"{now()} {line}")


def _is_before(line: str, epoch: int, step: int) -> bool:
    """Whether a metric line lies before a position; a torn last line does not count."""
    try:
        values = json.loads(line)
    except ValueError:
        return False
    if values.get("kind") == "eval":
        return values["epoch"] < epoch
    return (values["epoch"], values["step"]) < (epoch, step)
