"""A training run from its arguments to its record: what ``train.py`` does after parsing."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from tqdm import tqdm

from paddle_pose import checkpoint, inference, parallel, people, record, runtime, training
from paddle_pose import recipe as recipes
from paddle_pose.codecs import heatmap
from paddle_pose.data.datasets import PersonCrops
from paddle_pose.data.loader import Batch, steps_per_epoch, training_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.counting import count_parameters
from paddle_pose.models.outputs import require_maps
from paddle_pose.recipe import Recipe
from paddle_pose.schedules import learning_rate

RESUME_MAY_CHANGE = ("train.epochs", "train.log_every", "train.save_every", "train.validate_every")
"""Keys that may differ between a run and its resumption: they do not rewrite what was done.

A cosine or one-cycle schedule goes on as if the new ``train.epochs`` had been there from the start.
"""


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """The recipe with every override of the command line; Raises UserError."""
    recipe = recipes.load(arguments.config, arguments.image_size)
    short = {"train.epochs": "epochs", "train.batch_size": "batch_size", "seed": "seed"}
    given = [
        f"{key}={getattr(arguments, name)}"
        for key, name in short.items()
        if getattr(arguments, name, None) is not None
    ]
    recipe = recipes.override(recipe, [*given, *arguments.assignments])
    for key in ("train.epochs", "train.batch_size", "train.log_every", "train.validate_every"):
        if getattr(recipe.train, key.partition(".")[2]) < 1:
            raise UserError(f"{key}: must be at least 1")
    return recipe


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {
        k: v for name, item in values.items() for k, v in _flat(item, f"{prefix}{name}.").items()
    }


def _changes(before: Recipe, now: Recipe) -> dict[str, list[Any]]:
    """Keys that a resumption changes, old and new; UserError for one that it may not change."""
    old, new = _flat(recipes.to_dict(before)), _flat(recipes.to_dict(now))
    changed = {key: [old.get(key), new.get(key)] for key in sorted(old.keys() | new.keys())}
    changed = {key: values for key, values in changed.items() if values[0] != values[1]}
    for key, (was, is_now) in changed.items():
        if key not in RESUME_MAY_CHANGE and not key.startswith("eval."):
            raise UserError(
                f"--resume: {key} is {is_now!r} here and {was!r} in the run; "
                "take it back, or start a new run with --output_dir"
            )
    return changed


@dataclass
class Run:
    """One training run: its parts, and the hooks that the loop calls."""

    recipe: Recipe
    folder: record.RunFolder
    trainer: training.Trainer
    train_people: PersonTable
    validation: people.Validation
    num_workers: int
    best: dict[str, Any] = field(default_factory=dict)
    last_scores: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if parallel.is_first():
            from visualdl import LogWriter

            self._scalars = LogWriter(logdir=str(self.folder.root / "vdl"))

    def say(self, line: str) -> None:
        """A line on the terminal, beside the progress bar, and in log.txt."""
        if parallel.is_first():
            tqdm.write(line)
            self.folder.log(line)

    def log(self, log: training.TrainLog) -> None:
        """A training line: terminal, log.txt, metrics.jsonl, VisualDL."""
        self.say(log.line())
        pckh = None if math.isnan(log.pckh) else round(log.pckh, 4)
        self.folder.metric(
            kind="train",
            epoch=log.epoch,
            step=log.step,
            loss=log.loss,
            lr=log.lr,
            pckh=pckh,
            reader_cost=round(log.reader_cost, 6),
            batch_cost=round(log.batch_cost, 6),
            ips=round(log.ips, 3),
        )
        step = log.epoch * log.steps_per_epoch + log.step
        for name, value in (("loss", log.loss), ("lr", log.lr), ("pckh", log.pckh)):
            if not math.isnan(value):
                self._scalars.add_scalar(f"train/{name}", value, step)

    def train_score(self, batch: Batch, heatmaps: np.ndarray) -> float:
        """PCKh@0.5 of a training batch in image pixels, by each person's own head size."""
        head_px = self.train_people.head_size_px[batch.index]
        cells, _ = heatmap.decode(heatmaps, "quarter_offset", sigma_px=self.recipe.codec.sigma_px)
        target_cells, _ = heatmap.decode(
            batch.targets.numpy(), "quarter_offset", sigma_px=self.recipe.codec.sigma_px
        )
        size_wh = (heatmaps.shape[3], heatmaps.shape[2])
        place = (batch.center_xy, batch.scale_wh, size_wh)
        offsets = heatmap.to_image(cells, *place) - heatmap.to_image(target_cells, *place)
        scored = (batch.weights.numpy() > 0) & np.isfinite(head_px)[:, None]
        if not scored.any():
            return math.nan
        hits = np.linalg.norm(offsets, axis=2) <= 0.5 * head_px[:, None]
        return 100.0 * float(hits[scored].mean())

    def save(self, epoch: int, step: int) -> None:
        """A state to resume from, at (epoch, next step)."""
        position = {
            "epoch": epoch,
            "step": step,
            "best": self.best,
            "random": {
                "seed": self.recipe.seed,
                "note": "every draw is a function of (seed, epoch, index); there is no other state",
            },
        }
        checkpoint.save_state(
            self.folder.state_file, self.trainer.network, self.trainer.optimizer, position
        )

    def epoch_end(self, epoch: int) -> None:
        """Validate where it is due; keep the best weights."""
        settings = self.recipe.train
        if (epoch + 1) % settings.validate_every and epoch + 1 != settings.epochs:
            return
        keypoints = inference.predict(
            self.trainer.network,
            self.validation.table,
            self.recipe.data,
            self.recipe.codec,
            self.validation.benchmark,
            batch_size=self.recipe.eval.batch_size,
            num_workers=self.num_workers,
        )
        scores = self.validation.score(keypoints)
        self.last_scores = scores
        self.folder.metric(kind="eval", epoch=epoch, **{k: round(v, 4) for k, v in scores.items()})
        for name, value in scores.items():
            self._scalars.add_scalar(f"eval/{name}", value, epoch)
        metric = settings.select_metric
        line = " ".join(f"{name}={scores[name]:.3f}" for name in sorted(scores))
        self.say(f"[EVAL] epoch: {epoch + 1} {line}")
        if not self.best or scores[metric] > self.best[metric]:
            self.best = {"epoch": epoch, **scores}
            checkpoint.save_weights(self.trainer.network, self.folder.best_weights)
            self.say(f"=> best {metric} so far: {scores[metric]:.3f} (epoch {epoch + 1})")

    def finish(self) -> None:
        """The result into record.json, the last weights beside the best."""
        last = self.folder.root / "last" / "model.pdparams"
        checkpoint.save_weights(self.trainer.network, last)
        self._scalars.close()
        result = {
            "finished": record.now(),
            "best": self.best,
            "last": self.last_scores,
            "sha256": {
                "best_model/model.pdparams": record.sha256(self.folder.best_weights),
                "last/model.pdparams": record.sha256(last),
            },
        }
        self.folder.write_record({**self.folder.read_record(), "result": result})


def _quiet_unless_first() -> None:
    """Only rank 0 speaks and writes; the others do their part of every batch."""
    if not parallel.is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _folder_and_recipe(arguments: argparse.Namespace) -> tuple[record.RunFolder, Recipe, bool]:
    """Where the run lives, what it is, and whether it goes on from a state there."""
    if arguments.resume:
        place = Path(arguments.resume)
        if place.is_file():  # a state inside a run folder
            checkpoint.require_state(place)
            place = place.parent.parent
        folder = record.RunFolder(place)
        if not folder.recipe_file.is_file():
            raise UserError(f"--resume {arguments.resume}: no run here (no recipe.yaml)")
        if arguments.config is None and arguments.image_size is None:
            arguments.config = str(folder.recipe_file)
        return folder, recipe_from(arguments), True
    recipe = recipe_from(arguments)
    folder = record.RunFolder(arguments.output_dir or Path("output") / recipe.name)
    resuming = arguments.resume is not None and folder.record_file.is_file()
    if arguments.resume is not None and not resuming:
        print(f"=> {folder.root}: no run to resume, starting one", flush=True)
    return folder, recipe, resuming


def _build(recipe: Recipe, pretrained: Path | None) -> PoseNetwork:
    paddle.seed(recipe.seed)
    network = recipe.model.build()
    if pretrained is not None:
        missing = checkpoint.load_weights(network, pretrained, partial=True)
        loaded = len(network.state_dict()) - len(missing)
        print(f"=> {pretrained}: {loaded} tensors loaded, {len(missing)} not in it")
        for name in missing[:10]:
            print(f"   not loaded: {name}")
        if len(missing) > 10:
            print(f"   … and {len(missing) - 10} more")
    return network


def train(arguments: argparse.Namespace) -> None:
    """Run ``train.py``'s arguments to the end; Raises UserError."""
    _quiet_unless_first()
    folder, recipe, resuming = _folder_and_recipe(arguments)
    parallel.start(recipe.train.batch_size)
    changed = _changes(recipes.read_yaml(folder.recipe_file), recipe) if resuming else {}
    if arguments.dataset_root is None:
        raise UserError("--dataset_root: give the folder that holds annotations and images")
    device = runtime.choose_device(arguments.device)
    workers = people.worker_count(arguments.num_workers)
    train_people = people.training_people(recipe, arguments.dataset_root, arguments.annotations)
    validation = people.validation_people(recipe, arguments.dataset_root, arguments.val_annotations)
    recipe = people.fit_joints(recipe, train_people)
    steps = steps_per_epoch(
        len(train_people), recipe.train.batch_size, drop_last=recipe.train.drop_last
    )
    network = _build(recipe, arguments.pretrained_model)
    _require_possible(recipe, network, validation)
    trainer = training.Trainer(network, recipe.train, recipe.data)
    if not resuming and parallel.is_first():
        facts = {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "device": device,
            "num_workers": workers,
            "processes": parallel.ranks(),
            "parameters": count_parameters(network),
            "data": {
                "train": {"people": len(train_people), "files": train_people_files(train_people)},
                "valid": {
                    "people": len(validation.table),
                    "files": train_people_files(validation.table),
                },
            },
            "pretrained_model": _pretrained_facts(arguments.pretrained_model),
        }
        folder.start(recipes.dump_yaml(recipe), facts)
    run = Run(recipe, folder, trainer, train_people, validation, workers)
    start = _restore(run, changed) if resuming else (0, 0)
    run.say(f"=> {recipe.name}: {steps} steps an epoch, {recipe.train.epochs} epochs, on {device}")
    hooks = training.Hooks()
    if parallel.is_first():
        hooks = training.Hooks(
            log=run.log, save=run.save, epoch_end=run.epoch_end, train_score=run.train_score
        )
    crops = PersonCrops(
        train_people, recipe.data, recipe.codec, augment=recipe.augment, seed=recipe.seed
    )
    batches = training_batches(
        crops,
        batch_size=recipe.train.batch_size,
        epochs=recipe.train.epochs,
        start=start,
        seed=recipe.seed,
        num_workers=workers,
        drop_last=recipe.train.drop_last,
    )
    training.fit(trainer, batches, steps_per_epoch=steps, start=start, hooks=hooks)
    if parallel.is_first():
        run.finish()
    print(f"=> best weights: {folder.best_weights}")


def _require_possible(recipe: Recipe, network: PoseNetwork, validation: people.Validation) -> None:
    """Raises UserError for what would otherwise stop the run after hours, or its first step."""
    width, height = recipe.data.image_size_wh
    if width % network.size_multiple or height % network.size_multiple:
        raise UserError(
            f"data.image_size_wh: {width}×{height}, but {type(recipe.model).__name__} needs "
            f"multiples of {network.size_multiple}"
        )
    require_maps(recipe.codec, recipe.train.loss)
    learning_rate(recipe.train, 0, 1)
    heatmap.require_decoder(validation.benchmark.decoder)
    validation.require_metric(recipe.train.select_metric)


def _restore(run: Run, changed: dict[str, list[Any]]) -> tuple[int, int]:
    """Load the state; a run that was killed before its first one starts over."""
    if not run.folder.state_file.is_file():
        position = {"epoch": 0, "step": 0, "best": {}}
    else:
        position = checkpoint.load_state(
            run.folder.state_file, run.trainer.network, run.trainer.optimizer
        )
    run.best = position["best"]
    if parallel.is_first():
        run.folder.resume(position, recipes.dump_yaml(run.recipe), changed)
    run.say(f"=> resumed at epoch {position['epoch'] + 1}, step {position['step'] + 1}")
    return position["epoch"], position["step"]


def _pretrained_facts(path: Path | None) -> dict[str, str] | None:
    return None if path is None else {"file": path.name, "sha256": record.sha256(path)}


def train_people_files(table: PersonTable) -> dict[str, str]:
    """Digest of each annotation file that a table came from."""
    return {file.name: record.sha256(file) for file in table.files}
