"""CrowdPose's figures, merging of two people's poses and OCHuman, against the recorded ones."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddle_pose import configs
from paddle_pose.codecs.pairs import INSTANCES, PairCodec
from paddle_pose.codecs.views import View
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.configs.crowds import CROWDPOSE, OCHUMAN
from paddle_pose.data.records import PersonTable
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark

NAMES = {
    "AP": "AP", "AP50": "AP .5", "AP75": "AP .75", "APM": "AP (M)", "APL": "AP (L)",
    "AR": "AR", "AR50": "AR .5", "AR75": "AR .75", "ARM": "AR (M)", "ARL": "AR (L)",
    "AP_easy": "AP (easy)", "AP_medium": "AP (medium)", "AP_hard": "AP (hard)",
}  # fmt: skip


def require_figures(values: dict[str, float], recorded: dict[str, float], ending: str = "") -> None:
    """Equal counts in both, and quotients of them."""
    spelled = {name.replace("Ap", "AP"): value for name, value in recorded.items()}
    ours = {NAMES[n]: values[n + ending] for n in NAMES if n + ending in values}
    assert ours == pytest.approx(spelled, abs=1e-9)


def recipe_for(dataset: str, benchmark: Benchmark) -> Recipe:
    recipe = configs.load("hrnet:w32_coco_256x192")
    joints, skeleton = (14, "crowdpose14") if dataset == "crowdpose" else (17, "coco17")
    return replace(
        recipe,
        name="two_people",
        model=replace(recipe.model, joints=joints),
        data=replace(recipe.data, dataset=dataset, skeleton=skeleton, val_split="val"),
        codec=PairCodec(),
        benchmarks=(benchmark,),
        eval=replace(recipe.eval, bootstrap=0),
    )


def part_of_crowdpose(shared: Path, folder: Path, every: int) -> Path:
    """The recorded part of the validation file."""
    file = shared / "data/crowdpose/annotations/crowdpose_val.json.gz"
    content = json.loads(gzip.decompress(file.read_bytes()))
    kept = set(sorted(image["id"] for image in content["images"])[::every])
    content["images"] = [i for i in content["images"] if i["id"] in kept]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    part = folder / "crowdpose_val.json"
    part.write_text(json.dumps(content))
    return part


def test_a_results_file_has_the_recorded_nine_figures(
    reference_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    recorded = json.loads((reference_data / "parity/metrics/crowdpose.json").read_text())
    scores = evaluate(
        recipe_for("crowdpose", CROWDPOSE[0]),
        None,
        DataFiles(tmp_path, part_of_crowdpose(reference_data, tmp_path, 4)),
        predictions=reference_data / "parity/metrics/crowdpose_results.json.gz",
    )
    # Equal counts in both; the last three are rounded by the tool.
    assert scores.values == pytest.approx(recorded["expected"], abs=1e-9)
    said = capsys.readouterr().out
    assert f"AP_hard {recorded['expected']['AP_hard']:>21.5f}" in said
    assert "0.53 × the box's, as CrowdPose's evaluation" in said
    assert "AP_primary" not in said


SETS = {
    "coco": ("data/coco/annotations/person_keypoints_val2017_subset.json", "coco"),
    "ochuman": ("data/ochuman/annotations/ochuman_3images.json", "ochuman"),
    "crowdpose": ("", "crowdpose"),
}


@pytest.fixture(scope="module")
def truths(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("part")
    files = {name: reference_data / file for name, (file, _) in SETS.items()}
    return files | {"crowdpose": part_of_crowdpose(reference_data, folder, 8)}


def evaluator(name: str, benchmark: Benchmark, file: Path) -> CocoEvaluator:
    recipe = recipe_for(name, benchmark)
    return evaluator_for(recipe, benchmark, DataFiles(file.parent, file), with_images=False)


def predicted(arrays: dict, judge: CocoEvaluator, file: Path) -> CocoFound:
    """Recorded poses of both people of a detector's boxes, through a file."""
    count = len(arrays["image"])
    some = judge.table.select(np.zeros(count, int))
    judge.__dict__["table"] = replace(
        some,
        rows=np.arange(count),
        image_index=np.array([some.image_ids.tolist().index(i) for i in arrays["image"]]),
        center_xy=arrays["center"].astype(float),
        scale_wh=arrays["scale"],  # whose product is float32 in the reference, too
        box_score=arrays["box_score"],
    )
    rows = np.repeat(np.arange(count), 2)
    poses = Poses(
        image_ids=arrays["image"][rows],
        keypoints=arrays["poses"][:, ::-1].reshape(2 * count, -1, 3).astype(float),
        scores=np.zeros(2 * count),
        boxes_xywh=np.full((2 * count, 4), np.nan),
        rows=rows,
        instances=np.tile([0, 1], count),
    )
    judge.write(poses, file, recipe="two_people", weights_sha256="", engine="")
    return judge.read(file)


UNION, NMS = CROWDPOSE[:2]
CASES = {
    "coco": ("coco", NMS),
    "ochuman": ("ochuman", OCHUMAN[1]),
    "crowdpose": ("crowdpose", UNION),
    "crowdpose nms": ("crowdpose", NMS),
}
LISTS = {"l1": "primary", "l0": "secondary"}


@pytest.mark.parametrize("case", CASES)
def test_merged_lists_and_figures_equal_the_record(
    reference_data: Path, truths: dict[str, Path], tmp_path: Path, case: str
):
    name, benchmark = CASES[case]
    folder = reference_data / "parity/mipnet"
    arrays = dict(np.load(folder / f"results_{name}.npz"))
    recorded = json.loads((folder / f"results_{name}.json").read_text())
    judge = evaluator(name, replace(benchmark, boxes="ground_truth"), truths[name])
    found = predicted(arrays, judge, tmp_path / "predictions.json")
    values = judge.score(found).values
    variant = recorded.get("variant_not_in_reference", {})
    if case.endswith("nms"):
        assert len(found.results) == variant["n_kept"]
        require_figures(values, variant["figures"])
        return
    for theirs, results in (
        ("l0,1", found.results),
        *((k, found.alone[v]) for k, v in LISTS.items()),
    ):
        rows, scores = arrays[f"kept/{theirs}"], arrays[f"score/{theirs}"]
        assert len(results) == recorded["kept"][theirs]["n"]
        # Without suppression the reference keeps the order of its batches; scores are distinct.
        order = [np.arange(len(rows))] * 2
        if name == "crowdpose":
            order = [np.argsort(results.scores), np.argsort(scores)]
        # float32 means in the reference.
        np.testing.assert_allclose(results.scores[order[0]], scores[order[1]], rtol=0, atol=1e-6)
        expected = arrays["poses"][rows // 2, rows % 2][order[1]]
        np.testing.assert_array_equal(results.keypoints[order[0]], expected)
        ending = f"_{LISTS[theirs]}" if theirs in LISTS else ""
        require_figures(values, recorded["figures"][theirs], ending)


def test_heat_maps_of_both_give_the_recorded_poses_and_scores(reference_data: Path, tmp_path: Path):
    folder = reference_data / "parity/mipnet"
    recorded = json.loads((folder / "merge.json").read_text())
    arrays = dict(np.load(folder / "merge.npz"))
    file = reference_data / "data/coco/annotations/person_keypoints_val2017.json"
    content = json.loads(file.read_text())
    content["images"] = [i for i in content["images"] if i["id"] in recorded["image_ids"]]
    kept = set(recorded["image_ids"])
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    part = tmp_path / "part.json"
    part.write_text(json.dumps(content))
    for run, figures in recorded["runs"].items():
        benchmark = replace(NMS, boxes="ground_truth")
        judge = evaluator("coco", benchmark, part)
        judge.__dict__["table"] = replace(judge.table, box_score=np.array(figures["box_score"]))
        table = judge.table
        place = place_of(table)
        heat = arrays["heat"].astype(np.float32) / 256
        outputs, mirrored = (
            {name: heat[1 - number, side] for number, name in enumerate(INSTANCES)}
            for side in (0, 1)
        )
        poses = PairCodec().decode(
            [View(outputs, mirrored)], place, benchmark, judge.skeleton.flip_order
        )
        expected = arrays[f"{run}/preds"][:, ::-1].reshape(poses.keypoints.shape)
        np.testing.assert_allclose(poses.keypoints[..., :2], expected[..., :2], atol=1e-3)
        np.testing.assert_array_equal(poses.keypoints[..., 2], expected[..., 2])
        written = tmp_path / f"{run}.json"
        judge.write(judge.finish(poses), written, recipe="two_people", weights_sha256="", engine="")
        found = judge.read(written)
        values = judge.score(found).values
        results = {"l0,1": found.results} | {k: found.alone[v] for k, v in LISTS.items()}
        for theirs, ours in results.items():
            rows = figures["lists"][theirs]
            assert ours.image_ids.tolist() == [row[0] for row in rows]
            np.testing.assert_allclose(ours.scores, [row[5] for row in rows], atol=1e-6)
            ending = f"_{LISTS[theirs]}" if theirs in LISTS else ""
            require_figures(values, figures["figures"][theirs], ending)


def place_of(table: PersonTable) -> Place:
    """Of everybody's box."""
    count = len(table)
    ids = table.image_ids[table.image_index]
    empty = np.empty((count, 0, 2)), np.empty((count, 0))
    return Place(table.center_xy, table.scale_wh, ids, table.rows, *empty)
