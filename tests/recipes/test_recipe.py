"""Recipes: by name, by file, overridden; mistakes are named with the nearest valid key."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml
from places import ROOT

from paddle_pose import configs
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.errors import UserError
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes
from paddle_pose.settings import Adam, Momentum, ParameterGroup, Stage


def test_image_size_alone_chooses_hourglass52():
    assert configs.load(None, None).name == "hourglass52_mpii_256x256"
    assert configs.load(None, 384).name == "hourglass52_mpii_384x384"
    assert configs.load(None, 128).data.image_size_wh == (128, 128)


@pytest.mark.parametrize("size", [0, -64, 100, 31])
def test_impossible_image_size(size):
    with pytest.raises(UserError, match="multiple of 32"):
        configs.load(None, size)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.epoch=1", "did you mean 'train.epochs'"),
        ("trian.epochs=1", "did you mean 'train.epochs'"),
        ("epochs=1", "train.epochs"),
        ("train.epochs=many", "train.epochs: expected int, got 'many'"),
        ("train.epochs=1.5", "train.epochs: expected int"),
        ("train.epochs=true", "train.epochs: expected int"),
        ("train.drop_last=1", "train.drop_last: expected bool"),
        ("train=1", "section"),
        ("train.epochs", "expected KEY=VALUE"),
        ("train.epochs.x=1", "unknown key 'train.epochs.x'"),
        ("benchmarks.7.flip_test=false", "not an index"),
        ("train.milestones.0=5", "set the whole list"),
        ("benchmarks.0=x", "set the whole list"),
        ("data.image_size_wh=[1]", "expected 2 values"),
        ("model.stacks=[", "not a YAML value"),
    ],
)
def test_bad_override_is_one_line(assignment, message):
    with pytest.raises(UserError) as error:
        recipes.override(configs.load(), [assignment])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_overrides_reach_their_keys():
    recipe = recipes.override(
        configs.load(),
        ["train.epochs=1", "data.limit=64", "train.learning_rate=1e-3", "eval.bootstrap=0",
         "benchmarks.0.flip_test=false", "model.stacks=2", "data.limit=null"],
    )  # fmt: skip
    assert (recipe.train.epochs, recipe.data.limit, recipe.eval.bootstrap) == (1, None, 0)
    assert recipe.train.learning_rate == 1e-3
    assert recipe.model.stacks == 2
    assert not recipe.benchmarks[0].flip_test


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'hourglass:hourglass52_mpii_256x256'"):
        configs.load("hourglass:hourglass52_mpi_256x256")


ALONE = Counter(full.partition(":")[2] for full in configs.all_names())


@pytest.mark.parametrize(
    "full", [f for f in configs.all_names() if ALONE[f.partition(":")[2]] == 1]
)
def test_a_name_alone_is_its_recipe_and_said_once(full, capsys):
    configs._say.cache_clear()
    name = full.partition(":")[2]
    assert [configs.load(name) for _ in "ab"] == [configs.load(full)] * 2
    said = f"assumed: recipe: {full}, the only one of that name\n"
    assert capsys.readouterr().out == said


def test_a_name_of_two_recipes_is_none(monkeypatch):
    monkeypatch.setattr(configs, "all_names", lambda: ["hrnet:one", "twins:one"])
    with pytest.raises(UserError, match="recipe 'one': of that name there are hrnet:one and twins"):
        configs.load("one")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smal_person", "did you mean 'small_person'?"),
        ("hourgalss", "did you mean 'hourglass'?"),
        ("zzz", "python -m paddle_pose recipes lists all"),
    ],
)
def test_a_wrong_name_alone_has_a_hint(name, hint):
    with pytest.raises(UserError) as caught:
        configs.load(name)
    assert str(caught.value) == f"unknown recipe '{name}'; {hint}"


@pytest.mark.parametrize("name", configs.all_names())
def test_yaml_gives_the_recipe_back(name, tmp_path):
    recipe = configs.load(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipes.dump_yaml(recipe))
    assert configs.load(str(file)) == recipe


def test_yaml_mistakes(tmp_path):
    file = tmp_path / "recipe.yaml"
    values = recipes.to_dict(configs.load())
    for change, message in [
        (lambda v: v["train"].update(epoch=1), "train.epochs"),
        (lambda v: v["model"].update(kind="Hourglas52"), "did you mean 'Hourglass52'"),
        (lambda v: v.pop("name"), "missing key 'name'"),
    ]:
        broken = yaml.safe_load(yaml.safe_dump(values))
        change(broken)
        file.write_text(yaml.safe_dump(broken))
        with pytest.raises(UserError, match=message):
            configs.load(str(file))
    file.write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        configs.load(str(file))
    with pytest.raises(UserError, match="cannot read"):
        configs.load(str(tmp_path / "absent.yaml"))


def test_every_committed_run_still_loads():
    """Their recipes are of several ages: no kind of codec, Adam's decay beside it, fewer keys."""
    files = sorted((ROOT / "reproduce" / "runs").rglob("recipe.yaml"))
    assert len([file for file in files if file.parts[-3] not in ("crowd", "light", "scenes")]) == 13
    for file in files:
        recipe = configs.load(str(file))
        limits.require_sound(recipe)
        assert recipe.train.optimizer == Adam()
        if file.parts[-3] not in ("crowd", "light", "scenes"):
            narrow = recipe.name in ("small_person", "newell_hg1_lspet_cells")
            sigma_px = 1.0 if narrow else 1.5
            assert recipe.codec == HeatmapCodec(sigma_px, 4, recipe.codec.maps)
        assert recipes.from_dict(yaml.safe_load(recipes.dump_yaml(recipe))) == recipe


def test_older_keys_are_read():
    values = recipes.to_dict(configs.load())
    del values["codec"]["kind"], values["stages"], values["train"]["optimizer"]
    values["train"]["weight_decay"] = 1e-4
    before = yaml.safe_dump(values)
    assert recipes.from_dict(values).train.optimizer == Adam(l2=1e-4)
    assert recipes.from_dict(values).codec == configs.load().codec
    assert yaml.safe_dump(values) == before


def test_optimiser_stages_and_codec_survive_yaml():
    recipe = recipes.override(
        configs.load(),
        ["train.optimizer={kind: Momentum, nesterov: true, groups: [{pattern: '*.bias'}]}",
         "codec={kind: HeatmapCodec, stride: 8}", "train.optimizer.l1=1e-5",
         "stages=[{epoch: 9, changes: {train.milestones: [2, 4], augment.flip_probability: 0}}]"],
    )  # fmt: skip
    groups = (ParameterGroup("*.bias"),)
    assert recipe.train.optimizer == Momentum(nesterov=True, l1=1e-5, groups=groups)
    changes = {"train.milestones": (2, 4), "augment.flip_probability": 0}
    assert recipe.stages == (Stage(9, changes),)
    assert recipe.codec == HeatmapCodec(stride=8)
    assert recipe.at(8) == recipe
    assert recipe.at(9).train.milestones == (2, 4)
    assert recipe.at(9).augment.flip_probability == 0.0
    assert recipes.from_dict(yaml.safe_load(recipes.dump_yaml(recipe))) == recipe
    with pytest.raises(UserError, match=r"optimizer.kind: unknown 'Adm'; did you mean 'Adam'"):
        recipes.override(recipe, ["train.optimizer={kind: Adm}"])
    with pytest.raises(UserError, match=r"unknown key 'train.optimizer.beta1'"):
        recipes.override(recipe, ["train.optimizer.beta1=0.5"])  # Momentum has none


def test_unknown_benchmark_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'mpii_val'"):
        configs.load().benchmark("mpii_vall")
