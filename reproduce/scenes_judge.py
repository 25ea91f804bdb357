"""Finished runs on rendered scenes → a record: AP by number of people, of every way; time.

python -m reproduce.scenes_judge --runs output/scenes
python -m reproduce.scenes_judge --runs output/scenes --only speed

The folder is as ``reproduce/scenes_run.py`` leaves it. Written below ``reproduce/runs/scenes/``:
record, metrics and recipe of each run, ``scenes.json``, pictures, and ``speed.json``: time a
picture from pixels to poses, of the first bottom-up network, of the pruned one, of INT8 of both,
and of the top-down one with true boxes, in turn in one process on one thread, by how many people
the picture shows. ``--only speed`` writes that one alone: for when nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose import configs, drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.commands.record import environment
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json, write_bytes, write_json
from paddle_pose.metrics.coco_ap import coco_ap_with_intervals
from paddle_pose.names import require_apart
from paddle_pose.skeletons import COCO17
from paddle_pose.system import runtime
from reproduce.small_runs import ONE_THREAD, mean_and_spread
from reproduce.twins_judge import copy_run, pairs_in

RUNS = Path(__file__).parent / "runs" / "scenes"
BOTTOM_UP, TOP_DOWN, PRUNED = "vgg_scenes", "hrnet_w8_scenes_96x64", "vgg_scenes_pruned"
WAYS = ("single", "multi_scale", "strict")
COUNTS = {"all": (1, 99), "1": (1, 1), "2-3": (2, 3), "4-5": (4, 5), "6-8": (6, 8)}
TRUTH = "annotations/person_keypoints_val2017.json"
RESULTS = "keypoints_val2017_results.json"
RESAMPLES, ROUNDS, HEIGHT_PX = 300, 15, 240
MOST, SIZE_WH = 8, (512, 384)
EXPORTED, INT8 = "exported", "_int8"
LIBRARIES = {"onnx": "ONNX Runtime", "int8": "OpenVINO"}
STEPS = ("scores", "speed")
REFUSED = "int8_refused.txt"
"""Of a run's folder: why its network has no INT8."""


@dataclass(frozen=True)
class Scenes:
    """The truth, and how many people each picture shows.

    Attributes:
        content: of the annotation file.
        people: picture → records of one person, labelled or not.
    """

    content: dict[str, Any]
    people: dict[int, int]

    @classmethod
    def of(cls, content: dict[str, Any]) -> Scenes:
        """Count them."""
        people = {image["id"]: 0 for image in content["images"]}
        for one in content["annotations"]:
            people[one["image_id"]] += not one["iscrowd"]
        return cls(content, people)

    def images(self, name: str) -> list[int]:
        """Ids of the pictures of a bin."""
        low, high = COUNTS[name]
        return [image for image, people in self.people.items() if low <= people <= high]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.scenes_judge", description=__doc__)
    command.add_argument("--runs", type=Path, required=True, help="folder of the finished runs")
    command.add_argument("--record_dir", type=Path, default=RUNS, help="where the record goes")
    command.add_argument("--only", choices=STEPS, help="one of both")
    return command


def scores(results: Sequence[dict[str, Any]], scenes: Scenes, resamples: int) -> dict[str, Any]:
    """AP and its interval, by number of people."""
    found: dict[str, Any] = {}
    for name in filter(scenes.images, COUNTS):
        values, ends = coco_ap_with_intervals(
            scenes.content,
            results,
            sigmas=COCO17.oks_sigmas,
            image_ids=scenes.images(name),
            resamples=resamples,
        )
        interval = [round(end, 4) for end in ends.get("AP", ())]
        found[name] = {"AP": round(values["AP"], 5), "AP_interval": interval}
    return found


def size_of(recipe_file: Path) -> dict[str, int]:
    """Parameters, multiply-adds at the recipe's size, and filters of its network."""
    from paddle_pose.models import pruning
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count

    recipe = configs.load(str(recipe_file))
    network = build(recipe.model)
    counts = count(network, recipe.data.image_size_wh)
    filters = sum(pruning.widths(network).values())
    return {"parameters": counts.parameters, "macs": counts.macs, "filters": filters}


def judged(folder: Path, scenes: Scenes, output: Path, resamples: int) -> dict[str, Any]:
    """Everything that one run was scored by."""
    copy_run(folder, output / folder.name)
    ways = {
        file.parent.name: scores(read_json(file), scenes, resamples)
        for file in sorted(folder.glob(f"*/{RESULTS}"))
    }
    found = {"folder": folder.name, **size_of(folder / "recipe.yaml"), "ways": ways}
    refused = folder / REFUSED
    if refused.is_file():
        found["int8_refused"] = refused.read_text(encoding="utf-8")
    return found


def predictors(runs: Path) -> dict[str, tuple[Any, str]]:
    """Network → what looks at a picture, and which library runs it; INT8 where it was made."""
    from paddle_pose.inference.predictor import PosePredictor

    ready: dict[str, tuple[Any, str]] = {}
    for name in (BOTTOM_UP, PRUNED, TOP_DOWN):
        folder = runs / f"{name}_s0"
        weights = folder / "best_model" / "model.pdparams"
        benchmark = "scenes_ground_truth" if name == TOP_DOWN else "scenes_strict"
        given: dict[str, Any] = {"benchmark": benchmark, "batch_size": MOST}
        for kind, key in (("onnx", name), ("int8", name + INT8)):
            made = folder / EXPORTED / kind
            if (made / "model.yaml").is_file():
                ready[key] = PosePredictor.from_exported(made, **given), LIBRARIES[kind]
            elif kind == "onnx" and weights.is_file():
                made_by = PosePredictor.from_weights(weights, engine="onednn", **given)
                ready[key] = made_by, "oneDNN"
    return ready


def one_of_each(data: Path) -> dict[int, tuple[np.ndarray, list[list[float]]]]:
    """People → the first picture of so many labelled people, of one size, with their boxes."""
    content = read_json(data / TRUTH)
    boxes: dict[int, list[list[float]]] = {}
    for one in content["annotations"]:
        if not one["iscrowd"]:
            boxes.setdefault(one["image_id"], []).append(one["bbox"])
    chosen: dict[int, tuple[np.ndarray, list[list[float]]]] = {}
    for image in content["images"]:
        of = boxes.get(image["id"], [])
        if len(of) in range(1, MOST + 1) and len(of) not in chosen:
            pixels = cv2.imread(str(data / "images" / "val2017" / image["file_name"]))
            zoom = np.divide(SIZE_WH, pixels.shape[1::-1])
            scaled = (np.array(of) * np.tile(zoom, 2)).tolist()
            chosen[len(of)] = cv2.resize(pixels, SIZE_WH), scaled
    return dict(sorted(chosen.items()))


def measured(
    ready: dict[str, Any], pictures: dict[int, tuple[np.ndarray, list[list[float]]]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Network → people in the picture → seconds of each round, all networks in turn."""
    costs: dict[str, dict[str, list[float]]] = {name: {} for name in ready}
    for turn in range(rounds + 1):
        for people, (pixels, of) in pictures.items():
            for name, predictor in ready.items():
                given = None if predictor.whole else of
                began = time.perf_counter()
                predictor(pixels, given, channel_order="bgr")
                cost = time.perf_counter() - began
                if turn:  # the first one warms up
                    costs[name].setdefault(str(people), []).append(cost)
    return costs


def times_as_fast(
    costs: dict[str, dict[str, list[float]]], base: str
) -> dict[str, dict[str, float]]:
    """Network → the base's time of all pictures by its own, of the same round: median and range."""
    whole = {name: np.sum(list(of.values()), axis=0) for name, of in costs.items()}
    if base not in whole:
        return {}
    found = {}
    for name, own in whole.items():
        low, middle, high = np.quantile(whole[base] / own, (0.1, 0.5, 0.9))
        found[name] = {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}
    return found


def judge_speed(runs: Path, output: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Write ``speed.json``; Raises UserError where there is no network."""
    ready = predictors(runs)
    if not ready:
        raise UserError(f"--runs {runs}: no finished run; see python -m reproduce.scenes_run")
    cv2.setNumThreads(1)
    networks = {name: predictor for name, (predictor, _) in ready.items()}
    costs = measured(networks, one_of_each(runs / "data"), rounds)
    seconds = {
        name: {people: round(statistics.median(each), 5) for people, each in of.items()}
        for name, of in costs.items()
    }
    result = {
        "rounds": rounds,
        "threads": runtime.thread_count(),
        "environment": environment(),
        "by": {name: library for name, (_, library) in ready.items()},
        "seconds_a_picture": seconds,
        "times_as_fast": times_as_fast(costs, BOTTOM_UP),
    }
    write_json(output / "speed.json", result)
    for name, of in seconds.items():
        words = ", ".join(f"{people}: {1000 * cost:.1f}" for people, cost in of.items())
        print(f"[TIMED] {name}: ms a picture by people: {words}")
    print(f"=> {output / 'speed.json'}")
    return result


def pictures(folder: Path, data: Path, output: Path) -> list[dict[str, Any]]:
    """The first pictures with their poses, strict: of 1, 2, 4, 6, 8 … people, nothing chosen."""
    content = read_json(data / TRUTH)
    scenes = Scenes.of(content)
    found: dict[int, list[dict[str, Any]]] = {}
    for one in read_json(folder / "strict" / RESULTS):
        found.setdefault(one["image_id"], []).append(one)
    made, wanted = [], [1, 2, 3, 5, 6, 8]
    for image in content["images"]:
        people = scenes.people[image["id"]]
        if people not in wanted:
            continue
        wanted.remove(people)
        pixels = cv2.imread(str(data / "images" / "val2017" / image["file_name"]))
        drawn = np.ascontiguousarray(pixels[..., ::-1])
        for number, one in enumerate(found.get(image["id"], [])):
            joints = np.array(one["keypoints"]).reshape(-1, 3)
            joints[joints[:, 2] <= 0, :2] = np.nan
            color = drawing.number_rgb(number + 1)
            drawn = drawing.draw_pose(drawn, joints[:, :2], COCO17, color=color)
        zoom = HEIGHT_PX / drawn.shape[0]
        drawn = cv2.resize(drawn, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
        write_bytes(output / f"people_{people}.jpg", encoded.tobytes())
        poses = len(found.get(image["id"], []))
        made.append({"file": f"people_{people}.jpg", "people": people, "poses": poses})
    return sorted(made, key=lambda one: one["people"])


def judge(runs: Path, output: Path, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Write the record of all finished runs; Raises UserError where there is none."""
    data = runs / "data"
    shutil.rmtree(output / "pictures", ignore_errors=True)
    found: dict[str, dict[str, Any]] = {}
    scenes: Scenes | None = None
    for name, seed, folder in pairs_in(runs):
        if name in (BOTTOM_UP, TOP_DOWN, PRUNED) and list(folder.glob(f"*/{RESULTS}")):
            scenes = scenes or Scenes.of(read_json(data / TRUTH))
            found.setdefault(name, {})[str(seed)] = judged(folder, scenes, output, resamples)
    if scenes is None:
        raise UserError(f"--runs {runs}: no finished run; see python -m reproduce.scenes_run")
    first = runs / f"{BOTTOM_UP}_s0"
    drawn = pictures(first, data, output / "pictures") if BOTTOM_UP in found else []
    result = {
        "pictures_by_people": {name: len(scenes.images(name)) for name in COUNTS},
        "resamples": resamples,
        "runs": found,
        "over_seeds": over_seeds(found),
        "pictures": drawn,
    }
    write_json(output / "scenes.json", result)
    for name, ways in result["over_seeds"].items():
        words = ", ".join(f"{way} {counts['all']['mean']:.4f}" for way, counts in ways.items())
        print(f"[JUDGED] {name}: AP {words}")
    print(f"=> {output / 'scenes.json'}")
    return result


def over_seeds(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Network → way → number of people → mean and spread of AP."""
    result: dict[str, Any] = {}
    for name, of_seeds in found.items():
        for way in dict.fromkeys(way for run in of_seeds.values() for way in run["ways"]):
            runs = [run["ways"][way] for run in of_seeds.values() if way in run["ways"]]
            result.setdefault(name, {})[way] = {
                count: mean_and_spread([run[count]["AP"] for run in runs]) for count in runs[0]
            }
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    require_apart(options.record_dir, [options.runs], "--record_dir")
    os.environ.update(ONE_THREAD)
    runtime.configure(quiet=True)
    if options.only != "speed":
        judge(options.runs, options.record_dir)
    if options.only != "scores":
        judge_speed(options.runs, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
