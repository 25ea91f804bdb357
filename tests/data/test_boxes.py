"""Detector-box files: what is kept, and errors that name the record."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from paddle_pose.data.boxes import read_boxes
from paddle_pose.errors import UserError

GOOD = {"image_id": 7, "category_id": 1, "bbox": [1.5, 2, 30, 40], "score": 0.5}


def _write(folder: Path, content: object) -> Path:
    file = folder / "boxes.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_boxes_stay_in_order_and_keep_their_rows(tmp_path: Path):
    records = [
        {**GOOD, "score": 0.1},
        {**GOOD, "category_id": 2},
        {**GOOD, "image_id": 3},
        {**GOOD, "bbox": [0, 0, 0, 5]},
        {**GOOD, "score": 0.2},
    ]
    found = read_boxes(_write(tmp_path, records), min_score=0.2)
    assert found.rows.tolist() == [2, 4]
    assert found.image_ids.tolist() == [3, 7]
    assert found.scores.tolist() == [0.5, 0.2]  # a score equal to the threshold stays
    assert found.boxes_xywh.tolist() == [[1.5, 2, 30, 40]] * 2
    assert "5 boxes, left out 1 of other categories, 1 that score below 0.2, 1 empty" in (
        found.summary
    )


def test_boxes_are_neither_clipped_nor_smaller_by_a_pixel(tmp_path: Path):
    box = [-3.5, -1.0, 1000.25, 2000.5]
    found = read_boxes(_write(tmp_path, [{**GOOD, "bbox": box}]))
    assert found.boxes_xywh.tolist() == [box]


def test_compressed_files_are_read(tmp_path: Path):
    file = tmp_path / "boxes.json.gz"
    file.write_bytes(gzip.compress(json.dumps([GOOD]).encode()))
    assert len(read_boxes(file)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image_id": 1,', r"boxes.json: not valid JSON .* line 1"),
        ({"annotations": []}, "expected a list of boxes"),
        ([GOOD, [1]], "box 1: expected an object"),
        ([GOOD, {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}], "box 1: has no 'score'"),
        ([{**GOOD, "bbox": [1, 2, 3]}], "box 0: expected bbox"),
        ([{**GOOD, "bbox": None}], "box 0"),
        ([{**GOOD, "score": float("nan")}], "box 0: score: must be a finite number"),
        ([{**GOOD, "score": True}], "box 0: score: must be a finite number"),
        ([{**GOOD, "score": "0.5"}], "box 0: score: must be a finite number"),
        ([{**GOOD, "bbox": "1234"}], "box 0: bbox: must be a list of numbers"),
        ([{**GOOD, "bbox": [1, 2, -3, 4]}], r"box 0: expected bbox .* found \[1.0, 2.0, -3.0"),
        (
            [{**GOOD, "bbox": [1e300, 2, 3, 4]}],
            "bbox: a place or length of .* px; the limit is 1,000,000 px",
        ),
        ([{**GOOD, "image_id": "a"}], "box 0: image_id: must be an integer of 64 bits, found 'a'"),
        ([{**GOOD, "image_id": 785.9}], "box 0: image_id: must be an integer"),
        ([{**GOOD, "image_id": True}], "box 0: image_id: must be an integer"),
        ([{**GOOD, "image_id": float("inf")}], "box 0: image_id: must be an integer"),
        ([{**GOOD, "image_id": 1 << 63}], "box 0: image_id: must be an integer"),
        ([{**GOOD, "category_id": 1.5}], "box 0: category_id: must be an integer"),
    ],
)
def test_errors_name_file_and_record(tmp_path: Path, content: object, message: str):
    with pytest.raises(UserError, match=message) as caught:
        read_boxes(_write(tmp_path, content))
    assert "boxes.json" in str(caught.value)


def test_ids_are_compared_by_value(tmp_path: Path):
    records = [{**GOOD, "image_id": i, "category_id": c} for i, c in ((785, "1"), ("785", 1.0))]
    assert read_boxes(_write(tmp_path, records)).image_ids.tolist() == [785, 785]


def test_boxes_outside_of_their_images_are_found(tmp_path: Path):
    places = [
        [0, 0, 9, 9],
        [99, 0, 5, 5],
        [100, 0, 5, 5],
        [0, 50, 5, 5],
        [-5, 0, 5, 5],
        [-5, 0, 6, 5],
    ]
    found = read_boxes(_write(tmp_path, [{**GOOD, "bbox": box} for box in places]))
    assert found.outside({7: (100, 50)}).tolist() == [False, False, True, True, True, False]
    assert found.outside({}).tolist() == [False] * 4 + [True, False]  # left of any image


def test_missing_file(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        read_boxes(tmp_path / "none.json")


def test_broken_compressed_file(tmp_path: Path):
    file = tmp_path / "boxes.json.gz"
    file.write_bytes(gzip.compress(json.dumps([GOOD] * 50).encode())[:-20])
    with pytest.raises(UserError, match="cannot read"):
        read_boxes(file)


def test_boxes_in_fractions_are_doubted(tmp_path: Path):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps([{**GOOD, "bbox": [0.1, 0.2, 0.5, 0.4]}]))
    assert "are they fractions?" in read_boxes(file).summary
