"""Every command's ``--help`` fits a screen and ends with examples that the command takes."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from unittest import mock

import pytest
from places import ROOT

from paddle_pose import configs
from paddle_pose.__main__ import TOOLS
from paddle_pose.command_line import WIDEST, CommandLine
from paddle_pose.porting.download import published_weights

LINES = 50
SCRIPTS = sorted(file.name for file in ROOT.glob("*.py"))
DOORS = [*SCRIPTS, *(f"-m paddle_pose {tool}" for tool in TOOLS)]


class _Parser(Exception):
    """Carries the parser out of a command that would begin its work."""


def parser_of(door: str) -> CommandLine:
    """The parser that a command makes."""

    def stop(parser: CommandLine, *_: object) -> None:
        raise _Parser(parser)

    script, *words = door.replace("-m paddle_pose", "paddle_pose/__main__.py").split()
    with (
        mock.patch.object(CommandLine, "parse_args", stop),
        mock.patch.object(sys, "argv", [script, *words]),
        pytest.raises(_Parser) as stopped,
    ):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return stopped.value.args[0]


def with_kinds(parser: CommandLine) -> Iterator[CommandLine]:
    """A parser and those of its kinds, as ``convert`` has them."""
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, dict):
            yield from action.choices.values()


def examples_in(text: str) -> list[str]:
    """What stands behind ``examples:``, which is the end."""
    assert text.count("\nexamples:\n") == 1
    lines = text.partition("\nexamples:\n")[2].splitlines()
    assert 2 <= len(lines) <= 5
    assert all(line.startswith("  python ") for line in lines)
    return [re.sub(r" +\(.*\)$", "", line.strip()) for line in lines]


def require_screen(text: str) -> None:
    lines = text.splitlines()
    assert len(lines) <= LINES, f"{len(lines)} lines"
    assert max(map(len, lines)) <= WIDEST, max(lines, key=len)


@pytest.mark.parametrize("door", DOORS)
def test_help_fits_and_its_examples_are_taken(door, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    whole = parser_of(door)
    for parser in with_kinds(whole):
        text = parser.format_help()
        require_screen(text)
        options = [action for action in parser._actions if action.help is None]
        assert not options, f"without a word: {options}"
        for example in examples_in(text):
            start = f"python {door} "
            assert f"{example} ".startswith(start)
            given = whole.parse_args(shlex.split(example)[len(start.split()) :])
            for name in [getattr(given, key, None) for key in ("config", "recipe")]:
                assert name in (None, "RECIPE", "recipe.yaml", *configs.all_names())
            for name in [getattr(given, key, None) for key in ("pretrained_model", "download")]:
                assert name in (None, *(row.name for row in published_weights()))


def test_the_list_of_tools_fits_and_ends_with_examples(capsys):
    for words in ([], ["--help"], ["-h"]):
        with mock.patch.object(sys, "argv", ["paddle_pose", *words]):
            runpy.run_path(str(ROOT / "paddle_pose/__main__.py"), run_name="__main__")
        text = capsys.readouterr().out
        require_screen(text)
        for example in examples_in(text):
            assert example.split()[3] in TOOLS
        assert all(f"\n  {tool} " in text for tool in TOOLS)


@pytest.mark.parametrize("door", DOORS)
def test_no_option_completes_another(door):
    for parser in with_kinds(parser_of(door)):
        options = {name for name in parser._option_string_actions if name.startswith("--")}
        assert not [name for name in options if parser._get_option_tuples(name[:-1])]
