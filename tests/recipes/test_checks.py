"""Values that no run can have are refused by key before any work."""

from __future__ import annotations

import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes


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
        ("model.stacks=0", "model.stacks"),
        ("codec.stride=8", "codec.stride"),
        ("codec.sigma_px=0", "codec.sigma_px"),
        ("codec.sigma_px=1e9", "codec.sigma_px"),
        ("train.learning_rate=-1", "train.learning_rate"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.warmup_factor=-3", "train.warmup_factor"),
        ("train.weight_decay=-1", "train.weight_decay"),
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
