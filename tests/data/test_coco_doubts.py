"""COCO files that can be read, and may be meant otherwise: a line says so."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from own_coco import AP, PLAIN, ap, assumed, read


def _fractions(record: dict) -> None:
    record["keypoints"] = [x / 200 if n % 3 < 2 else x for n, x in enumerate(record["keypoints"])]


def _flag(record: dict) -> None:
    record["keypoints"][2] = -1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_fractions, "joints outside"),
        (lambda record: record.update(bbox=[900, 900, 9, 9]), "joints outside"),
        (lambda record: record.update(bbox=[100, 90, 250, 220]), "boxes outside"),
        (lambda record: record.update(area=0.3), "odd areas"),
        (lambda record: record.update(area=1e6), "odd areas"),
        (_flag, "visibility"),
    ],
)
def test_what_may_be_meant_otherwise_is_said(tmp_path: Path, change, what):
    content = copy.deepcopy(PLAIN)
    change(content["annotations"][2])
    assert any(
        line.startswith(f"assumed: {what}: 1 of 6") for line in assumed(read(tmp_path, content))
    )


@pytest.mark.parametrize(
    ("category", "name", "what"),
    [
        ({"sigmas": [0.1] * 17}, "coco17", "sigmas"),
        ({"keypoints": None}, "coco17", "joint names"),
        ({"id": None}, "coco17", "category_id"),
        ({"skeleton": [[1, 18]]}, "from_file", "limbs: 19, by the joints' names"),
        ({"skeleton": [[2, 3]]}, "from_file", "limbs: 1, the file's, counted from 1"),
    ],
)
def test_what_the_category_leaves_open_is_said(tmp_path: Path, category, name, what):
    content = copy.deepcopy(PLAIN)
    content["categories"][0].update(category)
    truth = read(tmp_path, content, name)
    assert any(line.startswith(f"assumed: {what}") for line in assumed(truth))
    assert ap(truth) == AP
