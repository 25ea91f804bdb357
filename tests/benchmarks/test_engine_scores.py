"""Scores by engine: AP worked out by hand, and the table of the records."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import engine_scores
from paddle_pose.data import mpii
from paddle_pose.errors import UserError
from paddle_pose.inference import engine


@pytest.fixture(scope="module")
def table(small_people):
    return mpii.load(small_people, "valid")


def poses(table) -> np.ndarray:
    """The truth, as if it had been found."""
    return np.concatenate([table.joints_xy, np.ones((*table.visible.shape, 1))], axis=2)


def test_truth_has_an_ap_of_one(table):
    assert engine_scores.average_precision(poses(table), table) == pytest.approx(1)


def test_what_coco_lacks_does_not_count(table):
    found = poses(table)
    found[:, 6:10, :2] += 1e4  # pelvis, thorax, upper neck, head top
    assert engine_scores.average_precision(found, table) == pytest.approx(1)


def test_a_misplaced_person_lowers_ap_at_every_threshold(table):
    found = poses(table)
    found[0, :, :2] += 1e4
    found[0, :, 2] = 0.1  # the last in order of scores, so precision is 1 up to the missed recall
    people = len(table)
    # COCO takes the precision at recalls 0, 0.01, …, 1: those up to (N - 1) / N are reached.
    recalls = np.linspace(0, 1, 101)
    expected = np.mean(recalls <= (people - 1) / people)
    assert engine_scores.average_precision(found, table) == pytest.approx(expected)


def test_a_mistake_ends_in_one_line_before_anything_is_read(tmp_path, monkeypatch):
    words = ["x", "--what", "x", "--weights", str(tmp_path), "--dataset_root", str(tmp_path)]
    with pytest.raises(UserError, match="hrnet"):
        engine_scores.main([*words, "--config", "hrnte:w32_mpii_256x256"])
    monkeypatch.setattr(engine, "onednn_here", lambda: True)
    monkeypatch.setattr(engine, "bfloat16_here", lambda: False)
    with pytest.raises(UserError, match="neither avx512_bf16"):
        engine_scores.main([*words, "--config", "hrnet:w32_mpii_256x256"])


def test_every_record_is_in_the_table():
    block = engine_scores.block()
    records = list(engine_scores.RECORDS.glob("*.json"))
    assert records
    assert block.count(engine_scores.REFERENCE) == len(records)
    assert block.count(engine_scores.LAST) == len(records)
