"""The state that a run goes on from: read, found whole, filled in; or what is left of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paddle_pose.commands.record import Position, Result, RunFolder
from paddle_pose.commands.resuming import require_same_start
from paddle_pose.errors import UserError
from paddle_pose.files import sha256
from paddle_pose.porting.reader import read_file
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import parallel
from paddle_pose.training.loop import Trainer
from paddle_pose.typed import from_plain
from paddle_pose.weights import checkpoint
from paddle_pose.weights.checkpoint import State, fill_from


@dataclass(frozen=True)
class Restored:
    """Where a run goes on, and what it had found."""

    epoch: int
    step: int
    best: dict[str, Any]
    last_scores: dict[str, Any]


def restore(
    recipe: Recipe,
    folder: RunFolder,
    trainer: Trainer,
    facts: Mapping[str, Any],
    chosen: Path | None,
) -> Restored | None:
    """Load the state; a run that was killed before its first one starts over.

    None for a run that is finished: it stays as it is.

    Args:
        recipe: of the run, as it is now.
        folder: of the run.
        trainer: filled.
        facts: of the record, as they are now.
        chosen: the state that the user named; by default the last one.

    Raises:
        UserError: a state that is damaged or gone; other people or processes than the run had.
    """
    found = read_state(folder, chosen)
    old = folder.record()
    require_same_start(old, facts, from_the_start=found is None)
    position = Position(0, 0) if found is None else found[1]
    epochs = recipe.train.epochs
    if (position.epoch, position.step) > (epochs, 0):
        raise UserError(
            f"--resume: the run has {position.epoch} whole epochs already, more than "
            f"train.epochs={epochs}; give at least {position.epoch + (position.step > 0)}"
        )
    if found is not None:
        state = found[0]
        fill_from(state, trainer.network, trainer.optimizer, trainer.averaged)
        if not state.has_digest:
            print(f"assumed: state: {state.path} is whole; it is of a version without digests")
        trainer.precision.set_state(position.loss_scaling)
        trainer.recent.set_state(asdict(position.recent))
        parallel.wait_for_all()
        if parallel.is_first():
            set_aside(folder, chosen)
        if facts["pretrained_model"] is not None:
            print("=> --pretrained_model: not needed, the run goes on from its own weights")
    if position.epoch == epochs and old.result is not None and old.result.epochs == epochs:
        _finished(folder, old.result)
        return None
    best, last = _best(recipe, folder, position), _numbers(position.last_scores)
    return Restored(position.epoch, position.step, best, last)


def _finished(folder: RunFolder, result: Result) -> None:
    """Say what a finished run found; Raises UserError if its best weights are not those."""
    name = "best_model/model.pdparams"
    damage = damage_of(folder.best_weights, result.sha256.get(name))
    if damage is not None:
        last = folder.last_weights
        is_whole = not damage_of(last, result.sha256.get("last/model.pdparams"))
        rest = f"; {last}, of the last epoch, is whole" if is_whole else ""
        raise UserError(f"{damage}; take the best weights from a copy, or train again{rest}")
    best = _numbers(result.best)
    scores = " ".join(f"{k}={v:.3f}" for k, v in best.items() if k != "epoch")
    print(f"=> {folder.root}: finished at {result.finished}; nothing is left to do")
    print(f"=> best weights: {folder.best_weights}")
    print(f"[EVAL] epoch: {best.get('epoch', 0) + 1} {scores}")


def _best(recipe: Recipe, folder: RunFolder, position: Position) -> dict[str, Any]:
    """The best scores so far, if the weights that had them are whole; else a word, and none."""
    metric, best = recipe.train.select_metric, dict(position.best)
    if not best:
        return {}
    if metric not in best or "epoch" not in best:
        raise UserError(
            f"{folder.state_file}: its position: best has no '{metric}'; start a new run with "
            "--output_dir"
        )
    damage = damage_of(folder.best_weights)
    if damage is not None:
        print(f"=> {damage}; the next validated weights are kept as the best instead", flush=True)
        return {}
    return _numbers(best)


def _numbers(scores: Mapping[str, float | None]) -> dict[str, Any]:
    """Scores with nan for null, and the epoch as a whole number."""
    found = {name: math.nan if value is None else value for name, value in scores.items()}
    return found | ({"epoch": int(found["epoch"])} if "epoch" in found else {})


def read_state(folder: RunFolder, chosen: Path | None) -> tuple[State, Position] | None:
    """The state to go on from, whole; None where the run never had one.

    Args:
        folder: of the run.
        chosen: the state that the user named; by default the last one.

    Raises:
        UserError: it is damaged or gone; the line names the one before it, if that is whole.
    """
    path = chosen or folder.state_file
    if not path.is_file():
        _require_none_lost(folder)
        return None
    try:
        state = checkpoint.read_state(path)
        return state, _position(state)
    except UserError as error:
        if path != folder.state_file:
            raise
        raise UserError(f"{error}; {_way_out(folder)}") from error


def _position(state: State) -> Position:
    found = from_plain(Position, state.position, f"{state.path}: its position")
    if found.epoch < 0 or found.step < 0:
        raise UserError(f"{state.path}: its position is epoch {found.epoch}, step {found.step}")
    return found


def _way_out(folder: RunFolder) -> str:
    """What is left of a run whose last state is not: an earlier state, the best weights."""
    try:
        place = _position(checkpoint.read_state(folder.earlier_state))
        return (
            f"the state before it, of epoch {place.epoch + 1}, step {place.step + 1}, is whole: go "
            f"on from that with --resume {folder.earlier_state}"
        )
    except UserError:
        best = f"; {folder.best_weights} is kept" if folder.best_weights.is_file() else ""
        return f"no earlier state is left: start a new run with another --output_dir{best}"


def _require_none_lost(folder: RunFolder) -> None:
    """Raises UserError where there was a state: starting over would replace what is left."""
    last = folder.last_metric()
    # Older runs do not note that they saved; they did at the end of each epoch.
    if folder.record().saved or (last is not None and last[0] > 0):
        until = "" if last is None else f" (metrics.jsonl reaches epoch {last[0] + 1})"
        raise UserError(
            f"--resume: {folder.state_file} is gone, though the run had saved a state{until}; "
            f"put it back; {_way_out(folder)}"
        )


def set_aside(folder: RunFolder, chosen: Path | None) -> None:
    """Give a chosen earlier state the last one's name, and the last one another."""
    if chosen != folder.earlier_state:
        return
    aside = folder.state_file.with_name("set_aside.safetensors")
    if folder.state_file.is_file():
        folder.state_file.replace(aside)
        print(f"=> {folder.state_file}: set aside as {aside.name}", flush=True)
    folder.earlier_state.replace(folder.state_file)


def damage_of(weights: Path, expected: str | None = None) -> str | None:
    """What is wrong with weights that a run announces; None for nothing.

    Args:
        weights: as ``save_weights`` wrote them.
        expected: the file's SHA-256, where the record has it.
    """
    try:
        if expected is not None and (found := sha256(weights)) != expected:
            return (
                f"{weights}: not the file that the run finished with (its SHA-256 is "
                f"{found[:12]}…, record.json has {expected[:12]}…)"
            )
        read_file(weights)
    except UserError as error:
        return str(error)
    return None
