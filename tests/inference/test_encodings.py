"""UDP and maps of offsets as any other: trained, resumed, validated, predicted, exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from places import TINY
from runs import assert_identical, results

from paddle_pose import configs
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.commands.train import train
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.inference import export
from paddle_pose.inference.people import cut_out
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import MPII16

UDP = ("benchmarks.0.shift_heatmap=false", "benchmarks.0.test_scales=[1.0]", "data.limit=10",
       "train.loss=joints_mse")  # fmt: skip
OFFSETS = (*UDP, "train.loss=offset_mse", "benchmarks.0.decoder=offsets",
           "codec={kind: OffsetCodec}")  # fmt: skip
MAPS = (*UDP, "benchmarks.0.decoder=udp", "codec={kind: HeatmapCodec, encoding: udp}")


def recipe_of(*changes: str) -> Recipe:
    return configs.chosen("quickstart:newell_hg1_synthetic", None, [*TINY, *changes])


def test_a_run_of_offsets_is_resumed_and_scored(
    small_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """From a recipe of 16 maps: the network gets three for each joint, which is said."""
    how = {"device": "cpu", "num_workers": 0}
    two = (*OFFSETS, "train.epochs=2", "train.validate_every=2")
    best = train(recipe_of(*two), small_people, tmp_path / "whole", **how)
    said = capsys.readouterr().out
    assert "=> model.joints: 48, as the data have" in said
    assert ", offsets: 0." in said
    train(recipe_of(*two, "train.max_steps=3"), small_people, tmp_path / "stopped", **how)
    train(recipe_of(*two), small_people, tmp_path / "stopped", resume=True, **how)
    left, right = results(tmp_path / "whole"), results(tmp_path / "stopped")
    for one, other in zip(left[:3], right[:3], strict=True):
        assert_identical(one, other)
    scores = evaluate(recipe_of(*two), best, DataFiles(small_people), **how)
    assert np.isfinite(scores.values["Mean"])
    pixels = np.random.default_rng(1).integers(0, 256, (90, 80, 3), np.uint8)
    predictor = PosePredictor.from_weights(best, engine="eager")
    assert isinstance(predictor.recipe.codec, OffsetCodec)
    assert predictor(pixels, [5.0, 5.0, 60.0, 70.0]).keypoints.shape == (1, 16, 3)


@pytest.mark.parametrize("changes", [OFFSETS, MAPS], ids=["offsets", "udp"])
def test_an_exported_network_gives_the_same_poses(changes: tuple, tmp_path: Path) -> None:
    maps = 48 if changes is OFFSETS else 16
    recipe = recipe_of(*changes, f"model.joints={maps}")
    paddle.seed(5)
    network = build(recipe.model)
    pixels = np.random.default_rng(2).integers(0, 256, (120, 100, 3), np.uint8)
    box = [10.0, 8.0, 60.0, 100.0]
    export.export(network, recipe, MPII16, tmp_path / "served", ("paddle",))
    card = yaml.safe_load((tmp_path / "served/paddle/model.yaml").read_text("utf-8"))
    assert card["codec"]["encoding"] == "udp"
    expected = PosePredictor(network, recipe, engine="eager")(pixels, box)
    served = PosePredictor.from_exported(tmp_path / "served")
    found = served(pixels, box)
    # Scores are maxima of maps, which may differ by the bound, of the largest; places of flat maps
    # hang on which cell is the largest, so most of them, not all, are compared.
    np.testing.assert_allclose(found.keypoints[..., 2], expected.keypoints[..., 2], atol=1e-4)
    apart = np.abs(found.keypoints[..., :2] - expected.keypoints[..., :2])
    assert np.median(apart) < 0.1
    people = cut_out(pixels, np.array([box]), recipe.data.image_size_wh, [1.0])
    assert served.found(people, maps=True)[1].shape[1] == 16


def test_a_predictor_sees_udps_crop() -> None:
    """The corners of a box that is enlarged are the first and the last pixels' centres."""
    predictor = PosePredictor(build(recipe_of(*MAPS).model), recipe_of(*MAPS), engine="eager")
    x, y = np.meshgrid(np.arange(200), np.arange(200))
    pixels = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    crop = predictor.people(pixels, [[60.0, 50.0, 64.0, 64.0]]).crops[0][0]
    # 64 × 1.25 = 80 pixels about (92, 82): from 52 and 42 to 132 and 122, rounded to levels.
    assert crop[0, 0].tolist() == [52, 42, 0]
    assert crop[-1, -1].tolist() == [132, 122, 0]
