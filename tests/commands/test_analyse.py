"""val.py --analyse: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest

import val
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import Evaluator
from paddle_pose.metrics.error_kinds import KINDS
from paddle_pose.settings import Benchmark


def asked(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["val.py", *map(str, words), "--set", "eval.bootstrap=0"])
    val.main()


def test_mpii(reference_data: Path, tmp_path: Path, monkeypatch, capsys):
    root = reference_data / "data/mpii"
    words = ("--dataset_root", root, "--predictions", root / "preds/valid-ours.h5",
             "--pixel_origin", 1, "--analyse")  # fmt: skip
    asked(monkeypatch, *words, "--output_dir", tmp_path)
    said = capsys.readouterr().out
    assert "[EVAL] Ankle=" in said  # the scores as ever
    assert "all scored joints               38430      68.24" in said
    record = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["values"]
    for name, value in record["scores"]["as_it_is"].items():
        assert scores[name] == pytest.approx(value, abs=1e-9)
    assert set(record["kinds"]) == set(KINDS)
    picture = cv2.imread(str(tmp_path / "analysis.png"))
    assert picture.shape[0] > 400
    asked(monkeypatch, *words)  # without a folder nothing is written
    assert "--output_dir makes analysis.json" in capsys.readouterr().out


def test_coco(reference_data: Path, tmp_path: Path, monkeypatch, capsys):
    annotations = reference_data / "data/coco/annotations/person_keypoints_val2017_subset.json"
    asked(
        monkeypatch, "--config", "hrnet:w32_coco_256x192", "--annotations", annotations,
        "--predictions", reference_data / "parity/metrics/keypoints_results.json.gz",
        "--dataset_root", reference_data / "data/coco", "--benchmark", "coco_val_detector",
        "--analyse", "--output_dir", tmp_path,
    )  # fmt: skip
    record = json.loads((tmp_path / "analysis.json").read_text(encoding="utf-8"))
    assert record["scores"]["as_it_is"]["AP"] == pytest.approx(0.39468, abs=5e-6)
    every = record["scores"]["on_the_truth"]
    # Whoever has a pose is found whole; COCO cannot count the 167 people who have none.
    assert every["all"]["AR"] == pytest.approx(1187 / 1354, abs=0.02)
    assert all(record["scores"]["as_it_is"]["AP"] < every[kind]["AP"] for kind in KINDS[1:])
    assert record["counts"]["people_without_pose"] == 167


def test_other_data_sets_are_refused_before_anything_is_predicted(tmp_path: Path):
    class Own(Evaluator):
        benchmark = Benchmark("own")

    with pytest.raises(UserError, match="MPII's and COCO's truth alone"):
        evaluate(
            "quickstart:newell_hg1_synthetic", tmp_path / "w", Own(), output=tmp_path, analyse=True
        )
