"""MATLAB files, read in a process of its own: SciPy's reader crashes on damaged ones."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from paddle_pose.errors import UserError
from paddle_pose.system import ending

Result = TypeVar("Result")


def load_mat(file: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of the variables that are there, structs as objects; Raises UserError."""
    from scipy.io import loadmat

    try:
        found = loadmat(file, struct_as_record=False, squeeze_me=True, variable_names=names)
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    except NotImplementedError as error:
        raise UserError(
            f"{file}: saved with -v7.3; save it with -v7 in MATLAB or Octave"
        ) from error
    except Exception as error:  # scipy raises many kinds for a file that is not a .mat
        raise UserError(f"{file}: cannot be read as a MATLAB file ({error})") from error
    return {name: found[name] for name in names if name in found}


def apart(read: Callable[..., Result], file: Path, *more: Any) -> Result:
    """``read(file, *more)``, whose end does not end this process; Raises UserError."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scipy.io", f"{__package__}.mpii_release"])
    try:
        with ProcessPoolExecutor(1, context) as pool:
            with ending.held():
                reading = pool.submit(read, file, *more)
            return reading.result()
    except BrokenProcessPool as error:
        raise UserError(f"{file}: this MATLAB file is damaged: its reader crashed") from error
