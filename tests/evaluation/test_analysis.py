"""Analyses of whole evaluations: counts and rescored numbers that follow by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import own_coco
import pytest

from paddle_pose import configs
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.errors import UserError
from paddle_pose.evaluation import analysis, analysis_picture
from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound
from paddle_pose.evaluation.evaluator import DataFiles, Evaluator
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.skeletons import COCO17, MPII16

LEFT, RIGHT = MPII16.index("left_wrist"), MPII16.index("right_wrist")


def mpii_people(count: int = 4) -> MpiiTruth:
    """Joints 100 px from each other, heads of 40 px; people 2000 px from each other."""
    joints = np.stack([np.arange(16) * 100.0, np.zeros(16)], axis=1)
    apart = np.arange(count)[:, None, None] * np.array([0.0, 2000.0])
    return MpiiTruth(joints + apart + 1, np.ones((count, 16)), np.full(count, 40.0))


def test_mpii_by_hand():
    truth = mpii_people()
    found = truth.joints_xy - 1
    found[0, LEFT, 1] += 15  # 0.375 heads: jitter, wrong at 0.1 only
    found[1, LEFT] = found[1, RIGHT]  # inversion
    found[2, LEFT] = found[3, LEFT]  # swap, where the two share an image
    found[3, RIGHT, 1] += 50  # miss
    shared = analysis.analyse_mpii(found, truth, np.array([0, 1, 2, 2]))
    assert shared["kinds"] == {"good": 52, "jitter": 1, "inversion": 1, "swap": 1, "miss": 1}
    assert shared["by_joint"]["left_wrist"] == {
        "good": 1, "jitter": 1, "inversion": 1, "swap": 1, "miss": 0
    }  # fmt: skip
    assert sum(shared["by_joint"]["pelvis"].values()) == 4  # shown, but not in the sums
    alone = analysis.analyse_mpii(found, truth, np.arange(4))
    assert (alone["kinds"]["swap"], alone["kinds"]["miss"]) == (0, 2)

    scores = shared["scores"]
    one = 100 / 56
    assert scores["as_it_is"] == pytest.approx({"Mean": 100 - 3 * one, "Mean@0.1": 100 - 4 * one})
    paper, perfect = scores["as_the_paper_corrects"], scores["on_the_truth"]
    assert paper["jitter"] == pytest.approx(scores["as_it_is"])  # 0.242 heads is beyond 0.1
    assert paper["miss"]["Mean"] == pytest.approx(100 - 2 * one)  # half a head still counts
    assert paper["inversion"] == pytest.approx({"Mean": 100 - 2 * one, "Mean@0.1": 100 - 3 * one})
    assert perfect["jitter"]["Mean@0.1"] == pytest.approx(100 - 3 * one)
    assert perfect["all"] == {"Mean": 100.0, "Mean@0.1": 100.0}


def test_joints_that_a_set_lacks_are_not_counted():
    joints = np.arange(16) != LEFT
    truth = mpii_people()
    found = analysis.analyse_mpii(truth.joints_xy - 1, truth, np.arange(4), joints=joints)
    assert sum(found["by_joint"]["left_wrist"].values()) == 0
    assert found["kinds"]["good"] == 52


@pytest.fixture
def coco(tmp_path: Path) -> CocoEvaluator:
    """Five people: two, two and one on an image; the last is a crowd's."""
    content = own_coco.plain(5)
    for person in content["annotations"]:
        at = np.array([person["id"] % 2 * 3000, person["image_id"] * 300])
        joints = np.column_stack([np.arange(17) * 100 + at[0], np.full(17, at[1]), [2] * 16 + [1]])
        person |= {"keypoints": joints.reshape(-1).tolist(), "num_keypoints": 17, "area": 1600.0}
    content["annotations"][4]["iscrowd"] = 1
    own_coco.read(tmp_path, content)
    recipe = configs.load("hrnet:w32_coco_256x192")
    benchmark = recipe.benchmark("coco_val_ground_truth")
    files = DataFiles(tmp_path, tmp_path / "own.json")
    return CocoEvaluator(recipe, benchmark, files, with_images=False)


def coco_poses(evaluator: CocoEvaluator, people: list[int]) -> CocoResults:
    truth = evaluator.truth.people
    return CocoResults(
        truth.image_ids[people],
        truth.keypoints[people].copy(),
        np.linspace(0.9, 0.5, len(people)),
        np.full(len(people), 1600.0),
    )


def test_coco_by_hand(coco: CocoEvaluator):
    results = coco_poses(coco, [0, 1, 2, 4])  # the fourth person is not found
    wrist, other = COCO17.index("left_wrist"), COCO17.index("right_wrist")
    keypoints = results.keypoints
    keypoints[0, wrist, :2] = keypoints[1, wrist, :2]
    keypoints[1, wrist, :2] = keypoints[1, other, :2]
    keypoints[1, 16, 0] += 50  # more than w √(2 ln 2) = 2 · 0.089 · 40 · 1.18 = 8.4 px
    keypoints[2, 16, 0] += 5  # w √(-2 ln 0.85) = 4.06 px is the end of good
    found = analysis.analyse(coco, CocoFound(results))
    assert found["kinds"] == {"good": 47, "jitter": 1, "inversion": 1, "swap": 1, "miss": 1}
    assert found["counts"] == {
        "people": 4, "people_without_pose": 1, "poses": 4, "poses_of_nobody": 0
    }  # fmt: skip
    assert found["by_visibility"]["occluded"] == {
        "good": 1, "jitter": 1, "inversion": 0, "swap": 0, "miss": 1
    }  # fmt: skip
    assert sum(found["by_size"]["32 to 96 px"].values()) == 51
    scores = found["scores"]
    assert scores["as_it_is"] == {
        name: value for name, value in coco.score(CocoFound(results)).values.items()
        if name in scores["as_it_is"]
    }  # fmt: skip
    # Three of four people found whole: precision is 1 at the recalls 0, 0.01, …, 0.75.
    assert scores["on_the_truth"]["all"]["AP"] == pytest.approx(76 / 101)
    assert scores["as_it_is"]["AP"] < 76 / 101  # OKS 16/17 is below 0.95, 16.5/17 is not
    assert scores["as_the_paper_corrects"]["all"]["AP"] == pytest.approx(76 / 101)

    few = analysis.analyse(coco, CocoFound(results, image_ids=np.array([2])))
    assert (few["counts"]["people"], few["counts"]["poses"]) == (2, 1)
    assert few["kinds"]["jitter"] == 1


def test_poses_of_nobody(coco: CocoEvaluator):
    results = coco_poses(coco, [0, 0])
    results.keypoints[1, :, :2] += 1000
    found = analysis.analyse(coco, CocoFound(results))
    assert found["counts"]["poses_of_nobody"] == 1
    none = results.select(np.array([1]))
    found = analysis.analyse(coco, CocoFound(none))
    assert sum(found["kinds"].values()) == 0
    assert found["counts"]["people_without_pose"] == 4
    assert "nan" not in analysis.format_table(found, COCO17)


def test_what_a_person_sees(coco: CocoEvaluator, tmp_path: Path):
    results = coco_poses(coco, [0, 1, 2])
    results.keypoints[0, 9, 0] += 500
    found = analysis.analyse(coco, CocoFound(results))
    lines = analysis.format_table(found, COCO17).splitlines()
    assert lines[1].split()[-6:] == ["51", "98.04", "0.00", "0.00", "0.00", "1.96"]
    assert any(line.split()[:2] == ["wrist", "6"] for line in lines)
    assert any(line.startswith("miss, put on the truth") for line in lines)
    analysis_picture.draw(found, COCO17, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


def test_other_data_sets_are_refused():
    with pytest.raises(UserError, match="MPII's and COCO's"):
        analysis.analyse(Evaluator(), None)
