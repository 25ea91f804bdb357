"""Every option that a message of a command names is one that this command has."""

from __future__ import annotations

import ast
import re
import runpy
import sys

import pytest
from places import ROOT

from paddle_pose.command_line import CommandLine
from reproduce.aligning.definitions import Package

OPTION = re.compile(r"--[a-z]\w*")
OF_OTHERS = re.compile(r"(val\.py|train\.py|python -m \S+( \w+)?) [^;,]*$")
"""``val.py --predictions FILE``: what stands before an option that is another command's."""

COMMANDS = {
    "train.py": "commands.train.train configs.chosen commands.resuming.run_folder "
    "commands.defaults.data_for commands.defaults.weights_named",
    "val.py": "commands.evaluate.evaluate configs.chosen commands.defaults.data_for "
    "commands.defaults.own_weights commands.defaults.weights_named",
    "draw": "commands.draw.main",
    "gallery": "commands.gallery.main",
    "port": "commands.port.main",
    "count": "commands.count.main",
    "recipes": "commands.recipes.main",
    "browse": "commands.browse.main",
    "render": "synthetic.dataset.main",
    "quickstart": "commands.quickstart.main",
}
NOT_OURS = {"--porcelain", "--untracked", "--backend", "--nproc_per_node", "--log_dir", "--help"}
"""Git's, and those of Paddle's launcher."""


UNREACHED = {
    # It reads the predictions that it has just written, by the plain engine.
    "train.py": {"--pixel_origin", "--engine", "--precision"},
    # It asks for no origin, and takes the joints from the file.
    "draw": {"--pixel_origin", "--set"},
    "quickstart": {"--pixel_origin", "--dataset_root"},  # its data are rendered
}
"""What code that a command shares with others says, but never there."""


class _Parsed(Exception):
    """Carries the parser out of a command that would begin its work."""


def options_of(command: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """All options of a command, and of the launcher for the scripts."""

    def stop(parser: CommandLine, *_: object) -> None:
        raise _Parsed(parser)

    monkeypatch.setattr(CommandLine, "parse_args", stop)
    script = command if command.endswith(".py") else "paddle_pose/__main__.py"
    monkeypatch.setattr(sys, "argv", [script, command])
    with pytest.raises(_Parsed) as parsed:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return set(parsed.value.args[0]._option_string_actions)


def said(nodes: list[ast.AST]) -> list[str]:
    """Texts in the code, an f-string as one; not the documentation."""
    texts, parts = [], set()
    for top in nodes:
        for node in ast.walk(top):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                parts.add(id(body[0].value))
            if isinstance(node, ast.JoinedStr):
                parts |= {id(part) for part in node.values}
                words = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                texts.append("".join(map(str, words)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in parts:
                    texts.append(node.value)
    return texts


@pytest.mark.parametrize("command", COMMANDS)
def test_hints_are_options_of_the_command(command, monkeypatch):
    package = Package(ROOT, "paddle_pose")
    roots = [f"paddle_pose.{root}" for root in COMMANDS[command].split()]
    reached = package.reached(roots)
    texts = said([node for one in reached for node in package._statements(one)])
    known = options_of(command, monkeypatch) | NOT_OURS | UNREACHED.get(command, set())
    # What begins with an option is about a value that was given to it, or is a word to call with.
    found = [(match, text) for text in texts for match in OPTION.finditer(text) if match.start()]
    lost = [
        (match[0], text)
        for match, text in found
        if match[0] not in known and not OF_OTHERS.search(text[: match.start()])
    ]
    assert not lost
