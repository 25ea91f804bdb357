"""Whole commands: waiting for data while training, evaluation end to end, bfloat16's scores.

On rendered people, which every machine can make; drawn once into ``Options.folder``.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import ROOT, Comparison, Options, Side, Target
from benchmarks.networks import load_recipe, paddle_facts
from benchmarks.worker import Work

if TYPE_CHECKING:
    from paddle_pose.data.records import PersonTable
    from paddle_pose.inference.engine import Forward
    from paddle_pose.recipes.recipe import Recipe

QUICKSTART = ROOT / "output" / "quickstart"
PEOPLE = 48
SCORED_PEOPLE = 1000
"""So many that one joint is 0.007 of a point: of 250 people one is already half of the target."""
STARTING_LINES = 2
"""Log lines that still hold the start of the workers, left out."""


def temporary_folder() -> Path:
    """A folder that goes with the process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


def command(*words: str | Path, environment: dict[str, str] | None = None) -> None:
    """A command of the project, as a user types it; its output goes to the side's log."""
    variables = {**os.environ, **(environment or {})}
    subprocess.run(  # noqa: S603
        [sys.executable, *map(str, words)], cwd=ROOT, check=True, env=variables
    )


def rendered(root: str, train_people: int, val_people: int) -> Path:
    """The data set of so many people under ``root``, drawn unless it is there."""
    from paddle_pose.synthetic import dataset as synthetic

    folder = Path(root) / f"people_{train_people}_{val_people}"
    synthetic.write_dataset(
        folder, train_people=train_people, val_people=val_people, progress=False
    )
    return folder


def reader_share(root: str, people: int, steps: int, recipe: str, overrides: list[str]) -> Work:
    """``reader_cost`` / ``batch_cost`` of a short ``train.py``."""
    data, output = rendered(root, people, 8), temporary_folder()
    words = ["train.py", "--config", recipe, "--dataset_root", data, "--num_workers", "2"]
    batch = max(people // steps, 1)
    words += ["--set", "train.epochs=1", f"train.batch_size={batch}", "train.log_every=1"]
    words += ["train.save_every=0", *overrides]
    runs: list[Path] = []

    def run() -> float:
        runs.append(output / str(len(runs)))
        command(*words, "--output_dir", runs[-1])
        lines = (runs[-1] / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        logged = [line for line in map(json.loads, lines) if line["kind"] == "train"]
        counted = logged[STARTING_LINES:]
        return sum(x["reader_cost"] for x in counted) / sum(x["batch_cost"] for x in counted)

    return Work(run, facts={"batch": batch, "people": people, "workers": 2})


def _evaluation(
    root: str, people: int, recipe: str, overrides: list[str], batch: int, engine: str
) -> tuple[Recipe, Forward, PersonTable]:
    """Recipe, a forward that is ready (compiling is not what is measured), people to predict."""
    chosen = load_recipe(recipe, overrides)
    from paddle_pose.data import mpii
    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.build import build

    table = mpii.load(rendered(root, 8, people), "valid")
    forward = make_forward(
        build(chosen.model),
        chosen.data,
        flip_test=True,
        engine=engine,
        batch_size=batch,
    )
    return chosen, forward, table


def evaluation_end_to_end(
    root: str, people: int, recipe: str, overrides: list[str], batch: int, engine: str
) -> Work:
    """Photos on disk -> key points in their pixels, by ``inference.predict`` with workers."""
    chosen, forward, table = _evaluation(root, people, recipe, overrides, batch, engine)
    from paddle_pose.data.top_down import PersonCrops
    from paddle_pose.inference.predict import predict
    from paddle_pose.skeletons import skeleton_named

    benchmark, order = chosen.benchmark(), skeleton_named(table.skeleton).flip_order
    crops = PersonCrops(table, chosen.data, chosen.codec, with_targets=False)

    def run() -> None:
        predict(forward, [crops], chosen.codec, benchmark, order, batch_size=batch, num_workers=2)

    return Work(run, units=people, facts=paddle_facts(0.0) | {"workers": 2})


def network_alone(
    root: str, people: int, recipe: str, overrides: list[str], batch: int, engine: str
) -> Work:
    """The same number of forwards with the flip test on one batch that is already there."""
    chosen, forward, _ = _evaluation(root, people, recipe, overrides, batch, engine)
    width, height = chosen.data.image_size_wh
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)

    def run() -> None:
        for _ in range(people // batch):
            forward(images)

    return Work(run, units=people, facts=paddle_facts(0.0))


def comparisons(options: Options) -> list[Comparison]:
    """The rows that need photos, all of them rendered."""
    small = ["data.image_size_wh=[64,64]"] if options.quick else []
    people = 16 if options.quick else PEOPLE
    root = str(options.folder)
    batch = 4 if options.quick else 8
    shared = {
        "root": root,
        "people": people,
        "recipe": "hrnet:w32_mpii_256x256",
        "overrides": small or ["data.image_size_wh=[192,256]"],
        "batch": batch,
        "engine": "onednn",
    }
    size = "64×64" if options.quick else "256×192"
    weights = options.weights or QUICKSTART / "run" / "best_model" / "model.pdparams"
    return [
        Comparison(
            name="reader_share",
            work="reader_cost / batch_cost, Newell's hourglass, 2 stacks, 2 workers",
            ours=Side(
                "benchmarks.pipeline:reader_share",
                "train.py",
                {
                    "root": root,
                    "people": people,
                    "steps": people // 4,
                    "recipe": "hourglass:newell_hg2_mpii_256x256",
                    "overrides": small,
                },
            ),
            target=Target("limit", 0.05),
            unit="of a step",
            warm_up=0,
            pairs=1,
            expected_s=60,
        ),
        Comparison(
            name="end_to_end",
            work=f"evaluation end to end, HRNet-W32 @{size}, {people} people, batch {batch}",
            ours=Side("benchmarks.pipeline:evaluation_end_to_end", "inference.predict", shared),
            theirs=Side("benchmarks.pipeline:network_alone", "the network alone", shared),
            target=Target("overhead", 1.1),
            unit="s/person",
            expected_s=8,
        ),
        Comparison(
            name="bfloat16_pckh",
            work="change of PCKh@0.5 and @0.10 by oneDNN in bfloat16",
            ours=Side(
                "benchmarks.engine_scores:score_change",
                "val.py",
                {
                    "weights": str(weights),
                    "recipe": options.weights_recipe,
                    "data": str(options.weights_data) if options.weights_data else None,
                    "root": root,
                    "people": 8 if options.quick else SCORED_PEOPLE,
                },
            ),
            target=Target("limit", 0.05),
            unit="points",
            warm_up=0,
            pairs=1,
            expected_s=200,
        ),
    ]
