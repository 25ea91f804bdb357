"""The Python of docs/python.md and of the README, run from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from places import ROOT, TINY

from paddle_pose.inference import predictor
from paddle_pose.recipes import recipe as recipes


def blocks(file: Path) -> list[str]:
    """Python blocks, each with as many empty lines before it as the file has lines."""
    text = file.read_text("utf-8")
    found = re.finditer(r"```python\n(.*?)```", text, re.DOTALL)
    return ["\n" * text[: one.start(1)].count("\n") + one.group(1) for one in found]


@pytest.fixture(scope="module")
def folder(small_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a photo of a rendered person."""
    folder = tmp_path_factory.mktemp("docs")
    photo = min((small_people / "images").iterdir())
    (folder / "photo.jpg").write_bytes(photo.read_bytes())
    return folder


def test_the_librarys_examples_run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    override = recipes.override
    monkeypatch.setattr(recipes, "override", lambda one, keys: override(one, [*keys, *TINY]))
    names: dict = {}
    for block in blocks(ROOT / "docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), names)  # noqa: S102
    said = capsys.readouterr().out
    assert "2 poses on 1 images, 16 joints (mpii16)" in said
    assert [one["image_id"] for one in names["records"]] == [139, 285]
    assert all((folder / name).is_file() for name in ("drawn.png", "heatmaps.png", "ours.pdparams"))
    assert len(names["poses"]) == 1


def test_the_readmes_lines_run(folder, monkeypatch, capsys):
    if not predictor.PACKAGED.is_file():  # then with those that the other test trained
        weights = folder / "output/run/best_model/model.pdparams"
        monkeypatch.setattr(predictor, "PACKAGED", weights)
    monkeypatch.chdir(folder)
    for block in blocks(ROOT / "README.md"):
        exec(compile(block, "README.md", "exec"), names := {})  # noqa: S102
    assert capsys.readouterr().out.count("[") > 16
    assert names["drawn"].ndim == 3
