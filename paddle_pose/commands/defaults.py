"""What a command takes where its user names no data or weights, or names them by a word."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError, nearest
from paddle_pose.evaluation import validation_benchmark
from paddle_pose.porting import download
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.understood import ASSUMED, NOTHING, Fact, Understood

SYNTHETIC = "synthetic"
"""As a data set's folder: people are rendered."""
RENDERED = ("mpii", "coco")
"""Data sets whose files rendered people may have."""
PARENT = "PADDLE_POSE_DATA"
_RENDER = "--dataset_root synthetic renders people on the spot"
_WHERE = {
    "mpii": "photos from http://human-pose.mpi-inf.mpg.de go into {0}/images; HRNet's train.json, "
    "valid.json and gt_valid.mat (or those of python -m paddle_pose convert mpii) into {0}/annot",
    "coco": "train2017.zip, val2017.zip and annotations_trainval2017.zip of "
    "https://cocodataset.org/#download go, unpacked, into {0}/images and {0}/annotations",
    "crowdpose": "images.zip and crowdpose_{{train,val,trainval,test}}.json of "
    "https://github.com/Jeff-sjtu/CrowdPose go into {0}/images and {0}/annotations",
    "ochuman": "images and ochuman.json of https://github.com/liruilong940607/OCHumanApi: the "
    "images go into {0}/images, and python -m paddle_pose convert ochuman writes the rest",
}


@dataclass(frozen=True)
class Data:
    """A data set's folder, and what is to be said of it.

    Attributes:
        root: the folder.
        understood: how it was chosen; nothing where it was named.
        rendered: whether its people are.
    """

    root: Path
    understood: Understood = NOTHING
    rendered: bool = False


def data_for(recipe: Recipe, named: Path | None, scored: Path | None = None) -> Data:
    """The folder that was named, else the data set's usual one; people are rendered for a word.

    Args:
        recipe: whose data set is meant.
        named: the folder, or ``synthetic``.
        scored: the annotation file, where nothing but it is read: its folder will do.

    Raises:
        UserError: nothing was named and nothing is there; says how to get it.
    """
    dataset = recipe.data.dataset
    if named is not None and (str(named) != SYNTHETIC or named.is_dir()):
        if str(named) != SYNTHETIC:
            return Data(named)
        return _data(named, "the folder of that name; no people are rendered", ASSUMED)
    if named is not None:
        return _rendered(dataset, recipe.data.limit)
    parent = os.environ.get(PARENT)
    root = Path(parent or "data") / dataset
    if root.is_dir():
        return _data(root, f"{root}, as --dataset_root names none", ASSUMED)
    if scored is not None:
        return Data(scored.parent)
    how = _WHERE.get(dataset, "").format(root)
    by = f" ({PARENT}={parent})" if parent else f", or elsewhere by {PARENT}=FOLDER"
    render = f"; {_RENDER}" if dataset in RENDERED else ""
    way_out = f": {how}{by}; --dataset_root DIR names any folder{render}"
    raise UserError(f"no --dataset_root, and no {root} here", way_out)


def _data(root: Path, text: str, source: str, *, rendered: bool = False) -> Data:
    return Data(root, Understood((Fact("data", str(root), text, source),)), rendered)


def _rendered(dataset: str, limit: int | None) -> Data:
    """People that are drawn once; with a limit no more than it asks for, the same as of all."""
    from paddle_pose.synthetic import dataset as synthetic  # late: it loads OpenCV

    if dataset not in RENDERED:
        named = " and ".join(RENDERED)
        raise UserError(f"--dataset_root {SYNTHETIC}: people are rendered for {named} alone")
    few = limit is not None and limit < max(synthetic.TRAIN_PEOPLE, synthetic.VAL_PEOPLE)
    root = Path("output") / f"synthetic_{dataset}{f'_first{limit}' if few else ''}"
    synthetic.write_dataset(root, layout=dataset, first=limit if few else None)
    text = f"rendered people in {root}; scores on them say nothing about photos"
    return _data(root, text, "rendered", rendered=True)


def benchmark_for(recipe: Recipe, data: Data) -> tuple[str | None, Understood]:
    """The protocol where none is named; of rendered people one that needs no detector."""
    chosen = validation_benchmark(recipe)
    if not data.rendered or chosen == recipe.benchmark(None):
        return None, NOTHING
    text = f"{chosen.name}, by annotated boxes, as rendered people have no detector's"
    return chosen.name, Understood((Fact("benchmark", chosen.name, text, ASSUMED),))


def recipe_named(recipe: Recipe, *named: object) -> Understood:
    """What is to be said of a recipe that nothing names."""
    if any(one is not None for one in named):
        return NOTHING
    text = f"{recipe.name}, as neither --config nor --image_size names one"
    return Understood((Fact("recipe", recipe.name, text, ASSUMED),))


@dataclass(frozen=True)
class Weights:
    """A file of weights, how it was found, and the recipe that published ones are of."""

    file: Path | None = None
    understood: Understood = NOTHING
    recipe: str | None = None


def weights_named(text: str | None, option: str = "--pretrained_model") -> Weights:
    """A file, or published weights by their name, fetched once; Raises UserError for neither."""
    if text is None:
        return Weights()
    rows, file = {row.name: row for row in download.published_weights()}, Path(text)
    if file.is_file():
        if text not in rows:
            return Weights(file)
        said = f"the file {file} here, not the published weights of that name"
        return Weights(file, Understood((Fact("weights", text, said, ASSUMED),)))
    if text not in rows:
        hint = ""
        if file.name == text and not file.suffix:
            names = "python -m paddle_pose port --list names them"
            hint = f", nor published weights of that name{nearest(text, rows, names)}"
        raise UserError(f"{option} {text}: no such file{hint}")
    row = rows[text]
    file = download.fetch(row)
    said = f"{text}, published for {row.recipe} ({row.licence}): {file}"
    fact = Fact("weights", text, said, "known name")
    return Weights(file, Understood((fact,)), row.recipe if row.kind == "pose" else None)


def packaged(option: str) -> Weights:
    """The packaged weights, where the option names none; Raises UserError without them."""
    from paddle_pose.inference.predictor import packaged_weights  # late: it loads OpenCV

    file = packaged_weights()
    fact = Fact("weights", str(file), f"{file.name}, packaged, as {option} names none", ASSUMED)
    return Weights(file, Understood((fact,)))


def own_weights(recipe: Recipe) -> Weights:
    """The best weights of the recipe's own run; Raises UserError where there are none."""
    run = RunFolder(Path("output") / recipe.name)
    if not run.best_weights.is_file():
        raise UserError(
            "no weights: give --pretrained_model FILE to predict (or a name of 'python -m "
            "paddle_pose port --list'), or --predictions FILE to score; there is no "
            f"{run.best_weights}, which train.py writes"
        )
    text = f"{run.best_weights}, the best of this recipe's own run"
    if run.recipe_file.is_file():
        text += _differences(recipe, run)
    fact = Fact("weights", str(run.best_weights), text, ASSUMED)
    return Weights(run.best_weights, Understood((fact,)))


_SEEN = ("image_size_wh", "rgb_mean", "rgb_std", "channel_order", "skeleton")


def _differences(recipe: Recipe, run: RunFolder) -> str:
    """What the run had otherwise, of what a network sees and puts out."""

    def compared(values: dict[str, Any]) -> dict[str, Any]:
        data = {f"data.{key}": values["data"].get(key) for key in _SEEN}
        model = {f"model.{k}": v for k, v in values["model"].items() if k != "joints"}
        return data | model | {f"codec.{k}": v for k, v in values["codec"].items()}

    now, then = (
        compared(recipes.to_dict(one)) for one in (recipe, recipes.read_yaml(run.recipe_file))
    )
    differ = [k for k in sorted(now.keys() | then.keys()) if now.get(k) != then.get(k)]
    said = "; ".join(f"{key} was {then.get(key)}, is {now.get(key)}" for key in differ[:3])
    return f"; {said}: --config {run.recipe_file} takes the run's" if differ else ""
