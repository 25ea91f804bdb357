"""Resampled COCO scores are COCO's scores of the resampled images."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.data.coco_category import Category
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.evaluation import coco as evaluation_coco
from paddle_pose.metrics import coco_bootstrap
from paddle_pose.metrics.coco_ap import (
    NAMES,
    _evaluated,
    _images,
    _values,
    coco_ap,
    coco_ap_with_intervals,
)
from paddle_pose.skeletons import COCO17

SIGMAS = (0.1, 0.1)
EXACT = 1e-12
"""Means of a few thousand quotients of integers: 1e3 roundings of 1e-16 at most."""


def random_set(seed: int, images: int = 12, *, ties_within: bool = True) -> tuple[dict, list[dict]]:
    """Truth and poses with crowds, people without key points, tied scores and crowded images."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0.1, 0.9, 81)  # shared by the images, so scores tie across them
    people, poses = [], []
    for image in range(images):
        pool = list(rng.permutation(grid))
        for _ in range(rng.integers(0, 5)):
            x, y = rng.uniform(0, 400, 2)
            side = rng.choice([20.0, 60.0, 150.0])
            seen = 2 * int(rng.random() < 0.8)
            person = {
                "image_id": image,
                "category_id": 1,
                "bbox": [x, y, side, side],
                "iscrowd": int(rng.random() < 0.15),
                "keypoints": [x, y, seen, x + side / 2, y + side / 2, seen],
            }
            people.append(person)
            for _ in range(rng.choice([0, 1, 2, 12], p=[0.2, 0.4, 0.3, 0.1])):
                at = np.array([x, y, x + side / 2, y + side / 2])
                at += rng.normal(0, rng.choice([0.0, 0.03, 0.1, 0.5]) * side, 4)
                keypoints = [at[0], at[1], 1.0, at[2], at[3], 1.0]
                score = float(rng.choice([0.3, 0.5]) if ties_within else pool.pop())
                poses.append(
                    {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}
                )
    order = rng.permutation(len(poses))
    truth = {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(images)],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }
    return truth, [poses[i] for i in order]


def repeated(truth: dict, poses: list[dict], times: np.ndarray) -> tuple[dict, list[dict]]:
    """The set in which image i stands ``times[i]`` times, copies beside each other."""
    ids = {i: [100 * i + copy for copy in range(count)] for i, count in enumerate(times)}
    return {
        **truth,
        "images": [{"id": new, "width": 640, "height": 480} for i in ids for new in ids[i]],
        "annotations": [
            {**person, "image_id": new}
            for person in truth["annotations"]
            for new in ids[person["image_id"]]
        ],
    }, [{**pose, "image_id": new} for pose in poses for new in ids[pose["image_id"]]]


def resampled(truth: dict, poses: list[dict], times: np.ndarray, sigmas=SIGMAS) -> np.ndarray:
    evaluation = _evaluated(truth, poses, sigmas, 1, None)
    return coco_bootstrap.resampled(coco_bootstrap.outcomes(_images(evaluation, 1)), times[None])[0]


def as_list(values: dict[str, float]) -> np.ndarray:
    return np.array([values[name] if values[name] >= 0 else np.nan for name in NAMES])


@pytest.mark.parametrize("seed", range(12))
def test_images_as_they_are_give_the_librarys_figures(seed: int):
    truth, poses = random_set(seed)
    expected = as_list(coco_ap(truth, poses, sigmas=SIGMAS))
    found = resampled(truth, poses, np.ones(len(truth["images"]), int))
    np.testing.assert_allclose(found, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("seed", range(12))
def test_a_resample_is_the_librarys_score_of_the_repeated_images(seed: int):
    truth, poses = random_set(seed, ties_within=False)
    times = np.random.default_rng(100 + seed).integers(0, 4, len(truth["images"]))
    expected = as_list(coco_ap(*repeated(truth, poses, times), sigmas=SIGMAS))
    np.testing.assert_allclose(resampled(truth, poses, times), expected, rtol=0, atol=EXACT)


def test_recorded_results(reference_data: Path):
    file = reference_data / "parity/metrics/keypoints_results.json.gz"
    poses = json.loads(gzip.decompress(file.read_bytes()))
    folder = reference_data / "data/coco/annotations"
    truth = json.loads((folder / "person_keypoints_val2017_subset.json").read_text())
    evaluation = _evaluated(truth, poses, COCO17.oks_sigmas, 1, None)
    images = len(truth["images"])
    draws = np.random.default_rng(1).multinomial(images, np.full(images, 1 / images), 50)
    times = np.concatenate([np.ones((1, images), int), draws])
    as_is, *scores = coco_bootstrap.resampled(
        coco_bootstrap.outcomes(_images(evaluation, 1)), times
    )
    np.testing.assert_allclose(as_is, as_list(_values(evaluation)), rtol=0, atol=EXACT)
    low, high = np.percentile(scores, [2.5, 97.5], axis=0)
    assert ((low < as_is) & (as_is < high)).all()
    # 538 images: a standard error of about 1.1 points, four of them between the ends.
    assert ((high - low > 0.01) & (high - low < 0.12)).all()


def test_one_draw_of_every_block_is_the_same(monkeypatch: pytest.MonkeyPatch):
    truth, poses = random_set(3, images=40)
    evaluation = _evaluated(truth, poses, SIGMAS, 1, None)
    times = np.random.default_rng(0).integers(0, 3, (7, 40))
    images = _images(evaluation, 1)
    once = coco_bootstrap.resampled(coco_bootstrap.outcomes(images), times)
    monkeypatch.setattr(coco_bootstrap, "_AT_ONCE", 2)
    monkeypatch.setattr(coco_bootstrap, "_IMAGES_AT_ONCE", 3)
    again = coco_bootstrap.resampled(coco_bootstrap.outcomes(images), times)
    np.testing.assert_allclose(again, once, rtol=0, atol=EXACT)


def test_the_seed_decides_and_undecided_scores_have_no_interval():
    truth, poses = random_set(5)
    truth["annotations"] = [p for p in truth["annotations"] if p["bbox"][2] > 100]  # large alone
    one = coco_ap_with_intervals(truth, poses, sigmas=SIGMAS, resamples=20, seed=4)
    assert one == coco_ap_with_intervals(truth, poses, sigmas=SIGMAS, resamples=20, seed=4)
    assert one[1] != coco_ap_with_intervals(truth, poses, sigmas=SIGMAS, resamples=20, seed=5)[1]
    assert set(NAMES) - one[1].keys() == {"APM", "ARM"}
    assert one[0]["APM"] == -1


def test_perfect_poses_have_no_spread_and_none_have_none():
    truth, _ = random_set(1)
    people = [p | {"keypoints": [p["bbox"][0], p["bbox"][1], 2] * 2} for p in truth["annotations"]]
    truth["annotations"] = [p | {"iscrowd": 0} for p in people]
    poses = [
        {k: p[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 0.5} for p in people
    ]
    _, intervals = coco_ap_with_intervals(truth, poses, sigmas=SIGMAS, resamples=20)
    # 2^-52 is added to every denominator, as in the reference.
    assert intervals["AP"] == pytest.approx((1.0, 1.0), abs=1e-12)
    _, intervals = coco_ap_with_intervals(truth, [], sigmas=SIGMAS, resamples=20)
    assert intervals["AR"] == (0.0, 0.0)


def test_no_resamples_are_honoured(monkeypatch: pytest.MonkeyPatch):
    truth = CocoFile(Path("x.json"), Category(1, COCO17), {})
    monkeypatch.setattr(CocoFile, "require_somebody", lambda *_: None)
    monkeypatch.setattr(CocoFile, "truth", lambda _: {})
    results = evaluation_coco.CocoResults(
        np.zeros(0, int), np.zeros((0, 17, 3)), np.zeros(0), np.zeros(0), 1
    )
    monkeypatch.setattr(evaluation_coco, "coco_ap", lambda *a, **k: {"AP": 0.5})
    monkeypatch.setattr(evaluation_coco, "coco_ap_with_intervals", None)  # would fail
    found = evaluation_coco.score_with_intervals(results, truth, resamples=0)
    assert found == ({"AP": 0.5}, {})


def test_the_table_shows_intervals_where_there_are_any():
    values = dict.fromkeys(NAMES, 0.5) | {"APM": -1.0}
    intervals = {name: (0.45, 0.55) for name in NAMES if name != "APM"}
    lines = evaluation_coco.format_table(values, {"AP": 0.51}, intervals).splitlines()
    assert lines[1] == "AP                    0.50000    0.4500 - 0.5500       0.510    -0.01000"
    assert lines[4] == "APM                  -1.00000" + 19 * " "
    assert "interval" not in evaluation_coco.format_table(values, None, {})
