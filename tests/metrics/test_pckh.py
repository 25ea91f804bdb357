"""PCKh: worked by hand, and against HRNet's own numbers on two published sets of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.data import mpii
from paddle_pose.evaluation import mpii as evaluation
from paddle_pose.metrics import pckh
from paddle_pose.poses import predictions
from paddle_pose.skeletons import MPII16

NAN = float("nan")


def one_person(**errors: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the named joints; all others are not labelled."""
    array, visible = np.full((1, 16), 9.0), np.zeros((1, 16))
    for joint, error in errors.items():
        array[0, MPII16.index(joint)] = error
        visible[0, MPII16.index(joint)] = 1
    return array, visible


def test_by_hand() -> None:
    first = one_person(left_ankle=0.4, right_ankle=0.6, head_top=0.1, pelvis=0.9)
    second = one_person(left_ankle=0.5, pelvis=0.9)
    errors, visible = np.concatenate([first, second], 1)
    result = pckh.pckh(errors, visible, MPII16, [0.5, 0.1])
    assert result.groups["Ankle"].tolist() == [50.0, 0.0]  # mean of left 2/2 and right 0/1
    assert result.groups["Head"].tolist() == [100.0, 100.0]  # <=, not <
    assert result.mean.tolist() == [75.0, 25.0]  # 3 and 1 of 4 joints; the pelvis does not count
    assert result.mean_all.tolist() == [50.0, 100.0 / 6]
    assert result.visible_count[MPII16.index("left_ankle")] == 2
    assert np.isnan(result.groups["Knee"]).all()


def test_missing_joints_never_count() -> None:
    errors, visible = one_person(left_knee=0.2)
    other = errors.copy()
    other[visible == 0] = 0.0
    for array in (errors, other):
        result = pckh.pckh(array, visible, MPII16, [0.5])
        assert result.mean.tolist() == [100.0]
        assert result.groups["Knee"].tolist() == [100.0]
    assert pckh.count_within(other, visible, pckh.AUC_THRESHOLDS).sum() == 31  # 0.20 … 0.50


def test_tallying_counts_what_hits_counts() -> None:
    rng = np.random.default_rng(1)
    levels = np.array([0.5, 0.1, 0.11, 0.0, 0.1, -0.2, 1.7, 40.0, np.inf, 2.0**-40, 0.11 + 1e-16])
    exact = [*levels[levels >= 0], *np.nextafter(levels[:8], 9), *np.nextafter(levels[:3], -9)]
    errors = rng.choice([*np.abs(exact), np.nan, 0.3, 1.0, 1e300], (300, 16))
    errors[:100] = rng.uniform(0, 2, (100, 16))
    visible = rng.integers(0, 2, errors.shape)
    for thresholds in (levels, levels[:1], pckh.AUC_THRESHOLDS, pckh.AUC_THRESHOLDS[::-1]):
        each = [pckh.hits(errors, visible, threshold).sum(0) for threshold in thresholds]
        hit_count, visible_count = pckh._counts(errors, visible, thresholds)
        np.testing.assert_array_equal(hit_count, each)
        np.testing.assert_array_equal(visible_count, visible.sum(0))
    within = sum(pckh.hits(errors, visible, level) for level in pckh.AUC_THRESHOLDS)
    np.testing.assert_array_equal(pckh.count_within(errors, visible, pckh.AUC_THRESHOLDS), within)


def test_float32_errors_are_compared_in_float64() -> None:
    # float32(0.1) lies above 0.1 and float32(0.7) below it: rounded thresholds would take both.
    errors = np.full((2, 16), np.float32(0.1))
    errors[1] = np.float32(0.7)
    for array in (errors, errors.astype(np.float64)):
        for level, within in ((0.1, 0), (0.7, 2)):
            assert pckh.hits(array, np.ones((2, 16)), level).sum(0).tolist() == [within] * 16
            counts, _ = pckh._counts(array, np.ones((2, 16)), [level])
            assert counts.tolist() == [[within] * 16]


def test_groups_have_the_bits_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    result = pckh.pckh(rng.random((99, 16)), np.ones((99, 16)), MPII16, pckh.AUC_THRESHOLDS)
    for name, joints in MPII16.groups.items():
        rates = result.per_joint[:, [MPII16.index(joint) for joint in joints]]
        np.testing.assert_array_equal(result.groups[name], rates.mean(1))


def test_errors_have_the_bits_of_the_norm() -> None:
    rng = np.random.default_rng(2)
    found, truth, head = rng.normal(size=(9, 16, 2)), rng.normal(size=(9, 16, 2)), rng.random(9)
    expected = np.linalg.norm(found - truth, axis=-1) / head[:, None]
    np.testing.assert_array_equal(pckh.normalised_errors(found, truth, head), expected)


def test_rows_of_the_auc_are_the_reference_ones() -> None:
    np.testing.assert_array_equal(pckh.AUC_THRESHOLDS, np.arange(0, 0.5 + 0.01, 0.01))
    assert pckh.AUC_THRESHOLDS[[10, 11, 50]].tolist() == [0.1, 0.11, 0.5]


def test_auc_is_the_mean_of_51_rows() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0, 0.7, (40, 16))
    errors[:20] = rng.choice(pckh.AUC_THRESHOLDS, (20, 16))  # exactly on a threshold: inside
    visible = (rng.random((40, 16)) < 0.8).astype(float)
    rows = pckh.pckh(errors, visible, MPII16, pckh.AUC_THRESHOLDS).mean
    # 51 additions of percentages, each with a rounding of 2^-53 × 100.
    assert pckh.auc(errors, visible, MPII16) == pytest.approx(rows.mean(), abs=51 * 100 * 2.0**-53)


def test_distance_is_divided_by_each_persons_head() -> None:
    joints = np.zeros((2, 16, 2))
    truth = np.broadcast_to([3.0, 4.0], (2, 16, 2))
    errors = pckh.normalised_errors(joints, truth, np.array([5.0, 10.0]))
    assert errors[:, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("file", ["valid-ours.h5", "eval-mpii-pose_bearpaw-hg_s1_b1.mat"])
@pytest.mark.parametrize(("origin", "key"), [(1, "as_stored"), (0, "plus_1")])
def test_equals_the_reference_evaluation(
    reference_data: Path, file: str, origin: int, key: str
) -> None:
    recorded = json.loads((reference_data / "parity/metrics/pckh.json").read_text())["results"]
    expected = next(v for name, v in recorded[file].items() if name.startswith(key))
    root = reference_data / "data/mpii"
    found = predictions.read(root / "preds" / file, origin, joints=16, skeleton="mpii16")
    scores = evaluation.score_mpii(found.poses.keypoints, mpii.truth(root, "valid"))
    wanted = {
        **expected["PCKh@0.5"],
        "Mean@0.1": expected["PCKh@0.10 (row 10)"]["Mean"],
        "Mean@0.11": expected["PCKh@0.11 (row 11; HRNet prints it as Mean@0.1)"]["Mean"],
        "AUC": expected["AUC_0_to_0.5_mean_of_51_rows_weighted14"],
    }
    # One joint more or less moves a score by 100 / 44,240 = 2e-3; 1e-9 allows roundings alone.
    for name, value in wanted.items():
        assert scores.values[name] == pytest.approx(value, abs=1e-9), name
    joints = list(expected["per_joint_16_at_0.5"].values())
    np.testing.assert_allclose(list(scores.per_joint.values()), joints, atol=1e-9, rtol=0)


def small_case(shared: Path, name: str) -> dict[str, float]:
    """Scores for a case of pckh_small.json."""
    root = shared / "data" / ("lspet_mpii" if name.startswith("lspet") else "mpii")
    split = "valid_5" if "valid_5" in name else "valid"
    truth = mpii.truth(root, split)
    if "Newell" in name:
        file, origin = root / "preds/valid-ours.h5", 0 if name.endswith("plus 1") else 1
        found = predictions.read(file, origin, joints=16, skeleton="mpii16")
        return evaluation.score_mpii(found.poses.keypoints[:5], truth).values
    joints_xy = mpii.load(root, split).joints_xy
    if "offsets" in name:
        records = json.loads((root / "annot/valid.json").read_text())
        scale = np.array([record["scale"] for record in records])
        i, j = np.mgrid[: len(records), :16]
        offsets = np.stack([(7 * i + 3 * j) % 21, (5 * i + 11 * j) % 21], -1)
        joints_xy = joints_xy + 0.08 * 200 * scale[:, None, None] * (offsets - 10) / 10
    return evaluation.score_mpii(joints_xy, truth).values


def test_equals_the_reference_on_small_sets(reference_data: Path) -> None:
    recorded = json.loads((reference_data / "parity/metrics/pckh_small.json").read_text())
    for name, expected in recorded["results"].items():
        values = small_case(reference_data, name)
        for key, value in expected.items():
            ours = "Mean@0.11" if key == "Mean@0.1" else key  # the reference prints row 11
            assert values[ours] == pytest.approx(value, abs=1e-9), (name, key)
