"""The cost of predict.py over its network's: it runs, and says both."""

from __future__ import annotations

import pytest

from benchmarks import predicting


def test_three_photos(capsys, monkeypatch):
    monkeypatch.setattr(predicting, "SIZE_WH", (128, 72))
    predicting.main(["--count", "3", "--pairs", "1", "--engine", "eager"])
    said = capsys.readouterr().out
    assert "=> 3 photos, eager" in said
    assert "of the network's alone (target 1.15)" in said


def test_no_photo_at_all():
    with pytest.raises(SystemExit):
        predicting.main(["--count", "0"])
