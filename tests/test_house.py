"""The house: layers, sizes, names, and the README's tree, as the README describes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "paddle_pose"
LONGEST_FILE = 400
FORBIDDEN = {"utils", "common", "misc", "helpers", "core", "lib"}

LAYERS = {
    1: "errors command_line limits names plain typed understood files array_files geometry "
    "skeletons settings system onednn",
    2: "models weights poses synthetic",
    3: "codecs metrics",
    4: "data recipes",
    5: "configs porting drawing",
    6: "training inference evaluation converting",
    7: "commands",
    8: "serving",
}
PURE = ("skeletons", "geometry", "settings", "codecs", "poses", "metrics")
FACTS = 1
"""The lowest layer, whose files may import each other; circles are found by their own test."""
LAYER_OF = {folder: layer for layer, folders in LAYERS.items() for folder in folders.split()}


def python_files() -> list[Path]:
    """Ours: neither an environment's nor what a run wrote."""

    def is_ours(file: Path) -> bool:
        first = file.relative_to(ROOT).parts[0]
        return first not in {"output", "build"} and not first.startswith(".venv")

    return [file for file in ROOT.rglob("*.py") if is_ours(file)]


def folders(parent: Path) -> list[Path]:
    """Packages right inside one."""
    return [d for d in parent.iterdir() if (d / "__init__.py").exists()]


def entry_of(module: str) -> str | None:
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


def test_everything_has_a_layer():
    entries = {f.stem for f in PACKAGE.glob("*.py")} | {d.name for d in folders(PACKAGE)}
    assert entries - {"__init__", "__main__"} == LAYER_OF.keys()


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_imports_go_down_or_stay_in_the_folder(file):
    relative = file.relative_to(ROOT).with_suffix("")
    own = entry_of(".".join(relative.parts))
    if own in ("__init__", "__main__"):
        return
    for module in imported_modules(ast.parse(file.read_text(encoding="utf-8"))):
        entry = entry_of(module)
        if entry is None or entry == own:
            continue
        allowed = LAYER_OF[entry] < LAYER_OF[own] or LAYER_OF[own] == FACTS
        assert allowed, f"{relative} imports {module} upward or sideways"


def test_no_circle_between_files():
    modules = {
        ".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in PACKAGE.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): file for name, file in modules.items()}
    needs = {}
    for name, file in modules.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        needs[name] = {m for m in running_imports(tree) if m in modules and m != name}
    for name in needs:
        seen, waiting = set(), sorted(needs[name])
        while waiting:
            module = waiting.pop()
            assert module != name, f"{name} imports itself by way of other files"
            if module not in seen:
                seen.add(module)
                waiting += needs[module]


def running_imports(tree: ast.AST) -> set[str]:
    """Modules that are imported to run, not for type checkers alone."""
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    # ``from package import module`` needs the module, not what else the package's init has.
    return {m for m in found if not any(other.startswith(f"{m}.") for other in found)}


def test_no_importlib_in_the_package():
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"import importlib$|import_module|__import__", text, re.MULTILINE), (
            file
        )


@pytest.mark.parametrize(
    "entry", ["skeletons", "geometry", "settings", "codecs", "poses", "metrics"]
)
def test_mathematics_runs_without_paddle(entry):
    files = [PACKAGE / f"{entry}.py"] if (PACKAGE / f"{entry}.py").exists() else []
    files += (PACKAGE / entry).glob("*.py") if (PACKAGE / entry).is_dir() else []
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
    assert len(tree) > 20
    for path, caption in tree.items():
        assert (ROOT / path).exists(), f"README's tree names {path}, which is not there"
        assert caption, f"README's tree has no caption for {path}"


def test_readme_tree_is_complete():
    listed = readme_tree()
    wanted = [f"{d.relative_to(ROOT).as_posix()}/" for d in folders(PACKAGE)]
    wanted += [f.relative_to(ROOT).as_posix() for f in PACKAGE.glob("*.py")]
    wanted += [f.name for f in ROOT.glob("*.py")]
    missing = [path for path in wanted if path not in listed and "__init__" not in path]
    assert not missing


def test_contributing_names_the_same_layers():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d)(?: facts)? \| (.*?) \|$", text, re.MULTILINE)
    said = {int(layer): set(re.findall(r"`(\w+)`", folders)) for layer, folders in rows}
    assert said == {layer: set(folders.split()) for layer, folders in LAYERS.items()}
