"""The people that a recipe trains on and is validated on, whichever data set it names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import coco, mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError, nearest
from paddle_pose.evaluation import coco as evaluation_coco
from paddle_pose.evaluation import mpii as evaluation
from paddle_pose.models.architectures import with_joints
from paddle_pose.poses.predictions import Predictions
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import skeleton_named

DATASETS = ("mpii", "coco")


@dataclass(frozen=True)
class Validation:
    """People to validate on while training.

    Attributes:
        table: as ``inference.predict`` takes it.
        benchmark: the protocol, with ground-truth boxes where the recipe has such a one: a
            detector's boxes are rarely at hand while training.
        score: (N, J, 3) key points in image pixels -> {name: value}, without intervals.
    """

    table: PersonTable
    benchmark: Benchmark
    score: Callable[[np.ndarray], dict[str, float]]

    def require_metric(self, name: str) -> None:
        """Raises UserError, before any training, for a score that there will not be."""
        joints = len(skeleton_named(self.table.skeleton))
        names = self.score(np.zeros((len(self.table), joints, 3)))
        if name not in names:
            raise UserError(f"train.select_metric: no score '{name}'{nearest(name, names)}")


def worker_count(asked: int | None) -> int:
    """Loader processes: as asked, else one per core; Raises UserError beyond sense."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    if asked is None:
        return cores
    most = 16 * cores
    if not 0 <= asked <= most:
        raise UserError(
            f"--num_workers {asked}: must be from 0 (no worker processes) to {most} "
            f"(16 for each of {cores} cores)"
        )
    return asked


def _validation_benchmark(recipe: Recipe) -> Benchmark:
    with_truth = [b for b in recipe.benchmarks if b.boxes == "ground_truth"]
    return (with_truth or list(recipe.benchmarks))[0]


def _load(
    recipe: Recipe, dataset_root: Path, split: str, boxes: str, annotations: Path | None
) -> PersonTable:
    if recipe.data.dataset not in DATASETS:
        hint = nearest(recipe.data.dataset, DATASETS)
        raise UserError(f"data.dataset: unknown '{recipe.data.dataset}'{hint}")
    if recipe.data.dataset == "mpii":
        if annotations is not None:
            raise UserError("--annotations: is for COCO; MPII's files are found by their names")
        table = mpii.load(dataset_root, split).head(recipe.data.limit)
        mpii.describe(table)
    else:
        table = coco.load(
            dataset_root,
            split,
            image_size_wh=recipe.data.image_size_wh,
            skeleton_name=recipe.data.skeleton,
            boxes=boxes,
            annotations=annotations,
        ).head(recipe.data.limit)
        coco.describe(table)
    mpii.require_images(table)
    return table


def training_people(recipe: Recipe, dataset_root: Path, annotations: Path | None) -> PersonTable:
    """The first ``data.limit`` people to train on, all with their images; Raises UserError."""
    return _load(recipe, dataset_root, recipe.data.train_split, "ground_truth", annotations)


def validation_people(
    recipe: Recipe, dataset_root: Path, annotations: Path | None = None
) -> Validation:
    """The first ``data.limit`` people to validate on, with their truth; Raises UserError."""
    benchmark, split = _validation_benchmark(recipe), recipe.data.val_split
    table = _load(recipe, dataset_root, split, benchmark.boxes, annotations)
    if recipe.data.dataset == "mpii":
        truth = mpii.truth(dataset_root, split).select(table.rows)
        return Validation(table, benchmark, lambda k: evaluation.score_keypoints(k, truth))
    coco_truth = evaluation_coco.read_truth(
        dataset_root, split, skeleton_name=recipe.data.skeleton, annotations=annotations
    )
    limited = recipe.data.limit is not None

    def score(keypoints: np.ndarray) -> dict[str, float]:
        return evaluation_coco.score_keypoints(
            keypoints, table, coco_truth, benchmark, only_its_images=limited
        )[0]

    return Validation(table, benchmark, score)


def fit_joints(recipe: Recipe, table: PersonTable) -> Recipe:
    """The recipe with as many heat maps as the data's skeleton has joints."""
    return replace(recipe, model=with_joints(recipe.model, len(skeleton_named(table.skeleton))))


def predictions_of(table: PersonTable, keypoints: np.ndarray, **origin: Any) -> Predictions:
    """Predictions for the people of a table.

    Args:
        table: the people, in the order of ``keypoints``.
        keypoints: (N, J, 3); a person's score is their mean score × the box score.
        origin: ``recipe``, ``benchmark``, ``annotation_sha256``, ``weights_sha256``, ``engine``.
    """
    keypoints = np.asarray(keypoints, np.float64)
    return Predictions(
        rows=table.rows,
        images=tuple(table.image_names[i] for i in table.image_index),
        center_xy=table.center_xy,
        scale_wh=table.scale_wh,
        keypoints=keypoints,
        scores=keypoints[:, :, 2].mean(1) * table.box_score,
        skeleton=table.skeleton,
        image_ids=table.image_ids[table.image_index],
        **origin,
    )
