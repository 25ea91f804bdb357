"""The machinery of the benchmarks: fair pairs, honest failures, tables that are not stale."""

from __future__ import annotations

import ast
import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from benchmarks import __main__ as command
from benchmarks import equal_layers, readme, results, worker
from benchmarks.harness import (
    Child,
    Comparison,
    Options,
    Side,
    SideError,
    Target,
    child_environment,
)
from benchmarks.random_people import coco_set, mpii_people
from benchmarks.turns import Row, compare
from benchmarks.worker import Work
from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models.build import build
from paddle_pose.models.counting import count


def side(function: str, **options: object) -> Side:
    """A side of ``bench_sides.py``, found by the child through PYTHONPATH."""
    paths = f"{ROOT}:{ROOT / 'tests' / 'support'}"
    return Side(f"bench_sides:{function}", function, options, environment={"PYTHONPATH": paths})


OPTIONS = Options(threads=1, pairs=3)


def test_sides_take_turns_and_warm_up_is_not_counted(tmp_path):
    file = tmp_path / "order"
    row = compare(
        Comparison(
            name="x",
            work="x",
            ours=side("order", file=str(file), name="a", value=4.0),
            theirs=side("order", file=str(file), name="b", value=12.0),
            target=Target("speedup", 2.5),
            tolerance=8.0,
        ),
        OPTIONS,
    )
    assert file.read_text() == "a" + "b" + "ababab"
    assert row.ours["samples"] == [2.0] * 3  # 4 over two units
    assert row.reached == 3.0
    assert row.met is True
    assert not row.failed
    assert row.ours["peak_mib"] > 1


def test_figures_that_differ_fail_the_row(tmp_path):
    file = str(tmp_path / "order")
    row = compare(
        Comparison(
            name="x",
            work="x",
            ours=side("order", file=file, name="a", value=1.0),
            theirs=side("order", file=file, name="b", value=12.0),
            target=Target("speedup", 2.5),
        ),
        OPTIONS,
    )
    assert row.failed
    assert row.met is False
    assert "found" in row.note


def test_pairs_in_processes_of_their_own(tmp_path):
    file = tmp_path / "order"
    sides = [side("order", file=str(file), name=n, value=v) for n, v in (("a", 4.0), ("b", 12.0))]
    target = Target("speedup", 2.5)
    comparison = Comparison("x", "x", *sides, target, tolerance=8.0, anew=True)
    done: list[int] = []
    row = compare(comparison, OPTIONS, done.append)
    assert file.read_text() == "abab" * 3  # each start warms up
    assert sum(done) == 2 * sum(comparison.runs(OPTIONS)) == 12  # what the bar's length is made of
    assert (row.ours["samples"], row.theirs["samples"]) == ([2.0] * 3, [6.0] * 3)
    assert (row.reached, row.met, row.failed) == (3.0, True, False)


def test_pairs_in_processes_of_their_own_end_at_one_that_cannot_run(tmp_path):
    ours = side("order", file=str(tmp_path / "order"), name="a", value=1.0)
    target = Target("speedup", 1)
    row = compare(Comparison("x", "x", ours, side("unavailable"), target, anew=True), OPTIONS)
    assert (row.theirs, row.reached, row.met) == (None, None, None)
    assert "needs a clone" in row.note


def test_rows_measured_again_say_so(tmp_path, monkeypatch, record):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="no record"):
        command.again([], OPTIONS)
    record["machine"]["cpu"] = results.header(OPTIONS)["machine"]["cpu"]
    (tmp_path / "cpu-2026-01-01.json").write_text(json.dumps(record))
    name = record["rows"][0]["name"]
    one = side("order", file=str(tmp_path / "order"), name="a", value=1.0)
    monkeypatch.setattr(command, "matrix_rates", lambda options: {"float32": {"NumPy": 9e9}})
    row = Comparison(name, "x", one, one, Target("speedup", 1))
    assert command.again([row], OPTIONS) == 0
    kept = json.loads((tmp_path / "cpu-2026-01-01.json").read_text())
    assert [row["name"] for row in kept["rows"]] == [row["name"] for row in record["rows"]]
    assert kept["rows"][0]["ours"]["samples"] == [0.5] * 3
    assert kept["rows"][1:] == record["rows"][1:]
    assert kept["matrix_product"] == {"float32": {"NumPy": 9e9, "Paddle": 5e9}}
    assert f"Measured again later: {name} (" in results.caption(kept)
    assert kept["rows"][0]["before"] == [{"date": record["date"], "reached": 2.0}]


def test_rows_measured_again_stay_where_the_new_ones_say_less(
    tmp_path, monkeypatch, record, capsys
):
    file = tmp_path / "cpu-2026-01-01.json"
    record["machine"]["cpu"] = results.header(OPTIONS)["machine"]["cpu"]
    file.write_text(before := json.dumps(record))
    full = Row("a", "forward", "s", None, measured(1.0), measured(2.0), 2.5, True)
    half, failed = replace(full, theirs=None), replace(full, failed=True)
    made: list[Row] = []
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "matrix_rates", lambda options: {"float32": {"NumPy": 9e9}})
    monkeypatch.setattr(command, "compare", lambda row, *_: made.pop(0))
    a, b = (Comparison(name, "x", side("unavailable")) for name in "ab")
    with pytest.raises(UserError, match="was made with --threads 1"):
        command.again([a], replace(OPTIONS, threads=2))
    with pytest.raises(UserError, match="has no row z;"):
        command.again([a, replace(a, name="z")], OPTIONS)
    for worse in (half, failed):
        made += [worse]
        assert command.again([a], OPTIONS) == 1
        assert "=> a: failed or lost a side; the row stays as it was" in capsys.readouterr().err
        assert file.read_text() == before
    made += [half, replace(half, name="b")]  # the old b has no other side either
    assert command.again([a, b], OPTIONS) == 1
    kept = json.loads(file.read_text())["rows"]
    assert [kept[0], kept[2]] == [record["rows"][0], record["rows"][2]]
    first = {"date": record["date"], "reached": None}
    assert kept[1]["before"] == [first]
    made += [replace(full, name="b")]
    assert command.again([b], OPTIONS) == 0
    second = {"date": kept[1]["again"]["date"], "reached": 2.5}
    assert json.loads(file.read_text())["rows"][1]["before"] == [first, second]


@pytest.mark.parametrize(
    ("function", "failed", "words"),
    [("unavailable", False, "needs a clone"), ("broken", True, "ValueError: bad luck")],
)
def test_a_side_that_cannot_run_leaves_the_other(tmp_path, function, failed, words):
    ours = side("order", file=str(tmp_path / "order"), name="a", value=1.0)
    row = compare(Comparison("x", "x", ours, side(function), Target("speedup", 1)), OPTIONS)
    assert words in row.note
    assert row.failed is failed
    assert row.theirs is None
    assert row.ours["median"] == 0.5
    assert (row.reached, row.met) == (None, None)


def test_a_side_that_ends_between_runs_fails_its_row():
    row = compare(Comparison("a", "w", side("dies_later"), warm_up=0), OPTIONS)
    assert row.failed
    assert "the process ended" in row.note
    with Child(side("broken"), OPTIONS) as child:
        with pytest.raises(SideError):
            child.wait_ready()
        child._process.wait(60)  # now nobody reads what it is told
        with pytest.raises(SideError, match="the process ended"):
            child.run()


def test_temporary_folders_go_with_the_side(tmp_path):
    file = tmp_path / "place"
    row = compare(Comparison("x", "x", side("with_folder", file=str(file))), OPTIONS)
    assert not row.failed
    assert file.is_file()
    assert not Path(file.read_text(encoding="utf-8")).exists()


def test_ratio_is_the_median_of_pairs():
    # The machine slows down threefold after the first pair: within each pair ours is twice as fast.
    target = Target("speedup", 2.0)
    assert target.reached([1, 3, 3], [2, 6, 6]) == 2.0
    assert target.met(2.0)
    overhead = Target("overhead", 1.1)
    assert overhead.reached([1.2, 3.6], [1.0, 3.0]) == pytest.approx(1.2, abs=1e-15)
    assert not overhead.met(1.2)
    assert Target("limit", 4.0).reached([3.0, 5.0, 4.0], None) == 4.0
    assert target.reached([1.0], None) is None


def test_threads_are_stated_and_the_callers_are_forgotten(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    ours = child_environment(side("order"), 3)
    theirs = child_environment(Side("x:y", "x", in_torch=True), 3)
    assert "OMP_WAIT_POLICY" not in ours.keys() | theirs.keys()
    assert ours["OMP_NUM_THREADS"] == theirs["OMP_NUM_THREADS"] == "3"
    assert "FLAGS_paddle_num_threads" not in theirs


def test_prepare_is_not_measured(monkeypatch):
    clock = [0.0]

    def spend(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(worker.time, "perf_counter", lambda: clock[0])
    work = Work(lambda: spend(1.0), prepare=lambda: spend(100.0))
    assert worker.measure(work)["sample"] == 1.0


def test_random_people_have_the_published_counts_and_repeat():
    people, again = mpii_people(), mpii_people()
    assert len(people.records()) == 2958
    assert np.array_equal(people.found_xy, again.found_xy)
    truth, poses = coco_set(images=50)
    assert len(truth["annotations"]) == 110  # 11,004 people on 5,000 photos
    assert len(poses) == 1000
    assert json.loads(json.dumps(poses[0])) == poses[0]


def measured(median: float, **facts: object) -> dict[str, object]:
    return {
        "label": "there", "median": median, "samples": [median], "busy_cores": 1.0,
        "peak_mib": 100.0, "facts": facts,
    }  # fmt: skip


@pytest.fixture
def record() -> dict:
    """One row of each kind."""
    target, counted = Target("speedup", 1.6), measured(0.5, multiply_adds=2e9)
    rows = [
        Row("a", "forward", "s/image", target, counted, measured(1.0), 2.0, True),
        Row("b", "step", "s/image", target, measured(0.5), None, None, None, note="no --hrnet DIR"),
        Row("c", "scoring", "processor s", Target("limit", 4.0), measured(5.0), None, 5.0, False),
    ]  # fmt: skip
    made = results.header(OPTIONS)
    return json.loads(
        json.dumps(
            made
            | {
                "matrix_product": {"float32": {"NumPy": 8e9, "Paddle": 5e9}},
                "rows": [row.plain() for row in rows],
            }
        )
    )


def test_table_says_met_missed_and_not_measured(record):
    lines = [dict(zip(results.COLUMNS, line, strict=True)) for line in results.table_rows(record)]
    assert [line["met"] for line in lines] == ["yes", "not measured", "**no**"]
    assert lines[0]["ratio"] == "2.00"
    assert lines[0]["share of peak"] == "50 % / 25 %"  # 2e9 in 0.5 s of 8e9 a second; in 1 s
    assert lines[1]["against"] == "no --hrnet DIR"
    assert lines[2]["target"] == "≤ 4 processor s"
    assert "3 pairs or more (of a side alone: 1 or more)" in results.caption(record)
    assert str(ROOT) not in json.dumps(record)


def test_newest_record_by_date_and_growth_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    for name, date in (("z", "2025-01-01"), ("a", "2025-02-01"), ("growth-a", "2025-03-01")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"date": date}))
    assert results.newest()["date"] == "2025-02-01"
    assert results.newest(results.GROWTH)["date"] == "2025-03-01"


def test_tables_are_not_stale():
    for file, (before, after) in readme.texts().items():
        assert before == after, f"{file.name}: run python -m benchmarks.readme"
        assert readme.BEGIN in before


def test_only_names_rows_and_says_what_is_near():
    rows = command.chosen(OPTIONS, ["pckh", "train"])
    assert {row.name.split("_")[0] for row in rows} == {"pckh", "train"}
    with pytest.raises(UserError, match="pckh"):
        command.chosen(OPTIONS, ["pchk"])


def test_pairs_hold_for_every_row():
    for row in command.chosen(OPTIONS, None):
        assert row.runs(OPTIONS)[1] == 3
    own = {row.name: row.runs(Options(threads=1))[1] for row in command.chosen(OPTIONS, None)}
    assert (own["pckh"], own["decoding"], own["reader_share"]) == (25, 5, 1)
    given = command.parse_arguments(["--quick", "--pairs", "3"])
    with pytest.raises(UserError, match="--quick measures one pair"):
        command.options_from(given)


def test_missing_folders_end_in_one_line(tmp_path):
    given = command.parse_arguments(["--hrnet", str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="--hrnet"):
        command.options_from(given)


def test_every_row_is_named_once_and_its_sides_exist():
    clones = {name: Path("clone") for name in ("hrnet", "newell", "mmpose")}
    rows = command.chosen(Options(threads=1, torch_python=Path(sys.executable), **clones), None)
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert statistics.fmean(row.target is not None for row in rows) == 1.0
    for row in rows:
        assert not row.missing
        for one in row.sides:
            assert_is_there(one)


def test_without_clones_networks_are_measured_beside_layers_of_equal_shapes():
    rows = [r for r in command.chosen(OPTIONS, None) if r.name.startswith(("train_", "forward_"))]
    assert rows
    for row in rows:
        by_pytorch = [side for side in row.rivals if side.label.startswith("PyTorch")]
        assert len(by_pytorch) == (0 if row.name.endswith("_int8") else 2)
        for one in by_pytorch:
            assert one.label.endswith(", layers of equal shapes")
            assert_is_there(one)


def test_equal_layers_are_the_networks_own():
    listed = equal_layers.layers("quickstart:newell_hg1_synthetic", 128, 128)
    recipe = configs.load("quickstart:newell_hg1_synthetic")
    exact = count(build(recipe.model), (128, 128)).macs
    counted = 0
    for one in (one for one in listed if one["kind"] == "convolution"):
        margin = 2 * one["padding"] - one["kernel"]
        height, width = ((side + margin) // one["stride"] + 1 for side in one["size"])
        counted += one["channels"] * one["out"] * one["kernel"] ** 2 * height * width
    assert counted == exact
    assert {one["kind"] for one in listed} == {"convolution", "batch_norm"}


def assert_is_there(one: Side) -> None:
    """Not imported: the other side's files need PyTorch."""
    module, _, function = one.make.partition(":")
    tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
    made = next(x for x in tree.body if isinstance(x, ast.FunctionDef) and x.name == function)
    assert one.options.keys() <= {argument.arg for argument in made.args.args}
