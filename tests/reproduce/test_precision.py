"""Trainings in two precisions: what is run, and how the difference is judged and told."""

from pathlib import Path

import pytest

from paddle_pose.commands.record import RunFolder
from paddle_pose.files import read_json, write_json
from reproduce import precision_run
from reproduce.reporting import precisions
from reproduce.reporting.markdown import MarkdownWriter


@pytest.fixture
def done(tmp_path, monkeypatch):
    """Two seeds of rendered people, finished: bfloat16 has 80 and 82, float32 81 and 83."""
    told = []
    monkeypatch.setattr(precision_run.synthetic, "write_dataset", lambda folder: None)
    monkeypatch.setattr(precision_run.small_runs, "run_all", lambda runs, *rest: told.extend(runs))
    for precision, begin in (("bfloat16", 80.0), ("float32", 81.0)):
        for seed in (0, 1):
            run = RunFolder(tmp_path / "out" / f"rendered_{precision}_s{seed}")
            (run.root / "eval").mkdir(parents=True)
            write_json(run.record_file, dict.fromkeys(("started", "code", "environment"), "x"))
            scores = {"Mean": begin + 2 * seed, "Mean@0.1": 20.0}
            content = {"values": scores, "counts": {"people": 400}}
            write_json(run.root / "eval" / "scores.json", content)
    words = ["--output_dir", str(tmp_path / "out"), "--record_dir", str(tmp_path / "record")]
    precision_run.main([*words, "--seeds", "2"])
    return told, read_json(tmp_path / "record" / "precision.json")


def test_both_precisions_run_from_the_same_seeds(done, capsys):
    told, _ = done
    assert [one.name for one in told] == [
        f"rendered_{precision}_s{seed}" for seed in (0, 1) for precision in ("bfloat16", "float32")
    ]
    assert told[0].told == ("--set", "train.amp=O1", "train.amp_dtype=bfloat16")
    assert told[1].told == ()


def test_photos_are_seen_for_some_epochs():
    options = precision_run.parser().parse_args(["--lspet", "photos", "--seeds", "1"])
    half, whole = precision_run.plan(options)["lspet"]
    assert whole.told == ("--set", "train.epochs=6")
    assert whole.data == Path("photos")
    assert half.told == (*whole.told, "train.amp=O1", "train.amp_dtype=bfloat16")


def test_the_difference_is_told_with_its_spread(done, monkeypatch):
    _, record = done
    words = record["rendered"]["judgement"]["Mean"]
    # Both sides have the standard deviation of 0 and 2, √2, and stand 1 apart.
    assert (words["difference"], words["bfloat16_sd"]) == (-1.0, 1.4142)
    assert words["verdict"] == "no difference seen"
    monkeypatch.setattr(precisions, "read_json", lambda file: record)
    text = MarkdownWriter(Path("reproduce")).table(precisions.sections()[0].blocks[0])
    assert "rendered people, the quickstart, 400 people" in text
    assert "81.00 ± 1.41" in text
    assert "82.00 ± 1.41" in text
