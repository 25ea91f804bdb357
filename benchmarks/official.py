"""The official PyTorch code, imported from local clones as it is; runs in PyTorch's environment."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.worker import SkippedError


class Attributes(dict):
    """A configuration as the official code reads it: ``cfg.A.B`` and ``cfg['A']['B']``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    __setattr__ = dict.__setitem__

    @classmethod
    def of(cls, value: Any) -> Any:
        """Nested dictionaries, all the way down."""
        return cls({k: cls.of(v) for k, v in value.items()}) if isinstance(value, dict) else value

    def merge(self, other: dict[str, Any]) -> None:
        """Take over another's values, section by section."""
        for name, value in other.items():
            if isinstance(value, dict) and isinstance(self.get(name), Attributes):
                self[name].merge(value)
            else:
                self[name] = value


def commit(clone: Path) -> str:
    """What is checked out there, shortened; ``unknown`` where git cannot tell."""
    asked = ["git", "-C", str(clone), "rev-parse", "--short=7", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


def require(file: Path) -> Path:
    """Raises SkippedError where the clone does not have a file."""
    if not file.exists():
        raise SkippedError(f"no {file.name} in {file.parent}: is this the right clone?")
    return file


def bare_package(name: str, folder: Path) -> None:
    """Make ``import name.x`` find ``folder/x.py`` without running the package's ``__init__``.

    Those import everything beside: compiled extensions, detection libraries, data sets.
    """
    package = ModuleType(name)
    package.__path__ = [str(require(folder))]
    sys.modules[name] = package


def hrnet_module(clone: str | Path, name: str) -> ModuleType:
    """``dataset.mpii``, ``core.inference``, ``models.pose_hrnet``, … of HRNet's ``lib``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch, the commit in the record.
    """
    folder = require(Path(clone) / "lib")
    for alias, plain in (("float", float), ("int", int), ("bool", bool)):
        if alias not in np.__dict__:  # names that NumPy 1.24 dropped and this code still uses
            setattr(np, alias, plain)
    for package in ("models", "dataset", "core", "utils"):
        if package not in sys.modules:
            bare_package(package, folder / package)
    return importlib.import_module(name)


def hrnet_config(clone: str | Path, experiment: str) -> Attributes:
    """HRNet's defaults and, over them, a file of its ``experiments``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/config/default.py @6f69e46, which asks
    for yacs; nested dictionaries do.
    """
    import yaml

    yacs = ModuleType("yacs.config")
    yacs.CfgNode = lambda **_: Attributes()
    sys.modules["yacs"], sys.modules["yacs.config"] = ModuleType("yacs"), yacs
    bare_package("config", Path(clone) / "lib" / "config")
    config = copy.deepcopy(importlib.import_module("config.default")._C)
    file = require(Path(clone) / "experiments" / experiment)
    config.merge(Attributes.of(yaml.safe_load(file.read_text(encoding="utf-8"))))
    return config


def newell_module(clone: str | Path, name: str) -> ModuleType:
    """``models.posenet`` of princeton-vl/pytorch_stacked_hourglass."""
    sys.path.insert(0, str(require(Path(clone))))
    return importlib.import_module(name)


def mmpose_module(clone: str | Path, name: str) -> ModuleType:
    """``mmpose.models.backbones.hourglass`` and the like; needs mmengine and mmcv-lite.

    Source: open-mmlab/mmpose, the commit in the record.
    """
    folder = require(Path(clone) / "mmpose")
    for package in ("", ".models", ".models.backbones", ".models.losses"):
        bare_package(f"mmpose{package}", folder.joinpath(*package.split(".")[1:]))
    return importlib.import_module(name)
