"""One command fills a published row: fetch its weights, score them under its protocol, judge them.

python -m reproduce.fill hrnet_readme:hrnet_w32_mpii_256x256 --data_root data
python -m reproduce.fill hrnet_readme:hrnet_w32_mpii_256x256 --train
python -m reproduce.fill --list

The record goes to ``reproduce/runs/tested/`` (a training's to ``reproduce/runs/filled/``), and
report, page and README are written again. ``--train`` trains by the row's own recipe first; the
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.commands.record import RunFolder, code_state, command_line, environment, now
from paddle_pose.errors import UserError, nearest, one_line_errors
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.files import read_json, write_json
from paddle_pose.porting import download
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import runtime
from reproduce import published, report, training_costs, verdicts
from reproduce.published import PublishedRow
from reproduce.reporting import published_rows

ROOT = Path(__file__).parents[1]
OUTPUT = Path("output/fill")
"""Predictions, run folders: what is not kept."""


@dataclass(frozen=True)
class TableRow:
    """The values of one published row that this project can measure.

    Attributes:
        id: of all of them.
        values: by metric.
        recipe: with the row's split.
    """

    id: str
    values: dict[str, PublishedRow]
    recipe: Recipe

    @property
    def any(self) -> PublishedRow:
        """One of the values; network, protocol and weights are the same in all."""
        return next(iter(self.values.values()))

    @property
    def folder(self) -> str:
        """The id as a folder's name."""
        return verdicts.folder_of(self.id)


def find(name: str) -> TableRow:
    """The row of that id.

    Raises:
        UserError: there is none, with the nearest, or nothing here can measure it.
    """
    rows = {}
    for row in published.load():
        rows.setdefault(row.id, []).append(row)
    if name not in rows:
        hint = nearest(name, rows, "--list names the open ones")
        raise UserError(f"{name}: no published row{hint}")
    found = rows[name]
    if not verdicts.settles(found[0]):
        raise UserError(f"{name}: cannot be measured here: {verdicts.missing_of(found[0])}")
    recipe = configs.load(found[0].recipe)
    recipe = replace(recipe, data=replace(recipe.data, val_split=found[0].protocol.split))
    return TableRow(name, {row.metric_name: row for row in found}, recipe)


def data_of(row: TableRow, parent: Path) -> Path:
    """The folder of the row's data set; Raises UserError where it is not there."""
    folder = parent / row.recipe.data.dataset
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; --data_root DIR names the one that holds "
            f"{row.recipe.data.dataset}/ (docs/README.md says what lies in it)"
        )
    return folder


def weights_of(row: TableRow) -> tuple[str, Path]:
    """Name and file of the row's published weights, fetched once; Raises UserError."""
    name = row.any.weights
    if not name:
        train = "; --train trains its recipe" if row.any.trains else ""
        raise UserError(
            f"{row.id}: no weights of it are published where they can be fetched{train}"
        )
    listed = download.find(name)
    try:
        return name, download.fetch(listed)
    except UserError as error:
        file = download.cache_folder() / listed.name / listed.file
        if listed.home == "drive" or file.exists():
            raise
        raise UserError(f"{error}; by hand: {listed.url} goes to {file}") from error


def score(row: TableRow, weights: Path, data: Path, folder: Path, options: argparse.Namespace):
    """Predict and score under the row's protocol; the scores file's content."""
    evaluate(
        row.recipe,
        weights,
        DataFiles(data),
        benchmark=row.any.benchmark,
        output=folder,
        made_by_recipe=True,
        device=options.device,
        num_workers=options.num_workers,
    )
    file = folder / "scores.json"
    if not file.is_file():
        raise UserError(f"{row.id}: its split has no published truth, so there is no score")
    return read_json(file)


def test(row: TableRow, data: Path, options: argparse.Namespace) -> None:
    """Score the published weights, and keep the record."""
    name, weights = weights_of(row)
    content = score(row, weights, data, OUTPUT / row.folder, options)
    facts = {
        "row": row.id,
        "weights": name,
        "command": command_line(),
        "finished": now(),
        **code_state(),
        "environment": environment(),
    }
    content = {**facts, **content}
    if why := verdicts.untested(row.any, content):
        print(f"not a test of the row, and not recorded: {why}")
        return
    file = verdicts.TESTED / row.folder / "scores.json"
    (verdicts.ROOT / file).parent.mkdir(parents=True, exist_ok=True)
    write_json(verdicts.ROOT / file, content)
    print(f"=> reproduce/{file}")


def train(row: TableRow, data: Path, options: argparse.Namespace) -> None:
    """Train by the row's recipe, or go on; score the best weights and keep both records.

    Raises:
        UserError: no recipe of its training, or the training ended with a mistake.
    """
    if not row.any.trains:
        raise UserError(f"{row.id}: {verdicts.NO_TRAINING}; without --train its weights are scored")
    run = RunFolder(OUTPUT / row.folder / "run")
    words = ["--config", row.any.recipe, "--dataset_root", str(data), "--resume"]
    words += ["--output_dir", str(run.root)]
    began_with = verdicts.started_from(row.any)
    if began_with:
        file = download.fetch(download.find(began_with))
        words += ["--pretrained_model", str(file), "--allow_partial"]
    for option in ("device", "num_workers"):
        value = getattr(options, option)
        words += [f"--{option}", str(value)] if value is not None else []
    if options.assignments:
        words += ["--set", *options.assignments]
    done = subprocess.run([sys.executable, str(ROOT / "train.py"), *words], check=False)  # noqa: S603
    if done.returncode:
        raise UserError(f"{row.id}: train.py ended with exit code {done.returncode}; see above")
    content = score(row, run.best_weights, data, OUTPUT / row.folder / "trained", options)
    kept = verdicts.ROOT / "runs" / "filled" / row.folder
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("record.json", "recipe.yaml", "metrics.jsonl"):
        shutil.copyfile(run.root / name, kept / name)
    write_json(kept / "scores.json", content)
    print(f"=> reproduce/{kept.relative_to(verdicts.ROOT)}")
    lacking = verdicts.shortfalls(kept, configs.load(row.any.recipe), began_with)
    if lacking:
        print(f"not a full training of the row: {'; '.join(lacking)}")


def judge(row: TableRow) -> list[str]:
    """A line for each value: published, measured, difference, verdict."""
    lines = []
    for name, one in row.values.items():
        found = verdicts.verdict(one)
        line = f"{name}: published {one.value:g}"
        if found.measured is not None:
            line += f", measured {found.measured:.4g} ({found.measured - one.value:+.4g})"
        line += f": {found.word}"
        if found.within is not None:
            line += ", within" if found.within else ", NOT within"
            line += f" {verdicts.allowed(one, found.word):g}"
        lines.append(line + (f" ({found.lacking})" if found.lacking else ""))
    return lines


def open_rows() -> list[str]:
    """Rows that can be filled, the cheapest first: those whose weights only need scoring lead.

    Editions of one table are one row, which names them all.
    """
    rows = {}
    for row, found in verdicts.all_verdicts():
        if found.word in ("reproduced", "tested") or row.id in rows:
            continue
        train_it, test_it = verdicts.train_command(row), verdicts.port_command(row)
        if not (train_it or test_it):
            continue
        hours = training_costs.cost(row).gpu_hours if train_it else None
        what = [] if not test_it else ["weights to fetch and score"]
        what += ["--train" + (f", {hours[0]:,.0f} GPU hours" if hours else "")] if train_it else []
        key = (not test_it, hours[0] if hours else float("inf"), row.id)
        rows[row.id] = key, f"{row.id:<56} {found.word}: {'; '.join(what)}"
    found = []
    for line in published_rows.lines(published_rows.table_rows()):
        editions = sorted((*rows[one.id], one.id) for one in line.editions if one.id in rows)
        if editions:
            key, text, _ = editions[0]
            others = "".join(f"; also {name}" for _, _, name in editions[1:])
            found.append((key, text + others))
    return [text for _, text in sorted(found)]


def closed_rows() -> list[str]:
    """Rows that are aligned, and what their numbers cannot be tested without."""
    found = {
        row.id: f"{row.id:<56} aligned, not to be filled: {one.lacking}"
        for row, one in verdicts.all_verdicts()
        if one.word == "aligned" and not verdicts.settles(row)
    }
    return list(found.values())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(
        prog="python -m reproduce.fill",
        description=__doc__.splitlines()[0],
        examples=(
            "python -m reproduce.fill hrnet_readme:hrnet_w32_mpii_256x256 --data_root data",
            "python -m reproduce.fill --list",
        ),
    )
    add = command.add_argument
    add("row", nargs="?", metavar="ROW", help="a row's id, as --list and published.csv have it")
    add("--data_root", type=Path, default=Path("data"), metavar="DIR", help="holds mpii/, coco/ …")
    add("--train", action="store_true", help="train the row's recipe first, or go on with it")
    add(
        "--list",
        action="store_true",
        help="the open rows, the cheapest first, and what cannot be filled",
    )
    add("--device", help="auto (default), cpu, gpu or gpu:N")
    add("--num_workers", type=int, metavar="N", help="loader processes (one per core)")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments",
        help="with --train: changes of the recipe; its run is not the row's then")  # fmt: skip
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill a row; Raises UserError."""
    options = parser().parse_args(arguments)
    if options.list:
        if options.row or options.train or options.assignments:
            raise UserError("--list: lists all rows; leave ROW, --train and --set out")
        lines, closed = open_rows(), closed_rows()
        last = f"=> {len(lines)} rows can be filled, {len(closed)} aligned ones cannot"
        print("\n".join([*lines, *closed, last]))
        return
    if options.row is None:
        raise UserError("name a row, or --list them")
    if options.assignments and not options.train:
        raise UserError("--set: has a meaning only with --train; a row's protocol is fixed")
    row = find(options.row)
    data = data_of(row, options.data_root)
    runtime.configure()
    (train if options.train else test)(row, data, options)
    print("\n".join(judge(row)))
    report.main([])


if __name__ == "__main__":
    with one_line_errors():
        main()
