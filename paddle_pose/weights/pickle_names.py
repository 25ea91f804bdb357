"""Names in pickles: which of them stand for data, which are passed over, which are refused.

None is ever looked up: the few that stand for data have a stand-in here.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_DTYPE = re.compile(r"[<|=]?([biuf])([1248])")


@dataclass(frozen=True)
class Global:
    """A name that a pickle asks for, for example ``torch.FloatStorage``; never looked up."""

    name: str


@dataclass(frozen=True)
class Skipped:
    """What an object of a class that is not known here would have been."""

    name: str


_HARMLESS = {
    "argparse": "Namespace",
    "builtins": "bool bytearray complex dict float frozenset getattr int list object range set "
    "slice str",
    "collections": "Counter defaultdict deque",
    "copyreg": "_reconstructor",
    "datetime": "date datetime timedelta timezone",
    "decimal": "Decimal",
    "functools": "partial",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "types": "SimpleNamespace",
    "uuid": "UUID",
}
"""Names of Python's own library that trainers keep beside the weights; skipped as any class is."""

_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_CALLS = re.compile(
    r"_*(eval|exec\w*|system|popen\w*|spawn\w*|open|compile|import\w*|loads?|run\w*|call)"
)


def is_dangerous(name: str) -> bool:
    """Whether no checkpoint mentions it: functions of Python's library, and what runs programs."""
    module, _, last = name.rpartition(".")
    module = _PYTHON_2.get(module, module)
    if module.partition(".")[0] in {*sys.stdlib_module_names, "commands", "pip", "setuptools"}:
        return last not in _HARMLESS.get(module, "").split()
    return _CALLS.fullmatch(last.lower()) is not None


@dataclass
class BlankArray:
    """An array before its state came; ``memo_keys`` is where the pickle remembers it."""

    memo_keys: list[int] = field(default_factory=list)


Reduce = Callable[[tuple], Any]


def refuse_call(arguments: tuple) -> Any:
    """Stand-in for a name that may be mentioned but not called."""
    raise ValueError("a name is called that is only ever mentioned")


def _blank_array(arguments: tuple) -> BlankArray | Skipped:
    kind = arguments[0]
    return BlankArray() if kind == Global("numpy.ndarray") else Skipped(kind.name)


def _dtype(arguments: tuple) -> np.dtype | Skipped:
    match = _DTYPE.fullmatch(arguments[0])
    if match is None or arguments[0] in ("f1", "b2", "b4", "b8"):
        return Skipped(f"array type {arguments[0]!r:.20}")  # text, objects: beside the weights
    return np.dtype("<" + match[1] + match[2])


def _scalar(arguments: tuple) -> np.generic | Skipped:
    dtype, data = arguments
    if isinstance(dtype, Skipped):
        return dtype
    return np.frombuffer(data, dtype, count=1)[0]


def _ordered_dict(arguments: tuple) -> dict:
    return dict(arguments[0]) if arguments else {}


PLAIN_NAMES: dict[str, Reduce] = {
    "collections.OrderedDict": _ordered_dict,
    "builtins.tuple": lambda arguments: tuple(arguments[0]),
    "__builtin__.tuple": lambda arguments: tuple(arguments[0]),
    "numpy.ndarray": refuse_call,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _blank_array,
    "numpy._core.multiarray._reconstruct": _blank_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": refuse_call,  # replaced by the machine, which counts the bytes
}
"""The allow-list of ``.pdparams``: each name and what stands in for it."""


def array_of(
    shape: tuple, dtype: Any, is_fortran: bool, *, data: bytes | list
) -> np.ndarray | Skipped:
    """The array of NumPy's pickled state (version, shape, dtype, in Fortran order, bytes)."""
    if isinstance(dtype, Skipped):
        return dtype
    if not isinstance(dtype, np.dtype) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array without type or shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array whose shape does not fit its bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")  # type: ignore[arg-type]


def kind_of(value: Any) -> str:
    """What a person calls it: ``list``, ``an object of ultralytics.Model``."""
    if isinstance(value, Skipped | Global):
        return f"an object of {value.name} (its class is not read; save its state_dict())"
    return type(value).__name__
