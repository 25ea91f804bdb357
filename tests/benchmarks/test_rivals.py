"""Rows with several rivals: turns, the fastest, what is missing; where their networks come from."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from test_benchmarks import OPTIONS, measured, side

from benchmarks import __main__ as command
from benchmarks import engines, readme, results, rivals
from benchmarks.harness import Comparison, Options, Target
from benchmarks.turns import Row, compare
from benchmarks.worker import SkippedError
from paddle_pose.files import read_json


def test_rivals_take_turns_and_the_fastest_is_the_other_side(tmp_path):
    file = tmp_path / "order"
    ours, slow, fast = (
        replace(side("order", file=str(file), name=name, value=value), label=name)
        for name, value in (("a", 4.0), ("b", 12.0), ("c", 6.0))
    )
    none = replace(side("unavailable"), label="d")
    row = compare(
        Comparison("x", "x", ours, target=Target("speedup", 1.5), rivals=(slow, none, fast)),
        OPTIONS,
    )
    assert file.read_text() == "abc" + "abc" * 3  # a warm-up each, then the turns
    assert (row.theirs["label"], row.reached, row.met, row.failed) == ("c", 1.5, True, False)
    assert [one["label"] for one in row.rivals] == ["b", "d", "c"]
    assert row.rivals[1]["note"] == "needs a clone"
    assert row.note == ""  # a rival that is not installed is no fault of the row
    alone = compare(
        Comparison("x", "x", ours, target=Target("speedup", 1), rivals=(none,)), OPTIONS
    )
    assert (alone.theirs, alone.reached, alone.met) == (None, None, None)
    assert results.against(alone.plain()) == "d: needs a clone"


def test_the_faster_of_our_own_ways_is_ours(tmp_path):
    file = tmp_path / "order"
    ours, faster, rival = (
        replace(side("order", file=str(file), name=name, value=value), label=name)
        for name, value in (("a", 4.0), ("b", 2.0), ("c", 6.0))
    )
    target, none = Target("speedup", 1.5), side("unavailable")
    row = compare(
        Comparison("x", "x", ours, None, target, rivals=(rival,), also_ours=faster), OPTIONS
    )
    assert file.read_text() == "abc" * 4
    assert (row.ours["label"], row.theirs["label"], row.reached) == ("b", "c", 3.0)
    row = compare(
        Comparison("x", "x", ours, None, target, rivals=(rival,), also_ours=none), OPTIONS
    )
    assert (row.ours["label"], row.reached, row.note, row.failed) == ("a", 1.5, "", False)


def test_a_rival_that_breaks_fails_the_row_and_leaves_the_others(tmp_path):
    ours, other = (
        replace(side("order", file=str(tmp_path / "order"), name=n, value=1.0), label=n)
        for n in "ab"
    )
    row = compare(Comparison("x", "x", ours, rivals=(side("broken"), other)), OPTIONS)
    assert row.failed
    assert "bad luck" in row.note
    assert row.theirs["label"] == "b"


def rival(label: str, median: float, **facts: object) -> dict:
    return {**measured(median, **facts), "label": label}


MISSING = {"label": "OpenVINO, streams", "note": "No module named 'openvino'"}


@pytest.fixture
def record() -> dict:
    """A step in two precisions: one with two rivals, one where nothing is installed."""
    eager, last = (rival(f"PyTorch {n}, official", t) for n, t in (("eager", 2.0), ("best", 1.0)))
    target, ours = Target("speedup", 1.0), measured(0.5, paddle="3.3.1")
    torch = {"label": "PyTorch autocast, official", "note": "No module named 'torch'"}
    both = [torch, {**torch, "label": "PyTorch autocast channels-last, official"}]
    name = "train_hrnet_w32"
    rows = [
        Row(name, "training step, batch 4", "s/image", target, ours, last, 2.0, True,
            rivals=[eager, last, MISSING]),
        Row(f"{name}_bfloat16", "training step, batch 4, bfloat16", "s/image", target, ours, None,
            None, None, rivals=both),
    ]  # fmt: skip
    made = {"matrix_product": {"float32": {"NumPy": 8e9}}, "rows": [row.plain() for row in rows]}
    return json.loads(json.dumps(results.header(OPTIONS) | made))


def test_tables_name_the_best_rival_and_what_is_missing(record):
    (line,) = readme.short_rows(record)
    work, kinds, ours, best, ratio, memory = line
    assert (work, kinds) == ("training step, batch 4", "float32<br>bfloat16")
    assert ours == "500 ms/image<br>500 ms/image"
    assert best == (
        "1 s, PyTorch best (not measured: OpenVINO: No module named 'openvino')<br>not measured: "
        "PyTorch autocast, PyTorch autocast channels-last: No module named 'torch'"
    )
    assert (ratio, memory) == ("2.00<br>–", "100 / 100 MiB<br>100 / – MiB")
    first, second = results.rival_rows(record)
    assert first[2].split("<br>") == [
        "PyTorch best, official: 1 s/image, 2.00, 100 MiB",
        "PyTorch eager, official: 2 s/image, 4.00, 100 MiB",
        "not measured: OpenVINO: No module named 'openvino'",
    ]
    assert second[2].startswith("not measured: PyTorch autocast, ")
    for row, line in zip(record["rows"], results.table_rows(record), strict=True):
        assert line[results.COLUMNS.index("against")] == results.against(row)
    assert "to the fastest rival" in results.caption(record)
    assert readme.short_block(record).count("\n|") == 3
    assert "未测" in readme.chinese_block(record)


def test_records_without_rivals_stay_readable():
    for file in results.FOLDER.glob("amd-epyc-*.json"):
        record = read_json(file)
        if not any(row.get("rivals") for row in record["rows"]):
            assert results.rival_rows(record) == []
            assert "PyTorch runs in float32" in readme.short_block(record)
            assert "rival" not in results.caption(record)
        assert readme.short_rows(record)


def test_a_row_that_lost_a_rival_does_not_replace_the_old_one(record):
    old, ours = record["rows"][0], measured(0.5)
    kept = [rival("PyTorch eager, official", 2.0), rival("PyTorch best, official", 1.0)]
    row = Row("x", "x", "s", None, ours, kept[1], 2.0, True, rivals=kept)
    assert not command._worse(row, old)
    assert command._worse(replace(row, rivals=kept[1:]), old)
    assert not command._worse(replace(row, rivals=[]), {k: old[k] for k in ("ours", "theirs")})


def test_every_precision_has_its_rivals_and_labels_are_told_apart():
    rows = {row.name: row for row in rivals.comparisons(Options(threads=1))}
    assert len(rows) == 3 * 2 + 3 * 3
    shown = {name for names in readme.SHORT_ROWS for name in names}
    assert rows.keys() <= shown
    for name, row in rows.items():
        labels = [one.label for one in row.sides]
        assert len({*labels}) == len(labels)
        assert all(one.in_torch for one in row.rivals)
        engines_there = {"train": 0, "int8": 5, "float32": 5, "bfloat16": 3}
        kind = "train" if name.startswith("train") else name.rpartition("_")[2]
        assert sum("benchmarks.engines" in one.make for one in row.rivals) == engines_there[kind]


def test_what_was_made_once_is_not_made_again(tmp_path, monkeypatch):
    asked = []

    def elsewhere(*words: object) -> dict:
        asked.append(words)
        return {"ready": {"note": "onnx: cannot"}}

    monkeypatch.setattr(engines, "elsewhere", elsewhere)
    for _ in range(2):
        with pytest.raises(SkippedError, match="onnx: cannot"):
            engines.files("python", {}, str(tmp_path / "made"), "onnx")
    assert len(asked) == 1
    served = tmp_path / "made" / "served"
    (served / "onnx").mkdir(parents=True)
    assert engines.files("python", {}, str(served.parent), "onnx") == served
    assert engines.model_file(served, "openvino", "float32", [8, 8]).name == "model.onnx"
    monkeypatch.setattr(engines, "elsewhere", lambda *_: {"failed": "ValueError: no"})
    with pytest.raises(RuntimeError, match="ValueError: no"):
        engines.model_file(served, "openvino", "int8", [8, 8])


def test_what_a_process_of_its_own_said():
    assert "skipped" in engines.elsewhere(sys.executable, "benchmarks.nowhere:x", {})
    assert engines.elsewhere("/bin/false", "x:y", {}) == {"failed": "exit code 1"}


@pytest.mark.parametrize("at_once", [0, 1, None])
def test_openvino_and_onnxruntime_run_a_small_file(tmp_path, monkeypatch, at_once):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given, found = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, 8, 6])
        for name in ("images", "heatmaps")
    )
    node = onnx.helper.make_node("Relu", ["images"], ["heatmaps"])
    graph = onnx.helper.make_graph([node], "small", [given], [found])
    opset = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    folder = tmp_path / "served" / "onnx"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    monkeypatch.setattr(engines, "files", lambda *_: folder.parent)
    how = {"python": "", "network": {}, "folder": "", "size_wh": [6, 8], "batch": 2}
    works = [engines.openvino_forward(**how, precision="float32", at_once=at_once)]
    if at_once is not None:
        works += [engines.onnxruntime_forward(**how, precision="float32", at_once=at_once)]
    for work in works:
        work.run()
        assert work.units == 2
        assert work.facts["precision"] == "float32"
