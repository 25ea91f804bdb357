"""AlphaPose's recipes: the light one field by field, rates as recorded, counts as published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_pose import configs
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import FastPoseMobile
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Adam, by_alphapose
from paddle_pose.training.schedules import rate_by_step

NAMES = configs.names_in("fastpose")
SEED = "fastpose:mobile_large_halpe136_256x192"


def test_the_light_recipe_is_its_file_field_by_field():
    recipe = configs.load(SEED)
    assert recipe.model == FastPoseMobile(joints=136, size="large", conv_dim=256)
    data, augment, train = recipe.data, recipe.augment, recipe.train
    assert (data.dataset, data.skeleton, data.image_size_wh) == ("halpe", "halpe136", (192, 256))
    assert (data.rgb_mean, data.rgb_std) == ((0.406, 0.457, 0.480), (1.0, 1.0, 1.0))
    assert (augment.rotation_deg, augment.scale_factor) == (45.0, 0.35)
    assert (augment.half_body_probability, augment.half_body_min_joints) == (0.3, 8)
    assert augment.flip_probability == 0.5
    assert isinstance(recipe.codec, IntegralCodec)
    assert (train.epochs, train.batch_size, train.milestones) == (270, 4 * 48, (170, 200))
    assert (train.learning_rate, train.gamma, train.optimizer) == (1e-3, 0.1, Adam())
    (dpg,) = recipe.stages
    assert (dpg.epoch, dpg.restart) == (211, True)
    assert dpg.changes["train.milestones"] == (20, 40)  # 230 and 250 less 210


RECORDED = {
    "seed_recipe (made-up file: the r50 regression file with BEGIN_EPOCH 0)": SEED,
    "coco/resnet/256x192_res50_lr1e-3_1x.yaml": "fastpose:r50_coco_256x192",
    "coco/resnet/256x192_res50_lr1e-3_2x.yaml": "fastpose:r50_coco_256x192_2x",
    "halpe_26/resnet/256x192_res50_lr1e-3_1x.yaml": "fastpose:r50_halpe26_256x192",
    "halpe_136/resnet/256x192_res50_lr1e-3_2x-regression.yaml (BEGIN_EPOCH 5)":
        "fastpose:r50_halpe136_256x192",
    "halpe_136/resnet/256x192_res50_lr1e-3_2x-dcn-combined.yaml":
        "fastpose:r50_dcn_combined_halpe136_256x192",
}  # fmt: skip


def test_rates_and_dpg_are_as_recorded_epoch_by_epoch(reference_data: Path):
    file = reference_data / "parity/alphapose/schedule.json"
    recorded = json.loads(file.read_text())["recipes"]
    assert recorded.keys() == RECORDED.keys()
    for name, words in recorded.items():
        recipe = configs.load(RECORDED[name])
        assert recipe.train.batch_size == 4 * words["config"]["BATCH_SIZE"], name
        rate = rate_by_step(recipe, 10)
        first = words["config"]["BEGIN_EPOCH"]
        assert recipe.train.epochs == len(words["lr"])
        ours = [rate(10 * epoch + 9) for epoch in range(recipe.train.epochs)]
        # Products of two factors of 0.1, rounded in either order: 1e-12 as the record allows.
        assert ours == pytest.approx(words["lr"], rel=1e-12), name
        for begin, end, _, dpg in words["runs"]:
            for epoch in (begin - first, end - first):
                assert recipe.at(epoch).augment.dpg == dpg, (name, epoch)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_crops_and_protocols_are_alphaposes(name: str):
    recipe = configs.load(f"fastpose:{name}")
    assert by_alphapose(recipe.data)
    assert recipe.data.rgb_mean == (0.406, 0.457, 0.480)
    detector, truth = recipe.benchmarks
    assert (detector.flip_test, detector.boxes) == (True, "detector")
    assert (truth.flip_test, truth.boxes) == (False, "ground_truth")
    losses = {
        HeatmapCodec: "joints_mse",
        IntegralCodec: "integral_l1",
        CombinedCodec: "combined",
    }
    assert recipe.train.loss == losses[type(recipe.codec)]


def test_fewer_epochs_leave_dpg_out_and_say_so(capsys: pytest.CaptureFixture):
    recipe: Recipe = configs.chosen(SEED, None, ["train.epochs=1"])
    assert recipe.stages == ()
    assert replace(recipe, stages=configs.load(SEED).stages).train.epochs == 1
    said = capsys.readouterr().out
    assert "assumed: stages: train.epochs=1 ends before epoch 211, where " in said
    kept = configs.chosen(SEED, None, ["train.epochs=212"])
    assert len(kept.stages) == 1
    with pytest.raises(UserError, match=r"train\.epochs: must be from 1"):
        configs.chosen(SEED, None, ["train.epochs=-1"])
    assert capsys.readouterr().out == ""
