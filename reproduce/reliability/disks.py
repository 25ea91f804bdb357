"""Full disks, limits on files, small shared memory; each with mounts of its own."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
from pathlib import Path

from paddle_pose.files import leftovers
from reproduce.reliability import runs
from reproduce.reliability.runs import Ended, Lab
from reproduce.reliability.tries import NotTried, Try, first_of, resumed, short_of


def _require_own_mounts() -> None:
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotTried("no file system may be mounted here (needs root: unshare -m)")


def _mounted(lab: Lab, place: Path, script: str, seconds: float = 3 * runs.LONGEST_SECONDS) -> bool:
    """Run a shell script with mounts of its own; whether it ended by itself."""
    ended = lab.run(["unshare", "-m", "sh", "-c", script], place / "script.log", seconds)
    return ended.code is not None


def _command(words: list[str], place: Path, name: str) -> str:
    """A line of a script: run, keep output and code; a run that hangs is ended."""
    timed = ["timeout", "-s", "KILL", str(int(runs.LONGEST_SECONDS)), *words]
    log, code = (shlex.quote(str(place / f"{name}.{ending}")) for ending in ("log", "code"))
    return f"{shlex.join(timed)} > {log} 2>&1; echo $? > {code}\n"


def _ended(place: Path, name: str) -> Ended:
    code = int((place / f"{name}.code").read_text())
    text = (place / f"{name}.log").read_text(errors="replace")
    return Ended(None if code == 137 else code, text)


def disk_full(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """A run, new or resumed, on a disk with 0 to 700 KB left; then again with room."""
    _require_own_mounts()
    disk, resumes = place / "disk", number % 2 == 1
    disk.mkdir()
    used = 0
    if resumes:
        stopped = [f for f in lab.stopped().rglob("*") if f.is_file()]
        used = sum((f.stat().st_size + 8191) // 4096 * 4 for f in stopped) + 40
    size = max(used + draw.choice((0, 4, 8, 16, 60, 150, 300, 500, 700)), 4)
    run = disk / "run"
    script = f"mount -t tmpfs -o size={size}k tmpfs {shlex.quote(str(disk))}\n"
    if resumes:
        script += f"cp -r {shlex.quote(str(lab.stopped()))} {shlex.quote(str(run))}\n"
    script += _command(lab.words(run, *(["--resume"] if resumes else [])), place, "first")
    script += f"mount -o remount,size=64m {shlex.quote(str(disk))}\n"
    script += _command(lab.words(run, "--resume"), place, "second")
    script += f"cp -r {shlex.quote(str(run))} {shlex.quote(str(place / 'result'))}\n"
    _mounted(lab, place, script)
    first, second = _ended(place, "first"), _ended(place, "second")
    wrong = "" if first.code == 0 else short_of(first, (2,), resume=False)
    if not wrong and second.code != 0:
        wrong = f"with room again: {second.last_line}"
    left = [f"left {file.name}" for file in leftovers(place / "result")]
    wrong = first_of(wrong, *left, runs.difference(lab.whole(), place / "result"))
    return Try(wrong and f"{wrong} ({size - used} KB left)", first.last_line)


def val_words(lab: Lab, weights: Path, output: Path, *extra: str) -> list[str]:
    """The command that scores weights of such a run."""
    return [
        sys.executable, str(runs.ROOT / "val.py"), "--config",
        str(lab.whole() / "recipe.yaml"), "--dataset_root", str(lab.data), "--device", "cpu",
        "--num_workers", "0", "--pretrained_model", str(weights), "--output_dir", str(output),
        *extra,
    ]  # fmt: skip


def disk_full_scoring(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """``val.py`` on a disk with 0 to 16 KB left."""
    _require_own_mounts()
    disk, size = place / "disk", draw.choice((4, 8, 12, 16))
    disk.mkdir()
    words = val_words(lab, lab.whole() / "best_model" / "model.pdparams", disk / "eval")
    script = f"mount -t tmpfs -o size={size}k tmpfs {shlex.quote(str(disk))}\n"
    _mounted(lab, place, script + _command(words, place, "first"))
    first = _ended(place, "first")
    wrong = "" if first.code == 0 else short_of(first, (2,), resume=False)
    return Try(wrong and f"{wrong} ({size} KB)", first.last_line)


def file_limit(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """``ulimit -f``: no file may be longer, shared memory of workers included."""
    run, blocks = place / "run", draw.choice((2, 100, 200, 300, 2000))
    words = lab.words(run, workers=number % 2)
    limited = f"(ulimit -f {blocks}; exec {shlex.join(words)}) 2>&1"
    if number % 3:  # else what it prints falls under the limit as well
        limited = f"set -o pipefail; {limited} | cat"
    ended = lab.run(["bash", "-c", limited], place / "log", 60)
    wrong = "" if ended.code == 0 else short_of(ended, (2,), resume=False)
    if not wrong:
        wrong = resumed(lab, run, workers=number % 2)
    return Try(wrong and f"{wrong} ({blocks // 2} KB, {number % 2} workers)", ended.last_line)


def small_shared_memory(lab: Lab, place: Path, draw: random.Random, number: int) -> Try:
    """Shared memory of 64 KB to 4 MB, as in small containers, with two workers."""
    _require_own_mounts()
    run, size = place / "run", draw.choice((64, 200, 1024, 4096))
    script = f"mount -t tmpfs -o size={size}k tmpfs /dev/shm\n"
    _mounted(lab, place, script + _command(lab.words(run, workers=2), place, "first"))
    first = _ended(place, "first")
    if first.code == 0:
        return Try(runs.difference(lab.whole(), run), first.last_line)
    wrong = short_of(first, (2,), resume=False)
    wrong = wrong or ("" if "shm" in first.text else "does not name /dev/shm")
    return Try(wrong and f"{wrong} ({size} KB)", first.last_line)
