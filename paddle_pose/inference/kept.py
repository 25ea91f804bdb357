"""Compiled networks on disk: what was compiled once starts at once the next time.

They lie in ``$PADDLE_POSE_CACHE/engines``, else in ``$XDG_CACHE_HOME/paddle_pose/engines`` or
``~/.cache/paddle_pose/engines``, and may be deleted at any time. ``PADDLE_POSE_ENGINES`` says how
many MB they may take, the oldest go first; 0 keeps none. They are data: reading one runs no code of
its own, and what cannot be told apart by its digest (``place``) is not kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import sys
import tempfile
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
PADDLES = MODEL, WEIGHTS = "_optimized.pdmodel", "_optimized.pdiparams"
"""As Paddle calls what it has optimised."""

_CARD = "engine.json"
_ABANDONED_S = 24 * 3600
_CODE = (
    *("models", "onednn", "settings.py"),
    *("inference/engine.py", "inference/graph.py", "inference/streams.py"),
)
"""Of this package: what decides how a network becomes a graph."""


def folder() -> Path:
    """Where they are kept."""
    chosen = os.environ.get("PADDLE_POSE_CACHE")
    if chosen:
        return Path(chosen) / "engines"
    cache: str | Path = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # which the standard says to ignore
        cache = Path.home() / ".cache"
    return Path(cache) / "paddle_pose" / "engines"


def most_bytes() -> int:
    """How much they may take together; Raises UserError for what is not a number."""
    said = os.environ.get(VARIABLE, str(MOST_MB))
    if not said.isascii() or not said.isdigit() or len(said) > 9:
        raise UserError(f"{VARIABLE}='{said}': expected a number of MB; 0 keeps no engines")
    return int(said) << 20


def place(network: nn.Layer, *asked: Any) -> Path | None:
    """The folder of a network as it is now, compiled as asked; None if it is not kept.

    Its name is a digest of the weights, the network's layers and code, what was asked, Paddle's
    version and the kind of CPU. A line says what of a network is in no digest: classes from
    elsewhere, whose code may change unseen; hooks; values that are not plain.
    """
    if not most_bytes():
        return None
    try:
        return folder() / _digest(network, asked)
    except (RuntimeError, _Untold) as error:  # no home is the first
        _say_not_kept(error)
        return None


class _Untold(Exception):
    """What no digest tells."""


def _say_not_kept(why: object) -> None:
    print(f"=> engine not kept: {why}", file=sys.stderr, flush=True)


def _digest(network: nn.Layer, asked: tuple[Any, ...]) -> str:
    vendor, flags, _ = runtime.cpu_facts()
    told = hashlib.sha256()
    version = (paddle.__version__, paddle.version.commit, np.__version__)
    told.update(repr((asked, version, vendor, sorted(flags))).encode())
    package = Path(paddle_pose.__file__).parent
    code = {file for name in _CODE for file in (package / name).rglob("*.py")}
    code |= {package / name for name in _CODE if name.endswith(".py")}
    for file in sorted(code):
        told.update(file.read_bytes())
    paddles = vars(nn.Layer()).keys() - {"training"}  # some change when it runs
    layers = dict(network.named_sublayers(include_self=True))
    numbers = {id(one): number for number, one in enumerate(layers.values())}
    for name, layer in layers.items():
        kind = type(layer)
        if not kind.__module__.startswith(("paddle.", "paddle_pose.")):
            raise _Untold(f"{kind.__qualname__} is a class of {kind.__module__}")
        if layer._forward_pre_hooks or layer._forward_post_hooks:
            raise _Untold(f"{kind.__qualname__} {name} has hooks")
        values = {
            key: _plain(one, f"{kind.__qualname__}.{key}")
            for key, one in vars(layer).items()
            if key not in paddles
        }
        # Which of its layers are the same ones as others': those are one in ``layers``.
        parts = [(key, numbers.get(id(one))) for key, one in layer._sub_layers.items()]
        told.update(repr((name, kind.__module__, kind.__qualname__, values, parts)).encode())
        for key, tensor in [*layer._parameters.items(), *layer._buffers.items()]:
            if tensor is not None:
                array = np.ascontiguousarray(tensor.numpy())
                told.update(repr((key, array.shape, array.dtype.str)).encode())
                told.update(array.data)
    return told.hexdigest()[:32]


def _plain(value: Any, name: str) -> Any:
    """What says the same in every process."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, paddle.ParamAttr):  # how weights begin
        return None
    if isinstance(value, tuple | list):
        return [_plain(one, name) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return type(value).__name__, [_plain(getattr(value, one.name), name) for one in fields]
    raise _Untold(f"{name} is a {type(value).__name__}")


def read(path: Path, *files: str) -> tuple[str, ...] | None:
    """Names of the outputs of what is kept there; None if nothing is, or it is damaged.

    Args:
        path: as ``place`` gave it.
        files: that it consists of; Paddle's by default.
    """
    if not os.path.exists(path):  # also where it may not be looked at
        return None
    try:
        said = read_json(path / _CARD)
        names = tuple(map(str, said["outputs"]))
        if names and all(sha256(path / one) == said["files"][one] for one in files or PADDLES):
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


def keep(path: Path, made: Path, outputs: tuple[str, ...], *files: str) -> None:
    """Put files of a folder where ``read`` finds them; a line says why they cannot be."""
    files = files or PADDLES
    try:
        size = sum((made / name).stat().st_size for name in files)
        if size > most_bytes():
            raise UserError(f"its {size / 2**20:.1f} MB are more than {VARIABLE} allows")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of a name that no other has: threads and containers share process numbers.
        with tempfile.TemporaryDirectory(
            prefix=".", suffix=".tmp", dir=path.parent, ignore_cleanup_errors=True
        ) as temporary:
            new = Path(temporary, path.name)  # by the user's mask, which a temporary folder is not
            new.mkdir()
            digests = {}
            for name in files:
                shutil.copyfile(made / name, new / name)
                digests[name] = sha256(new / name)
            write_json(new / _CARD, {"outputs": list(outputs), "files": digests})
            new.replace(path)
        remove_oldest(path)
    except (OSError, UserError) as error:
        if not os.path.exists(path):  # else another process was faster
            _say_not_kept(error)


def remove_oldest(newest: Path) -> None:
    """Until the rest fits; also what killed processes left behind. What has other names stays."""
    found = []
    for one in newest.parent.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it, too
            used = one.stat().st_mtime
            if one.name.startswith("."):
                if time.time() - used > _ABANDONED_S:
                    shutil.rmtree(one, ignore_errors=True)
                continue
            if not re.fullmatch("[0-9a-f]{32}", one.name):
                continue
            size = sum(file.stat().st_size for file in one.iterdir())
            found.append((one != newest, used, size, one))
    total, most = sum(size for _, _, size, _ in found), most_bytes()
    for older, _, size, one in sorted(found, key=lambda one: one[:2]):
        if older and total > most:
            shutil.rmtree(one, ignore_errors=True)
            total -= size
