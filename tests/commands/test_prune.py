"""python -m paddle_pose prune: a smaller network that loads, trains, is scored and exported."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddle_pose import configs
from paddle_pose.commands import prune
from paddle_pose.errors import UserError
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.architectures import NewellHourglass, Pruned
from paddle_pose.models.build import build
from paddle_pose.porting.loading import load_weights
from paddle_pose.recipes import recipe as recipes
from paddle_pose.settings import Momentum
from paddle_pose.skeletons import Skeleton
from paddle_pose.weights.checkpoint import save_weights
from paddle_pose.weights.facts import facts_of

RECIPE = "quickstart:newell_hg1_synthetic"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Weights of the quickstart's network, whose filters differ in norm."""
    network, draw = build(configs.load(RECIPE).model), np.random.default_rng(0)
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.Conv2D):
            by = draw.uniform(0.1, 1, [layer.weight.shape[0], 1, 1, 1]).astype(np.float32)
            layer.weight.set_value(layer.weight.numpy() * by)
    file = tmp_path / "model.pdparams"
    save_weights(network, file)
    return file


def test_what_is_written_loads_and_says_what_went(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "smaller"
    prune.main([str(trained), "--config", RECIPE, "--output", str(out), "--threshold", "0.5"])
    said = capsys.readouterr().out
    assert "=> parameters " in said
    recipe = configs.load(str(out / "recipe.yaml"))
    assert isinstance(recipe.model, Pruned)
    assert isinstance(recipe.model.of, NewellHourglass)
    assert recipe.name == "newell_hg1_synthetic_pruned"
    network = build(recipe.model)
    loaded = load_weights(network, out / "model.pdparams", recipe.model)
    assert loaded.filled == len(network.state_dict())
    again = recipes.override(recipe, ["model.of.joints=16"])
    assert again == recipe
    prune.main([str(out / "model.pdparams"), "--config", str(out / "recipe.yaml"), "--output",
        str(tmp_path / "smallest"), "--threshold", "0.6", "--min_filters", "4",
        "--granularity", "2"])  # fmt: skip
    twice = configs.load(str(tmp_path / "smallest/recipe.yaml"))
    assert set(recipe.model.filters) <= set(twice.model.filters)
    load_weights(build(twice.model), tmp_path / "smallest/model.pdparams", twice.model)


def test_nothing_is_written_where_nothing_goes(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "smaller"
    with pytest.raises(UserError, match="--threshold 0: no filter that may go is below it"):
        prune.main([str(trained), "--config", RECIPE, "--output", str(out), "--threshold", "0"])
    assert not out.exists()
    with pytest.raises(UserError, match="excluded: no layer 'nothing'"):
        prune.main([str(trained), "--config", RECIPE, "--output", str(out), "--exclude", "nothing"])
    with pytest.raises(UserError, match="onto a file that is read"):
        prune.main([str(trained), "--config", RECIPE, "--output", str(trained.parent)])
    taken = tmp_path / "a_file"
    taken.write_text("mine")
    words = ["--config", RECIPE, "--output", str(taken), "--threshold", "0.5"]
    with pytest.raises(UserError, match="a_file"):
        prune.main([str(trained), *words])
    assert taken.read_text() == "mine"


def test_mistakes_are_found_before_paddle_is_loaded(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddle_pose.system.runtime.import_paddle", lambda: pytest.fail("loaded"))
    words = [str(trained), "--config", RECIPE, "--output", str(tmp_path / "out")]
    for wrong, said in (
        (["--threshold", "-1"], "threshold -1: must be 0 or more"),
        (["--threshold", "nan"], "threshold nan"),
        (["--threshold", "1"], "threshold 1: no norm is above 1 by max"),
        (["--normalizer", "L3"], "normalizer 'L3'"),
        (["--granularity", "0"], "at least 1"),
        (["--config", "hrnet:nothing"], "nothing"),
        (["--output", str(trained.parent)], "onto a file that is read"),
    ):
        with pytest.raises(UserError, match=said):
            prune.main([*words, *wrong])
    with pytest.raises(UserError, match=r"nothing.pdparams: no such file"):
        prune.main([str(tmp_path / "nothing.pdparams"), *words[1:]])


def test_layers_that_the_threshold_says_nothing_of_are_counted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out, norms = str(tmp_path / "out"), ["--normalizer", "L2", "--min_filters", "4"]
    prune.main([str(trained), "--config", RECIPE, "--output", out, "--threshold", "999", *norms])
    said = capsys.readouterr().out
    assert re.search(r"assumed: threshold: in (\d+) of \1 layers that lose filters", said)
    prune.main([str(trained), "--config", RECIPE, "--output", out, "--threshold", "0.5"])
    assert "assumed: threshold" not in capsys.readouterr().out


def test_joints_of_a_file_stay_the_weights_own(tmp_path: Path) -> None:
    words = ("model.width=4", "model.features=8", "model.joints=3", "model.limbs=2",
             "data.skeleton=from_file", "codec.skeleton=from_file")  # fmt: skip
    recipe = recipes.override(configs.load("bodyposenet:two_stages"), words)
    ours = Skeleton("from_file", ("a", "b", "c"), (("a", "b"), ("b", "c")), (), pairs=())
    file, stated = tmp_path / "own.pdparams", tmp_path / "own.yaml"
    save_weights(build(recipe.model), file, facts_of(recipes.to_dict(recipe), recipe.data, ours))
    stated.write_text(recipes.dump_yaml(recipe), encoding="utf-8")
    out = tmp_path / "smaller"
    prune.main([str(file), "--config", str(stated), "--output", str(out), "--threshold", "0.8",
        "--granularity", "1", "--min_filters", "2"])  # fmt: skip
    predictor = PosePredictor.from_weights(out / "model.pdparams")
    assert predictor.skeleton == ours
    assert predictor.recipe.model.filters
    predictor(np.zeros((64, 48, 3), np.uint8))  # no other file says its limbs


def test_retraining_is_the_official_one_of_bodyposenet_alone() -> None:
    small, said = prune.retraining(configs.load("bodyposenet:two_stages"), {})
    assert small.train.optimizer == Momentum(momentum=0.9)
    assert said.startswith("assumed: retraining: without L1")
    recipe = recipes.override(configs.load(RECIPE), ["train.optimizer.l2=0.001"])
    small, said = prune.retraining(recipe, {})
    assert (small.train.optimizer, said) == (recipe.train.optimizer, "")
