"""``--gpus``, ``--master``, ``--nnodes``: one command starts all ranks by Paddle's launcher."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from paddle_pose.errors import UserError
from paddle_pose.system import ending, runtime

_launched: list[str] = []
"""Behind the interpreter: how the launcher of this rank was called."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, as ``paddle.distributed.launch`` calls them."""
    add = parser.add_argument
    add("--gpus", help="GPUs of this machine, such as 0,1,2,3: one process each")
    add("--master", metavar="HOST:PORT", help="the first of several machines")
    add("--nnodes", metavar="N", type=int, help="how many machines; the same command on each")


def gpu_numbers(text: str) -> list[int]:
    """``0,1,3`` as numbers; Raises UserError for anything else, or a number twice."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() for word in words) or len({int(word) for word in words}) < len(words):
        raise UserError(f"--gpus {text}: give different GPU numbers with commas, such as 0,1,2,3")
    return [int(word) for word in words]


def launcher_words(
    gpus: str | None, master: str | None, nnodes: int | None, device: str | None
) -> list[str]:
    """Options for ``paddle.distributed.launch``; empty where one process does it all.

    Raises:
        UserError: options that do not go together.
    """
    nodes = 1 if nnodes is None else nnodes
    if nodes < 1:
        raise UserError(f"--nnodes {nodes}: must be at least 1")
    if (nodes > 1) != (master is not None):
        raise UserError("--master HOST:PORT and --nnodes N (2 or more) go together")
    if gpus is not None and device not in (None, "auto"):
        raise UserError("--gpus and --device: both choose the device; give one")
    numbers = [] if gpus is None else gpu_numbers(gpus)
    if nodes == 1 and len(numbers) < 2:
        return []
    words = ["--master", str(master), "--nnodes", str(nodes)] if nodes > 1 else []
    words += ["--gpus", ",".join(_labels(numbers))] if numbers else []
    if device == "cpu":
        words += ["--nproc_per_node", "1"]
    return [*words, "--log_dir", os.path.join("output", "processes", str(os.getpid()))]


def _labels(gpus: list[int]) -> list[str]:
    """What the launcher calls GPUs that Paddle counts from 0 among those visible to it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [visible[gpu] if gpu < len(visible) and visible != [""] else str(gpu) for gpu in gpus]


def start(
    *,
    gpus: str | None = None,
    master: str | None = None,
    nnodes: int | None = None,
    device: str | None = None,
) -> str | None:
    """Set threads, and with several ranks become their launcher; returns the device to use.

    The launcher runs this program once per rank, with the same arguments; there, and with one
    process, this returns and Paddle may be imported.

    Raises:
        UserError: options that do not go together; GPUs that this Paddle does not have.
    """
    if "PADDLE_TRAINERS_NUM" in os.environ:  # a rank: its launcher has chosen the device
        ending.with_parent(signal.SIGTERM)
        if os.environ.get("PADDLE_TRAINER_ID") == "0":
            ending.tell_behind(os.getppid())
        with contextlib.suppress(OSError):
            said = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
            _launched.extend(said.decode(errors="replace").split("\0")[1:-1])
        runtime.configure()
        if gpus is None:
            return device
        started = os.environ.get("PADDLE_LOCAL_SIZE", "1")
        if len(gpu_numbers(gpus)) != int(started):
            raise UserError(
                f"--gpus {gpus}: paddle.distributed.launch started {started} processes here; "
                "give --gpus to one of the two only"
            )
        return "gpu"
    environment, words = dict(os.environ), launcher_words(gpus, master, nnodes, device)
    runtime.configure(quiet=bool(words))
    if gpus is not None:
        numbers = gpu_numbers(gpus)
        _require_gpus(numbers)
        device = f"gpu:{numbers[0]}"
    if words:
        if device == "cpu":
            environment["PADDLE_DISTRI_BACKEND"] = "gloo"
        sys.stdout.flush()
        _launch([*words, *sys.argv], environment)
    return device


def _launch(words: list[str], environment: dict[str, str]) -> NoReturn:
    """Be the launcher's parent: it ends with the signal's number, or its rank's, as exit code.

    It has a session of its own, so that Ctrl-C reaches it once, by this process.
    """
    command = [sys.executable, "-m", "paddle.distributed.launch", *words]
    with ending.politely():
        launcher = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603
        sent = False
        while launcher.poll() is None:
            if ending.asked() and not sent:
                stop_children(launcher.pid)
                sent = True
            time.sleep(0.1)
    number = ending.asked()
    code = launcher.returncode if launcher.returncode >= 0 else 1
    sys.exit(128 + number if number else code)


def stop_children(parent: int) -> None:
    """SIGTERM to what a process started; of a launcher to its ranks.

    Paddle's own handler of SIGTERM would end the launcher with a C++ report.
    """
    for pid in _children(parent):
        words = Path(f"/proc/{pid}/cmdline")
        if words.exists() and b"paddle.distributed.launch" in words.read_bytes():
            stop_children(pid)
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _children(parent: int) -> list[int]:
    try:
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    return [int(pid) for pid in found.split()]


def resume_command() -> str:
    """This program's command line with ``--resume``; empty where it is no script of ours."""
    if Path(sys.argv[0]).name != "train.py":
        return ""
    words = ["python", *sys.argv]
    options = {word.partition("=")[0] for word in words}
    if _launched and not options & {"--gpus", "--master"}:  # these start the launcher themselves
        words = ["python", *_launched]
    if "--resume" not in options:
        words.append("--resume")
    return shlex.join(words)


def _require_gpus(numbers: list[int]) -> None:
    runtime.import_paddle()
    import paddle

    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if max(numbers) >= count:
        found = f"sees {count} GPUs" if count else "sees no GPU"
        remedy = "leave --gpus out, or install requirements-gpu.txt" if not count else "name others"
        raise UserError(f"--gpus {','.join(map(str, numbers))}: this Paddle {found}; {remedy}")
