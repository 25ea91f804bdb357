"""The packaged weights are the file of their record, score what it says, and can be made again."""

from __future__ import annotations

import numpy as np
import pytest
from places import ROOT

from paddle_pose import configs
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.data import mpii
from paddle_pose.files import read_json, sha256
from paddle_pose.geometry import UNIT_PX
from paddle_pose.inference.predictor import packaged_weights
from paddle_pose.porting.reader import read_file
from paddle_pose.recipes.recipe import override, read_yaml
from reproduce import packaged_torch

RUN = ROOT / "reproduce" / "runs" / "small_person"
LARGEST_BYTES = 4 << 20
ONE_JOINT = 0.21
"""Per cent, of the joints of 40 people: other processors round otherwise."""


def test_the_file_is_small_and_that_of_its_record():
    file = packaged_weights()
    assert file.stat().st_size <= LARGEST_BYTES
    digest = sha256(file)
    record = read_json(RUN / "record.json")
    assert record["result"]["sha256"][file.name] == digest
    for name in ("scores.json", "whole_image.json"):
        assert read_json(RUN / name)["weights_sha256"] == digest


def test_the_file_and_the_run_name_the_recipe():
    recipe = configs.load(packaged_torch.RECIPE)
    assert read_file(packaged_weights()).facts.recipe["name"] == recipe.name
    assert read_yaml(RUN / "recipe.yaml") == recipe
    assert read_json(RUN / "record.json")["recipe"] == recipe.name


def test_the_first_photos_score_what_the_record_says(reference_data, tmp_path):
    root = reference_data / "data" / "lspet_mpii"
    if not (root / "images").is_dir():
        pytest.skip(f"{root}: LSPET in MPII's layout is not there")
    recipe = override(configs.load(packaged_torch.RECIPE), ["data.limit=40", "eval.bootstrap=0"])
    values = evaluate(recipe, packaged_weights(), root, output=tmp_path, device="cpu").values
    said = read_json(RUN / "record.json")["result"]["packaged_float16_first_40"]
    for name, value in said.items():
        assert values[name] == pytest.approx(value, abs=ONE_JOINT), name


def test_the_port_lost_nothing():
    sides = [
        read_json(RUN / name)["values"] for name in ("scores_torch.json", "scores_float32.json")
    ]
    assert sides[0] == sides[1]
    assert read_json(RUN / "scores_torch.json")["ported"]["largest_px"] < 0.002


def test_photos_are_kept_as_squares_with_their_joints(small_people, tmp_path):
    packaged_torch.prepare(small_people, tmp_path, limit=2)
    table = mpii.load(small_people, "train")
    content = np.load(tmp_path / "train.npz")
    assert len(content["sizes"]) == 2
    assert content["sizes"].sum() == len(content["codes"])
    corner = table.center_xy[:2] - table.scale_wh[:2] * UNIT_PX * packaged_torch.ENLARGED / 2
    stored_px = packaged_torch.STORED_PX / (table.scale_wh[:2, 0] * UNIT_PX * 1.5)
    expected = (table.joints_xy[:2] - corner[:, None]) * stored_px[:, None, None]
    neck = table.joints_xy.shape[1] // 2
    np.testing.assert_allclose(content["joints_xy"][:, neck], expected[:, neck], atol=1e-3)
    assert np.load(tmp_path / "valid.npz")["heads"].shape == (2,)


def test_middles_are_derived_where_both_sides_are_labelled(small_people):
    table = mpii.load(small_people, "train")
    table.visible[0, [2, 3]] = 1
    table.visible[1, [2, 3]] = 1, 0
    table.visible[1, 6] = 0
    joints_xy, visible = packaged_torch.with_middles(table)
    np.testing.assert_allclose(joints_xy[0, 6], table.joints_xy[0, [2, 3]].mean(0))
    assert visible[:2, 6].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("prepare", "prepare needs --dataset_root"),
        ("train --photos x", "train needs --reference"),
        ("prepare --dataset_root x --max_steps 3", "--max_steps is not for prepare"),
        (
            "score --weights x --dataset_root x --reference x --device cpu",
            "--device is not for score",
        ),
    ],
)
def test_options_of_another_command_are_refused(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        packaged_torch.main([*words.split(), "--output_dir", "never_made"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
