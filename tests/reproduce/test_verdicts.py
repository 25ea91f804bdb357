"""A word for every published number: what earns it, and what never does."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import train
import val
from paddle_pose import configs
from paddle_pose.recipes import recipe as recipes
from reproduce import published, training_costs, training_logs, verdicts
from reproduce.verdicts import WORDS, verdict

ROWS = published.load()
ROOT = verdicts.ROOT
W32 = "hrnet_readme:hrnet_w32_mpii_256x256"
LISTED = {
    entry["name"]
    for entry in csv.DictReader(
        (ROOT.parent / "paddle_pose/porting/published_weights.csv").open(encoding="utf-8")
    )
}


def row_of(name: str, metric: str = "Mean") -> published.PublishedRow:
    return next(row for row in ROWS if (row.id, row.metric_name) == (name, metric))


def test_every_published_row_has_a_word_and_users_runs_have_none():
    found = verdicts.all_verdicts()
    assert {one.word for _, one in found} <= set(WORDS)
    assert len(found) == len([row for row in ROWS if row.kind != "user"])
    for row, one in found:
        assert one.word not in ("aligned", "not run") or one.lacking, row.id
        assert all((ROOT / record).is_file() for record in one.records)


def test_no_committed_run_stands_behind_a_published_row():
    """All were shortened or ran on other people: the day one is complete, this list says so."""
    assert [row.id for row in ROWS if list(verdicts.full_runs(row))] == []


# --- re-scored


@pytest.mark.parametrize("stacks", [2, 8])
def test_bearpaws_tables_follow_from_its_predictions_to_the_last_digit(stacks: int):
    rows = [row for row in ROWS if row.id == f"bearpaw:hourglass{stacks}_last_mpii_256x256"]
    assert len(rows) == 8
    for row in rows:
        one = verdict(row)
        assert (one.word, one.within) == ("re-scored", True)
        assert f"{one.measured:.2f}" == f"{row.value:.2f}"


def test_a_mean_that_is_not_stated_is_not_compared():
    one = verdict(row_of("newell_paper:hourglass8_mpii_256x256"))
    assert (one.word, one.measured, one.within) == ("re-scored", None, None)
    assert "88.04" in one.lacking


# --- ported and aligned


def alignment(root: Path, change: Callable[[str, dict[str, Any]], dict | None] = lambda _, r: r):
    """Records in which everything is aligned, but for a change."""
    steps = {
        "hrnet_w32": ("forward", "loss", "backward", "optimiser"),
        "hrnet_w48": ("forward",),
        "live_hrnet_w48": ("loss", "backward", "optimiser"),
        "mpii": ("data", "metric", "decode"),
        "coco": ("data", "metric", "decode"),
    }
    for name, of_it in steps.items():
        rows = [{"network": name, "step": s, "difference": 0, "ok": True} for s in of_it]
        rows.append({"network": name, "step": "data", "difference": 9, "ok": None})
        kept = [r for row in rows if (r := change(name, row)) is not None]
        file = root / "alignment" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(kept), encoding="utf-8")


def test_ported_and_aligned(tmp_path: Path):
    alignment(tmp_path)
    one = verdict(row_of(W32), tmp_path)
    assert one.word == "ported and aligned"
    assert one.records == ("alignment/hrnet_w32.json", "alignment/mpii.json")
    wide = verdict(row_of("hrnet_readme:hrnet_w48_coco_256x192", "AP"), tmp_path)
    assert wide.records[:2] == ("alignment/hrnet_w48.json", "alignment/live_hrnet_w48.json")
    for other, why in {
        "simplebaseline_readme:res101_mpii_256x256": "no record of forward, loss",
        "simplebaseline_readme:res101_caffe_coco_256x192": "no record of forward, loss",
        "paddledetection:w32_mpii_256x256": "paddledetection.json: no record of forward",
    }.items():
        row = next(row for row in ROWS if row.id == other)
        assert verdict(row, tmp_path).word == "not run"
        assert why in verdict(row, tmp_path).lacking


def test_live_rows_count_and_their_absence_or_failure_does(tmp_path: Path):
    row = row_of("hrnet_readme:hrnet_w48_coco_256x192", "AP")
    alignment(tmp_path)
    file = tmp_path / "alignment/live_hrnet_w48.json"
    live = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps([{**live[0], "ok": False}, *live[1:]]), encoding="utf-8")
    assert (
        verdict(row, tmp_path).lacking
        == f"{file.relative_to(tmp_path)}: loss is outside its tolerance"
    )
    file.unlink()
    assert verdict(row, tmp_path).lacking.endswith("no record of loss, backward, optimiser")


@pytest.mark.parametrize(
    ("name", "metric", "why"),
    [
        ("hrnet_paper:w32_scratch_coco_256x192", "AP", "weights are not published"),
        ("hrnet_readme:hrnet_w48_coco_test_dev_384x288", "AP", "server holds the truth"),
    ],
)
def test_aligned_without_a_test_from_outside(tmp_path: Path, name: str, metric: str, why: str):
    """No weights or no truth: the word needs the same records as one that can be tested."""
    row = row_of(name, metric)
    alignment(tmp_path)
    one = verdict(row, tmp_path)
    assert (one.word, one.records[-1]) == ("aligned", "alignment/coco.json")
    assert why in one.lacking
    alignment(tmp_path, lambda file, r: None if (file, r["step"]) == ("coco", "metric") else r)
    one = verdict(row, tmp_path)
    assert one.word == "not run"
    assert why in one.lacking
    assert "no record of metric" in one.lacking
    neither = verdict(dataclasses.replace(row, weights="", trains=False))
    assert neither.word == "not run"
    assert neither.lacking.endswith(verdicts.NO_TRAINING)


def test_committed_alignment_is_with_code_as_published():
    for file in (ROOT / "alignment").glob("*.json"):
        for entry in json.loads(file.read_text(encoding="utf-8")):
            commit = entry["reference"]["commit"]
            assert re.fullmatch(r"[0-9a-f]{40}|\d+\.\d+\.\d+", commit), f"{file.name}: {commit}"


@pytest.mark.parametrize("name", ["hrnet_w32", "mpii"])
def test_one_failed_or_missing_step_is_enough(tmp_path: Path, name: str):
    steps = ("forward", "loss", "backward", "optimiser") if name != "mpii" else ("data", "metric")
    for step in steps:

        def without(file: str, row: dict, step: str = step) -> dict | None:
            return None if (file, row["step"]) == (name, step) else row

        def failed(file: str, row: dict, step: str = step) -> dict:
            return {**row, "ok": False} if (file, row["step"]) == (name, step) else row

        for change, why in ((without, f"no record of {step}"), (failed, f"{step} is outside")):
            alignment(tmp_path, change)
            one = verdict(row_of(W32), tmp_path)
            assert one.word == "not run"
            assert why in one.lacking


# --- reproduced


def full_run(root: Path, mean: float = 90.2) -> Path:
    """A run of HRNet-W32 on MPII as it would be recorded, with every part as it must be."""
    recipe = configs.load("hrnet:w32_mpii_256x256")
    folder = root / "runs" / recipe.name / "full"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipes.dump_yaml(recipe), encoding="utf-8")
    record = {
        "recipe": recipe.name,
        "pretrained_model": {"file": "imagenet_hrnet_w32.pdparams"},
        "data": {"train": {"people": 22_246}},
        "result": {"finished": "2026-11-20", "sha256": {"best_model/model.pdparams": "abc"}},
    }
    scores = {
        "values": {"Mean": mean, "Mean@0.1": 33.5, "Mean@0.11": 37.5},
        "benchmark": recipe.benchmark("mpii_val").protocol(),
        "weights_sha256": "abc",
    }
    write(folder, "record.json", record)
    write(folder, "scores.json", scores)
    return folder


def write(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_reproduced_within_the_tolerance_and_only_there(tmp_path: Path):
    full_run(tmp_path)
    one = verdict(row_of(W32), tmp_path)
    assert (one.word, one.measured, one.within) == ("reproduced", 90.2, True)
    assert verdict(row_of(W32, "Mean@0.11"), tmp_path).word == "reproduced"
    # The same run under mmpose's protocol was not scored, and 0.10 is another number than 0.11.
    assert verdict(row_of("mmpose1:hrnet_w32_mpii_256x256"), tmp_path).word == "not run"
    assert verdict(row_of("mmpose1:hrnet_w32_mpii_256x256", "Mean@0.1"), tmp_path).word == "not run"


def test_a_run_of_another_recipe_is_nobodys_reproduction(tmp_path: Path):
    """An official run scored as mmpose scores: mmpose trained HRNet by another recipe."""
    folder = full_run(tmp_path)
    row = row_of("mmpose1:hrnet_w32_mpii_256x256")
    protocol = configs.load(row.recipe).benchmark(row.benchmark).protocol()
    set_key("scores.json", "benchmark", to=protocol)(folder)
    set_key("scores.json", "values", "Mean", to=row.value)(folder)
    assert verdict(dataclasses.replace(row, trains=True), tmp_path).word == "reproduced"
    alignment(tmp_path)
    one = verdict(row, tmp_path)
    assert (one.word, one.measured, one.lacking) == (
        "ported and aligned",
        None,
        verdicts.NO_TRAINING,
    )


def test_only_the_weights_of_mmposes_hrnets_are_tested_by_a_recipe_of_others():
    others = {row.id for row in ROWS if row.recipe and not row.trains}
    plain = re.compile(r"mmpose\w*:hrnet_w\d+_(?!dark|udp|fp16)")
    mmpose = {r.id for r in ROWS if r.recipe and plain.match(r.id)}
    # The recipes of DARK and UDP draw as mmpose 1.x; on MPII all editions list 0.x's weights.
    earlier = re.compile(r"mmpose0:\w+_(dark|udp)_\w*coco")
    mmpose |= {r.id for r in ROWS if earlier.match(r.id)}
    # Those of its PoseResNet, and of half precision, are of 0.x.
    later = re.compile(r"mmpose1:(resnet_|hrnet_w32_fp16_)\w*coco")
    mmpose |= {r.id for r in ROWS if r.recipe and not r.trains and later.match(r.id)}
    # mmpose 0.x moved crop centres of COCO once for all epochs, which no recipe here does.
    moved = re.compile(
        r"mmpose0:(resnet_\d+_(fp16_)?|hrnet_w32_fp16_)coco|mmpose[01]:hourglass52_coco"
    )
    mmpose |= {r.id for r in ROWS if moved.match(r.id)}
    # OCHuman is tested by COCO's network; CrowdPose's recipe is the script's, not the paper's.
    crowds = {r.id for r in ROWS if r.protocol.dataset in ("ochuman", "crowdpose")}
    # By a teacher, or with hands weighed ten times, neither of which is published.
    zoo = re.compile(r"alphapose_zoo:\w+_(multi_domain|combined_hands)_")
    distilled = {r.id for r in ROWS if zoo.match(r.id)}
    assert len(distilled) == 3
    ascend = {r.id for r in ROWS if r.id.startswith("ascend:")}
    # By its log a plain ResNet; on OpenImages, as its card says.
    unlike = {r.id for r in ROWS if re.search(r"alphapose_\w+:r152_duc_|^nvidia_card:", r.id)}
    assert len(unlike) == 3
    # The last of three trainings, whose beginning is not published.
    third = {"osokin_readme:lightweight_coco_val"}
    assert others == mmpose | crowds | ascend | distilled | unlike | third
    assert len(mmpose) == 55
    for row in ROWS:
        if row.id in mmpose:
            assert verdicts.train_command(row) == ""
            ported = "--pretrained_model mmpose" in verdicts.port_command(row)
            assert ported == bool(row.weights)


def test_outside_the_tolerance_says_so(tmp_path: Path):
    full_run(tmp_path, mean=89.9)
    alignment(tmp_path)
    one = verdict(row_of(W32), tmp_path)
    assert (one.word, one.measured, one.within) == ("ported and aligned", 89.9, False)
    assert one.lacking == "Mean 89.9 is outside 90.3 ± 0.3"


def set_key(file: str, *keys: str, to: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        node = content
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = to
        write(folder, file, content)

    return change


def set_recipe(*assignments: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        recipe = recipes.override(configs.load(str(folder / "recipe.yaml")), assignments)
        (folder / "recipe.yaml").write_text(recipes.dump_yaml(recipe), encoding="utf-8")

    return change


SHORTENED = {
    "fewer epochs": set_recipe("train.epochs=209"),
    "fewer people": set_recipe("data.limit=22245"),
    "a smaller image": set_recipe("data.image_size_wh=[192,192]"),
    "another learning rate": set_recipe("train.learning_rate=5e-4"),
    "another network": set_recipe("model.width=16"),
    "no recipe kept": lambda folder: (folder / "recipe.yaml").unlink(),
    "LSPET's people": set_key("record.json", "data", "train", "people", to=8344),
    "not finished": set_key("record.json", "result", to={"sha256": {"best": "abc"}}),
    "from scratch": set_key("record.json", "pretrained_model", to=None),
    "another recipe's name": set_key("record.json", "recipe", to="w48_mpii_256x256"),
    "without flip test": set_key("scores.json", "benchmark", "flip_test", to=False),
    "DARK": set_key("scores.json", "benchmark", "decoder", to="dark"),
    "other weights": set_key("scores.json", "weights_sha256", to="def"),
    "no protocol": set_key("scores.json", "benchmark", to=None),
}


@pytest.mark.parametrize("how", SHORTENED)
def test_a_shortened_or_changed_run_never_gets_a_word(tmp_path: Path, how: str):
    folder = full_run(tmp_path, mean=90.3)
    SHORTENED[how](folder)
    for row in ROWS:
        if row.recipe == "hrnet:w32_mpii_256x256":
            one = verdict(row, tmp_path)
            assert (one.word, one.measured) == ("not run", None), row.id


# --- commands and costs


def commands() -> set[str]:
    lines = {verdicts.train_command(row) for row in ROWS} | {
        verdicts.port_command(row) for row in ROWS
    }
    return {part for line in lines if line for part in line.split(" && ")}


def test_commands_are_accepted_by_their_doors(monkeypatch: pytest.MonkeyPatch):
    seen = set()
    for line in commands():
        words = shlex.split(line)
        assert words[0] == "python"
        monkeypatch.setattr(sys, "argv", words[1:])
        if words[1] in ("train.py", "val.py"):
            arguments = (train if words[1] == "train.py" else val).parse_arguments()
            recipe = configs.load(arguments.config)
            if words[1] == "val.py":
                recipe.benchmark(arguments.benchmark)
        else:
            assert words[1:5] == ["-m", "paddle_pose", "port", "--download"]
            assert words[5] in LISTED
        seen.add(words[1])
    assert seen == {"train.py", "val.py", "-m"}


def test_official_trainings_begin_with_imagenet_weights_but_for_the_one_that_did_not():
    for row in ROWS:
        line = verdicts.train_command(row)
        if line:
            wanted = row.protocol.network.startswith(
                ("HRNet", "PoseResNet", "FastPose", "SimplePose")
            )
            wanted = wanted and row.id != "hrnet_paper:w32_scratch_coco_256x192"
            assert ("imagenet" in line) == wanted, row.id


def test_costs_follow_from_their_sources():
    row = row_of("hrnet_readme:hrnet_w32_coco_256x192", "AP")
    found = training_costs.cost(row)
    # 1.31 s × 210 epochs × 149,813 people / 512 people a step × 8 GPUs / 3600 s
    assert found.gpu_hours == pytest.approx((178.88, 178.88), abs=0.005)
    assert "benchmark.md:30" in found.source
    assert training_costs.cost(row_of("hrnet_issue_174:w32_coco_256x192", "AP")).gpu_hours == (
        200,
        240,
    )
    assert training_costs.cost(row_of(W32)) == training_costs.Cost("", None, "no published log")
    runs = training_logs.read()["runs"]
    for size in ("256x256", "384x384"):
        hours = runs[f"hourglass52_mpii_{size}"]["gpu_hours"]
        assert training_costs.cost(row_of(f"predecessor:hourglass52_mpii_{size}")).gpu_hours == (
            hours,
            hours,
        )


def test_every_line_of_costs_is_used_and_has_a_place():
    with (ROOT / "training_costs.csv").open(encoding="utf-8") as content:
        lines = list(csv.DictReader(content))
    used = {training_costs.cost(row).source + row.recipe for row in ROWS}
    for line in lines:
        assert line["source"] + line["recipe"] in used
        assert re.search(r"benchmark\.md:\d+ @|\.log @|issue \d+", line["source"])
