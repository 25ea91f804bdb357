"""The command line of every script and tool: mistakes in one line, options by their whole name."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from paddle_pose.errors import UserError, nearest


class CommandLine(argparse.ArgumentParser):
    """argparse without its usage text before a mistake, and without abbreviated options.

    ``--image photo.jpg`` is no ``--image_size``: a longer option of the same beginning may come.
    """

    def __init__(self, prog: str | None = None, **named: Any) -> None:
        super().__init__(prog=prog, **(named | {"allow_abbrev": False}))

    def error(self, message: str) -> NoReturn:
        """``error: …`` on standard error, with the nearest option; exit code 2."""
        _, unknown, words = message.partition("unrecognized arguments: ")
        if unknown:
            valid = [name for name in self._option_string_actions if name.startswith("--")]
            option = words.split()[0].partition("=")[0]
            message = f"unknown argument '{option}'{nearest(option, valid)}"
        print(f"error: {UserError(f'{message}; --help lists the options')}", file=sys.stderr)
        sys.exit(2)
