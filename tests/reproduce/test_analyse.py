"""The kinds of errors of published predictions: the committed record and its section."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_pose.errors import UserError
from paddle_pose.metrics.error_kinds import KINDS
from reproduce import analyse, prediction_sets
from reproduce.reporting import errors, markdown
from reproduce.reporting.content import NOT_YET


def test_real_predictions_keep_their_score(reference_data: Path):
    root = reference_data / "data/mpii"
    content = analyse.records(root, [root / "preds"], {})
    assert "newell_8_stacks" in content["sets"]
    for name, one in content["sets"].items():
        kept = analyse.read(analyse.FILE.parent / "rescored" / f"{name}_curves.json")
        for metric, threshold in (("Mean", "0.5"), ("Mean@0.1", "0.1")):
            value = kept["scores"]["Mean"][threshold]["value"]
            assert one["scores"]["as_it_is"][metric] == pytest.approx(value, abs=1e-4)
        # Every joint beyond half a head is an error of some kind, and none is called good.
        wrong = sum(one["kinds"][kind] for kind in ("inversion", "swap", "miss"))
        assert wrong / sum(one["kinds"].values()) >= 1 - one["scores"]["as_it_is"]["Mean"] / 100
        assert one["kinds"]["good"] <= one["scores"]["as_it_is"]["Mean"] / 100 * 38430
    committed = analyse.read(analyse.FILE)
    for name, one in content["sets"].items():
        assert analyse.close(one, committed["sets"][name]), "run python -m reproduce.analyse"


def test_every_set_is_recorded_and_no_person_is():
    record = analyse.read(analyse.FILE)
    assert set(record["sets"]) == {entry.name for entry in prediction_sets.SETS}
    lacking = record["sets"]["tompson"]["by_joint"]["pelvis"]  # this set predicts no pelvis
    assert sum(lacking.values()) == 0
    assert analyse.FILE.stat().st_size < 50_000  # numbers alone: no people, no joints


def test_sets_that_are_not_there_keep_their_records(reference_data: Path, tmp_path: Path):
    root = reference_data / "data/mpii"
    file = prediction_sets.find([root / "preds"])["bearpaw_1_stack"]
    (tmp_path / file.name).write_bytes(file.read_bytes())
    committed = analyse.read(analyse.FILE)
    assert analyse.close(analyse.records(root, [tmp_path], committed), committed)


def test_no_known_set_is_said(reference_data: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no known set of predictions"):
        analyse.records(reference_data / "data/mpii", [tmp_path], {})


def text_of(section) -> str:
    return "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))


def test_the_section_shows_every_set(monkeypatch: pytest.MonkeyPatch):
    text = text_of(errors.section())
    for entry in prediction_sets.SETS:
        assert f"| {entry.label}" in text
    assert all(kind in text for kind in KINDS)
    monkeypatch.setattr(errors, "FILE", "reproduce/none.json")
    assert NOT_YET in text_of(errors.section())
