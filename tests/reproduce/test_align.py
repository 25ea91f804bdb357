"""Alignment: it fails where it must, its rows are what is committed, its files are readable."""

from __future__ import annotations

import functools
import json
import math
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from places import ROOT

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.porting import network_keys, to_official
from paddle_pose.recipes.recipe import Recipe
from reproduce import align
from reproduce.aligning import (
    decoding,
    fastpose_networks,
    forward,
    freshness,
    initialisation,
    live,
    live_rows,
    name_seeded,
    pipeline,
    rates,
    reprod_log,
    rows,
    scores,
)
from reproduce.aligning.networks import LIVE_ONLY, NETWORKS
from reproduce.aligning.rows import Reference, Row

REFERENCE = Reference("a/b", "c" * 40, "d.py")
ROW = Row("hrnet_w32", "loss", "float64", "loss, relative", 1.2345e-9, 1e-8, "why", REFERENCE)


def write(made: list[Row], folder: Path, keep: Callable = lambda row: False) -> None:
    rows.write(rows.renewed(made, folder, keep))


def test_a_row_is_written_with_two_digits_and_read_again(tmp_path: Path) -> None:
    write([replace(ROW, arrays=(np.ones(2), np.ones(2)))], tmp_path)
    written = json.loads((tmp_path / "hrnet_w32.json").read_text())
    assert written[0]["difference"] == 1.2e-9
    assert written[0]["ok"] is True
    assert "arrays" not in written[0]
    assert rows.read(tmp_path / "hrnet_w32.json") == [replace(ROW, difference=1.2e-9)]


@pytest.mark.parametrize(
    ("difference", "tolerance", "ok"),
    [
        (1.0, 1.0, True),
        (1.001, 1.0, False),
        (1.156, 1.159, True),
        (math.nan, 1.0, False),
        (9.0, None, None),
    ],
)
def test_ok(difference: float, tolerance: float | None, ok: bool | None) -> None:
    row = replace(ROW, difference=difference, tolerance=tolerance)
    assert row.ok is ok
    assert rows.from_json(rows.to_json(row)).ok is ok


def test_rows_that_a_run_cannot_make_stay(tmp_path: Path) -> None:
    other = replace(ROW, quantity="another")
    write([ROW, other], tmp_path)
    again = replace(ROW, code="1" * 12)
    write([again], tmp_path, keep=lambda row: True)
    assert {row.code for row in rows.read(tmp_path / "hrnet_w32.json")} == {"", "1" * 12}
    write([again], tmp_path)
    assert [row.code for row in rows.read(tmp_path / "hrnet_w32.json")] == ["1" * 12]
    (tmp_path / "hrnet_w32.json").write_text("{}]")
    with pytest.raises(UserError, match="not a list of alignment rows"):
        rows.read(tmp_path / "hrnet_w32.json")


LIVE = replace(ROW, evidence="live")
LIGHT = "fastpose_mobile_small_halpe136"
RECIPES = str(ROOT / "paddle_pose/recipes/")


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [
        (ROW, replace(ROW, difference=9e-9), True),  # rounding: the code is the same
        (ROW, replace(ROW, difference=9e-8), False),  # not within any more
        (ROW, replace(ROW, tolerance=1.0004e-8), True),  # the file has two digits
        (ROW, replace(ROW, tolerance=2e-8), False),
        (ROW, replace(ROW, tolerance_source="whim"), False),
        (ROW, replace(ROW, code="1" * 12), False),
        (ROW, replace(ROW, reference=replace(REFERENCE, file="e.py")), False),
        (LIVE, replace(LIVE, reference=replace(REFERENCE, file="seed 2"), tolerance=3e-8), True),
        (LIVE, replace(LIVE, reference=replace(REFERENCE, commit="d" * 40)), False),
    ],
)
def test_a_row_that_says_the_same_stays(tmp_path: Path, old: Row, new: Row, stays: bool) -> None:
    write([old], tmp_path)
    (file,) = tmp_path.iterdir()
    before, (recorded,) = file.read_text("utf-8"), rows.read(file)
    becomes = rows.renewed([new], tmp_path)
    assert becomes == {file: [recorded if stays else new]}
    assert bool(rows.news(becomes)) is not stays
    write([new], tmp_path)
    assert (file.read_text("utf-8") == before) is stays


def test_committed_rows_are_complete_and_within_their_tolerance() -> None:
    assert align.check(align.OUTPUT) == []


def test_committed_rows_are_fresh() -> None:
    """What can be made again in seconds from the repository's own records stands in the files."""
    made = [row for name in NETWORKS for row in rates.rows(name)]
    for name in decoding.SETS:
        made += [*decoding.target_rows(name, None), *decoding.decode_rows(name, None)]
        made += pipeline.matrix_rows(name)
    assert len(made) > 20
    for row in made:
        assert row.ok, row
        committed = {old.key: old for old in rows.read(align.OUTPUT / f"{row.network}.json")}
        assert row.key in committed, f"python -m reproduce.align --only {row.network}"
        now, old = rows.to_json(row), rows.to_json(committed[row.key])
        assert all(now[name] == old[name] for name in now if name not in ("difference", "code"))


def test_committed_rows_are_of_this_code(reference_data: Path) -> None:
    """Whoever changes what is aligned aligns it again; it takes the larger records."""
    assert freshness.stale(align.OUTPUT, "recorded") == []


def test_other_code_is_named_with_the_command(tmp_path: Path) -> None:
    now = freshness.digest("hrnet_w32", "loss")
    write([replace(ROW, code=now), replace(LIVE, code=now)], tmp_path)
    assert freshness.stale(tmp_path, "recorded") == freshness.stale(tmp_path, "live") == []
    write([replace(ROW, code="0" * 12), LIVE], tmp_path)
    (recorded,), (live_one,) = (freshness.stale(tmp_path, kind) for kind in ("recorded", "live"))
    assert recorded.startswith("hrnet_w32.json: other code made its rows of loss; ")
    assert recorded.endswith(" python -m reproduce.align --renew --only hrnet_w32")
    assert live_one.endswith(
        "--only hrnet_w32 --reference DIR --torch_python PATH, DIR being a clone of a/b"
    )


def ran_while(make: Callable[[], list]) -> set[tuple[Path, int]]:
    """File and first line of every function that is called meanwhile, in any thread."""
    ran: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        place = code.co_filename, code.co_firstlineno
        is_new = event == "call" and code.co_name != "<module>" and place not in ran
        if is_new and not is_in_a_recipe(frame):
            ran.add(place)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        assert make()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {(Path(file), line) for file, line in ran}


def is_in_a_recipe(frame: FrameType | None) -> bool:
    """Whether a recipe is being checked, whose numbers the digest has: that moves no row."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(RECIPES):
            return True
        frame = frame.f_back
    return False


def judged_lines(name: str, step: str) -> dict[Path, set[int]]:
    """Where stands what the digest has, and what it leaves out on purpose."""
    lines = freshness.OURS.lines(freshness.reached(name, step))
    for left_out in freshness.WITHOUT:
        path = ROOT / left_out.replace(".", "/")
        for file in (path.with_suffix(".py"), *path.rglob("*.py")):
            lines[file] = set(range(10_000))
    return lines


def assert_digest_is_of_what_runs(name: str, step: str, make: Callable[[], list]) -> None:
    """No function of ours is called, while rows are made, whose definition is not in it."""
    tiny_network()
    lines = judged_lines(name, step)
    ours = {place for place in ran_while(make) if ROOT / "paddle_pose" in place[0].parents}
    assert ours
    assert {(file, line) for file, line in ours if line not in lines.get(file, ())} == set()


@pytest.mark.parametrize(
    ("name", "step", "make"),
    [
        ("pose_resnet50", "forward", lambda: forward.rows("pose_resnet50", "float32")),
        ("newell_hg2", "optimiser", lambda: [tiny_answers(*tiny_network(), "float32")]),
        ("hrnet_w32", "learning rate", lambda: rates.rows("hrnet_w32")),
        ("mpii", "data", lambda: pipeline.matrix_rows("mpii")),
        ("coco", "data", lambda: decoding.target_rows("coco", None)),
        ("coco", "decode", lambda: decoding.decode_rows("coco", None)),
        ("fastpose", "forward", lambda: fastpose_networks.output_rows(LIGHT, "float32")),
        ("fastpose", "optimiser", lambda: fastpose_networks.training_rows("float32")),
    ],
)
def test_a_digest_is_of_all_code_that_runs(name: str, step: str, make: Callable) -> None:
    assert_digest_is_of_what_runs(name, step, make)


@pytest.mark.parametrize(
    ("name", "step", "make"),
    [
        ("mpii", "data", lambda shared: pipeline.crop_rows("mpii", shared)),
        ("mpii", "data", lambda shared: pipeline.people_rows("mpii", shared)),
        ("coco", "data", lambda shared: pipeline.crop_rows("coco", shared)),
        ("coco", "data", lambda shared: pipeline.people_rows("coco", shared)),
        ("coco", "data", lambda shared: pipeline.half_body_rows(shared)),
        ("mpii", "decode", lambda shared: decoding.decode_rows("mpii", shared)),
        ("mpii", "metric", scores.pckh_rows),
        ("coco", "metric", scores.oks_rows),
        ("coco", "metric", scores.ap_rows),
    ],
)
def test_a_digest_is_of_all_code_that_runs_on_the_larger_records(
    name: str, step: str, make: Callable, reference_data: Path
) -> None:
    assert_digest_is_of_what_runs(name, step, lambda: make(reference_data))


def test_check_names_what_is_missing_and_what_is_off(tmp_path: Path) -> None:
    write([replace(ROW, difference=1.0)], tmp_path)
    problems = align.check(tmp_path)
    assert "hrnet_w32.json: no row of step 'forward'" in problems
    assert "mpii.json: no row of step 'metric'" in problems
    assert any("loss, relative is not within its tolerance" in problem for problem in problems)


def test_one_swapped_weight_name_fails(monkeypatch, capsys, tmp_path: Path) -> None:
    """Two batch norms of the same width trade names: the forward step fails, and the command."""
    names = {
        "layer1.1.bn1.weight": "layer1.1.bn2.weight",
        "layer1.1.bn2.weight": "layer1.1.bn1.weight",
    }
    honest = name_seeded.official_name
    monkeypatch.setattr(
        name_seeded, "official_name", lambda key: names.get(honest(key), honest(key))
    )
    arguments = ["--only", "pose_resnet50", "--quick", "--output", str(tmp_path)]
    assert align.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "  NO  " in printed
    assert not list(tmp_path.iterdir())  # --quick writes nothing


def test_a_run_is_a_check_until_it_is_asked_to_renew(monkeypatch, capsys, tmp_path: Path) -> None:
    """What the repository's own records can show of MPII."""
    monkeypatch.setattr("reproduce.aligning.networks.reference_data", lambda: None)
    arguments = ["--only", "mpii", "--output", str(tmp_path)]
    assert align.main(arguments) == 1
    assert "targets of joints at and over the borders" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert align.main([*arguments, "--renew"]) == 0
    file = tmp_path / "mpii.json"
    renewed = file.read_text("utf-8")
    assert align.main(arguments) == 0
    assert "=> as recorded" in capsys.readouterr().out
    first, *others = rows.read(file)
    rows.write({file: [replace(first, code="0" * 12), *others]})
    assert align.main(arguments) == 1
    assert "mpii.json: other code made its rows of data\n" in capsys.readouterr().out
    assert align.main([*arguments, "--renew"]) == 0
    assert file.read_text("utf-8") == renewed


def test_unknown_network_and_no_clone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'hrnet_w32'"):
        align.main(["--only", "hrnet_w23"])
    with pytest.raises(UserError, match="a clone of none of"):
        align.main(["--reference", str(tmp_path)])


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, file, _, _ in live.KINDS])
def test_clones_are_recognised(tmp_path: Path, kind: str, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    clone = live.recognise(tmp_path)
    assert clone.kind == kind
    assert set(clone.networks) <= NETWORKS.keys() | LIVE_ONLY.keys()


def test_a_child_that_fails_is_one_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named torch >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(UserError, match="no module named torch"):
        live.ask(python, {"clone": "x", "what": "y"})


@functools.lru_cache(maxsize=1)
def tiny_network() -> tuple[Recipe, dict, dict]:
    """Recipe, weights and inputs."""
    recipe = configs.load("hourglass:newell_hg2_mpii_256x256")
    recipe = replace(
        recipe, model=NewellHourglass(joints=3, stacks=1, features=16, stem=8, depth=2)
    )
    keys = network_keys(recipe.model)
    weights = live.fresh_weights(keys, 1.0, seed=3)
    rng = np.random.default_rng(4)
    inputs = {
        "images": rng.standard_normal((1, 3, 32, 32)),
        "train_images": rng.standard_normal((4, 3, 32, 32)),
        "targets": rng.uniform(0, 1, (4, 3, 8, 8)),
        "weights": np.ones((4, 3)),
    }
    return recipe, weights, inputs


def tiny_answers(recipe: Recipe, weights: dict, inputs: dict, dtype: str) -> dict:
    return live_rows.our_answers(recipe, weights, inputs, dtype, True, 2)


@pytest.fixture(scope="module")
def both_sides() -> tuple:
    """A tiny network's answers, and the same as if the reference had given them."""
    recipe, weights, inputs = tiny_network()
    ours = {dtype: tiny_answers(recipe, weights, inputs, dtype) for dtype in ("float64", "float32")}
    official = to_official(weights, network_keys(recipe.model), "test")
    exact = live_rows.exact_momentum(ours["float64"], official)
    theirs = {"facts": {"without_weights": []}}
    for run, answers in (("float64", exact), ("perturbed", exact), ("float32", ours["float32"])):
        theirs |= {f"{run}/{name}": array for name, array in answers.items()}
    return recipe, official, ours, theirs


def test_live_rows_of_equal_answers_are_within(both_sides: tuple) -> None:
    recipe, official, ours, theirs = both_sides
    made = live_rows.Comparison("newell_hg2", recipe, REFERENCE, official, theirs).rows(ours, 0)
    assert {row.step for row in made} == {"forward", "loss", "backward", "optimiser", "batch norm"}
    assert all(row.ok for row in made), [row for row in made if not row.ok]
    assert all(row.evidence == "live" for row in made)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("forward/0", "forward"),
        ("losses", "loss"),
        ("gradient/pre.1.conv1.conv.weight", "backward"),
        ("after/pre.1.conv1.conv.weight", "optimiser"),
        ("after/pre.0.bn.running_var", "batch norm"),
    ],
)
def test_live_rows_see_one_changed_number(both_sides: tuple, name: str, step: str) -> None:
    recipe, official, ours, theirs = both_sides
    changed = theirs[f"float64/{name}"].copy()
    changed.flat[0] += 1e-5 * max(abs(changed).max(), 1)
    # In the disturbed run too, or the change would pass for chaos and widen the tolerance.
    theirs = {**theirs, f"float64/{name}": changed, f"perturbed/{name}": changed}
    made = live_rows.Comparison("newell_hg2", recipe, REFERENCE, official, theirs).rows(ours, 0)
    assert any(row.step == step and row.ok is False for row in made)


def test_initialisation_tells_rules_apart() -> None:
    rng = np.random.default_rng(0)
    right, wider = rng.normal(0, 1e-3, 20_000), rng.normal(0, 1.1e-3, 20_000)
    uniform = rng.uniform(-1, 1, 20_000) * 1e-3 * math.sqrt(3)  # the same deviation
    again, limit = rng.normal(0, 1e-3, 20_000), initialisation.KOLMOGOROV
    assert initialisation.two_sample(right, again) < limit
    # sqrt(n/2) = 100 times the distance of the two curves: 0.023 for 10 % more, 0.057 in shape.
    assert initialisation.two_sample(right, wider) > 2
    assert initialisation.two_sample(right, uniform) > limit


def test_reprod_log_files_are_what_its_tools_read(tmp_path: Path) -> None:
    pair = np.array([1.0, 2.0]), np.array([1.0, 2.5])
    files = reprod_log.write([replace(ROW, arrays=pair), replace(ROW, step="decode")], tmp_path)
    assert [f.name for f in files] == ["loss_paddle.npy", "loss_ref.npy", "loss_diff.log"]
    ours = np.load(files[0], allow_pickle=True).tolist()
    theirs = np.load(files[1], allow_pickle=True).tolist()
    assert ours.keys() == theirs.keys() == {"hrnet_w32 float64 loss, relative"}
    assert np.array_equal(next(iter(theirs.values())), pair[1])
    assert files[2].read_text().endswith("check passed: False, value: 0.25\ndiff check failed\n")
