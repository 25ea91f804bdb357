"""A training run from its arguments to its record: what ``train.py`` does after parsing."""

from __future__ import annotations

import argparse
import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from tqdm import tqdm

from paddle_pose import configs
from paddle_pose.codecs import heatmap
from paddle_pose.commands import record
from paddle_pose.commands import resuming as resuming_rules
from paddle_pose.data.loader import Batch, steps_per_epoch, training_batches
from paddle_pose.data.mpii_files import sha256
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.evaluation import people
from paddle_pose.inference import top_down as inference
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import parallel, runtime
from paddle_pose.training import loop as training
from paddle_pose.training import precision
from paddle_pose.training.schedules import highest_rate, learning_rate
from paddle_pose.weights import checkpoint


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """The recipe with every override of the command line; Raises UserError."""
    recipe = configs.load(arguments.config, arguments.image_size)
    short = {"train.epochs": "epochs", "train.batch_size": "batch_size", "seed": "seed"}
    given = [
        f"{key}={getattr(arguments, name)}"
        for key, name in short.items()
        if getattr(arguments, name, None) is not None
    ]
    recipe = recipes.override(recipe, [*given, *arguments.assignments])
    limits.require_sound(recipe)
    return recipe


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

    def train_score(self, batch: Batch, heatmaps: np.ndarray) -> tuple[int, int]:
        """Hits and scored joints of PCKh@0.5 in image pixels, by each person's own head size."""
        head_px = self.train_people.head_size_px[batch.index]
        cells, _ = heatmap.decode(heatmaps, "quarter_offset", sigma_px=self.recipe.codec.sigma_px)
        target_cells, _ = heatmap.decode(
            batch.targets.numpy(), "quarter_offset", sigma_px=self.recipe.codec.sigma_px
        )
        size_wh = (heatmaps.shape[3], heatmaps.shape[2])
        place = (batch.center_xy, batch.scale_wh, size_wh)
        offsets = heatmap.to_image(cells, *place) - heatmap.to_image(target_cells, *place)
        scored = (batch.weights.numpy() > 0) & np.isfinite(head_px)[:, None]
        hits = np.linalg.norm(offsets, axis=2) <= 0.5 * head_px[:, None]
        return int(hits[scored].sum()), int(scored.sum())

    def save(self, epoch: int, step: int) -> None:
        """A state to resume from, at (epoch, next step)."""
        position = {
            "epoch": epoch,
            "step": step,
            "best": self.best,
            "last_scores": self.last_scores,
            "loss_scaling": self.trainer.precision.state(),
            "random": {
                "seed": self.recipe.seed,
                "note": "every draw is a function of (seed, epoch, index); there is no other state",
            },
        }
        trainer = self.trainer
        checkpoint.save_state(
            self.folder.state_file, trainer.network, trainer.optimizer, position, trainer.averaged
        )

    def predict(self) -> np.ndarray:
        """(N, J, 3) key points of the validation people, each rank predicting its batches."""
        network, table = self.trainer.evaluated(), self.validation.table
        parallel.take_statistics_of_first(network)
        batch_size = self.recipe.eval.batch_size
        keypoints = inference.predict(
            network,
            table.select(parallel.rows(len(table), batch_size)) if parallel.ranks() > 1 else table,
            self.recipe.data,
            self.recipe.codec,
            self.validation.benchmark,
            batch_size=batch_size,
            num_workers=self.num_workers,
        )
        return parallel.gather(keypoints, len(table), batch_size)

    def epoch_end(self, epoch: int) -> None:
        """Validate where it is due; keep the best weights."""
        settings = self.recipe.train
        if (epoch + 1) % settings.validate_every and epoch + 1 != settings.epochs:
            return
        keypoints = self.predict()
        if not parallel.is_first():
            return
        scores = self.validation.score(keypoints)
        self.last_scores = scores
        self.folder.metric(kind="eval", epoch=epoch, **{k: round(v, 4) for k, v in scores.items()})
        for name, value in scores.items():
            self._scalars.add_scalar(f"eval/{name}", value, epoch)
        metric = settings.select_metric
        line = " ".join(f"{name}={scores[name]:.3f}" for name in sorted(scores))
        self.say(f"[EVAL] epoch: {epoch + 1} {line}")
        if not self.best or not self.best[metric] >= scores[metric]:  # a nan is never the best
            self.best = {"epoch": epoch, **scores}
            checkpoint.save_weights(self.trainer.evaluated(), self.folder.best_weights)
            self.say(f"=> best {metric} so far: {scores[metric]:.3f} (epoch {epoch + 1})")

    def finish(self) -> None:
        """The result into record.json, the last weights beside the best."""
        last = self.folder.root / "last" / "model.pdparams"
        checkpoint.save_weights(self.trainer.evaluated(), last)
        self._scalars.close()
        result = {
            "finished": record.now(),
            "epochs": self.recipe.train.epochs,
            "best": self.best,
            "last": self.last_scores,
            "sha256": {
                "best_model/model.pdparams": sha256(self.folder.best_weights),
                "last/model.pdparams": sha256(last),
            },
        }
        self.folder.write_record({**self.folder.read_record(), "result": result})


def _folder_and_recipe(arguments: argparse.Namespace) -> tuple[record.RunFolder, Recipe, bool]:
    """Where the run lives, what it is, and whether it goes on from a state there."""
    if arguments.resume:
        if arguments.output_dir is not None:
            raise UserError("--resume DIR and --output_dir: both name the run folder; give one")
        place = Path(arguments.resume)
        if place.is_file():  # a state inside a run folder
            checkpoint.require_state(place)
            place = place.parent.parent
        folder = record.RunFolder(place)
        if not folder.recipe_file.is_file():
            raise UserError(f"--resume {arguments.resume}: no run here (no recipe.yaml)")
        if arguments.config is None and arguments.image_size is None:
            arguments.config = str(folder.recipe_file)
        return folder, recipe_from(arguments), folder.record_file.is_file()
    recipe = recipe_from(arguments)
    folder = record.RunFolder(arguments.output_dir or Path("output") / recipe.name)
    resuming = arguments.resume is not None and folder.record_file.is_file()
    if arguments.resume is not None and not resuming:
        print(f"=> {folder.root}: no run to resume, starting one", flush=True)
    return folder, recipe, resuming


def _build(recipe: Recipe, pretrained: Path | None) -> PoseNetwork:
    paddle.seed(recipe.seed)
    network = build(recipe.model)
    if pretrained is not None:
        missing, unused = checkpoint.load_weights(network, pretrained, partial=True)
        loaded = len(network.state_dict()) - len(missing)
        print(
            f"=> {pretrained}: {loaded} tensors loaded, {len(missing)} of the network not in it, "
            f"{len(unused)} of its own not used"
        )
        for what, names in (("not loaded", missing), ("not used", unused)):
            for name in names:
                print(f"   {what}: {name}")
    return network


def train(arguments: argparse.Namespace) -> None:
    """Run ``train.py``'s arguments to the end; Raises UserError."""
    parallel.quiet_unless_first()
    folder, recipe, resuming = _folder_and_recipe(arguments)
    parallel.start(recipe.train.batch_size, recipe.train.accumulate_steps)
    if arguments.dataset_root is None:
        raise UserError("--dataset_root: give the folder that holds annotations and images")
    device = runtime.choose_device(arguments.device)
    precision.require_device(recipe.train, device)
    workers = people.worker_count(arguments.num_workers)
    train_people = people.training_people(recipe, arguments.dataset_root, arguments.annotations)
    validation = people.validation_people(recipe, arguments.dataset_root, arguments.val_annotations)
    recipe = people.fit_joints(recipe, train_people)
    changed = {}
    if resuming:
        changed = resuming_rules.changes(recipes.read_yaml(folder.recipe_file), recipe)
    steps = steps_per_epoch(
        len(train_people), recipe.train.batch_size, drop_last=recipe.train.drop_last
    )
    network = _build(recipe, arguments.pretrained_model)
    _require_possible(recipe, network, validation)
    trainer = training.Trainer(network, recipe.train, recipe.data)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "device": device,
        "num_workers": workers,
        "processes": parallel.ranks(),
        "parameters": count_parameters(network),
        "data": {"train": _people_facts(train_people), "valid": _people_facts(validation.table)},
        "pretrained_model": resuming_rules.pretrained_facts(arguments.pretrained_model),
    }
    if parallel.is_first():
        folder.lock()
    if not resuming and parallel.is_first():
        folder.start(recipes.dump_yaml(recipe), facts)
    run = Run(recipe, folder, trainer, train_people, validation, workers)
    start = _restore(run, changed, facts) if resuming else (0, 0)
    if start is None:
        return
    run.say(f"=> {recipe.name}: {steps} steps an epoch, {recipe.train.epochs} epochs, on {device}")
    if (highest := highest_rate(recipe.train)) != recipe.train.learning_rate:
        run.say(
            f"=> learning rate {highest:g}: {recipe.train.learning_rate:g} × "
            f"{recipe.train.batch_size} / {recipe.train.base_batch_size} people"
        )
    hooks = training.Hooks(epoch_end=run.epoch_end, train_score=run.train_score)
    if parallel.is_first():
        hooks = dataclasses.replace(hooks, log=run.log, save=run.save)
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
    training.fit(
        trainer,
        batches,
        people=len(train_people),
        steps_per_epoch=steps,
        start=start,
        hooks=hooks,
    )
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
    learning_rate(recipe.train, 0, 1)
    validation.require_metric(recipe.train.select_metric)


def _restore(run: Run, changed: dict[str, Any], facts: dict[str, Any]) -> tuple[int, int] | None:
    """Load the state; a run that was killed before its first one starts over.

    None for a run that is finished: it stays as it is.
    """
    has_state = run.folder.state_file.is_file()
    old = run.folder.read_record()
    resuming_rules.require_same_start(old, facts, from_the_start=not has_state)
    position = {"epoch": 0, "step": 0, "best": {}, "last_scores": {}}
    if has_state:
        trainer = run.trainer
        position = checkpoint.load_state(
            run.folder.state_file, trainer.network, trainer.optimizer, trainer.averaged
        )
        trainer.precision.set_state(position.get("loss_scaling", {}))
        if facts["pretrained_model"] is not None:
            print("=> --pretrained_model: not needed, the run goes on from its own weights")
    epochs = run.recipe.train.epochs
    if (position["epoch"], position["step"]) > (epochs, 0):
        raise UserError(
            f"--resume: the run is in epoch {position['epoch'] + 1} already, past "
            f"train.epochs={epochs}"
        )
    result = old["result"] or {}
    if position["epoch"] == epochs and result.get("epochs") == epochs:
        scores = " ".join(f"{k}={v:.3f}" for k, v in result["best"].items() if k != "epoch")
        print(f"=> {run.folder.root}: finished at {result['finished']}; nothing is left to do")
        print(f"=> best weights: {run.folder.best_weights}")
        print(f"[EVAL] epoch: {result['best']['epoch'] + 1} {scores}")
        return None
    run.best, run.last_scores = position["best"], position.get("last_scores", {})
    if parallel.is_first():
        run.folder.resume(position, recipes.dump_yaml(run.recipe), changed)
    run.say(f"=> resumed at epoch {position['epoch'] + 1}, step {position['step'] + 1}")
    return position["epoch"], position["step"]


def _people_facts(table: PersonTable) -> dict[str, Any]:
    """How many people, and the digest of each annotation file that they came from."""
    files = {file.name: sha256(file) for file in table.files}
    return {"people": len(table), "files": files}
