"""What a resumption may change, and what it must find again."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_pose.command_line import CommandLine
from paddle_pose.commands.record import Record, RunFolder
from paddle_pose.errors import UserError
from paddle_pose.files import sha256
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.understood import ASSUMED, Fact, Understood

MAY_CHANGE = (
    "train.epochs",
    "train.learning_rate",
    "train.scale_learning_rate",
    "train.base_batch_size",
    "train.clip_norm",
    "train.log_every",
    "train.save_every",
    "train.keep_every",
    "train.validate_every",
    "train.pretrained",
    "train.max_steps",
)
"""Keys that may differ between a run and its resumption; the record notes it.

A cosine or one-cycle schedule goes on as if a new ``train.epochs`` had been there from the start.
"""

DATA = {"dataset_root": "data", "annotations": "annotations", "val_annotations": "val_annotations"}
"""Options that name what is trained on → what their facts are called."""


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {
        k: v for name, item in values.items() for k, v in _flat(item, f"{prefix}{name}.").items()
    }


def run_folder(place: Path) -> Path:
    """The folder of a run, by its own name or by a state in it; Raises UserError for no run."""
    folder = place
    if place.is_file():
        folder = place.parent.parent
        if place not in (RunFolder(folder).state_file, RunFolder(folder).earlier_state):
            raise UserError(
                f"--resume {place}: not a state of a run; give the run folder, or a state in its "
                "last/"
            )
    if not (folder / "recipe.yaml").is_file():
        raise UserError(f"--resume {place}: no run here (no recipe.yaml)")
    return folder


def with_data_of(run: RunFolder, given: argparse.Namespace) -> Understood:
    """Fill in options of ``DATA`` that are not given, as the run's commands or defaults had them.

    Raises:
        UserError: what the record names is not there.
    """
    if not run.record_file.is_file():
        return Understood()
    record = run.read_record()
    facts = []
    for option, what in DATA.items():
        named = _named_by(record, option)
        if getattr(given, option) is not None or named is None:
            continue
        if not Path(named).exists() and named != "synthetic":
            raise UserError(
                f"--resume: {run.record_file} names --{option} {named}, which is not here; "
                f"give --{option}"
            )
        setattr(given, option, Path(named))
        text = f"{named}, as {run.record_file} names it and --{option} does not"
        facts.append(Fact(what, named, text, ASSUMED))
    return Understood(tuple(facts))


def _named_by(record: Mapping[str, Any], option: str) -> str | None:
    """An option's value in the run's commands, the last one first; else the folder it chose."""
    parser = CommandLine(add_help=False, exit_on_error=False)
    parser.add_argument(f"--{option}")
    resumed = record.get("resumed")
    notes = [record, *(resumed if isinstance(resumed, list) else [])]
    try:
        for note in reversed(notes):
            words = shlex.split(str(note["command"]))
            if value := getattr(parser.parse_known_args(words)[0], option):
                return str(value)
        if option == "dataset_root":
            return str(record["data"]["understood"]["chosen"]["data"]["value"])
    except (KeyError, TypeError, ValueError, argparse.ArgumentError):
        return None  # an older record, or a damaged one: nothing is taken
    return None


def changes(before: Path, now: Recipe) -> dict[str, list[Any]]:
    """Keys that a resumption changes, old and new; UserError for one that it may not change.

    Compared as plain data, so that a recipe may hold a network or codec of one's own.
    """
    old, new = _flat(recipes.read_plain(before)), _flat(recipes.to_dict(now))
    changed = {key: [old.get(key), new.get(key)] for key in sorted(old.keys() | new.keys())}
    changed = {key: values for key, values in changed.items() if values[0] != values[1]}
    for key, (was, is_now) in changed.items():
        if key not in MAY_CHANGE and not key.startswith("eval."):
            raise UserError(
                f"--resume: {key} is {is_now!r} here and {was!r} in the run; "
                "take it back, or start a new run with --output_dir"
            )
    return changed


def pretrained_facts(path: Path | None) -> dict[str, str] | None:
    """Name and digest of the weights that a run starts from."""
    return None if path is None else {"file": path.name, "sha256": sha256(path)}


def require_same_start(old: Record, new: Mapping[str, Any], *, from_the_start: bool) -> None:
    """Raises UserError if the run had other people, processes or (at its start) weights.

    Args:
        old: the run's record.
        new: ``data``, ``processes`` and ``pretrained_model`` as they are now.
        from_the_start: whether the run starts over because it had not saved a state yet.
    """
    for part in ("train", "valid"):
        was, now = old.data.get(part, {}), new["data"].get(part, {})
        if was != now:
            raise UserError(
                f"--resume: the {part} annotations are not those of the run "
                f"({was.get('people')} people then, {now.get('people')} now); "
                "give the same --dataset_root and --annotations"
            )
    if old.processes != new["processes"]:
        raise UserError(
            f"--resume: the run had {old.processes} processes, now there are "
            f"{new['processes']}; start as many"
        )
    if from_the_start and old.pretrained_model != new["pretrained_model"]:
        file = (old.pretrained_model or {}).get("file", "none")
        raise UserError(
            f"--resume: the run was killed before its first checkpoint and starts over, from "
            f"--pretrained_model {file}; give that again"
        )
