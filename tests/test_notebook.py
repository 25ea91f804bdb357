"""docs/first_steps.ipynb runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import json
import resource

import pytest
from places import ROOT

NOTEBOOK = ROOT / "docs/first_steps.ipynb"
MOST_CPU_SECONDS = 60


def test_it_is_kept_small_and_without_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert NOTEBOOK.stat().st_size < 20_000


def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}  # as Jupyter starts it
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    client.execute()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < MOST_CPU_SECONDS
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [one for cell in cells for one in cell.outputs if "image/png" in one.get("data", ())]
    assert len(pictures) == 5
    said = "".join(one.get("text", "") for cell in cells for one in cell.outputs)
    assert "[EVAL]" in said
    nbformat.write(notebook, tmp_path / "done.ipynb")
