"""AlphaPose's second stage: recorded rates, and what goes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.recipes import checks, recipe
from paddle_pose.recipes.alphapose import dpg_stage
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, DataSettings, TrainSettings
from reproduce.aligning import fastpose_data


def test_recorded_rates(reference_data: Path):
    rows = list(fastpose_data.rate_rows(reference_data))
    assert len(rows) == 2
    assert all(row.ok for row in rows), rows


def test_a_stage_comes_back_from_a_file(tmp_path):
    made = Recipe(
        name="x",
        data=DataSettings("halpe", "halpe136", repeat=6, join="wholebody"),
        train=TrainSettings(epochs=270),
        stages=(dpg_stage(210, (230, 250)),),
    )
    checks.require_sound(made)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.dump_yaml(made))
    again = recipe.read_yaml(file)
    assert again.at(211) == made.at(211)
    assert again.at(211).train.milestones == (20, 40)
    assert again.at(211).augment.dpg
    assert not again.at(210).augment.dpg


@pytest.mark.parametrize(
    ("data", "augment", "said"),
    [
        (DataSettings("coco", "coco17", join="wholebody"), AugmentSettings(), "data.join=wholeb"),
        (DataSettings(rules="alphapose"), AugmentSettings(), "data.rules=alphapose: is for COCO"),
        (DataSettings(), AugmentSettings(dpg=True), "augment.dpg: jitters boxes; MPII"),
        (DataSettings("halpe", "halpe26", rules="mine"), AugmentSettings(), "data.rules: unknown"),
        (DataSettings("halpe", "halpe26", repeat=0), AugmentSettings(), "data.repeat: must be"),
    ],
)
def test_what_does_not_go_together(data, augment, said):
    with pytest.raises(UserError, match=said):
        checks.require_sound(Recipe(name="x", data=data, augment=augment))


def test_no_stage_turns_dpg_on_without_boxes():
    stages = (dpg_stage(3, (5,)),)
    with pytest.raises(UserError, match=r"stages\.0: augment\.dpg: jitters boxes"):
        checks.require_sound(Recipe(name="x", stages=stages))


def test_coordinates_refuse_or_say_what_they_ignore(capsys):
    name = "fastpose:mobile_small_halpe136_256x192"
    with pytest.raises(UserError, match=r"train\.loss=integral_l1 always weighs joints"):
        configs.chosen(name, None, ["train.use_target_weight=false"])
    configs.chosen(name)
    assert "decoder" not in capsys.readouterr().out
    configs.chosen(name, None, ["benchmarks.1.decoder=dark"])
    said = "assumed: decoder: benchmarks.1.decoder=dark is for heat maps; IntegralCodec has none"
    assert said in capsys.readouterr().out
