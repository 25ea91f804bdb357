"""AP and AR of COCO: recorded figures of pycocotools, and cases worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from paddle_pose.errors import UserError
from paddle_pose.metrics import coco_ap as module
from paddle_pose.metrics import coco_oks
from paddle_pose.metrics.coco_ap import NAMES, coco_ap
from paddle_pose.skeletons import COCO17

SIGMAS = (0.1, 0.1)


def _truth(people: list[dict], images: int = 2) -> dict:
    return {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(images)],
        "annotations": [{"category_id": 1, "bbox": [0, 0, 100, 100], **p} for p in people],
        "categories": [{"id": 1, "name": "person"}],
    }


def _pose(image_id: int, x: float, score: float) -> dict:
    keypoints = [x, 10.0, 1.0, x + 50, 60.0, 1.0]
    return {"image_id": image_id, "category_id": 1, "keypoints": keypoints, "score": score}


ONE = {"image_id": 0, "keypoints": [10, 10, 2, 60, 60, 2]}


def test_recorded_figures(reference_data: Path):
    metrics = reference_data / "parity/metrics"
    recorded = json.loads((metrics / "coco.json").read_text())["plain_cocoeval"]
    results = json.loads(gzip.decompress((metrics / "keypoints_results.json.gz").read_bytes()))
    folder = reference_data / "data/coco/annotations"
    truth = json.loads((folder / "person_keypoints_val2017_subset.json").read_text())
    values = coco_ap(truth, results, sigmas=COCO17.oks_sigmas)
    assert tuple(values) == NAMES
    for name in NAMES:
        # Both are means of the same few hundred quotients: rounding only, 1e-9 as the issue asks.
        assert values[name] == pytest.approx(recorded[name], abs=1e-9), name
    # One pixel would show: AP moves by thousands of times the tolerance.
    for record in results:
        record["keypoints"][0::3] = [x + 1 for x in record["keypoints"][0::3]]
    moved = coco_ap(truth, results, sigmas=COCO17.oks_sigmas)
    assert abs(moved["AP"] - recorded["AP"]) > 1e-6


def test_perfect_poses_score_one():
    values = coco_ap(_truth([ONE]), [_pose(0, 10, 0.9)], sigmas=SIGMAS)
    assert values["AP"] == values["AR"] == 1
    assert values["APL"] == 1  # 10,000 pixels² is above 96²
    assert values["APM"] == -1  # nobody is of medium size


def test_a_miss_worked_out_by_hand():
    # OKS of both joints: exp(-d² / (2 · area · 0.2²)), area 10,000: exp(-d²/800). d = 15 gives
    # 0.755: a hit at 0.50 … 0.75, six of the ten thresholds.
    values = coco_ap(_truth([ONE]), [_pose(0, 25, 0.9)], sigmas=SIGMAS)
    assert values["AP"] == pytest.approx(0.6, abs=1e-12)
    assert (values["AP50"], values["AP75"]) == (1, 1)
    # d = 16 gives 0.726: five thresholds.
    values = coco_ap(_truth([ONE]), [_pose(0, 26, 0.9)], sigmas=SIGMAS)
    assert values["AP"] == pytest.approx(0.5, abs=1e-12)
    assert values["AP75"] == 0


def test_sigmas_decide():
    narrow = coco_ap(_truth([ONE]), [_pose(0, 25, 0.9)], sigmas=(0.02, 0.02))
    assert narrow["AP"] == 0


def test_people_on_other_images_are_missed_unless_images_are_named():
    truth = _truth([ONE, {**ONE, "image_id": 1}])
    half = coco_ap(truth, [_pose(0, 10, 0.9)], sigmas=SIGMAS)
    assert half["AR"] == 0.5
    assert coco_ap(truth, [_pose(0, 10, 0.9)], sigmas=SIGMAS, image_ids=[0, 0])["AR"] == 1


def test_no_poses_score_nothing():
    values = coco_ap(_truth([ONE]), [], sigmas=SIGMAS)
    assert values["AP"] == values["AR"] == 0


def test_only_the_twenty_best_of_an_image_count():
    wrong = [_pose(0, 300, 0.9) for _ in range(20)]
    assert coco_ap(_truth([ONE]), [*wrong, _pose(0, 10, 0.8)], sigmas=SIGMAS)["AR"] == 0
    assert coco_ap(_truth([ONE]), [*wrong[:19], _pose(0, 10, 0.8)], sigmas=SIGMAS)["AR"] == 1


def _random_set(rng: np.random.Generator, *, boxes: bool) -> tuple[dict, list[dict]]:
    """Crowds, people without labels, unsorted images, equal scores, more than 20 poses of some."""
    people = []
    for _ in range(90):
        x, y, width, height = rng.integers(1, 200, 4).tolist()
        joints = rng.integers(0, 400, (17, 3))
        joints[:, 2] = rng.integers(0, 3, 17) * (rng.random(17) < rng.choice([0, 0.2, 0.9]))
        people.append(
            {
                "image_id": int(rng.integers(0, 9)),
                "bbox": [x, y, width, height],
                "area": 0.6 * width * height,
                "iscrowd": int(rng.random() < 0.1),
                "keypoints": joints.ravel().tolist(),
            }
        )
    poses = []
    for _ in range(220):
        joints = np.array(people[rng.integers(0, len(people))]["keypoints"], float)
        joints += rng.normal(0, rng.uniform(0, 20), joints.shape)
        pose = {"image_id": int(rng.integers(2, 11)), "keypoints": joints.tolist()}
        pose |= {"category_id": int(rng.choice([1, 1, 1, 2])), "score": int(rng.integers(0, 9)) / 8}
        poses.append(pose | ({"bbox": rng.uniform(1, 150, 4).tolist()} if boxes else {}))
    return _truth(people, images=12), poses


@pytest.mark.parametrize("boxes", [False, True])
def test_equals_the_library_fed_image_by_image(boxes: bool, monkeypatch):
    monkeypatch.setattr(coco_oks, "PEOPLE_AT_ONCE", 4)
    truth, poses = _random_set(np.random.default_rng(11), boxes=boxes)
    ours = module._evaluated(truth, poses, COCO17.oks_sigmas, 1, None)
    coco = COCO(ours.cocoGt.dataset)
    theirs = COCOeval_faster(
        coco,
        coco.loadRes([dict(pose) for pose in poses]),
        "keypoints",
        kpt_oks_sigmas=list(COCO17.oks_sigmas),
    )
    theirs.evaluate()
    assert ours.ious.keys() == theirs.ious.keys()
    for pair, expected in theirs.ious.items():
        np.testing.assert_array_equal(ours.ious[pair], expected)
    assert sum(len(similar) for similar in ours.similar.values()) > 100
    for pose_id, expected in theirs.cocoDt.anns.items():
        assert ours.cocoDt.anns[pose_id]["area"] == expected["area"]
        assert ours.cocoDt.anns[pose_id]["bbox"] == expected["bbox"]
    assert module._values(ours) == module._values(theirs)


def test_inputs_are_not_changed():
    truth, results = _truth([ONE]), [_pose(0, 10, 0.9)]
    before = json.dumps([truth, results])
    coco_ap(truth, results, sigmas=SIGMAS)
    assert json.dumps([truth, results]) == before


def test_strangers_are_refused():
    with pytest.raises(UserError, match="result 0 is on image 9"):
        coco_ap(_truth([ONE]), [_pose(9, 10, 0.9)], sigmas=SIGMAS)
    with pytest.raises(UserError, match="result 0 has 2 joints, expected 3"):
        coco_ap(_truth([]), [_pose(0, 10, 0.9)], sigmas=(0.1, 0.1, 0.1))
    with pytest.raises(UserError, match="annotation 0 has 2 joints"):
        coco_ap(_truth([ONE]), [], sigmas=(0.1, 0.1, 0.1))
