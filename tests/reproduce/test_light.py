"""The light FastPose's small runs: the plan, and the whole chain on tiny sizes."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.synthetic import dataset
from reproduce import light_judge, light_run, small_runs
from reproduce.reporting import light, markdown, records

BASE = configs.load(f"light:{light_judge.WAYS['integral']}")


@pytest.mark.parametrize("way", [way for way in light_judge.WAYS if way != light_judge.BASE])
def test_a_way_differs_in_one_thing(way):
    other = configs.load(f"light:{light_judge.WAYS[way]}")
    assert other.model == BASE.model
    changed = {
        "heat maps": {
            "codec": other.codec,
            "train": replace(BASE.train, loss="joints_mse"),
        },
        "plain gradient": {"codec": replace(BASE.codec, symmetric=False)},
        "DPG": {"stages": other.stages},
    }[way]
    assert other == replace(BASE, name=other.name, **changed)


def test_both_learn_as_long_on_photos():
    """The people a second of one core, of both docstrings, and so the minutes: within 5 %."""
    seconds = [
        8344 * configs.load(f"light:{name}").train.epochs / rate
        for name, rate in zip(light_judge.ON_PHOTOS, (87.4, 46.9), strict=True)
    ]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.05)


def test_shaken_boxes_stay_near(tmp_path):
    truth = {"annotations": [{"image_id": 3, "bbox": [10.0, 20.0, 100.0, 200.0]}] * 50}
    (tmp_path / "truth.json").write_text(json.dumps(truth), "utf-8")
    light_run.write_shaken_boxes(tmp_path / "truth.json", tmp_path / "boxes.json")
    boxes = read_json(tmp_path / "boxes.json")
    assert len(boxes) == 50
    for box in boxes:
        x, y, w, h = box["bbox"]
        assert max(abs(x - 10), abs(y - 20) / 2) <= 15
        assert max(abs(x + w - 110), abs(y + h - 220) / 2) <= 15.02  # two decimals
    assert len({tuple(box["bbox"]) for box in boxes}) == 50


def here(script: str, config: str, words: list, log: Path) -> None:
    """A command in this process: Paddle's import is most of so small a run."""
    sys.argv = [script, "--config", config, *map(str, words), "--device", "cpu"]
    sys.argv += ["--num_workers", "0"]
    runpy.run_path(str(small_runs.ROOT / script), run_name="__main__")


def test_whole_chain(tmp_path, monkeypatch, capsys):
    photos = tmp_path / "photos"
    dataset.write_dataset(photos, train_people=4, val_people=6, workers=1, progress=False)
    words = ["--output_dir", str(tmp_path / "runs"), "--seeds", "1", "--train", "4", "--val", "4"]
    words += ["--record_dir", str(tmp_path / light.FOLDER), "--lspet", str(photos)]
    words += ["--at_once", "1", "--set", "train.batch_size=2", "train.epochs=1"]
    words += ["train.validate_every=1", "train.save_every=0", "train.log_every=1"]
    monkeypatch.setattr(small_runs, "call", here)
    monkeypatch.setattr(sys, "argv", [])
    times = dict(zip(light_judge.ON_PHOTOS, (0.02, 0.01), strict=True))
    monkeypatch.setattr(light_judge, "seconds_a_person", lambda *_: times)
    light_run.main(words)
    record = read_json(tmp_path / light.RECORD)
    assert list(record["ways"]) == list(light_judge.WAYS)
    assert all(record["ways"][way]["runs"]["0"]["learnt"]["steps"] == 2 for way in record["ways"])
    assert set(record["photos"]["runs"]) == set(light_judge.ON_PHOTOS)
    monkeypatch.setattr(records, "ROOT", tmp_path)
    (section,) = light.sections()
    text = "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))
    assert "it is 2.0 times as fast a person" in text
    assert "| FastPoseMobile-small, integral | " in text
    assert "**heat maps, squared error** not surely " in text
    capsys.readouterr()
    monkeypatch.setattr(small_runs, "call", lambda *_: pytest.fail("all is done"))
    light_run.main(words)
    assert "[JUDGED] DPG: AP with true boxes " in capsys.readouterr().out


def test_the_report_has_no_section_without_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    assert light.sections() == []


def test_nothing_to_judge_is_told(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        light_judge.judge(tmp_path, None, tmp_path / "record")
