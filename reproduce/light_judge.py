"""Finished runs of the light FastPose → a record: scores, spreads, differences, time a person.

python -m reproduce.light_judge --runs output/light --lspet data/lspet_mpii

The folder is as ``reproduce/light_run.py`` leaves it. Written below ``reproduce/runs/light/``:
record, metrics and recipe of each run, and ``light.json``. On photos: PCKh of both networks with
intervals, their paired difference, and time a person, compiled, one after the other in turn in one
process. On rendered people: each way's mean over seeds, and its difference from integral regression
by pairs of seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json, write_json
from paddle_pose.names import require_apart
from reproduce.small_runs import mean_and_spread
from reproduce.twins_judge import (
    THRESHOLDS,
    copy_run,
    paired_difference,
    pairs_in,
    read_predictions,
)

RUNS = Path(__file__).parent / "runs" / "light"
HOURGLASS, MOBILE = "newell_hg1_lspet_96x96", "mobile_small_lspet_96x96"
ON_PHOTOS = (HOURGLASS, MOBILE)
BASE = "integral"
WAYS = {
    BASE: "mobile_small_people_96x64",
    "heat maps": "mobile_small_heatmap_people_96x64",
    "plain gradient": "mobile_small_plain_people_96x64",
    "DPG": "mobile_small_dpg_people_96x64",
}
BOXES = {"true": "eval", "shaken": "eval_shaken"}
ROUNDS, BATCH = 15, 16


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.light_judge", description=__doc__)
    command.add_argument("--runs", type=Path, required=True, help="folder of the finished runs")
    command.add_argument("--lspet", type=Path, help="LSPET in MPII layout, where they ran on it")
    command.add_argument("--record_dir", type=Path, default=RUNS, help="where the record goes")
    return command


def learnt(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """How long a run learnt: steps, median seconds a step (it may have been paused), minutes."""
    train = configs.load(str(folder / "recipe.yaml")).train
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    costs = [row["batch_cost"] for row in map(json.loads, lines) if row["kind"] == "train"]
    people = record["data"]["train"]["people"]
    steps, each = train.epochs * -(-people // train.batch_size), statistics.median(costs)
    return {
        "epochs": train.epochs,
        "people": people,
        "steps": steps,
        "step_s": round(each, 4),
        "minutes": round(steps * each / 60, 1),
    }


def seconds_a_person(names: Sequence[str], rounds: int) -> dict[str, float]:
    """Median seconds of a compiled forward of one person each, in turn, float32, no flip."""
    import paddle

    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.build import build

    made: dict[str, tuple[Any, np.ndarray]] = {}
    for name in names:
        recipe = configs.load(f"light:{name}")
        width, height = recipe.data.image_size_wh
        paddle.seed(0)
        forward = make_forward(
            build(recipe.model),
            recipe.data,
            flip_test=False,
            engine="onednn",
            precision="float32",
            batch_size=BATCH,
        )
        shape = (BATCH, height, width, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        forward(images)
        made[name] = forward, images
    costs: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, (forward, images) in made.items():
            began = time.perf_counter()
            forward(images)
            costs[name].append((time.perf_counter() - began) / BATCH)
    return {name: round(statistics.median(each), 6) for name, each in costs.items()}


def on_photos(folders: dict[str, Path], lspet: Path, output: Path, rounds: int) -> dict[str, Any]:
    """Both networks that learnt on LSPET."""
    truth = mpii.truth(lspet, "valid")
    costs = seconds_a_person(ON_PHOTOS, rounds)
    runs, found = {}, []
    for name in ON_PHOTOS:
        record = copy_run(folders[name], output / folders[name].name)
        scores = read_json(folders[name] / "eval" / "scores.json")
        found.append(read_predictions(folders[name], truth))
        runs[name] = {
            "folder": folders[name].name,
            "parameters": record["parameters"],
            "learnt": learnt(folders[name], record),
            "seconds_a_person": costs[name],
            "values": {one: round(scores["values"][one], 4) for one in THRESHOLDS},
            "intervals": {
                one: [round(end, 4) for end in scores["intervals"][one]] for one in THRESHOLDS
            },
        }
    theirs, ours = found
    if ours is None or theirs is None:
        raise UserError(f"{folders[MOBILE]}: no predictions; see python -m reproduce.light_run")
    return {
        "people": len(truth),
        "runs": runs,
        "difference": paired_difference(ours, theirs, truth),
        "rounds": rounds,
        "batch": BATCH,
    }


def ways(folders: dict[str, dict[int, Path]], output: Path) -> dict[str, Any]:
    """AP of each way with true boxes and with shaken ones, over seeds, and against BASE."""
    result: dict[str, Any] = {}
    of_base: dict[str, dict[int, float]] = {}
    for way, name in WAYS.items():
        entry: dict[str, Any] = {"runs": {}}
        for seed, folder in folders.get(name, {}).items():
            record = copy_run(folder, output / folder.name)
            entry["runs"][str(seed)] = {"folder": folder.name, "learnt": learnt(folder, record)}
            for boxes, where in BOXES.items():
                values = read_json(folder / where / "scores.json")["values"]
                entry["runs"][str(seed)][boxes] = round(values["AP"], 5)
        for boxes in BOXES if entry["runs"] else ():
            of_seeds = {int(seed): run[boxes] for seed, run in entry["runs"].items()}
            entry[boxes] = mean_and_spread(list(of_seeds.values()))
            base = of_base.setdefault(boxes, of_seeds)
            shared = sorted(set(base) & set(of_seeds))
            if way != BASE and shared:
                gains = [of_seeds[seed] - base[seed] for seed in shared]
                entry[f"{boxes} gain"] = mean_and_spread(gains)
        if entry["runs"]:
            result[way] = entry
    return result


def judge(runs: Path, lspet: Path | None, output: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Write the record of all finished runs; Raises UserError where there is none."""
    folders: dict[str, dict[int, Path]] = {}
    for name, seed, folder in pairs_in(runs):
        if (folder / "eval" / "scores.json").is_file():
            folders.setdefault(name, {})[seed] = folder
    result: dict[str, Any] = {"ways": ways(folders, output)}
    if set(ON_PHOTOS) <= set(folders) and lspet is not None:
        photos = {name: folders[name][0] for name in ON_PHOTOS}
        result["photos"] = on_photos(photos, lspet, output, rounds)
    else:
        print("=> no finished runs on LSPET, or no --lspet: they are left out")
    if not result["ways"] and "photos" not in result:
        raise UserError(f"--runs {runs}: no finished run; see python -m reproduce.light_run")
    write_json(output / "light.json", result)
    for way, entry in result["ways"].items():
        words = ", ".join(f"{boxes} boxes {entry[boxes]['mean']:.4f}" for boxes in BOXES)
        print(f"[JUDGED] {way}: AP with {words}")
    for name, run in result.get("photos", {"runs": {}})["runs"].items():
        words = ", ".join(f"{one} {value:.2f}" for one, value in run["values"].items())
        print(f"[JUDGED] {name}: {words}")
    print(f"=> {output / 'light.json'}")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    require_apart(options.record_dir, [options.runs], "--record_dir")
    judge(options.runs, options.lspet, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
