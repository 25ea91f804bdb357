"""The light recipe from beginning to end: on Halpe's photos, and stopped across DPG's epoch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_halpe
from runs import assert_identical, results

from paddle_pose import configs
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.commands.train import train
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.metrics.halpe import names_of
from paddle_pose.recipes.recipe import Recipe

SEED = "fastpose:mobile_large_halpe136_256x192"
TINY = (
    "model.size=small", "model.conv_dim=8", "data.image_size_wh=[64,64]", "train.batch_size=4",
    "train.log_every=1", "eval.batch_size=4", "eval.bootstrap=0", "data.limit=8",
)  # fmt: skip
STAGE = (
    "train.epochs=3", "train.milestones=[1]", "train.save_every=1",
    "stages=[{epoch: 2, restart: true, changes: {augment.dpg: true, train.milestones: [4]}}]",
)  # fmt: skip


def recipe_of(*changes: str) -> Recipe:
    return configs.chosen(SEED, None, [*TINY, *changes])


@pytest.fixture(scope="module")
def halpe(small_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_halpe.write(small_people, tmp_path_factory.mktemp("halpe"))


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_stopped_around_dpgs_epoch_it_ends_the_same(halpe: Path, tmp_path: Path, stop: int):
    """Two steps an epoch: before its last step, between the epochs, and after DPG's first."""
    whole = halpe.parent / "whole"
    if not whole.is_dir():
        train(recipe_of(*STAGE), halpe, whole, device="cpu", num_workers=0)
    output = tmp_path / "stopped"
    train(recipe_of(*STAGE, f"train.max_steps={stop}"), halpe, output, device="cpu", num_workers=0)
    train(recipe_of(*STAGE), halpe, output, resume=True, device="cpu", num_workers=0)
    left, right = results(whole), results(output)
    for one, other in zip(left[:3], right[:3], strict=True):
        assert_identical(one, other)
    rates = [line["lr"] for line in left[3] if "lr" in line]
    assert rates == pytest.approx([1e-3] * 2 + [1e-4] * 2 + [1e-3] * 2)


def test_val_prints_the_five_parts_of_a_run(
    halpe: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    output = tmp_path / "run"
    best = train(recipe_of("train.epochs=1"), halpe, output, device="cpu", num_workers=0)
    said = capsys.readouterr().out
    assert "assumed: stages: train.epochs=1 ends before epoch 211" in said
    recipe = recipe_of("train.epochs=1")
    scores = evaluate(
        recipe, best, DataFiles(halpe), benchmark="halpe_val_ground_truth",
        output=tmp_path / "scores", device="cpu", num_workers=0,
    )  # fmt: skip
    assert tuple(scores.values) == names_of(136)
    said = capsys.readouterr().out
    for name in ("full body", "body", "foot", "face", "hand"):
        assert f"\n{name} " in said
    written = json.loads((tmp_path / "scores/scores.json").read_text())
    assert written["values"] == scores.values


def test_the_photos_that_are_there_are_enough(reference_data: Path, tmp_path: Path):
    recipe = recipe_of("train.epochs=1")
    train(recipe, reference_data / "data/halpe", tmp_path / "run", device="cpu", num_workers=0)
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["data"]["train"]["people"] == 8
    assert "finished" in record["result"]
