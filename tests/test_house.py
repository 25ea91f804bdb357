"""The house: floors, sizes, names, and the README's tree, as the README describes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "paddle_pose"
LONGEST_FILE = 400
FORBIDDEN = {"utils", "common", "misc", "helpers", "core", "lib"}

FLOORS = {
    0: "errors",
    1: "parallel runtime skeletons geometry settings pickle_machine",
    2: "schedules launching safe_pickle",
    3: "codecs oks models",
    4: "data engine metrics losses averaging precision",
    5: "inference training checkpoint porting drawing evaluation evaluation_coco",
    6: "recipe record",
    7: "people gallery limits resuming",
    8: "run scoring quickstart",
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}
DOORS = {"__main__"}
"""Files inside a room that are commands: they may look up recipes."""


def python_files() -> list[Path]:
    """Every Python file of the project."""
    skipped = {".venv", ".venv-paddle26", "output", "build"}
    return [f for f in ROOT.rglob("*.py") if not skipped & set(f.relative_to(ROOT).parts)]


def room_of(module: str) -> str | None:
    """``paddle_pose.data.mpii`` -> ``data``; None outside the package."""
    parts = module.split(".")
    return parts[1] if parts[0] == "paddle_pose" and len(parts) > 1 else None


def imported_modules(tree: ast.AST) -> list[str]:
    """Absolute names of everything imported anywhere in a file."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "paddle_pose":
                names += [f"paddle_pose.{alias.name}" for alias in node.names]
            else:
                names.append(node.module)
    return names


def test_every_room_has_a_floor():
    rooms = {f.stem for f in PACKAGE.glob("*.py")} | {
        d.name for d in PACKAGE.iterdir() if d.is_dir() and (d / "__init__.py").exists()
    }
    assert rooms - {"__init__"} <= FLOOR_OF.keys()


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_imports_go_down_or_stay_in_the_room(file):
    relative = file.relative_to(ROOT).with_suffix("")
    own = room_of(".".join(relative.parts))
    if own == "__init__" or file.stem in DOORS:
        return
    for module in imported_modules(ast.parse(file.read_text(encoding="utf-8"))):
        room = room_of(module)
        if room is None or room == own or room == "__init__":
            continue
        assert FLOOR_OF[room] < FLOOR_OF[own], f"{relative} imports {module} upward or sideways"


@pytest.mark.parametrize("room", ["skeletons", "geometry", "settings", "codecs", "oks", "metrics"])
def test_mathematics_runs_without_paddle(room):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else []
    files += (PACKAGE / room).glob("*.py") if (PACKAGE / room).is_dir() else []
    assert files
    for file in files:
        modules = imported_modules(ast.parse(file.read_text(encoding="utf-8")))
        assert not [m for m in modules if m.split(".")[0] == "paddle"], file


def test_no_file_is_too_long():
    long = {str(f.relative_to(ROOT)): n for f in python_files() if (n := _lines(f)) > LONGEST_FILE}
    assert not long


def _lines(file: Path) -> int:
    return file.read_text(encoding="utf-8").count("\n")


def test_no_forbidden_names():
    found = [f for f in python_files() if FORBIDDEN & {f.stem, *f.relative_to(ROOT).parts[:-1]}]
    assert not found


def readme_tree() -> dict[str, str]:
    """Path -> caption, from the README's first block that is fenced as ``text tree``."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```text tree\n(.*?)```", readme, re.DOTALL).group(1)
    stack: list[tuple[int, str]] = []
    captions = {}
    for line in block.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        name, _, caption = line.strip().partition("  ")
        while stack and stack[-1][0] >= indent:
            stack.pop()
        path = "".join(part for _, part in stack) + name
        captions[path] = caption.strip()
        if name.endswith("/"):
            stack.append((indent, name))
    return captions


def test_readme_tree_exists_and_is_captioned():
    tree = readme_tree()
    assert len(tree) > 40
    for path, caption in tree.items():
        assert (ROOT / path).exists(), f"README's tree names {path}, which is not there"
        assert caption, f"README's tree has no caption for {path}"


def test_readme_tree_is_complete():
    listed = readme_tree()
    files = [f for f in python_files() if f.is_relative_to(PACKAGE) and f.stem != "__init__"]
    files += ROOT.glob("*.py")
    files += (f for f in (ROOT / "configs").glob("*.py") if f.stem != "__init__")
    missing = [p for f in files if (p := f.relative_to(ROOT).as_posix()) not in listed]
    assert not missing
