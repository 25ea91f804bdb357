"""Threads, math-library path and device: set from the CPU before Paddle is imported.

Paddle's defaults on a CPU are one thread and, on AMD, a slow path of its bundled math library.
Every value set here gives way to one that is already in the environment.
PADDLE_POSE_ONEDNN=0, read by ``onednn``, leaves a float32 network on a CPU to Paddle's
own kernels.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import warnings
from pathlib import Path

from paddle_pose.errors import UserError
from paddle_pose.system import ending

_chosen: dict[str, str] = {}
_unsaid: list[str] = []


def cpu_facts() -> tuple[str, frozenset[str], int]:
    """CPU vendor, its instruction flags, and the cores this process may use."""
    vendor, flags = "unknown", frozenset[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "vendor_id":
                vendor = value.strip()
            elif key.strip() == "flags":
                flags = frozenset(value.split())
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return vendor, flags, cores or 1


def settings_for(vendor: str, flags: frozenset[str], cores: int, ranks: int = 1) -> dict[str, str]:
    """Environment variables for a CPU shared by some processes; pure, so testable for any CPU."""
    threads = str(max(cores // ranks, 1))
    values = {
        "OMP_NUM_THREADS": threads,
        "FLAGS_paddle_num_threads": threads,
        # Waiting threads spin for 1 ms, then sleep: a step of HRNet wakes them 2,500 times.
        # OpenMP's own 200 ms would starve the loader's workers.
        "KMP_BLOCKTIME": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GLOG_minloglevel": "2",
    }
    if vendor == "AuthenticAMD" and "avx2" in flags:
        values["MKL_DEBUG_CPU_TYPE"] = "5"
    return values


def thread_count() -> int:
    """Threads this process was given: OMP_NUM_THREADS, of ``4,2`` the outermost; else its cores.

    OpenMP itself warns of a value that makes no sense.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(given) if given.isdecimal() and int(given) else cpu_facts()[2]


def worker_count(asked: int | None) -> int:
    """Loader processes: as asked, else one per core; Raises UserError beyond sense."""
    cores = cpu_facts()[2]
    if asked is None:
        return cores
    most = 16 * cores
    if not 0 <= asked <= most:
        raise UserError(
            f"--num_workers {asked}: must be from 0 (no worker processes) to {most} "
            f"(16 for each of {cores} cores)"
        )
    return asked


def keep_memory() -> None:
    """Let glibc keep freed memory instead of giving it back and zeroing it again at every step.

    Activations are larger than its threshold for pages of their own, so each step paid for all
    its page faults. Off by PADDLE_POSE_KEEP_MEMORY=0, or where MALLOC_ variables say otherwise.
    """
    off = os.environ.get("PADDLE_POSE_KEEP_MEMORY") == "0"
    if (
        off
        or not sys.platform.startswith("linux")
        or any(n.startswith("MALLOC_") for n in os.environ)
    ):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


def configure(*, quiet: bool = False) -> dict[str, str]:
    """Set the variables that are not set yet; returns those in force.

    ``tell`` says them in one line, unless ``quiet``.
    """
    if "paddle" in sys.modules and not _chosen:
        warnings.warn(
            "paddle was imported before runtime.configure(): threads stay as they are",
            stacklevel=2,
        )
    first = not _chosen
    ranks = int(os.environ.get("PADDLE_LOCAL_SIZE") or os.environ.get("PADDLE_TRAINERS_NUM", "1"))
    for name, value in settings_for(*cpu_facts(), ranks=ranks).items():
        _chosen[name] = os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="No ccache found")
    if first:
        keep_memory()
    if first and not quiet:
        shown = {name: value for name, value in _chosen.items() if name != "GLOG_minloglevel"}
        _unsaid.append("=> runtime: " + " ".join(f"{k}={v}" for k, v in shown.items()))
    return dict(_chosen)


def tell() -> None:
    """What was set, once; called when options are known to be right: a mistake stands alone."""
    while _unsaid:
        print(_unsaid.pop(), flush=True)


def import_paddle() -> None:
    """Import Paddle without its advice on OMP_NUM_THREADS, which is not for its builds with MKL.

    Raises:
        UserError: it is not installed.
    """
    said = io.StringIO()
    try:
        with ending.held(), contextlib.redirect_stderr(said):
            import paddle  # noqa: F401

            ending.take_again()
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        raise UserError(
            "Paddle is not installed: pip install paddlepaddle, or paddlepaddle-gpu for a GPU"
        ) from error
    for line in said.getvalue().splitlines():
        if "OMP_NUM_THREADS" not in line:
            print(line, file=sys.stderr)


def choose_device(name: str = "auto") -> str:
    """Set Paddle's device (``auto``, ``cpu``, ``gpu``, ``gpu:1``) and return what it is.

    Raises:
        UserError: a GPU was asked for and this Paddle or machine has none.
    """
    import paddle

    has_gpu = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if name == "auto":
        name = "gpu" if has_gpu else "cpu"
    if name.startswith("gpu") and not has_gpu:
        raise UserError(
            f"--device {name}: this Paddle sees no GPU; install requirements-gpu.txt or use cpu"
        )
    try:
        paddle.set_device(name)
    except ValueError as error:
        raise UserError(f"--device {name}: not a device ({error})") from error
    return paddle.get_device()
