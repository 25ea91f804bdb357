"""Stages: rate and augmentation from an epoch on, and a resumption across one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import coco, mpii
from paddle_pose.data.loader import steps_per_epoch, training_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.build import build
from paddle_pose.recipes import checks
from paddle_pose.recipes.alphapose import dpg_stage
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import AugmentSettings, DataSettings, Stage, TrainSettings
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.training import loop as training
from paddle_pose.training.schedules import learning_rate, rate_by_step
from paddle_pose.weights import checkpoint

DPG = Recipe(
    name="alphapose",
    train=TrainSettings(epochs=270, learning_rate=1e-3, milestones=(90, 120)),
    stages=(Stage(210, {"train.milestones": (20, 40), "augment.shift_factor": 0.1}, restart=True),),
)
"""AlphaPose's DPG: at epoch 210 the rate is the first one again, to fall at 230 and 250."""


def test_rates_of_alphapose():
    checks.require_sound(DPG)
    rate = rate_by_step(DPG, 10)
    epochs = (0, 89, 90, 120, 209, 210, 229, 230, 249, 250, 269)
    expected = [1e-3, 1e-3, 1e-4, 1e-5, 1e-5, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    # One product of two rounded float64 numbers.
    assert [rate(10 * epoch + 9) for epoch in epochs] == pytest.approx(expected, rel=1e-15)
    augments = DPG.augment_by_epoch()
    assert [(e, a.shift_factor) for e, a in augments.items()] == [(0, 0.0), (210, 0.1)]


def test_a_restart_is_a_run_of_the_epochs_left():
    settings = TrainSettings(epochs=9, learning_rate=1.0, schedule="cosine", warmup_steps=3)
    for restart, left, since in ((True, 5, 4), (False, 9, 0)):
        stages = (Stage(4, {"train.learning_rate": 0.5}, restart=restart),)
        rate = rate_by_step(Recipe(name="x", train=settings, stages=stages), 7)
        alone = replace(settings, epochs=left, learning_rate=0.5)
        for step in range(4 * 7, 9 * 7):
            assert rate(step) == learning_rate(alone, step - since * 7, 7)
        assert [rate(s) for s in range(28)] == [learning_rate(settings, s, 7) for s in range(28)]


def test_a_later_stage_counts_from_the_last_restart():
    stages = (Stage(2, {"train.gamma": 0.5}, restart=True), Stage(4, {"train.learning_rate": 2.0}))
    settings = TrainSettings(epochs=6, learning_rate=1.0, milestones=(1, 3))
    rate = rate_by_step(Recipe(name="x", train=settings, stages=stages), 1)
    assert [rate(step) for step in range(6)] == [1.0, 0.1, 1.0, 0.5, 1.0, 0.5]


RECIPE = Recipe(
    name="small",
    model=NewellHourglass(joints=16, stacks=1, features=16, stem=8, depth=2, conv_bias=False),
    data=DataSettings(image_size_wh=(64, 64)),
    train=TrainSettings(epochs=3, batch_size=6, learning_rate=1e-3, save_every=3, log_every=2),
    stages=(Stage(1, {"train.learning_rate": 5e-3, "augment.color_jitter": 0.4}, restart=True),),
)
SAVED = {"in the stage before": (0, 3), "where it begins": (1, 0), "within": (1, 2)}


def people(root: Path, recipe: Recipe) -> PersonTable:
    if recipe.data.dataset == "mpii":
        return mpii.load(root, "train")
    size_wh = recipe.data.image_size_wh
    return coco.load(root, recipe.data.train_split, image_size_wh=size_wh, stated=recipe.data)


def trained(root: Path, recipe: Recipe, state: Path, start: tuple | None) -> dict:
    """Weights and last rate; from a state, or keeping one at each position."""
    paddle.seed(1)
    trainer = training.Trainer(build(recipe.model), recipe.train, recipe.data)
    table = people(root, recipe)
    crops = PersonCrops(table, recipe.data, recipe.codec, augment=recipe.augment_by_epoch(), seed=5)
    steps = steps_per_epoch(len(table), recipe.train.batch_size, drop_last=False)
    rates = []

    def save(epoch: int, step: int) -> None:
        file = state / f"{epoch}-{step}.safetensors"
        checkpoint.save_state(file, trainer.network, trainer.optimizer, {})

    if start is not None:
        file = state / "{}-{}.safetensors".format(*start)
        checkpoint.load_state(file, trainer.network, trainer.optimizer, None)
    training.fit(
        trainer,
        training_batches(
            crops, batch_size=6, epochs=3, start=start or (0, 0), seed=5, num_workers=1
        ),
        people=len(table),
        steps_per_epoch=steps,
        start=start or (0, 0),
        rate=rate_by_step(recipe, steps),
        hooks=training.Hooks(
            log=lambda log: rates.append((log.epoch, log.lr)),
            save=save if start is None else lambda *_: None,
        ),
    )
    arrays = {name: value.numpy() for name, value in trainer.network.state_dict().items()}
    return {**arrays, "rates": np.array(rates[-3:])}


def test_resuming_across_a_stage_gives_the_same_bits(small_people, tmp_path):
    whole = trained(small_people, RECIPE, tmp_path, None)
    assert dict(whole["rates"].tolist()) == {1.0: 5e-3, 2.0: 5e-3}
    for where, start in SAVED.items():
        rest = trained(small_people, RECIPE, tmp_path, start)
        for name, array in whole.items():
            np.testing.assert_array_equal(rest[name], array, err_msg=f"{where}: {name}")
    plain = replace(RECIPE, stages=(replace(RECIPE.stages[0], changes={}),))
    assert not np.array_equal(
        trained(small_people, plain, tmp_path, (1, 0))["pre.0.conv.weight"],
        whole["pre.0.conv.weight"],
    )


def test_samples_change_where_a_stage_begins_and_nowhere_else(small_people):
    table, (before, after) = mpii.load(small_people, "train"), DPG.augment_by_epoch().values()
    made = {
        name: PersonCrops(table, RECIPE.data, HeatmapCodec(), augment=augment)
        for name, augment in {"staged": {0: before, 2: after}, 0: before, 2: after}.items()
    }
    assert isinstance(before, AugmentSettings)
    for epoch, alone in ((0, 0), (1, 0), (2, 2), (3, 2)):
        ours, theirs = made["staged"][epoch, 5], made[alone][epoch, 5]
        np.testing.assert_array_equal(ours.image_HWC, theirs.image_HWC)
        np.testing.assert_array_equal(ours.place.center_xy, theirs.place.center_xy)
    assert not np.array_equal(made["staged"][2, 5].image_HWC, made[0][2, 5].image_HWC)


def test_resuming_across_the_epoch_of_dpg_gives_the_same_bits(tmp_path):
    root = tmp_path / "people"
    synthetic.write_dataset(
        root, seed=4, train_people=24, val_people=1, layout="coco", workers=1, progress=False
    )
    recipe = replace(
        RECIPE,
        model=replace(RECIPE.model, joints=17),
        data=DataSettings("coco", "coco17", (64, 64), "train2017", rules="alphapose"),
        train=replace(RECIPE.train, milestones=(1,), epochs=3),
        stages=(dpg_stage(0, (1,)),),
    )
    checks.require_sound(recipe)
    whole = trained(root, recipe, tmp_path, None)
    # The rate falls one epoch after its restart.
    assert dict(whole["rates"].tolist()) == pytest.approx({1.0: 1e-3, 2.0: 1e-4}, rel=1e-15)
    rest = trained(root, recipe, tmp_path, SAVED["in the stage before"])
    for name, array in whole.items():
        np.testing.assert_array_equal(rest[name], array, err_msg=name)
    augments = recipe.augment_by_epoch()
    assert [(epoch, one.dpg) for epoch, one in augments.items()] == [(0, False), (1, True)]
    crops = PersonCrops(people(root, recipe), recipe.data, recipe.codec, augment=augments, seed=5)
    still = PersonCrops(crops.table, recipe.data, recipe.codec, augment=augments[0], seed=5)
    np.testing.assert_array_equal(crops[0, 3].image_HWC, still[0, 3].image_HWC)
    assert not np.array_equal(crops[1, 3].image_HWC, still[1, 3].image_HWC)
