""".pdparams files in and out: read as data alone (``pickle_machine``), written atomically."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import atomic
from paddle_pose.weights.pickle_machine import read_pickle
from paddle_pose.weights.pickle_names import kind_of
from paddle_pose.weights.tensors import said_in

STRUCTURED_NAMES = "StructuredToParameterName@@"
"""Key under which ``paddle.save`` notes the parameter names; no array of the network."""


def load_data(path: Path) -> Any:
    """What ``paddle.save`` or ``pickle.dump`` wrote: nested plain data and read-only arrays.

    Raises:
        UserError: no such file, a damaged one, or one that asks for anything but data.
    """
    try:
        with path.open("rb") as file:
            return read_pickle(file, os.fstat(file.fileno()).st_size, str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The named arrays of a ``.pdparams`` or ``.pdopt``, read-only; Raises UserError."""
    return arrays_of(load_data(path), path)[0]


def arrays_of(data: Any, path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The named arrays of what ``load_data`` gave, and what the file says of them (or nothing).

    Values that are no arrays (a learning rate's state, parameter names) are left out.

    Raises:
        UserError: no dict of arrays, or none in it.
    """
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds {kind_of(data)}, expected named arrays")
    if "UnpackBigParamInfor@@" in data:
        raise UserError(f"{path}: arrays above 1 GiB in slices; save again with protocol=4")
    arrays = {}
    for key, value in data.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
            value = value[1]  # (parameter name, array): a lone tensor as paddle.save writes it
        if isinstance(key, str) and isinstance(value, np.ndarray):
            arrays[key] = value
    if not arrays:
        raise UserError(f"{path}: holds no arrays, expected the weights of a network")
    tables = [said_in(t, STRUCTURED_NAMES) for t in data.values() if isinstance(t, dict)]
    return arrays, max(tables, default="")


def save_data(path: Path, data: Any) -> None:
    """Write plain nested data and arrays for ``load_data``, atomically."""
    with atomic(path) as file:
        pickle.dump(data, file, protocol=4)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], said: str = "") -> None:
    """Write a ``.pdparams`` that ``paddle.load`` opens as well, atomically.

    ``said`` stands in the table of parameter names under that table's own name: ``paddle.load``
    looks that up, finds no array and leaves it out, so that nobody else meets it.
    """
    plain = {key: np.ascontiguousarray(array).reshape(array.shape) for key, array in arrays.items()}
    names = {key: key for key in plain}
    if said:
        names[STRUCTURED_NAMES] = said
    save_data(path, {**plain, STRUCTURED_NAMES: names})
