"""``pip install .``: the package with its recipes and tables, from any working directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed package and nothing else."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this Python has no pip")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("paddle_pose", "tests/support", "benchmarks"):  # only the first is the package
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", target]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words, source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory with a folder configs/ of its own."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "__init__.py").write_text("raise RuntimeError('not this one')")
    return tmp_path


def run(site: Path, folder: Path, *words: str | Path) -> str:
    done = subprocess.run(
        [*words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_that_runs(site, elsewhere):
    words = "import paddle_pose, sys; print(paddle_pose.__file__, 'paddle' in sys.modules)"
    said = run(site, elsewhere, sys.executable, "-c", words)
    assert said.split() == [str(site / "paddle_pose/__init__.py"), "False"]
    assert not {"tests", "benchmarks", "configs"} & {path.name for path in site.iterdir()}


def test_every_file_of_the_package_is_installed(site):
    def listed(folder: Path) -> set[str]:
        files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
        return {file.as_posix() for file in files if "__pycache__" not in file.parts}

    assert listed(site / "paddle_pose") == listed(ROOT / "paddle_pose")


def test_the_command_lists_its_tools_and_recipes_from_any_folder(site, elsewhere):
    command = site / "bin" / "paddle-pose"
    assert "recipes" in run(site, elsewhere, command)
    assert "hrnet:w32_mpii_256x256" in run(site, elsewhere, command, "recipes")
    assert "hrnet" in run(site, elsewhere, command, "port", "--list").lower()


def test_a_record_does_not_take_the_commit_of_a_clone_around_the_package(site, elsewhere):
    git = ["git", "-C", str(site), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    words = "from paddle_pose.commands.record import code_state; print(code_state())"
    said = run(site, elsewhere, sys.executable, "-c", words)
    assert said.strip() == "{'commit': None, 'clean': None}"
