"""The table of exported formats, from records made by hand; and that the document has it."""

from __future__ import annotations

import pytest

from benchmarks import export
from paddle_pose.errors import UserError
from paddle_pose.files import read_json


def side(*samples: float) -> dict:
    facts = {"paddle": "3.3.1"}
    return {"samples": list(samples), "median": sorted(samples)[len(samples) // 2], "facts": facts}


RECORD = {
    "date": "2026-01-02T00:00:00Z",
    "code": {"commit": "0123456789"},
    "machine": {"cpu": "X"},
    "options": {"threads": 2},
    "batch": 8,
    "rounds": 3,
    "bytes": {"int8": 3 * 2**20},
    "times": {export.PYTORCH: side(3.0, 6.0, 3.0), export.EAGER: side(3.0, 4.0, 2.0),
              "int8": side(1.0, 2.0, 1.0), "onnx": {"note": "no such package"}},
    "scored": [{"what": "people", "scores": {export.EAGER: {"Mean": 50.0, "Mean@0.1": 5.0},
                                             "int8": {"Mean": 49.5, "Mean@0.1": 5.25}}}],
}  # fmt: skip


def test_ratios_are_medians_over_the_rounds():
    assert export.ratio(RECORD["times"], "int8", export.PYTORCH) == 3
    assert export.ratio(RECORD["times"], "int8", export.EAGER) == 2  # of 3, 2, 2
    assert export.ratio(RECORD["times"], "onnx", export.EAGER) is None


def test_the_table_of_a_record():
    block = export.block(RECORD)
    assert "| int8 | 3.0 MiB | 1000 | 3.00 | 49.50 (-0.50) | 5.25 (+0.25) |" in block
    assert "| onnx |  | – |" in block
    assert "onnx: no such package" in block
    assert "(found: 3.00)" in block
    assert "(largest change: 0.50)" in block
    assert "not recorded" not in block
    assert "No run is recorded" in export.block(None)


def test_the_document_has_the_records_table():
    before, after = export.text()
    assert before == after
    if export.RECORD.is_file():
        assert export.block(read_json(export.RECORD)) in after


def test_a_missing_file_ends_in_one_line(tmp_path):
    with pytest.raises(UserError, match="not there"):
        export.main(["--score", "x", "y", str(tmp_path / "w"), str(tmp_path)])
