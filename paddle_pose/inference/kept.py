"""Compiled networks on disk: what was compiled once starts at once the next time.

They lie in ``$PADDLE_POSE_CACHE/engines``, else in ``$XDG_CACHE_HOME/paddle_pose/engines`` or
``~/.cache/paddle_pose/engines``, and may be deleted at any time. ``PADDLE_POSE_ENGINES`` says how
many MB they may take, the oldest go first; 0 keeps none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import inspect
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

import paddle_pose
from paddle_pose.errors import UserError
from paddle_pose.files import read_json, sha256, write_json
from paddle_pose.system import runtime

VARIABLE = "PADDLE_POSE_ENGINES"
MOST_MB = 2048
MODEL, WEIGHTS = "_optimized.pdmodel", "_optimized.pdiparams"
"""As Paddle calls what it has optimised."""

_CARD = "engine.json"
_ABANDONED_S = 24 * 3600
_CODE = ("models", "onednn", "inference/engine.py", "inference/graph.py")
"""Of this package: what decides how a network becomes a graph."""


def folder() -> Path:
    """Where they are kept."""
    chosen = os.environ.get("PADDLE_POSE_CACHE")
    if chosen:
        return Path(chosen) / "engines"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "paddle_pose" / "engines"


def most_bytes() -> int:
    """How much they may take together; Raises UserError for what is not a number."""
    said = os.environ.get(VARIABLE, str(MOST_MB))
    if not said.isascii() or not said.isdigit():
        raise UserError(f"{VARIABLE}='{said}': expected a number of MB; 0 keeps no engines")
    return int(said) << 20


def place(network: nn.Layer, *asked: Any) -> Path | None:
    """The folder of a network as it is now, compiled as asked; None if none are kept.

    Its name is a digest of the weights, the network's layers and code, what was asked, Paddle's
    version and the kind of CPU.
    """
    if not most_bytes():
        return None
    vendor, flags, _ = runtime.cpu_facts()
    told = hashlib.sha256()
    version = (paddle.__version__, paddle.version.commit, np.__version__)
    told.update(repr((asked, version, vendor, sorted(flags))).encode())
    package = Path(paddle_pose.__file__).parent
    code = {file for name in _CODE for file in (package / name).rglob("*.py")}
    code |= {package / name for name in _CODE if name.endswith(".py")}
    paddles = vars(nn.Layer()).keys() - {"training"}  # some change when it runs
    for name, layer in network.named_sublayers(include_self=True):
        kind = type(layer)
        if not kind.__module__.startswith("paddle."):
            with contextlib.suppress(OSError, TypeError):  # of a class typed in by hand
                code.add(Path(inspect.getfile(kind)))
        values = {key: _plain(one) for key, one in vars(layer).items() if key not in paddles}
        told.update(repr((name, kind.__module__, kind.__qualname__, values)).encode())
    for file in sorted(code):
        told.update(file.read_bytes())
    for kind_of, tensors in (("p", network.named_parameters()), ("b", network.named_buffers())):
        for name, tensor in tensors:
            array = np.ascontiguousarray(tensor.numpy())
            told.update(repr((kind_of, name, array.shape, array.dtype.str)).encode())
            told.update(array.data)
    return folder() / told.hexdigest()[:32]


def _plain(value: Any) -> Any:
    """What says the same in every process; of other things their kind alone."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return type(value).__name__, [_plain(getattr(value, one.name)) for one in fields]
    return type(value).__name__


def read(path: Path) -> tuple[str, ...] | None:
    """Names of the outputs of what is kept there; None if nothing is, or it is damaged."""
    card = path / _CARD
    if not card.is_file():
        return None
    try:
        said = read_json(card)
        names = tuple(map(str, said["outputs"]))
        if all(sha256(path / name) == said["files"][name] for name in (MODEL, WEIGHTS)) and names:
            with contextlib.suppress(OSError):
                os.utime(path)  # the one used last goes last
            return names
        why = "its files were changed"
    except (OSError, UserError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
    forget(path, why)
    return None


def forget(path: Path, why: str) -> None:
    """Say that a kept engine is of no use, and remove it."""
    print(f"=> {path}: not usable ({why}); compiled anew", file=sys.stderr, flush=True)
    shutil.rmtree(path, ignore_errors=True)


def describe(path: Path, outputs: tuple[str, ...]) -> None:
    """Leave in a folder what ``read`` needs, and nothing else."""
    for one in path.iterdir():
        if one.name not in (MODEL, WEIGHTS):
            one.unlink()
    files = {name: sha256(path / name) for name in (MODEL, WEIGHTS)}
    write_json(path / _CARD, {"outputs": list(outputs), "files": files})


def remove_oldest(newest: Path) -> None:
    """Until the rest fits; also what killed processes left behind."""
    found = []
    for one in newest.parent.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it, too
            used = one.stat().st_mtime
            if one.name.startswith("."):
                if time.time() - used > _ABANDONED_S:
                    shutil.rmtree(one, ignore_errors=True)
                continue
            size = sum(file.stat().st_size for file in one.iterdir())
            found.append((one != newest, used, size, one))
    total, most = sum(size for _, _, size, _ in found), most_bytes()
    for older, _, size, one in sorted(found, key=lambda one: one[:2]):
        if older and total > most:
            shutil.rmtree(one, ignore_errors=True)
            total -= size
