"""Values that no run can have are refused by key before any work."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from paddle_pose import configs
from paddle_pose.data.augment import DISTRIBUTIONS
from paddle_pose.errors import UserError
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes
from paddle_pose.training.schedules import SCHEDULES

GROUP, STAGE = "groups=[{pattern: '*', ", "stages=[{epoch: 9, changes: {"


@pytest.mark.parametrize("name", configs.all_names())
def test_every_recipe_is_sound(name):
    limits.require_sound(configs.load(name))


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("seed=-1", "seed"),
        ("train.epochs=0", "train.epochs"),
        ("train.batch_size=0", "train.batch_size"),
        ("train.accumulate_steps=0", "train.accumulate_steps"),
        ("train.scale_learning_rate=liner", "did you mean 'linear'"),
        ("train.scale_learning_rate=linear", "train.base_batch_size"),
        ("train.base_batch_size=32", "train.scale_learning_rate=linear"),
        ("train.ema_decay=1", "train.ema_decay"),
        ("train.amp=o1", "did you mean 'O1'"),
        ("train.amp_dtype=float32", "did you mean 'float16'"),
        ("eval.batch_size=0", "eval.batch_size"),
        ("eval.bootstrap=-1", "eval.bootstrap"),
        ("data.limit=0", "data.limit"),
        ("benchmarks.0.test_scales=[1.0, 0]", "benchmarks.0.test_scales.1"),
        ("benchmarks.0.metric.thresholds=[0.5, -1]", "benchmarks.0.metric.thresholds.1"),
        ("model.stacks=0", "model.stacks"),
        ("codec.stride=7", "codec.stride"),
        ("codec.sigma_px=0", "codec.sigma_px"),
        ("codec.sigma_px=1e9", "codec.sigma_px"),
        ("train.learning_rate=-1", "train.learning_rate"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.warmup_factor=-3", "train.warmup_factor"),
        ("train.optimizer.l2=-1", "train.optimizer.l2"),
        ("train.optimizer.l1=.nan", "train.optimizer.l1"),
        ("train.optimizer={kind: Adam, l1: 1, l2: 1}", "exclude each other"),
        ("train.optimizer.beta2=1", "train.optimizer.beta2"),
        ("train.optimizer.epsilon=0", "train.optimizer.epsilon"),
        ("train.optimizer={kind: Momentum, momentum: 1}", "train.optimizer.momentum"),
        (f"train.optimizer.{GROUP}rate: -1}}]", r"train.optimizer.groups.0.rate"),
        (f"train.optimizer.{GROUP}decay: .inf}}]", r"train.optimizer.groups.0.decay"),
        ("train.schedule=cosin", "did you mean 'cosine'"),
        ("augment.distribution=norml", "did you mean 'normal'"),
        ("stages=[{epoch: 0}]", r"stages.0.epoch: must be above 0 and below train.epochs=210"),
        ("stages=[{epoch: 210}]", r"stages.0.epoch"),
        ("stages=[{epoch: 5}, {epoch: 5}]", r"stages.1.epoch: must be above 5"),
        (f"{STAGE}train.batch_size: 4}}}}]", "no stage changes 'train.batch_size'"),
        (f"{STAGE}train.milestone: [4]}}}}]", "did you mean 'train.milestones'"),
        (f"{STAGE}data.limit: 4}}}}]", "no stage changes 'data.limit'"),
        (f"{STAGE}train.gamma: x}}}}]", r"stages.0.changes: train.gamma: expected float"),
        (f"{STAGE}train.learning_rate: 0}}}}]", r"stages.0: train.learning_rate"),
        (f"{STAGE}train.schedule: cosin}}}}]", r"stages.0: train.schedule: .*'cosine'"),
        (f"{STAGE}augment.scale_factor: -1}}}}]", r"stages.0: augment.scale_factor"),
        ("augment.rotation_deg=-20", "augment.rotation_deg"),
        ("codec.sigma_px=.nan", "codec.sigma_px"),
        ("codec.maps=heatmap", "did you mean 'heatmaps'"),
        ("codec.maps=logits", "belong together"),
        ("data.image_size_wh=[0,0]", "data.image_size_wh"),
        ("data.channel_order=brg", "data.channel_order"),
        ("benchmarks=[]", "benchmarks"),
        ("benchmarks.0.decoder=darkk", "did you mean 'dark'"),
    ],
)
def test_impossible_values_name_their_key(assignment, key):
    recipe = recipes.override(configs.load(), [assignment])
    with pytest.raises(UserError, match=key):
        limits.require_sound(recipe)


def test_stride_is_whatever_divides_the_image():
    for stride in (2, 8, 16):
        recipe = recipes.override(configs.load(), [f"codec.stride={stride}"])
        limits.require_sound(recipe)
    with pytest.raises(UserError, match=r"at most the map's 16 cells"):
        limits.require_sound(recipes.override(recipe, ["codec.sigma_px=17"]))
    with pytest.raises(UserError, match=r"codec\.stride"):
        limits.require_sound(recipes.override(recipe, ["codec.stride=0"]))


def test_words_are_those_that_the_parts_know():
    assert set(limits.CHOICES["train.schedule"]) == set(SCHEDULES)
    assert limits.CHOICES["augment.distribution"] == DISTRIBUTIONS


def test_parts_of_others_are_taken_as_they_are():
    @dataclass(frozen=True)
    class Theirs:
        stride: int = 3

    recipe = replace(configs.load(), codec=Theirs(), model=Theirs())
    limits.require_sound(recipe)
    values = recipes.to_dict(recipe)
    assert values["codec"] == values["model"] == {"kind": "Theirs", "stride": 3}
    with pytest.raises(UserError, match=r"codec.kind: unknown 'Theirs'.*HeatmapCodec"):
        recipes.from_dict({**values, "model": recipes.to_dict(configs.load())["model"]})
