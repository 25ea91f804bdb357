"""A small BodyPoseNet on rendered scenes, pruned and quantised, in one command.

python -m reproduce.scenes_run --output_dir output/scenes

Renders scenes of one to eight people, trains the network and a top-down one, prunes the network to
half of its filters, trains that again, makes INT8 of both, and scores each by one scale, four
scales and strict; then ``reproduce/scenes_judge.py`` judges. What is done already is skipped:
after a stop the same command goes on. Two runs go at a time, of one thread each
(``reproduce/small_runs.py``). Speeds are worth nothing beside other work: ``python -m
reproduce.scenes_judge --runs output/scenes --only speed`` takes them again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.commands import quickstart
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import sha256
from paddle_pose.names import require_apart
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import runtime
from reproduce import scenes_judge, small_runs
from reproduce.small_runs import SmallRun

TRAIN_PEOPLE, VAL_PEOPLE = 7500, 1350
KEPT = 0.5
"""Of the filters, after pruning."""
GRANULARITY, MIN_FILTERS = 4, 16
"""Fewer filters than the official 16 cut a network in two: with 4 it learned nothing again."""
RETRAINING = ("train.epochs=2", "train.validate_every=2", "train.learning_rate=1e-3")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.scenes_run", description=__doc__)
    add = command.add_argument
    add("--output_dir", type=Path, default=Path("output/scenes"), help="data and runs")
    add("--record_dir", type=Path, default=scenes_judge.RUNS, help="where the record goes")
    add("--train", type=int, default=TRAIN_PEOPLE, help="people to train on")
    add("--val", type=int, default=VAL_PEOPLE, help="people to validate on")
    small_runs.add_arguments(command, seeds="runs of the network (1)")
    command.set_defaults(seeds=1)
    return command


def threshold_for(weights: Path, recipe: Path, share: float) -> float:
    """The pruning threshold that leaves nearest to this share of the filters that may go."""
    runtime.import_paddle()
    from paddle_pose.inference.predictor import trained
    from paddle_pose.models import pruning

    network = trained(weights, str(recipe)).network
    channels, widths = pruning.follow(network), pruning.widths(network)

    def left(threshold: float) -> float:
        rule = pruning.PruningRule(threshold, granularity=GRANULARITY, min_filters=MIN_FILTERS)
        kept = pruning.choose(network, rule, channels)
        return sum(len(kept.get(name, range(of))) for name, of in widths.items())

    whole, low, high = left(0.0), 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > share * whole else (low, middle)
    return round((low + high) / 2, 4)


def prune(run: RunFolder, output: Path) -> None:
    """The run's network with half of its filters, unless that is there already."""
    source = output / "pruned_from.txt"
    digest = sha256(run.best_weights)
    if source.is_file() and source.read_text(encoding="utf-8") == digest:
        return
    from paddle_pose.commands import prune as command

    threshold = threshold_for(run.best_weights, run.recipe_file, KEPT)
    words = [run.best_weights, "--config", run.recipe_file, "--output", output]
    words += ["--threshold", threshold, "--granularity", GRANULARITY, "--min_filters", MIN_FILTERS]
    command.main([str(word) for word in words])
    source.write_text(digest, encoding="utf-8")


def export(run: RunFolder, formats: str, data: Path, log: Path) -> None:
    """A run's network in ``exported/``, unless it is there; INT8 for the strict protocol's size."""
    folder = run.root / scenes_judge.EXPORTED
    digest = sha256(run.best_weights)
    cards = [folder / name / "model.yaml" for name in formats.split(",")]
    if all(card.is_file() and digest in card.read_text(encoding="utf-8") for card in cards):
        return
    shutil.rmtree(folder, ignore_errors=True)  # of other weights, or what a stop left
    words = ["--weights", run.best_weights, "--output", folder, "--format", formats]
    if "int8" in formats:
        strict = configs.load(str(run.recipe_file)).benchmark("scenes_strict").whole
        height, width = strict.size_hw if strict else ()
        words += ["--calibration", data, "--set", f"data.image_size_wh=[{width},{height}]"]
    small_runs.run_script("export.py", ["--config", str(run.recipe_file), *words], log)


def score_int8(run: RunFolder, data: Path, log: Path) -> None:
    """The strict score of ``exported/int8``, unless it is there."""
    scores = run.root / "int8_strict"
    if not quickstart.evaluated(scores, run.best_weights):
        words = ["--exported", run.root / scenes_judge.EXPORTED / "int8", "--dataset_root", data]
        words += ["--benchmark", "scenes_strict", "--output_dir", scores, "--num_workers", "0"]
        small_runs.run_script("val.py", words, log)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    small_runs.require_possible(options)
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    os.environ.update(small_runs.ONE_THREAD)
    runtime.configure(quiet=True)
    output, data = options.output_dir, options.output_dir / "data"
    synthetic.write_dataset(
        data, train_people=options.train, val_people=options.val, layout="scenes"
    )
    ways = {name: ("--benchmark", f"scenes_{name}") for name in scenes_judge.WAYS}
    exact = ("--benchmark", "scenes_single", "--set", "codec.offsets=exact")
    whole = [
        SmallRun(f"scenes:{scenes_judge.BOTTOM_UP}", seed, data, {**ways, "exact": exact})
        for seed in range(options.seeds)
    ]
    people = SmallRun(f"scenes:{scenes_judge.TOP_DOWN}", 0, data)
    small_runs.run_all([*whole, people], output, options)
    again = []
    for one in whole:
        smaller = output / f"smaller_s{one.seed}"
        prune(RunFolder(output / one.name), smaller)
        told = ("--pretrained_model", smaller / "model.pdparams", "--set", *RETRAINING)
        name = f"{scenes_judge.PRUNED}_s{one.seed}"
        again.append(
            SmallRun(str(smaller / "recipe.yaml"), one.seed, data, ways, told=told, name=name)
        )
    small_runs.run_all(again, output, options)
    for one, formats in ((whole[0], "onnx,int8"), (again[0], "onnx,int8"), (people, "onnx")):
        run, log = RunFolder(output / one.name), output / f"{one.name}.log"
        try:
            export(run, formats, data, log)
            if "int8" in formats:
                score_int8(run, data, log)
        except UserError as error:
            if not re.search("requirements-export| int8: ", str(error)):
                raise
            why = str(error).rpartition("error: ")[2].partition("; what passed")[0]
            (run.root / scenes_judge.REFUSED).write_text(why, encoding="utf-8")
            print(f"=> {one.name}: left out: {why}")
    scenes_judge.judge(output, options.record_dir)
    scenes_judge.judge_speed(output, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
