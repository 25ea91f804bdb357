"""The command line of every script and tool: mistakes in one line, options by their whole name."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from paddle_pose.errors import UserError, nearest

WIDEST = 100
"""Columns of ``--help`` at most."""


class _Help(argparse.HelpFormatter):
    """Usage names what must be given alone; options stand one a line where they can."""

    def __init__(self, prog: str, **named: Any) -> None:
        columns = min(WIDEST, shutil.get_terminal_size().columns)
        super().__init__(prog, **({"max_help_position": 30, "width": columns} | named))

    def _format_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None
    ) -> str:
        every = list(actions)
        asked = [action for action in every if action.required or not action.option_strings]
        line = super()._format_usage(usage, asked, (), prefix)
        return line if usage or len(asked) == len(every) else f"{line.rstrip()} [options]\n\n"


class CommandLine(argparse.ArgumentParser):
    """argparse without its usage text before a mistake, and without abbreviated options.

    ``--image photo.jpg`` is no ``--image_size``: a longer option of the same beginning may come.
    ``--help`` ends with the examples.
    """

    def __init__(
        self, prog: str | None = None, *, examples: Sequence[str] = (), **named: Any
    ) -> None:
        fixed = {"allow_abbrev": False, "formatter_class": _Help}
        super().__init__(prog=prog, **(named | fixed))
        self.examples = examples

    def add_recipe(self) -> None:
        """``--config``, ``--image_size`` and ``--dataset_root``, as all that run a recipe have."""
        add = self.add_argument
        add(
            "--config",
            metavar="RECIPE",
            help="family:name (hrnet:w32_mpii_256x256) or a recipe.yaml",
        )
        add(
            "--image_size",
            metavar="PX",
            type=int,
            help="square input; alone it chooses Hourglass-52",
        )
        add(
            "--dataset_root",
            metavar="DIR",
            type=Path,
            help="annotations and images (data/mpii, data/coco); 'synthetic' renders people",
        )

    def add_changes(self) -> None:
        """``--set KEY=VALUE …``."""
        self.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
            dest="assignments", help="change the recipe")  # fmt: skip

    def format_help(self) -> str:
        """As argparse has it, and the examples."""
        lines = ["", "examples:", *(f"  {one}" for one in self.examples)]
        return super().format_help() + ("\n".join(lines) + "\n" if self.examples else "")

    def error(self, message: str) -> NoReturn:
        """``error: …`` on standard error, with the nearest option; exit code 2."""
        _, unknown, words = message.partition("unrecognized arguments: ")
        if unknown:
            valid = [name for name in self._option_string_actions if name.startswith("--")]
            option = words.split()[0].partition("=")[0]
            message = f"unknown argument '{option}'{nearest(option, valid)}"
        print(f"error: {UserError(f'{message}; --help lists the options')}", file=sys.stderr)
        sys.exit(2)
