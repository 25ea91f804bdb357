"""Every command of README.md and docs/: run on rendered people, or marked with what it needs.

A comment ``needs: MPII, …`` marks the bash lines up to the next empty one, or the line that it
stands behind; ``<!-- needs: … -->`` a whole block. Those are parsed by the real options only.
``<!-- run -->`` before a block says that the page's own test runs it, ``<!-- run: FILE -->`` which.
Below a command, ``# says: …`` is a part of its output; an ``error: …`` there is to be expected.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from left_files import not_ignored
from places import ROOT

from paddle_pose import configs
from paddle_pose.command_line import CommandLine

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Not README_cn.md and docs/cn: ``test_translations.py`` finds the same commands there."""
FIRST = ROOT / "docs/first_steps.md"
"""What its commands leave is what the other pages start from."""
NEEDS = (
    "MPII", "COCO", "LSPET", "CrowdPose", "OCHuman", "Halpe", "weights", "network", "GPU",
    "requirements-export.txt", "a camera", "minutes", "hours", "days", "your",
    "two machines", "requirements-demo.txt",
)  # fmt: skip
"""Words that what is needed begins with; docs/README.md says what they mean."""
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<kind>bash|python)\n(?P<text>.*?)```", re.S
)
_SAYS, _NEEDS = re.compile(r"# says: (.+)"), re.compile(r"#.*?\bneeds: (.+)")


@dataclass
class Command:
    """A command line, or a Python block, of a page."""

    where: str
    kind: str
    text: str
    needs: str = ""
    run_by: str = ""
    says: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """2 where it is to be refused."""
        return 2 if any(line.startswith("error:") for line in self.says) else 0


def commands_of(page: Path) -> Iterator[Command]:
    """In their order."""
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        where, mark = f"{page.relative_to(ROOT)}:{line}", found["mark"] or ""
        needs = mark.removeprefix("needs: ") if mark.startswith("needs: ") else ""
        run_by = f"tests/test_{page.stem}.py" if mark == "run" else ""
        run_by = mark.removeprefix("run: ") if mark.startswith("run: ") else run_by
        if found["kind"] == "python":
            inside = _NEEDS.search(found["text"])
            needs = needs or (inside[1] if inside else "")
            yield Command(where, "python", found["text"], needs, run_by)
            continue
        for paragraph in re.split(r"\n\s*\n", found["text"].replace("\\\n", " ")):
            yield from _lines(paragraph, where, needs, run_by)


def _lines(paragraph: str, where: str, needs: str, run_by: str) -> Iterator[Command]:
    made: list[Command] = []
    for line in filter(None, map(str.strip, paragraph.splitlines())):
        said, marked = _SAYS.fullmatch(line), _NEEDS.search(line)
        if said:
            made[-1].says.append(said[1])
        elif line.startswith("#"):
            needs = marked[1] if marked else needs
        else:
            made.append(Command(where, "bash", line, marked[1] if marked else needs, run_by))
    yield from made


ALL = {
    page.name if page.parent == ROOT else f"docs/{page.name}": list(commands_of(page))
    for page in PAGES
}


def test_marks_are_read():
    text = "# what; needs: MPII\npython a\npython b  # needs: GPU\n# says: error: x\n\npython c"
    parts = [_lines(part, "x:1", "", "") for part in text.split("\n\n")]
    found = [(one.needs, one.exit_code) for part in parts for one in part]
    assert found == [("MPII", 0), ("GPU", 2), ("", 0)]


class Parsed(BaseException):
    """Ends a script once its options are known."""


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace | None:
    """What a script or ``-m MODULE`` makes of its options; None where it asks for none."""

    def parse(parser: CommandLine, arguments: list[str] | None = None) -> argparse.Namespace:
        raise Parsed(argparse.ArgumentParser.parse_args(parser, arguments))

    monkeypatch.setattr(CommandLine, "parse_args", parse)
    is_module = words[0] == "-m"
    monkeypatch.setattr(sys, "argv", words[1:] if is_module else words)
    monkeypatch.chdir(ROOT)
    try:
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except Parsed as given:
        return given.args[0]
    return None


def check_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options, recipes and their keys of a command exist."""
    words = shlex.split(command, comments=True)
    while "=" in words[0]:
        del words[0]
    if words[0] == "make":
        targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        assert words[1] in targets
    elif words[:2] == ["pip", "install"]:
        assert all((ROOT / word).exists() for word in words[2:] if word.startswith("req"))
    else:
        if words[0] in ("cmp", "cp", "sed", "test"):
            return
        assert words[0] == "python", "a command that this test cannot check"
        if words[1:3] == ["-m", "paddle.distributed.launch"]:
            del words[1 : next(n for n, word in enumerate(words) if word.endswith(".py"))]
        given = parsed(words[1:], monkeypatch)
        if given is None:
            assert words[1:] in (["-m", "paddle_pose"], ["-m", "reproduce.mean_at_01"])
            return
        config = getattr(given, "config", None) or getattr(given, "recipe", None)
        if hasattr(given, "assignments") and not str(config).endswith((".yaml", "…", "RECIPE")):
            size = getattr(given, "image_size", None)
            if config or size:
                configs.chosen(config, size, given.assignments)
        elif isinstance(config, str) and ":" in config:
            configs.load(config)


@pytest.mark.parametrize("page", ALL)
def test_options_of_every_command_exist(page, monkeypatch):
    for command in ALL[page]:
        if command.kind == "python":
            compile(command.text, command.where, "exec")
            continue
        if command.exit_code:
            continue  # wrong on purpose; it is run
        try:
            check_options(command.text, monkeypatch)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{command.where}: {command.text}: {error!r}")


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --imagesize 256", "python train.py --image_size 256 --set train.epoch=1",
        "python -m paddle_pose port --lists", "python val.py --config hrnet:w33",
        "make quick", "rm x",
    ],
)  # fmt: skip
def test_a_renamed_option_is_found(command, monkeypatch):
    with pytest.raises((Exception, SystemExit)):
        check_options(command, monkeypatch)


@pytest.mark.parametrize("page", ALL)
def test_what_is_not_run_here_says_why(page):
    for command in ALL[page]:
        if command.run_by:
            text = (ROOT / command.run_by).read_text("utf-8")
            assert page.removeprefix("docs/") in text, f"{command.where}: not in {command.run_by}"
        for need in filter(None, command.needs.split(",")):
            assert need.strip().startswith(NEEDS), f"{command.where}: needs: {need}"


def test_the_index_names_every_page_and_every_need():
    index = (ROOT / "docs/README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert not [page for page in pages if f"({page})" not in index]
    used = {need.strip() for page in ALL.values() for c in page for need in c.needs.split(",")}
    begun = {begin for begin in NEEDS if any(need.startswith(begin) for need in used)}
    assert not [begin for begin in begun if f"`{begin}" not in index]


@pytest.mark.parametrize("page", ALL)
def test_its_links_lead_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]


def run_page(page: str, folder: Path) -> int:
    """All that is not marked, as typed in that folder; how many. Fails with what one said."""
    mine = [command for command in ALL[page] if not command.needs and not command.run_by]
    if not mine:
        return 0
    done = subprocess.run(
        [sys.executable, ROOT / "tests/support/typed_commands.py"],
        input=json.dumps([(one.kind, one.text, one.exit_code) for one in mine]),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    for command, line in zip(mine, done.stdout.splitlines(), strict=False):
        code, said = json.loads(line)
        end = "\n".join(said.splitlines()[-25:])
        assert code == command.exit_code, f"{command.where}: {command.text}: ended {code}\n{end}"
        for part in command.says:
            assert part in said, f"{command.where}: {command.text}: not said: {part}\n{end}"
    return len(mine)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone's scripts, and what the first steps leave."""
    root = tmp_path_factory.mktemp("docs")
    for script in ("train.py", "val.py", "predict.py", "export.py"):
        (root / script).symlink_to(ROOT / script)
    assert run_page("docs/first_steps.md", root)
    return root


@pytest.mark.parametrize("page", [page for page in ALL if page != "docs/first_steps.md"])
def test_unmarked_commands_run(page, folder):
    run_page(page, folder)
    assert not not_ignored(folder), "add these to .gitignore, or write them below output/"
