"""A training run while it goes on: what it says, keeps, validates and leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from paddle_pose.commands import predicting, record
from paddle_pose.commands.restoring import Restored
from paddle_pose.data.loader import steps_per_epoch
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import Scores
from paddle_pose.evaluation.task import Task
from paddle_pose.files import lock_folder, sha256
from paddle_pose.metrics.pckh import PCKH
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import Skeleton
from paddle_pose.system import launching, parallel
from paddle_pose.training import loop as training
from paddle_pose.training.progress import WARM_STEPS, Lap
from paddle_pose.weights import checkpoint
from paddle_pose.weights.facts import facts_of


@dataclass
class Run:
    """One training run: its parts, and the hooks that the loop calls."""

    recipe: Recipe
    folder: record.RunFolder
    trainer: training.Trainer
    task: Task
    num_workers: int
    saved: tuple[int, int] | None = None
    best: dict[str, Any] = field(default_factory=dict)
    last_scores: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if parallel.is_first():
            from visualdl import LogWriter

            validation = self.folder.root / "validation"
            try:
                self._scalars = LogWriter(logdir=str(self.folder.root / "vdl"))
                validation.mkdir(exist_ok=True)
            except OSError as error:
                raise UserError(f"{self.folder.root}: cannot write ({error.strerror})") from error
            self._lock = lock_folder(validation)  # as val.py does

    def close(self) -> None:
        """Let others write where it validated."""
        if parallel.is_first():
            os.close(self._lock)

    def say(self, line: str) -> None:
        """A line on the terminal, beside the progress bar, and in log.txt."""
        if parallel.is_first():
            tqdm.write(line)
            self.folder.log(line)

    def begun(self, seconds: float) -> None:
        """The first step is done; of a slow run the only word until ``train.log_every`` are."""
        self.say(f"=> first step: {seconds:.1f} s")

    def log(self, log: training.TrainLog) -> None:
        """A training line: terminal, log.txt, metrics.jsonl, VisualDL."""
        self.say(log.line())
        others = dict(log.scores)
        pckh = others.pop(PCKH, math.nan)
        scores = {name: round(value, 4) for name, value in others.items()}
        self.folder.metric(
            kind="train",
            epoch=log.epoch,
            step=log.step,
            loss=log.loss,
            losses=log.losses,
            lr=log.lr,
            pckh=None if math.isnan(pckh) else round(pckh, 4),
            **({"train_scores": scores} if scores else {}),
            reader_cost=round(log.reader_cost, 6),
            batch_cost=round(log.batch_cost, 6),
            ips=round(log.ips, 3),
        )
        step = log.epoch * log.steps_per_epoch + log.step
        curves = {"loss": log.loss, "lr": log.lr, "pckh": pckh, **others}
        for name, value in curves.items():
            if not math.isnan(value):
                self._scalars.add_scalar(f"train/{name}", value, step)

    def keep(self, epoch: int, step: int) -> None:
        """``save``, and know that it is done."""
        self.save(epoch, step)
        self.saved = (epoch, step)

    def save(self, epoch: int, step: int) -> None:
        """A state to resume from, at (epoch, next step)."""
        position = {
            "epoch": epoch,
            "step": step,
            "best": self.best,
            "last_scores": self.last_scores,
            "loss_scaling": self.trainer.precision.state(),
            "recent": self.trainer.recent.state(),
            "random": {
                "seed": self.recipe.seed,
                "note": "every draw is a function of (seed, epoch, index); there is no other state",
            },
        }
        trainer = self.trainer
        checkpoint.save_state(
            self.folder.state_file,
            trainer.network,
            trainer.optimizer,
            position,
            trainer.averaged,
            earlier=self.folder.earlier_state,
        )
        self.folder.state_saved()

    def going_on(self) -> str:
        """What is saved, and the command that goes on from there."""
        kept = f"the state of {self._place(*(self.saved or (0, 0)))} is saved"
        if not self.saved:
            kept = "no state was saved yet" if parallel.is_first() else "the newest state stands"
        command = launching.resume_command() or "train(…, resume=True)"
        return f"{kept}; go on with: {command}"

    def _place(self, epoch: int, step: int) -> str:
        """What a state's position means, counted from 1."""
        settings = self.recipe.train
        people, size = len(self.task.samples), settings.batch_size
        if epoch == settings.epochs:
            return "the run's end"
        if step == steps_per_epoch(people, size, drop_last=settings.drop_last):
            due = " (its validation is next)" if self._validates(epoch) else ""
            return f"the end of epoch {epoch + 1}{due}"
        return f"epoch {epoch + 1}, step {step + 1}"

    def _validates(self, epoch: int) -> bool:
        settings = self.recipe.train
        return (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs

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
        """Validate where it is due; keep the best weights, and those of every few epochs."""
        every = self.recipe.train.keep_every
        if every and (epoch + 1) % every == 0 and parallel.is_first():
            self._save_weights(self.folder.weights_after(epoch))
        if not self._validates(epoch):
            return
        found = self.validate()
        if found is None:
            return
        scores = self.last_scores = found.values
        self.folder.metric(kind="eval", epoch=epoch, **{k: round(v, 4) for k, v in scores.items()})
        for name, value in scores.items():
            self._scalars.add_scalar(f"eval/{name}", value, epoch)
        metric = self.recipe.train.select_metric
        line = " ".join(f"{name}={scores[name]:.3f}" for name in sorted(scores))
        self.say(f"[EVAL] epoch: {epoch + 1} {line}")
        if not self.best or not self.best[metric] >= scores[metric]:  # a nan is never the best
            self._save_weights(self.folder.best_weights)
            self.best = {"epoch": epoch, **scores}
            self.say(f"=> best {metric} so far: {scores[metric]:.3f} (epoch {epoch + 1})")

    def _save_weights(self, path: Path) -> None:
        """The weights that are validated, with what they are."""
        skeleton = getattr(self.task.evaluator, "skeleton", None)
        facts = None
        if isinstance(skeleton, Skeleton):
            facts = facts_of(recipes.to_dict(self.recipe), self.recipe.data, skeleton)
        checkpoint.save_weights(self.trainer.evaluated(), path, facts)

    def go_on(self, found: Restored, changed: dict[str, Any]) -> tuple[int, int]:
        """Take up what the run had found, note the resumption; returns epoch and step."""
        self.best, self.last_scores = found.best, found.last_scores
        start = found.epoch, found.step
        self.saved = start if any(start) else None
        if parallel.is_first():
            self.folder.resume(start, recipes.dump_yaml(self.recipe), changed)
        self.say(f"=> resumed at {self._place(*start)}")
        return start

    def finish(self, speed: Lap | None = None) -> Path:
        """The result into record.json, the last weights beside the best.

        Returns:
            The best weights; the last ones where ``max_steps`` left no time for a validation.
        """
        best, last = self.folder.best_weights, self.folder.last_weights
        if not parallel.is_first():
            return best
        self._save_weights(last)
        if self.recipe.train.max_steps:
            few = f"=> speed: not measured, that takes more than {WARM_STEPS} steps"
            self.say(few if speed is None else speed.line())
        with contextlib.suppress(OSError):  # VisualDL has said so; its curves are in metrics.jsonl
            self._scalars.close()
        result = {
            "finished": record.now(),
            "epochs": self.recipe.train.epochs,
            "best": self.best,
            "last": self.last_scores,
            "sha256": {
                str(file.relative_to(self.folder.root)): sha256(file)
                for file in ([best, last] if self.best else [last])
            },
        }
        if speed is not None:
            result["speed"] = dataclasses.asdict(speed)
        self.folder.write_record({**self.folder.read_record(), "result": result})
        if not self.best:
            print(f"=> last weights: {last} (none were validated)")
            return last
        print(f"=> best weights: {best}")
        return best
