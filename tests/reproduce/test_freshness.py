"""Digests of definitions: what makes a row stale, and what does not."""

from __future__ import annotations

import ast
import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from places import ROOT

from paddle_pose.errors import UserError
from reproduce.aligning import freshness
from reproduce.aligning.definitions import Definition, Package
from reproduce.aligning.networks import DATA_SETS, GROUPS, LIVE_ONLY, NETWORKS
from reproduce.aligning.rows import STEPS
from reproduce.aligning.sources import tree

ONE = """
from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np
from a import two
from a.two import helper as h
if TYPE_CHECKING:
    from a.two import Typed

LIMIT = 3
TABLE = {"x": h}
for name in "yz":
    TABLE.update({name: two.other})

def root(x: Typed) -> Typed:
    other = np.zeros(1)
    def inner():
        return h(x) + other
    return inner()
def table(): return TABLE
def default(limit=LIMIT): return limit
@two.decorated
def marked(): return 1
def late():
    from a.two import other
    return other()
def handed(): return dir(two)
def fails(): raise ValueError(h())
def shadowed(h): return [two for two in h]
def made(): return two.Box()
class Child(two.Box):
    def helper(self): return helper()
"""
TWO = """
from dataclasses import dataclass
SIZE = 1
OTHER = 2
def helper(x): return x
def other(): return 2
def decorated(f): return f
class Typed: pass
@dataclass
class Box:
    size: int = SIZE
    unread: int = OTHER
    def area(self): return self.size
"""
BOX = {"Box", "Box.size", "SIZE"}


@pytest.fixture
def tiny(tmp_path: Path) -> Package:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/__init__.py").touch()
    (tmp_path / "a/one.py").write_text(ONE)
    (tmp_path / "a/two.py").write_text(TWO)
    return Package(tmp_path, "a")


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("root", {"helper"}),  # neither the annotation nor the local name
        ("table", {"TABLE", "helper", "other", "name"}),
        ("default", {"LIMIT"}),
        ("marked", {"decorated"}),
        ("late", {"other"}),
        ("handed", {"helper", "other", "decorated", "Typed", "OTHER", *BOX}),
        ("fails", set()),
        ("shadowed", set()),
        ("made", BOX),
        ("Child", BOX),
    ],
)
def test_names_are_followed(tiny: Package, name: str, needs: set[str]) -> None:
    assert {found.name for found in tiny.reached([f"a.one.{name}"])} == {name, *needs}


def test_a_digest_tells_which_definition_a_name_means(tmp_path: Path) -> None:
    """Two functions that trade places under their names are two other programs."""

    def digest(first: str, second: str) -> str:
        for file, text in (
            ("__init__", ""),
            ("x", "def f(): return 1"),
            ("y", "def f(): return 2"),
            (
                "use",
                f"from a import x, y\ndef u(): return {first}.f()\ndef v(): return {second}.f()",
            ),
        ):
            (tmp_path / "a").mkdir(exist_ok=True)
            (tmp_path / f"a/{file}.py").write_text(text)
        package = Package(tmp_path, "a")
        return package.digest(package.reached(["a.use.u", "a.use.v"]))

    assert digest("x", "y") != digest("y", "x")


def test_a_root_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"geometry\.nothing: no such function"):
        freshness.OURS.find("paddle_pose.geometry.nothing")


def test_every_root_is_of_a_step() -> None:
    pairs = [*freshness.pairs(), *((name, step) for name in LIVE_ONLY for step in STEPS)]
    steps = {name for network, step in pairs for name in (step, f"{network} {step}")}
    assert set(freshness.ROOTS) <= steps


def test_code_is_compared_without_layout() -> None:
    code = 'def f(x: int) -> int:\n    """One."""\n    return x + 1\n'
    again = "# Two.\ndef f(\n    x: float,\n):\n    return (x + 1)  # three\n"
    assert tree(ast.parse(code).body) == tree(ast.parse(again).body)
    assert tree(ast.parse(code).body) != tree(ast.parse(code.replace("1", "2")).body)


def test_a_digest_has_the_numbers_of_its_network() -> None:
    assert freshness.digest("hrnet_w32", "forward") != freshness.digest("hrnet_w48", "forward")
    assert freshness.digest("hrnet_w32", "forward") != freshness.digest("hrnet_w32", "loss")
    for name, network in NETWORKS.items():
        asked = freshness.OURS.attributes(freshness.reached(name, "forward"))
        model = network.load().model
        assert freshness.numbers(model, asked).keys() == {field.name for field in fields(model)}


class Copy:
    """The project's package, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "paddle_pose", folder / "paddle_pose", ignore=ignored)

    def place(self, target: str) -> tuple[Definition, Path, range]:
        """A definition, its file and its lines, from 1."""
        package = freshness.package(self.folder)
        definition = package.find(target)
        ((file, lines),) = package.lines([definition]).items()
        return definition, file, range(min(lines), max(lines) + 1)

    def insert(self, target: str, text: str, *, before_last: bool = False) -> None:
        """Add a line at the end of a class, or before the last statement of a function in it."""
        definition, file, _ = self.place(target)
        lines = file.read_text("utf-8").splitlines()
        nodes = ast.parse("\n".join(lines)).body
        node = next(n for n in nodes if getattr(n, "name", "") == definition.name)
        if before_last:
            function = next(n for n in ast.walk(node) if isinstance(n, ast.FunctionDef))
            last = function.body[-1]
            lines.insert(last.lineno - 1, " " * last.col_offset + text)
        else:
            lines.insert(node.end_lineno, f"    {text}")
        file.write_text("\n".join(lines) + "\n", "utf-8")

    def move(self, target: str) -> None:
        """A definition into a file of its own; the old file imports it."""
        definition, file, lines = self.place(target)
        module = freshness.package(self.folder).module(definition.module)
        known = {name for name in {*module.statements, *module.imports} if "." not in name}
        text = file.read_text("utf-8").splitlines()
        body = "\n".join(text[lines.start - 1 : lines.stop - 1])
        names = ", ".join(sorted(known - {definition.name, "annotations"}))
        new = (
            f"from __future__ import annotations\nfrom {definition.module} import {names}\n{body}\n"
        )
        (self.folder / "paddle_pose/moved.py").write_text(new, "utf-8")
        kept = [*text[: lines.start - 1], f"from paddle_pose.moved import {definition.name}"]
        file.write_text("\n".join([*kept, *text[lines.stop - 1 :]]) + "\n", "utf-8")

    def stale(self) -> set[tuple[str, str]]:
        """Rows that are of other code than in this copy."""
        package = freshness.package(self.folder)
        pairs = freshness.pairs()
        return {p for p in pairs if freshness.digest(*p, package) != freshness.digest(*p)}


@pytest.fixture
def copied(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_copy_is_fresh_and_a_new_network_too(copied: Copy) -> None:
    models = copied.folder / "paddle_pose/models"
    (models / "toy.py").write_text("class ToyNetwork:\n    pass\n")
    with (models / "architectures.py").open("a") as file:
        file.write("\n\n@dataclass(frozen=True)\nclass Toy:\n    joints: int = 1\n")
    with (models / "build.py").open("a") as file:
        file.write(
            "\n\nfrom paddle_pose.models.toy import ToyNetwork\nNETWORKS[Toy] = ToyNetwork\n"
        )
    with (copied.folder / "paddle_pose/skeletons.py").open("a") as file:
        file.write('\n\nTOY = Skeleton("toy", ("nose",), (), ())\nSKELETONS["toy"] = TOY\n')
    assert copied.stale() == set()


def test_a_new_field_makes_nothing_stale(copied: Copy) -> None:
    for name in ("DataSettings", "AugmentSettings", "TrainSettings", "Benchmark"):
        copied.insert(f"paddle_pose.settings.{name}", "new_field_of_a_test: int = 0")
    for network in NETWORKS.values():
        kind = type(network.load().model)
        target = f"{kind.__module__}.{kind.__qualname__}"
        copied.insert(target, "new_field_of_a_test: int = 0")
    assert copied.stale() == set()


@pytest.mark.parametrize(
    "target",
    [
        "paddle_pose.geometry.crop_matrix",
        "paddle_pose.training.losses.joints_mse",
        "paddle_pose.models.blocks.BatchNorm2D",
        freshness.roots("hrnet_w32", "forward")[-1],
    ],
)
def test_a_moved_definition_makes_nothing_stale(copied: Copy, target: str) -> None:
    before = copied.place(target)[1]
    copied.move(target)
    assert copied.place(target)[1] != before
    assert copied.stale() == set()


def test_other_names_of_imports_make_nothing_stale(copied: Copy) -> None:
    for file in (copied.folder / "paddle_pose").rglob("*.py"):
        text = re.sub(r"\bnp\b", "numbers_of_numpy", file.read_text("utf-8"))
        file.write_text(re.sub(r"\bF\b", "functions_of_paddle", text), "utf-8")
    assert copied.stale() == set()


OF_COCO_EVALUATOR = ("paddle_pose.geometry.crop_matrix", "paddle_pose.poses.oks.oks_nms")
"""Reached by the evaluator, which rows of two people in a box judge as a whole."""

NETWORK_STEPS = {step for name, step in freshness.pairs() if name == "hrnet_w32"}


@pytest.mark.parametrize(
    ("target", "names", "steps"),
    [
        (freshness.LOSSES[0], NETWORKS, {"loss", "backward", "optimiser"}),
        (freshness.ROOTS["optimiser"][-1], NETWORKS, {"optimiser"}),
        (freshness.ROOTS["learning rate"][0], NETWORKS, {"learning rate"}),
        (
            freshness.roots("hrnet_w48", "forward")[-1],
            ("hrnet_w32", "hrnet_w48", "mipnet"),
            NETWORK_STEPS - {"learning rate"},
        ),
        ("paddle_pose.models.blocks.BatchNorm2D", NETWORKS, NETWORK_STEPS - {"learning rate"}),
        ("paddle_pose.geometry.crop_matrix", DATA_SETS, {"data"}),
        ("paddle_pose.data.mpii.load", ("mpii",), {"data"}),
        ("paddle_pose.poses.oks.oks_nms", ("coco",), {"metric"}),
    ],
)
def test_a_changed_operation_makes_stale_what_needs_it(
    copied: Copy, target: str, names: tuple, steps: set[str]
) -> None:
    copied.insert(target, "changed = 1 + 1", before_last=True)
    expected = {(name, step) for name in names for step in steps}
    if target in OF_COCO_EVALUATOR:
        expected |= {("crowds", "decode"), ("crowds", "metric")}
    reached = freshness.OURS.find(target)
    expected |= {
        (name, step) for name, step in freshness.pairs()
        if name in GROUPS and reached in freshness.reached(name, step)
    }  # fmt: skip
    assert copied.stale() == expected
