"""The people that a recipe trains on and is scored on, whichever data set it names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose import evaluation
from paddle_pose.data import mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.recipe import Recipe


@dataclass(frozen=True)
class Validation:
    """People to validate on, and how they are scored.

    Attributes:
        table: as ``inference.predict`` takes it.
        truth: of the same rows.
    """

    table: PersonTable
    truth: mpii.MpiiTruth

    def score(self, keypoints: np.ndarray) -> dict[str, float]:
        """Scores in percent of (N, J, 3) key points in image pixels, without intervals."""
        return evaluation.score_keypoints(keypoints, self.truth)


def worker_count(asked: int | None) -> int:
    """Loader processes: as asked, else one per core; Raises UserError for a negative number."""
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    if asked < 0:
        raise UserError(f"--num_workers {asked}: must be 0 (no worker processes) or more")
    return asked


def load(recipe: Recipe, dataset_root: Path, split: str) -> PersonTable:
    """People of a split, limited by ``data.limit``, with all their images on disk."""
    if recipe.data.dataset != "mpii":
        raise UserError(f"data.dataset: unknown '{recipe.data.dataset}'; valid: mpii")
    table = mpii.load(dataset_root, split).head(recipe.data.limit)
    mpii.require_images(table)
    mpii.describe(table)
    return table


def training_people(recipe: Recipe, dataset_root: Path, annotations: Path | None) -> PersonTable:
    """The people to train on."""
    return load(recipe, dataset_root, recipe.data.train_split)


def validation_people(recipe: Recipe, dataset_root: Path) -> Validation:
    """The people to validate on, with their truth."""
    table = load(recipe, dataset_root, recipe.data.val_split)
    truth = mpii.truth(dataset_root, recipe.data.val_split)
    return Validation(table, truth.select(table.rows))
