"""A training run from a recipe to its record."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paddle
from tqdm import tqdm

from paddle_pose.commands import predicting, record
from paddle_pose.commands import resuming as resuming_rules
from paddle_pose.configs import load
from paddle_pose.data.loader import steps_per_epoch, training_batches
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles, Evaluator, Scores
from paddle_pose.evaluation.task import Task, task_for
from paddle_pose.files import sha256
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.names import require_apart
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import memory, parallel, runtime
from paddle_pose.training import loop as training
from paddle_pose.training import precision
from paddle_pose.training.losses import Loss
from paddle_pose.training.schedules import highest_rate, rate_by_step
from paddle_pose.weights import checkpoint


@dataclass
class Run:
    """One training run: its parts, and the hooks that the loop calls."""

    recipe: Recipe
    folder: record.RunFolder
    trainer: training.Trainer
    task: Task
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
            losses=log.losses,
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

    def validate(self) -> Scores | None:
        """Scores of the weights as they are, by the path that ``val.py`` takes; rank 0's alone."""
        network, evaluator = self.trainer.evaluated(), self.task.evaluator
        parallel.take_statistics_of_first(network)
        how = predicting.Computing(self.recipe.eval.batch_size, self.num_workers)
        poses = predicting.poses_of(network, self.recipe, evaluator, how)
        if not parallel.is_first():
            return None
        file = self.folder.root / "validation" / "predictions.json"
        evaluator.write(poses, file, recipe=self.recipe.name, engine=str(how))
        return evaluator.score(evaluator.read(file))

    def epoch_end(self, epoch: int) -> None:
        """Validate where it is due; keep the best weights."""
        settings = self.recipe.train
        if (epoch + 1) % settings.validate_every and epoch + 1 != settings.epochs:
            return
        found = self.validate()
        if found is None:
            return
        scores = self.last_scores = found.values
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


def _started(recipe: Recipe, network: PoseNetwork | None, pretrained: Path | None) -> PoseNetwork:
    """The network as a new run starts it."""
    if network is None:
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


def _require_apart(
    output: Path, data: str | Path | DataFiles | Task, validation: DataFiles | None
) -> None:
    """Raises UserError for data in the run's folder, which the next run there moves aside."""
    if isinstance(data, Task):
        if validation is not None:
            raise UserError("validation: a task of one's own has its evaluator; leave this out")
        return
    files = data if isinstance(data, DataFiles) else DataFiles(Path(data))
    read = [file for one in (files, validation or files) for file in (one.root, one.annotations)]
    require_apart(output, read, "--output_dir")


def train(
    recipe: str | Recipe,
    data: str | Path | DataFiles | Task,
    output: str | Path,
    *,
    validation: DataFiles | None = None,
    pretrained_model: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    num_workers: int | None = None,
    network: PoseNetwork | None = None,
    loss: Loss | None = None,
) -> Path | None:
    """Run a recipe to its end and keep the best weights.

    Args:
        recipe: what the run is: a recipe, ``family:name`` or a ``.yaml`` file.
        data: the data set's folder, its files, or a task of one's own.
        output: the run folder; an earlier run there is moved aside, or gone on with (``resume``).
        validation: files to validate on, where they are others than ``data``.
        pretrained_model: weights to start from; what does not fit is listed.
        resume: go on from the state in ``output``, if there is one.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        num_workers: loader processes; one per core by default.
        network: to train; by default the recipe's.
        loss: ``(outputs, targets) -> {name: part}``; by default the recipe's.

    Returns:
        The file of the best weights; None where a finished run was resumed: it stays as it is.

    Raises:
        UserError: what cannot be run, before anything is lost; or a loss that is not finite.
    """
    recipe = load(recipe) if isinstance(recipe, str) else recipe
    require_sound(recipe)
    _require_apart(Path(output), data, validation)
    parallel.quiet_unless_first()
    folder = record.RunFolder(Path(output))
    pretrained_model = None if pretrained_model is None else Path(pretrained_model)
    resuming = resume and folder.record_file.is_file()
    if resume and not resuming:
        print(f"=> {folder.root}: no run to resume, starting one", flush=True)
    parallel.start(recipe.train.batch_size, recipe.train.accumulate_steps)
    device = runtime.choose_device(device)
    precision.require_device(recipe.train, device)
    workers = runtime.worker_count(num_workers)
    if isinstance(data, Task):
        task = data
    else:
        files = data if isinstance(data, DataFiles) else DataFiles(Path(data))
        task, recipe = task_for(recipe, files, validation or DataFiles(files.root))
    at_once = recipe.train.batch_size / recipe.train.accumulate_steps / parallel.ranks()
    size_wh = recipe.data.image_size_wh
    room = (math.ceil(at_once), size_wh, device, memory.TRAINING_BYTES_A_PIXEL)
    memory.require_room("train.batch_size", *room)
    changed = resuming_rules.changes(folder.recipe_file, recipe) if resuming else {}
    steps = steps_per_epoch(
        len(task.samples), recipe.train.batch_size, drop_last=recipe.train.drop_last
    )
    network = _started(recipe, network, pretrained_model)
    _require_possible(recipe, network, task.evaluator)
    trainer = training.Trainer(network, recipe.train, recipe.data, loss)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "device": device,
        "num_workers": workers,
        "processes": parallel.ranks(),
        "parameters": count_parameters(network),
        "data": task.facts,
        "pretrained_model": resuming_rules.pretrained_facts(pretrained_model),
    }
    if parallel.is_first():
        folder.lock()
    if not resuming and parallel.is_first():
        folder.start(recipes.dump_yaml(recipe), facts)
    run = Run(recipe, folder, trainer, task, workers)
    start = _restore(run, changed, facts) if resuming else (0, 0)
    if start is None:
        return None
    run.say(f"=> {recipe.name}: {steps} steps an epoch, {recipe.train.epochs} epochs, on {device}")
    if (highest := highest_rate(recipe.train)) != recipe.train.learning_rate:
        run.say(
            f"=> learning rate {highest:g}: {recipe.train.learning_rate:g} × "
            f"{recipe.train.batch_size} / {recipe.train.base_batch_size} people"
        )
    hooks = training.Hooks(epoch_end=run.epoch_end, train_score=task.train_score)
    if parallel.is_first():
        hooks = dataclasses.replace(hooks, log=run.log, save=run.save)
    batches = training_batches(
        task.samples,
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
        people=len(task.samples),
        steps_per_epoch=steps,
        start=start,
        rate=rate_by_step(recipe, steps),
        hooks=hooks,
    )
    if parallel.is_first():
        run.finish()
    print(f"=> best weights: {folder.best_weights}")
    return folder.best_weights


def _require_possible(recipe: Recipe, network: PoseNetwork, evaluator: Evaluator) -> None:
    """Raises UserError for what would otherwise stop the run after hours, or its first step."""
    width, height = recipe.data.image_size_wh
    if width % network.size_multiple or height % network.size_multiple:
        raise UserError(
            f"data.image_size_wh: {width}×{height}, but {type(recipe.model).__name__} needs "
            f"multiples of {network.size_multiple}"
        )
    evaluator.require_score(recipe.train.select_metric)


def _restore(run: Run, changed: dict[str, Any], facts: dict[str, Any]) -> tuple[int, int] | None:
    """Load the state; a run that was killed before its first one starts over.

    None for a run that is finished: it stays as it is.
    """
    has_state = run.folder.state_file.is_file()
    old = run.folder.read_record()
    resuming_rules.require_same_start(old, facts, from_the_start=not has_state)
    position: dict[str, Any] = {"epoch": 0, "step": 0, "best": {}, "last_scores": {}}
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
