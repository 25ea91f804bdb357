"""What a run learns and how it is judged: the samples it trains on, and its evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_pose.codecs.codec import maps_of
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.codecs.light_paf import LightPafCodec
from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.data import coco, joined, light_people, mpii, record_shards
from paddle_pose.data.bottom_up import BottomUpSamples
from paddle_pose.data.records import PersonTable
from paddle_pose.data.samples import Samples
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.data.two_people import TwoPeopleCrops
from paddle_pose.data.whole_people import FILE_SKELETONS
from paddle_pose.errors import UserError
from paddle_pose.evaluation import evaluator_for, validation_benchmark
from paddle_pose.evaluation.coordinate_scores import AlphaPoseAccuracy, InputPck
from paddle_pose.evaluation.evaluator import DataFiles, Evaluator
from paddle_pose.evaluation.mpii import refuse_files
from paddle_pose.evaluation.training_score import TrainingPckh
from paddle_pose.files import sha256
from paddle_pose.metrics.pckh import PCKH
from paddle_pose.models.architectures import (
    BodyPoseNet,
    LightOpenPose,
    whole,
    with_joints,
    with_numbers,
)
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import skeleton_named

if TYPE_CHECKING:
    from paddle_pose.data.loader import Batch

TrainScore = Callable[["Batch", dict[str, np.ndarray]], Sequence[float]]


def no_score(batch: Batch, outputs: dict[str, np.ndarray]) -> tuple[int, int]:
    """For data without head sizes: no joint is scored while training."""
    return 0, 0


def together(scores: Mapping[str, TrainScore]) -> TrainScore:
    """The pairs of several scores, one after the other."""

    def score(batch: Batch, outputs: dict[str, np.ndarray]) -> Sequence[float]:
        return [value for one in scores.values() for value in one(batch, outputs)]

    return score if scores else no_score


@dataclass(frozen=True)
class Task:
    """What is learnt, and how it is judged.

    Attributes:
        samples: training samples by (epoch, index); see ``data.top_down``.
        evaluator: validation, while training as in ``val.py``.
        train_score: hits and scored joints of a batch, from the final outputs; a pair for each of
            ``train_scores``.
        facts: about ``train`` and ``valid``, for the record; a resumed run must find them again;
            and what was ``understood`` of their files.
        train_scores: names in the log.
    """

    samples: Samples
    evaluator: Evaluator
    train_score: TrainScore = no_score
    facts: dict[str, Any] = field(default_factory=dict)
    train_scores: tuple[str, ...] = (PCKH,)


def task_for(recipe: Recipe, training: DataFiles, validation: DataFiles) -> tuple[Task, Recipe]:
    """The task of a recipe's data set, and the recipe with as many outputs as that has joints.

    Raises:
        UserError: an unknown data set, or files that cannot be used.
    """
    if isinstance(recipe.codec, PafCodec):
        return bottom_up_task(recipe, recipe.codec, training, validation)
    table = training_people(recipe, training)
    skeleton = skeleton_named(table.skeleton)
    augment = recipe.augment_by_epoch()
    if any(settings.flip_probability for settings in augment.values()):
        skeleton.require_pairs("augment.flip_probability")
    maps = maps_of(recipe.codec, len(skeleton)) - getattr(whole(recipe.model), "more", 0)
    recipe = replace(recipe, model=with_joints(recipe.model, maps))
    evaluator = evaluator_for(recipe, validation_benchmark(recipe), validation)
    evaluator.require_score(recipe.train.select_metric)
    if evaluator.skeleton.flip_pairs != skeleton.flip_pairs:
        raise UserError(
            "the training file and the validation file pair other joints as left and right; state "
            "them with data.flip_pairs"
        )
    crops = TwoPeopleCrops if isinstance(recipe.codec, PairCodec) else PersonCrops
    samples = crops(
        table,
        recipe.data,
        recipe.codec,
        augment=augment,
        seed=recipe.seed,
    )
    scores: dict[str, TrainScore] = {}
    if np.isfinite(table.head_size_px).any():
        scores[PCKH] = TrainingPckh(table, recipe.codec, evaluator.benchmark)
    is_alphapose = getattr(evaluator.benchmark.metric, "score", "product") != "product"
    codec = recipe.codec
    if isinstance(codec, IntegralCodec | CombinedCodec) or (
        is_alphapose and type(codec) is HeatmapCodec
    ):
        scores["PCK@0.05 of the input"] = InputPck(codec)
        scores["accuracy as AlphaPose"] = AlphaPoseAccuracy(codec)
    facts = {
        "train": _facts(table, table.files),
        "valid": _facts(evaluator.table, evaluator.files),
        "understood": {
            "train": table.understood.plain(),
            "valid": evaluator.understood.plain(),
        },
    }
    return Task(samples, evaluator, together(scores), facts, tuple(scores)), recipe


def bottom_up_task(
    recipe: Recipe, codec: PafCodec, training: DataFiles, validation: DataFiles
) -> tuple[Task, Recipe]:
    """As ``task_for``, of whole pictures: shards of ``convert bottom_up``, or a COCO file.

    Raises:
        UserError: as there, or joints that are not the codec's.
    """
    if recipe.data.dataset not in ("coco", "ochuman"):
        raise UserError(f"data.dataset={recipe.data.dataset}: whole pictures are trained on coco")
    light = isinstance(codec, LightPafCodec)
    people = (light_people.people if light else record_shards.people)(
        training.root, recipe.data.train_split, recipe.data, annotations=training.annotations
    ).head(recipe.data.limit)
    wanted = FILE_SKELETONS.get(codec.skeleton, codec.skeleton)
    if people.skeleton.name != wanted or recipe.data.skeleton != codec.skeleton:
        raise UserError(
            f"codec.skeleton={codec.skeleton}: the data have data.skeleton={recipe.data.skeleton}; "
            "set both alike"
        )
    skeleton = skeleton_named(codec.skeleton)
    augment = recipe.augment_by_epoch()
    if any(settings.flip_probability for settings in augment.values()):
        skeleton.require_pairs("augment.flip_probability")
    model = with_joints(recipe.model, len(skeleton))
    if isinstance(whole(model), BodyPoseNet | LightOpenPose):
        model = with_numbers(model, limbs=len(codec.limbs))
    recipe = replace(recipe, model=model)
    kind = light_people.LightSamples if light else BottomUpSamples
    samples = kind(people, recipe.data, codec, augment=augment, seed=recipe.seed)
    people.understood.tell()
    evaluator = evaluator_for(recipe, validation_benchmark(recipe), validation)
    evaluator.require_score(recipe.train.select_metric)
    facts = {
        "train": _facts(people, people.files),
        "valid": {
            "people": len(evaluator.samples(1.0)),
            "files": {file.name: sha256(file) for file in evaluator.files},
        },
        "understood": {
            "train": people.understood.plain(),
            "valid": evaluator.understood.plain(),
        },
    }
    return Task(samples, evaluator, no_score, facts), recipe


def training_people(recipe: Recipe, files: DataFiles) -> PersonTable:
    """The first ``data.limit`` people to train on, all with their images."""
    if recipe.data.dataset == "mpii":
        refuse_files(files)
        table = mpii.load(files.root, recipe.data.train_split).head(recipe.data.limit)
        table = joined.repeat(table, recipe.data.repeat)
        mpii.describe(table)
    else:
        table = coco.load(
            files.root,
            recipe.data.train_split,
            image_size_wh=recipe.data.image_size_wh,
            skeleton_name=recipe.data.skeleton,
            annotations=files.annotations,
            stated=recipe.data,
        ).head(recipe.data.limit)
        table = joined.with_others(table, files.root, recipe.data)
        coco.describe(table)
    mpii.require_images(table)
    return table


def _facts(table: Sized, files: Sequence[Path]) -> dict[str, Any]:
    """How many people, and the digest of each file that they and their truth came from."""
    return {"people": len(table), "files": {file.name: sha256(file) for file in files}}
