"""Conventions on cases worked out by hand, and the committed records on the real files."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.errors import UserError
from paddle_pose.metrics import pckh
from paddle_pose.skeletons import MPII16
from reproduce import conventions, prediction_sets
from reproduce.conventions import CONVENTIONS, Case
from reproduce.prediction_sets import SCORED, SETS

CHANGE = {convention.name: convention.change for convention in CONVENTIONS}


def case_of(errors_px: np.ndarray, head_px: float = 10.0) -> Case:
    """People at (50, 50) whose joints are predicted so many pixels to the left."""
    truth = np.full((*errors_px.shape, 2), 50.0)
    truth[:, MPII16.index("head_top"), 1] -= 12.0
    joints = truth.copy()
    joints[..., 0] -= errors_px
    visible = np.ones(errors_px.shape, bool)
    return Case(joints, truth, visible, np.full(len(errors_px), head_px), SCORED)


def means(case: Case) -> dict[str, float]:
    return {name: sample.value for name, sample in case.samples().items()}


def test_index_11_counts_what_lies_between():
    errors = np.full((2, 16), 1.05)  # 0.105 head sizes
    case = case_of(errors)
    assert means(case) == {"Mean": 100.0, "Mean@0.1": 0.0, "Mean@0.11": 100.0}
    assert means(CHANGE["index 11"](case)) == {"Mean@0.1": 100.0}


def test_one_pixel_moves_towards_the_truth():
    case = case_of(np.full((1, 16), 1.0))  # then 0 to the left, 1 below: still 0.1 away
    assert means(CHANGE["one pixel"](case))["Mean@0.1"] == 100.0
    moved = CHANGE["one pixel"](case_of(np.zeros((1, 16))))  # √2 px: 0.141
    assert means(moved)["Mean@0.11"] == 0.0
    assert means(moved)["Mean"] == 100.0


def test_plain_mean_and_sixteen_joints():
    errors = np.zeros((4, 16))
    errors[:, MPII16.index("left_wrist")] = 9.0  # a miss for the one person who has a left wrist
    errors[0, MPII16.index("pelvis")] = 9.0
    case = case_of(errors)
    visible = case.visible.copy()
    visible[1:, MPII16.index("left_wrist")] = False
    case = dataclasses.replace(case, visible=visible)
    assert means(case)["Mean"] == pytest.approx(100 * (1 - 1 / 53))  # 13 joints × 4, and 1
    assert means(CHANGE["plain mean"](case))["Mean"] == pytest.approx(100 * 13 / 14)
    assert means(CHANGE["16 joints"](case))["Mean"] == pytest.approx(100 * (1 - 2 / 61))


def test_strict_leaves_out_what_is_exactly_on_the_threshold():
    case = case_of(np.full((1, 16), 5.0))
    assert means(case)["Mean"] == 100.0
    assert means(CHANGE["strict"](case))["Mean"] == 0.0


def test_joints_outside_are_left_out():
    case = case_of(np.zeros((1, 16)))
    truth = case.truth_xy.copy()
    truth[0, MPII16.index("left_knee")] = (1.0, 50.0)  # predicted far away
    case = dataclasses.replace(case, truth_xy=truth)
    assert means(case)["Mean"] == pytest.approx(100 * 13 / 14)
    assert means(CHANGE["joints inside only"](case))["Mean"] == 100.0


def test_head_sizes():
    case = case_of(np.full((1, 16), 5.5))  # head 10 px, segment 12 px
    assert means(case)["Mean"] == 0.0
    assert means(CHANGE["head segment"](case))["Mean"] == 100.0  # 5.5 / 12
    assert means(CHANGE["head size from joints"](case))["Mean"] == 0.0  # 5.5 / 9
    assert means(CHANGE["whole head box"](case))["Mean"] == 100.0  # 5.5 / 16.7
    visible = case.visible.copy()
    visible[:, MPII16.index("upper_neck")] = False
    unlabelled = dataclasses.replace(case, visible=visible)
    assert means(CHANGE["head segment"](unlabelled))["Mean"] == 0.0  # as the official way


def test_differences_are_paired():
    """Where a convention changes nothing, no resample differs, however much the score scatters."""
    errors = np.zeros((200, 16))
    errors[::2] = 9.0
    case = case_of(errors)
    truth = prediction_sets.MpiiTruth(case.truth_xy, case.visible, case.head_size_px)
    found = conventions.measure(SETS[0], case.joints_xy, truth)
    low, high = found["official"]["Mean"]["interval"]
    assert high - low > 10  # 4 × 100 × √(0.25 / 200) = 14 points
    strict = found["conventions"]["strict"]["Mean"]
    assert strict == {"value": 50.0, "difference": 0.0, "interval": [0.0, 0.0]}


def test_the_records_are_aggregates_without_positions():
    for entry in SETS:
        file = conventions.FOLDER / f"{entry.name}_curves.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["sha256"] == entry.digest
        assert max(len(v) for v in content["curve"].values()) == len(pckh.AUC_THRESHOLDS)
        assert [quarter["people"] for quarter in content["error_by_head_size"]] == [
            *(740, 740, 739, 739)
        ]
        assert ("pelvis" in content["scores"]) == entry.pelvis_and_thorax
    record = json.loads(conventions.FILE.read_text(encoding="utf-8"))
    assert set(record["sets"]) == {entry.name for entry in SETS}
    assert set(record["conventions"]) == set(CHANGE)


def values_only(node: object) -> object:
    """A record without what depends on the number of resamples."""
    if isinstance(node, dict):
        return {k: values_only(v) for k, v in node.items() if k not in ("interval", "protocol")}
    return [values_only(item) for item in node] if isinstance(node, list) else node


def test_records_are_what_the_files_give(
    reference_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(prediction_sets, "RESAMPLES", 2)
    monkeypatch.setattr(prediction_sets, "SETS", SETS[:1])
    monkeypatch.setattr(conventions, "SETS", SETS[:1])
    root = reference_data / "data/mpii"
    content, curves = conventions.records(root, [root / "preds"], {})
    committed = json.loads(conventions.FILE.read_text(encoding="utf-8"))
    name = SETS[0].name
    for found, kept in (
        (content["sets"][name], committed["sets"][name]),
        (curves[name], conventions.read(conventions.FOLDER / f"{name}_curves.json")),
    ):
        assert conventions.close(values_only(found), values_only(kept))
    assert "valid-ours.h5" in capsys.readouterr().out
    # The recorded reference evaluation of the same file (tests/test_pckh.py checks it in full).
    recorded = json.loads((reference_data / "parity/metrics/pckh.json").read_text())["results"]
    reference = recorded["valid-ours.h5"]
    as_stored = next(v for key, v in reference.items() if key.startswith("as_stored"))
    value = content["sets"][name]["official"]["Mean@0.1"]["value"]
    assert value == pytest.approx(as_stored["PCKh@0.10 (row 10)"]["Mean"], abs=1e-4)


def test_a_set_that_is_not_there_keeps_its_record(
    reference_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(conventions, "measure", lambda *_: {"new": True})
    monkeypatch.setattr(prediction_sets, "record", lambda *_: {})
    root = reference_data / "data/mpii"
    shutil.copy(root / "preds/valid-ours.h5", tmp_path / "another_name.h5")
    keep = {"sets": {"tompson": {"old": True}}}
    content, curves = conventions.records(root, [tmp_path], keep)
    assert content["sets"] == {"newell_8_stacks": {"new": True}, "tompson": {"old": True}}
    assert list(curves) == ["newell_8_stacks"]


def test_mistakes_are_named(reference_data: Path, tmp_path: Path):
    root = reference_data / "data/mpii"
    with pytest.raises(UserError, match="no such folder"):
        conventions.records(root, [tmp_path / "nowhere"], {})
    (tmp_path / "x.h5").write_bytes(b"something else")
    with pytest.raises(UserError, match="no known set of predictions"):
        conventions.records(root, [tmp_path], {})
    with pytest.raises(UserError, match="500 validation people, MPII has 2958"):
        conventions.records(reference_data / "data/lspet_mpii", [tmp_path], {})


def test_a_stale_record_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(conventions, "records", lambda *_: ({"sets": {"a": 1.0}}, {}))
    monkeypatch.setattr(conventions, "FILE", tmp_path / "conventions.json")
    monkeypatch.setattr(sys, "argv", ["x", "--dataset_root", "d", "--check"])
    with pytest.raises(SystemExit) as stopped:
        conventions.main()
    assert stopped.value.code == 2
    assert "conventions.json: is stale" in capsys.readouterr().err
    (tmp_path / "conventions.json").write_text('{"sets": {"a": 1.00009}}', encoding="utf-8")
    conventions.main()  # within a unit of the last kept digit


def test_close_compares_all_of_it():
    assert conventions.close({"a": [1.0, "x"]}, {"a": [1.0001, "x"]})
    for other in ({"a": [1.001, "x"]}, {"a": [1.0]}, {"a": [1.0, "y"]}, {"b": [1.0, "x"]}):
        assert not conventions.close({"a": [1.0, "x"]}, other)
