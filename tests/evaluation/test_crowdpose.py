"""CrowdPose's figures, merging of two people's poses and OCHuman, against the recorded ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddle_pose import configs
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.codecs.views import View
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.configs.crowds import CROWDPOSE, OCHUMAN, on_ochuman
from paddle_pose.data import coco, layouts
from paddle_pose.data.two_people import TwoPeopleCrops
from paddle_pose.errors import UserError
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.coco import CocoEvaluator
from paddle_pose.evaluation.crowdpose import CrowdPoseEvaluator
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.oks_results import each_alone, finished, second_factors
from paddle_pose.evaluation.task import task_for
from paddle_pose.metrics.crowdpose import crowdpose_ap
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.recipes.recipe import Recipe, from_dict, to_dict
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, CROWDPOSE14
from reproduce.aligning import crowd_records, crowds


@pytest.mark.parametrize("make", [crowds.merge_rows, crowds.list_rows, crowds.tool_rows])
def test_recorded_lists_scores_and_figures(reference_data: Path, make: object):
    rows = list(make(reference_data))
    assert rows
    assert all(row.ok for row in rows), rows


def crowdpose_recipe() -> Recipe:
    recipe = configs.load("mipnet:w48_crowdpose_384x288")
    return replace(recipe, eval=replace(recipe.eval, bootstrap=0))


def test_a_results_file_has_the_recorded_nine_figures(
    reference_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    recorded = json.loads((reference_data / "parity/metrics/crowdpose.json").read_text())
    truth = crowd_records.every(reference_data / crowd_records.TRUTHS["crowdpose"], 4, tmp_path)
    scores = evaluate(
        crowdpose_recipe(),
        None,
        DataFiles(tmp_path, truth),
        predictions=reference_data / "parity/metrics/crowdpose_results.json.gz",
    )
    # Equal counts in both; the last three are rounded by the tool.
    assert scores.values == pytest.approx(recorded["expected"], abs=1e-9)
    said = capsys.readouterr().out
    assert f"AP_hard {recorded['expected']['AP_hard']:>21.5f}" in said
    assert "0.53 × the box's, as CrowdPose's evaluation" in said
    assert "alone" not in said


def test_official_splits_have_their_counts(reference_data: Path):
    found = 0
    for dataset, layout in layouts.LAYOUTS.items():
        for split, images in layout.images.items() if dataset != "coco" else ():
            file = layouts.annotation_file(reference_data / "data" / dataset, split, dataset)
            if file.is_file():
                found += 1
                name = crowd_records.skeleton_of(dataset)
                source = coco.read_file(
                    reference_data / "data" / dataset,
                    split,
                    name,
                    stated=DataSettings(dataset=dataset),
                )
                assert source.image_count == images
                assert "split" not in dict(source.understood.plain())
    assert found


def small_crowd(folder: Path, indices: list[float | None]) -> Path:
    """One person on each of some images."""
    joints = [v for j in range(14) for v in (10.0 + 5 * j, 20.0 + 9 * j, 2)]
    person = {
        "category_id": 1, "iscrowd": 0, "num_keypoints": 12, "keypoints": joints,
        "bbox": [5, 10, 80, 140],
    }  # fmt: skip
    images = [
        {"id": n, "file_name": f"{n}.jpg", "width": 200, "height": 200}
        | ({} if index is None else {"crowdIndex": index})
        for n, index in enumerate(indices)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(CROWDPOSE14.joints)}
    people = [{**person, "id": n, "image_id": n} for n in range(len(indices))]
    file = folder / "annotations/crowdpose_val.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": people, "categories": [category]}
    file.write_text(json.dumps(content))
    return file


def judge_of(folder: Path, indices: list[float | None]) -> CrowdPoseEvaluator:
    small_crowd(folder, indices)
    recipe = crowdpose_recipe()
    return evaluator_for(recipe, CROWDPOSE[2], DataFiles(folder), with_images=False)


def perfect(judge: CocoEvaluator, rows: list[int]) -> CocoResults:
    people = judge.truth.people
    some = np.array(rows)
    return CocoResults(
        people.image_ids[some], people.keypoints[some], np.ones(len(rows)), np.ones(len(rows))
    )


def test_levels_by_hand(tmp_path: Path):
    judge = judge_of(tmp_path, [0.0, 0.19, 0.2, 0.79, 0.8, 1.0])
    assert judge.has_truth()
    assert judge.truth.people.areas_px2.tolist() == pytest.approx([0.53 * 80 * 140] * 6)
    values, _ = judge.figures(perfect(judge, [0, 1, 2, 4]), None, 0, 0)
    assert (values["AP_easy"], values["AP_medium"], values["AP_hard"]) == (1.0, 0.505, 0.505)
    assert values["AR"] == pytest.approx(4 / 6)
    values, intervals = judge.figures(perfect(judge, [0, 1]), np.array([0, 1]), 5, 0)
    assert (values["AP"], values["AP_medium"], values["AP_hard"]) == (pytest.approx(1.0), -1, -1)
    assert sorted(intervals) == ["AP", "AP50", "AP75", "AP_easy", "AR", "AR50", "AR75"]


def test_three_scores_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture):
    judge = judge_of(tmp_path, [0.1, 0.5])
    table = judge.table
    right = np.concatenate([table.joints_xy, np.ones((2, 14, 1))], 2)
    aside = np.array([50, 50, 0])
    poses = Poses(
        image_ids=np.array([0, 0, 1, 1]),
        keypoints=np.stack([right[0], right[0] + aside, right[1] + aside, right[1]]),
        scores=np.ones(4),
        boxes_xywh=np.full((4, 4), np.nan),
        rows=np.repeat(table.rows, 2),
        instances=np.array([0, 1, 0, 1]),
    )
    file = tmp_path / "predictions.json"
    finished_poses = judge.finish(poses)
    assert finished_poses.scores.tolist() == [1, 0.5, 1, 0.5]
    judge.write(finished_poses, file, recipe="w48_crowdpose_384x288", weights_sha256="", engine="")
    scores = evaluate(
        crowdpose_recipe(),
        None,
        DataFiles(tmp_path),
        predictions=file,
        benchmark="crowdpose_test_ground_truth",
        output=tmp_path / "out",
    )
    # By score: of both people right, wrong, wrong, right, so 51 recalls at 1 and 50 at 1/2; of the
    # owners right, wrong; of the second people wrong, right.
    assert scores.values["AP"] == pytest.approx((51 + 50 / 2) / 101)
    assert scores.values["AP_primary"] == pytest.approx(51 / 101)
    assert scores.values["AP_secondary"] == pytest.approx(51 / 101 / 2)
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("CrowdPose "))
    assert header.split() == ["CrowdPose", "both", "primary", "alone", "secondary", "alone"]
    assert next(line for line in lines if line.startswith("AR ")).split() == [
        "AR", "1.00000", "0.50000", "0.50000",
    ]  # fmt: skip
    ours, owners, others = (line for line in lines if line.startswith("[EVAL]"))
    assert "AR=1.0" in ours
    assert "_primary" not in ours
    assert owners.startswith("[EVAL] primary alone: AP=0.50")
    assert others.startswith("[EVAL] secondary alone: AP=0.25")
    assert len(json.loads((tmp_path / "out/keypoints_val_results.json").read_text())) == 4


def test_training_takes_crops_of_two_people(reference_data: Path):
    recipe = configs.load("mipnet:w32_coco_256x192")
    recipe = replace(recipe, data=replace(recipe.data, limit=20))
    files = DataFiles(reference_data / "data/coco")
    task, _ = task_for(recipe, files, files)
    assert isinstance(task.samples, TwoPeopleCrops)
    assert len(task.samples.partners) == 20
    assert sorted(task.samples[0, 3].targets) == [
        "target_primary", "target_secondary", "weight_primary", "weight_secondary",
    ]  # fmt: skip


def test_what_the_files_lack_is_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    judge = judge_of(tmp_path, [0.5, None])
    with pytest.raises(UserError, match=r"image 1\.jpg has no 'crowdIndex'.*data\.dataset=coco"):
        judge.has_truth()
    judge.truth.understood.tell()
    said = capsys.readouterr().out
    assert "'val' has 2 images, the official one 2,000" in said
    recipe = crowdpose_recipe()
    detector = evaluator_for(recipe, CROWDPOSE[0], DataFiles(tmp_path), with_images=False)
    with pytest.raises(UserError, match=r"no detector boxes \*crowd\*_val\*\.json"):
        _ = detector.table
    with pytest.raises(UserError, match="crowdIndex: 'x' is not a finite number"):
        judge_of(tmp_path, [0.5, "x"])


def twins() -> tuple[CocoResults, np.ndarray]:
    """Two boxes of an image whose second poses are the other's owner."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 100, (2, 17, 3))
    keypoints[:, :, 2] = 0.8
    both = keypoints[[0, 1, 1, 0]]
    return CocoResults(np.zeros(4, int), both, np.ones(4), np.full(4, 1e4)), np.array([0, 1, 0, 1])


def test_an_owners_pose_survives_a_second_persons_of_the_same(tmp_path: Path):
    results, instances = twins()
    scores = results.scores * second_factors(instances, OCHUMAN[0])
    assert scores.tolist() == [1, 0.5, 1, 0.5]
    results = replace(results, scores=scores)
    kept = finished(results, COCO17, OCHUMAN[0])
    assert kept.scores == pytest.approx([0.8, 0.8])
    alone = each_alone(results, instances, COCO17, OCHUMAN[0])
    assert alone["primary"].scores == pytest.approx([0.8, 0.8])
    assert alone["secondary"].scores == pytest.approx([0.4, 0.4])
    assert each_alone(results, np.zeros(4, int), COCO17, OCHUMAN[0]) == {}
    assert len(finished(results, COCO17, CROWDPOSE[0])) == 4  # suppresses nothing


def test_both_people_are_decoded_in_turn():
    maps = np.zeros((2, 17, 16, 12), np.float32)
    maps[:, :, 4, 4] = 0.5
    other = np.zeros_like(maps)
    other[:, :, 10, 8] = 1.0
    empty = np.empty((2, 0, 2)), np.empty((2, 0))
    place = Place(
        np.full((2, 2), 100.0), np.ones((2, 2)), np.array([3, 4]), np.array([7, 9]), *empty
    )
    view = View({"primary": maps, "secondary": other})
    benchmark = replace(OCHUMAN[0], flip_test=False)
    poses = PairCodec().decode([view], place, benchmark, np.arange(17))
    assert poses.rows.tolist() == [7, 7, 9, 9]
    assert poses.instances.tolist() == [0, 1, 0, 1]
    assert poses.scores.tolist() == [0.5, 1.0, 0.5, 1.0]
    assert (poses.keypoints[1, 0, :2] > poses.keypoints[0, 0, :2]).all()
    assert PairCodec().heatmaps([view], np.arange(17), shift=True) is not None


def test_a_recipe_for_two_is_written_and_read_again():
    recipe = crowdpose_recipe()
    again = from_dict(to_dict(recipe))
    assert again == recipe
    assert isinstance(again.codec, PairCodec)
    moved = on_ochuman(configs.load("hrnet:w48_coco_384x288"))
    assert (moved.name, moved.data.dataset) == ("w48_ochuman_384x288", "ochuman")


def test_crowdpose_ap_of_nobody_found(tmp_path: Path):
    judge = judge_of(tmp_path, [0.1, 0.5])
    values, _ = crowdpose_ap(
        judge.truth.truth(), [], {0: 0.1, 1: 0.5}, sigmas=CROWDPOSE14.oks_sigmas
    )
    assert values["AP"] == values["AP_easy"] == 0.0
    assert values["AP_hard"] == -1


def test_mpii_has_one_pose_a_person(tmp_path: Path):
    recipe = crowdpose_recipe()
    recipe = replace(recipe, data=replace(recipe.data, dataset="mpii", skeleton="mpii16"))
    with pytest.raises(UserError, match="MPII is scored by one pose a person"):
        evaluator_for(recipe, CROWDPOSE[0], DataFiles(tmp_path))
