"""``make quickstart``: the main job on rendered people, by the commands that a user would type."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paddle_pose import configs, drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.commands import gallery
from paddle_pose.commands.record import RunFolder
from paddle_pose.data import mpii
from paddle_pose.errors import UserError
from paddle_pose.files import read_json, sha256
from paddle_pose.poses import predictions
from paddle_pose.recipes import recipe as recipes
from paddle_pose.skeletons import MPII16
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import ending, launching, runtime

RECIPE = "quickstart:newell_hg1_synthetic"
ROOT = Path(__file__).parents[2]


def call(*words: str | Path) -> str:
    """Show and run one command of the project; returns its last [EVAL] line.

    Raises:
        UserError: it failed; its own output has said why.
    """
    shown = shlex.join(["python", *map(str, words)])
    print(f"\n$ {shown}", flush=True)
    last = ""
    command = [sys.executable, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() if line.startswith("[EVAL]") else last
        except ending.Stopped as stopped:
            with ending.politely():  # it saves a state, and says so
                launching.stop_children(os.getpid())
                for line in process.stdout or ():
                    print(line, end="", flush=True)
            stopped.line = "what is done stays done; start the same command again to go on"
            raise
    if process.returncode:
        raise UserError(f"'{shown}' failed (exit code {process.returncode})")
    return last


def processes(root: Path) -> list[str | Path]:
    """Two processes where there are two cores: one process of so small a network fills one core."""
    if runtime.worker_count(None) < 2:
        return []
    launch = ["-m", "paddle.distributed.launch", "--backend", "gloo", "--nproc_per_node", "2"]
    return [*launch, "--log_dir", root / "processes"]


def same_recipe(run: RunFolder, changes: Sequence[str]) -> bool:
    """Whether the run there, if any, is of today's recipe with these ``KEY=VALUE``."""
    try:
        return recipes.read_yaml(run.recipe_file) == configs.chosen(RECIPE, assignments=changes)
    except UserError:
        return False


def changed(precision: str, seed: int | None) -> list[str]:
    """The recipe's changes, as KEY=VALUE; says what ``auto`` found."""
    if precision == "auto":
        from paddle_pose.models import blocks  # Paddle, which this process needs for nothing else

        fault = blocks.bfloat16_fault()
        precision = "float32" if fault else "bfloat16"
        print(f"=> training in {precision}{fault and ': '}{fault}", flush=True)
    changes = ["train.amp=O1", "train.amp_dtype=bfloat16"] if precision == "bfloat16" else []
    return changes + ([] if seed is None else [f"seed={seed}"])


def finished(run: RunFolder) -> bool:
    """Whether a whole training run lies there with the weights that it recorded."""
    if not run.record_file.is_file() or not run.best_weights.is_file():
        return False
    result = run.record().result
    name = "best_model/model.pdparams"
    return result is not None and result.sha256.get(name) == sha256(run.best_weights)


def evaluated(folder: Path, weights: Path) -> bool:
    """Whether the predictions there are of these weights."""
    file = folder / "scores.json"
    if not file.is_file() or not (folder / "predictions.json").is_file():
        return False
    scores = read_json(file)
    return isinstance(scores, dict) and scores.get("weights_sha256") == sha256(weights)


def main(words: Sequence[str] | None = None) -> None:
    """Render, train, evaluate, draw; what is done already is skipped."""
    parser = CommandLine("python -m paddle_pose quickstart", description=main.__doc__, examples=(
        "python -m paddle_pose quickstart",
        "python -m paddle_pose quickstart --output_dir output/again"))  # fmt: skip
    parser.add_argument(
        "--output_dir", metavar="DIR", type=Path, default=Path("output/quickstart"),
        help="folder for all of it (output/quickstart)",
    )  # fmt: skip
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "auto"),
        default="float32",
        help="what training computes in (float32); auto: bfloat16 where the CPU multiplies it",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="the run's seed; the recipe's if not given",
    )
    arguments = parser.parse_args(words)
    runtime.tell()
    changes = changed(arguments.precision, arguments.seed)
    began = time.perf_counter()
    root = arguments.output_dir
    data, run, scores = root / "data", RunFolder(root / "run"), root / "eval"
    synthetic.write_dataset(data)
    if same_recipe(run, changes) and finished(run):
        print(f"=> {run.best_weights}: trained already")
    else:
        training: list[str | Path] = [ROOT / "train.py", "--config", RECIPE, "--dataset_root", data]
        training += ["--output_dir", run.root, "--device", "cpu", "--num_workers", "1"]
        training += ["--set", *changes] if changes else []
        training += ["--resume"] if same_recipe(run, changes) else []
        call(*processes(root), *training)
    scoring: list[str | Path] = [ROOT / "val.py", "--config", RECIPE, "--dataset_root", data]
    if evaluated(scores, run.best_weights):
        line = call(*scoring, "--predictions", scores / "predictions.json")
    else:
        line = call(*scoring, "--pretrained_model", run.best_weights, "--output_dir", scores)
    draw(data, run, scores, root)
    print(f"\n=> done in {time.perf_counter() - began:.0f} s")
    print(line)
    for file in (run.best_weights, root / "predictions.png", root / "curves.png"):
        print(f"=> {file}")


def draw(data: Path, run: RunFolder, scores: Path, root: Path) -> None:
    """predictions.png and curves.png."""
    file = scores / "predictions.json"
    found = predictions.read(file, None, joints=len(MPII16), skeleton=MPII16.name)
    table, truth = mpii.load(data, "valid"), mpii.truth(data, "valid")
    gallery.write_grid(table, truth, found.poses.keypoints, root / "predictions.png")
    drawing.curves(run.metrics_file, root / "curves.png")
