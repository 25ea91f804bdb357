"""COCO's scores end to end: recorded rows, the server's file, the door."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

from paddle_pose import configs, skeletons
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.evaluation import coco as evaluation_coco
from paddle_pose.evaluation.coco import CocoEvaluator
from paddle_pose.evaluation.evaluator import DataFiles, eval_line
from paddle_pose.evaluation.task import task_for
from paddle_pose.poses.coco_results import CocoResults, is_results_file, read_results, write_results
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import override
from paddle_pose.settings import Benchmark, OksProtocol
from paddle_pose.skeletons import COCO17, MPII16

SUBSET = "data/coco/annotations/person_keypoints_val2017_subset.json"
RESULTS = "parity/metrics/keypoints_results.json.gz"

SUPPRESSED = Benchmark("b", metric=OksProtocol(oks_nms=0.9))
ROWS = {
    None: "plain_cocoeval",
    "coco_val_detector": "hrnet_rescored_oks_nms",
    "coco_val_detector_soft_nms": "hrnet_rescored_soft_oks_nms",
}


@pytest.fixture(scope="module")
def truth(reference_data: Path) -> CocoFile:
    return evaluation_coco.read_truth(
        Path(), "val2017", skeleton_name="coco17", annotations=reference_data / SUBSET
    )


@pytest.mark.parametrize("name", ROWS)
def test_recorded_rows(reference_data: Path, truth: CocoFile, name: str | None):
    recorded = json.loads((reference_data / "parity/metrics/coco.json").read_text())
    row = recorded[ROWS[name]]
    benchmark = configs.load("hrnet:w32_coco_256x192").benchmark(name) if name else None
    values, results = evaluation_coco.score_coco_file(reference_data / RESULTS, truth, benchmark)
    assert len(results) == row.get("n_kept", recorded["n_predictions"])
    for score, value in values.items():
        # Rounding of equal quotients; 1e-9 as the issue asks.
        assert value == pytest.approx(row[score], abs=1e-9), score


def test_kept_poses_and_scores_equal_the_reference(reference_data: Path, truth: CocoFile):
    recorded = json.loads((reference_data / "parity/metrics/coco.json").read_text())
    benchmark = configs.load("hrnet:w32_coco_256x192").benchmark("coco_val_detector")
    results = evaluation_coco.read_finished(reference_data / RESULTS, truth, benchmark)
    kept = recorded["hrnet_kept_image_score"]
    ours = np.column_stack([results.image_ids, results.scores])
    theirs = np.array(kept)
    order = [np.lexsort((table[:, 1], table[:, 0])) for table in (ours, theirs)]
    np.testing.assert_array_equal(ours[order[0], 0], theirs[order[1], 0])
    # Recorded with six decimals: half a unit of the last, and a little for that very case.
    np.testing.assert_allclose(ours[order[0], 1], theirs[order[1], 1], rtol=0, atol=5.1e-7)


def _results(count: int = 3) -> CocoResults:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 100, (count, 17, 3))
    keypoints[:, :, 2] = 0.5
    return CocoResults(
        np.arange(count), keypoints, np.linspace(0.2, 0.8, count), np.full(count, 1e4), 1
    )


def test_results_are_what_the_server_takes(tmp_path: Path):
    results = _results()
    file = tmp_path / evaluation_coco.results_name("val2017")
    write_results(results, file)
    assert file.name == "keypoints_val2017_results.json"
    records = json.loads(file.read_text())
    assert [set(r) for r in records] == [{"image_id", "category_id", "keypoints", "score"}] * 3
    assert all(len(r["keypoints"]) == 51 and isinstance(r["image_id"], int) for r in records)
    assert is_results_file(file)
    again = read_results(file)
    np.testing.assert_array_equal(again.keypoints, results.keypoints)  # repr round trip
    np.testing.assert_array_equal(again.scores, results.scores)
    assert np.isnan(again.areas).all()


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path):
    results = _results()
    results.keypoints[1, 3, 0] = np.nan
    with pytest.raises(UserError, match="pose 1"):
        write_results(results, tmp_path / "r.json")
    assert not list(tmp_path.iterdir())


def test_suppression_needs_areas_and_says_so(tmp_path: Path):
    file = tmp_path / "r.json"
    write_results(_results(), file)
    with pytest.raises(UserError, match="'area' or 'scale'"):
        evaluation_coco.finished(
            read_results(file), COCO17, Benchmark("b", metric=OksProtocol(oks_nms=0.9))
        )


def test_rescoring_and_suppression_by_hand():
    results = _results(2)
    twins = CocoResults(
        np.array([4, 4]),
        np.repeat(results.keypoints[:1], 2, axis=0),
        np.array([0.4, 0.6]),
        np.full(2, 1e4),
    )
    benchmark = Benchmark("b", metric=OksProtocol(oks_nms=0.9, rescore=True))
    kept = evaluation_coco.finished(twins, COCO17, benchmark)
    assert kept.scores.tolist() == [0.3]  # 0.6 × 0.5, the better of two equal poses
    apart = CocoResults(
        np.array([4, 5]), *(getattr(twins, n) for n in ("keypoints", "scores")), twins.areas
    )
    assert len(evaluation_coco.finished(apart, COCO17, benchmark)) == 2
    assert evaluation_coco.finished(
        twins, COCO17, Benchmark("b", metric=OksProtocol())
    ).scores.tolist() == [0.4, 0.6]


def evaluated(root: Path, benchmark: Benchmark, limit: int | None = None) -> CocoEvaluator:
    recipe = configs.load("hrnet:w32_coco_256x192")
    recipe = replace(recipe, data=replace(recipe.data, limit=limit))
    return CocoEvaluator(recipe, benchmark, DataFiles(root), with_images=False)


def perfect(table: PersonTable) -> Poses:
    """Everybody's truth."""
    return Poses(
        image_ids=table.image_ids[table.image_index],
        keypoints=np.concatenate([table.joints_xy, np.ones((len(table), 17, 1))], 2),
        scores=np.ones(len(table)),
        boxes_xywh=np.full((len(table), 4), np.nan),
        rows=table.rows,
        instances=np.zeros(len(table), np.int64),
    )


def test_truth_as_predictions_scores_one(reference_data: Path, tmp_path: Path):
    root, file = reference_data / "data/coco", tmp_path / "p.json"
    # Without suppression: unlabelled joints all stand at (0, 0), so that people with few labelled
    # joints would count as copies of one another.
    benchmark = Benchmark("b", metric=OksProtocol(rescore=True))
    everyone = evaluated(root, benchmark)
    everyone.write(perfect(everyone.table), file, recipe="x")
    found = everyone.read(file)
    assert len(found.results) == len(everyone.table)
    values = everyone.score(found).values
    assert values["AP"] == pytest.approx(1, abs=1e-12)
    assert values["AR"] == pytest.approx(1, abs=1e-12)
    few = evaluated(root, benchmark, limit=10)
    found = few.read(file)
    assert len(found.results) == 10
    assert few.score(found).values["AR"] > 0.9  # the images of ten people hold few others
    assert few.score(replace(found, image_ids=None)).values["AR"] < 0.2  # 10 of 137


def test_annotations_in_any_order(reference_data: Path, tmp_path: Path):
    """Rows are places in the file, which need not follow the images' order."""
    root = reference_data / "data/coco"
    content = json.loads((root / "annotations/person_keypoints_val2017.json").read_text())
    order = np.random.default_rng(0).permutation(len(content["annotations"]))
    content["annotations"] = [content["annotations"][i] for i in order]
    file = tmp_path / "shuffled.json"
    file.write_text(json.dumps(content))
    benchmark = Benchmark("b", metric=OksProtocol(rescore=True))
    recipe = configs.load("hrnet:w32_coco_256x192")
    found, areas = [], []
    for files in (DataFiles(root), DataFiles(root, file)):
        one = CocoEvaluator(recipe, benchmark, files, with_images=False)
        poses = perfect(one.table)
        one.write(one.finish(poses), tmp_path / "p.json", recipe="x")
        read = one.read(tmp_path / "p.json")
        known = dict(zip(one.table.image_ids.tolist(), one.table.image_names, strict=True))
        assert one.names(poses) == tuple(known[i] for i in poses.image_ids.tolist())
        found.append(one.score(read).values)
        areas.append(np.sort(read.results.areas))
    assert found[0]["AP"] == pytest.approx(found[1]["AP"], abs=1e-12)
    np.testing.assert_array_equal(*areas)


def test_areas_are_those_of_the_padded_boxes(reference_data: Path, tmp_path: Path):
    one = evaluated(reference_data / "data/coco", Benchmark("b", metric=OksProtocol()))
    one.write(perfect(one.table), tmp_path / "p.json")
    areas = one.read(tmp_path / "p.json").results.areas
    np.testing.assert_allclose(areas, one.table.scale_wh.prod(1) * 200**2, rtol=1e-15)


def test_skeletons_without_constants_have_no_ap():
    with pytest.raises(UserError, match="no OKS constants"):
        evaluation_coco.oks_sigmas(MPII16)


def test_eval_line_is_sorted():
    line = eval_line({"AR": 0.25, "AP": 0.5, "AP75": 0.125})
    assert line == "[EVAL] AP=0.5 AP75=0.125 AR=0.25"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no results"),
        ({"a": 1}, "expected a list of results"),
        (
            [{"image_id": 1, "category_id": 1, "keypoints": [1, 2], "score": 1}],
            "result 0: keypoint",
        ),
        ([{"image_id": 1, "category_id": 1, "score": 1}], "result 0: has no 'keypoints'"),
        ([3], "result 0: expected an object"),
        (
            [
                {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 1},
                {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3] * 2, "score": 1},
            ],
            "several joint sets",
        ),
    ],
)
def test_broken_results_are_named(tmp_path: Path, content: object, message: str):
    file = tmp_path / "r.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_results(file)


def _val(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "val.py", "--config", "hrnet:w32_coco_256x192"]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_door_prints_the_recorded_table(reference_data: Path, tmp_path: Path):
    asked = ["--predictions", reference_data / RESULTS, "--annotations", reference_data / SUBSET]
    asked += ["--dataset_root", reference_data / "data/coco"]
    done = _val(*asked, "--benchmark", "coco_val_detector", "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "AP                    0.39468" in done.stdout
    assert len(read_results(tmp_path / "keypoints_val2017_results.json")) == 1807
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["benchmark"]["name"] == "coco_val_detector"
    assert scores["protocol"]["bootstrap"] == {
        "resamples": 1000,
        "level": 0.95,
        "seed": 0,
        "over": "images",
    }
    low, high = scores["intervals"]["AP"]
    assert low < 0.39468 < high
    assert f"AP                    0.39468{low:>10.4f} -{high:>7.4f}" in done.stdout
    plain = _val(*asked)  # the recipe alone names no benchmark: results are scored as they are
    assert "1941 poses, scored as it is" in plain.stdout
    assert "AP                    0.36439" in plain.stdout
    for boxes, said in (("x.json", "x.json: no such file"), (asked[3], "--boxes: has no meaning")):
        done = _val(*asked, "--boxes", boxes)
        assert done.returncode == 2
        assert done.stderr.strip().splitlines()[-1].startswith(f"error: {said}")


def _cases(folder: Path, **changes: object) -> Path:
    """Two people on two images of 200×160; keys of the file are replaced."""
    joints = np.column_stack([np.arange(40, 125, 5), np.arange(30, 115, 5), np.full(17, 2)])
    person = {"category_id": 1, "bbox": [30, 20, 110, 110], "area": 9000, "iscrowd": 0}
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 160} for i in (1, 2)],
        "annotations": [
            {**person, "id": i, "image_id": i, "keypoints": joints.reshape(-1).tolist()}
            for i in (1, 2)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    file = folder / "own.json"
    file.write_text(json.dumps({**content, **changes}))
    return file


def _evaluator(file: Path, *settings: str, boxes: Path | None = None) -> CocoEvaluator:
    recipe = override(configs.load("hrnet:w32_coco_256x192"), settings)
    name = "coco_val_detector" if boxes else "coco_val_ground_truth"
    files = DataFiles(file.parent, file, boxes)
    return CocoEvaluator(recipe, recipe.benchmark(name), files, with_images=False)


def test_photos_without_labels_are_predicted_and_not_scored(tmp_path: Path):
    boxes = tmp_path / "boxes.json"
    box = {"image_id": 1, "category_id": 1, "bbox": [5, 5, 90, 90], "score": 0.9}
    boxes.write_text(json.dumps([box]))
    one = _evaluator(_cases(tmp_path, annotations=[]), boxes=boxes)
    assert not one.has_truth()
    one.write(perfect(one.table), tmp_path / "p.json")
    found = one.read(tmp_path / "p.json")
    assert one.score(found, resamples=10) is None
    assert "annotates no joint" in one.no_truth()
    with pytest.raises(UserError, match=r"data\.val_split: it has no truth"):
        one.require_score("AP")
    with pytest.raises(UserError, match=r"annotates nobody.*--boxes FILE"):
        len(_evaluator(tmp_path / "own.json").table)


def test_a_score_over_nobody_is_refused_before_anything_is_predicted(tmp_path: Path):
    wrong = [{**json.loads(_cases(tmp_path).read_text())["annotations"][0], "category_id": 4}]
    with pytest.raises(UserError, match="score over nobody"):
        _evaluator(_cases(tmp_path, annotations=wrong))
    boxes = tmp_path / "boxes.json"
    box = {"image_id": 2, "category_id": 1, "bbox": [5, 5, 90, 90], "score": 0.9}
    boxes.write_text(json.dumps([box]))
    one = json.loads(_cases(tmp_path).read_text())["annotations"][:1]
    with pytest.raises(UserError, match="on the 1 scored image none has"):
        len(_evaluator(_cases(tmp_path, annotations=one), "data.limit=1", boxes=boxes).table)


def test_results_of_another_category_are_refused(tmp_path: Path):
    one = _evaluator(_cases(tmp_path))
    results = _results(1)
    results = CocoResults(np.array([1]), results.keypoints, results.scores, results.areas, 2)
    write_results(results, tmp_path / "r.json")
    with pytest.raises(UserError, match="of category 2, and people are category 1"):
        one.read(tmp_path / "r.json")


def test_what_was_understood_is_said_once_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(skeletons, "SKELETONS", dict(skeletons.SKELETONS))
    content = json.loads(_cases(tmp_path).read_text())
    for person in content["annotations"]:
        del person["area"]
    one = _evaluator(_cases(tmp_path, **content), "data.skeleton=from_file")
    one.write(perfect(one.table), tmp_path / "p.json")
    found = one.read(tmp_path / "p.json")
    kept = one.facts(found, tmp_path / "p.json")["understood"]
    said = capsys.readouterr().out
    for word in ("file", "joints", "flip_pairs", "limbs", "sigmas", "area", "people", "boxes"):
        assert said.count(f": {word}: " if word == "area" else f"=> {word}: ") == 1, word
        assert word in kept
    assert kept["area"] == {"value": 1.0, "source": "assumed"}
    assert "assumed: area: 1 × the box's for 2 of 2 people" in said
    assert json.loads(json.dumps(kept)) == kept


def test_joints_without_sides_are_not_mirrored_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(skeletons, "SKELETONS", dict(skeletons.SKELETONS))
    names = [{"id": 1, "name": "person", "keypoints": [f"k{i}" for i in range(17)]}]
    file = _cases(tmp_path, categories=names)
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").touch()
    recipe = override(configs.load("hrnet:w32_coco_256x192"), ["data.skeleton=from_file"])
    benchmark = recipe.benchmark("coco_val_ground_truth")
    one = CocoEvaluator(recipe, benchmark, DataFiles(tmp_path, file))
    with pytest.raises(UserError, match=r"flip_test of benchmark .*data\.flip_pairs="):
        len(one.table)
    with pytest.raises(UserError, match=r"flip_probability mirrors people"):
        task_for(recipe, DataFiles(tmp_path, file), DataFiles(tmp_path, file))
