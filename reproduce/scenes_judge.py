"""Finished runs on rendered scenes → a record: AP by number of people, of every way; time.

python -m reproduce.scenes_judge --runs output/scenes

The folder is as ``reproduce/scenes_run.py`` leaves it. Written below ``reproduce/runs/scenes/``:
record, metrics and recipe of each run, ``scenes.json`` and pictures. Time a picture: the first
bottom-up network, pruned as well, and the top-down one with true boxes, from pixels to poses, all
compiled, in turn in one process, by how many people the picture shows.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose import drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json, write_bytes, write_json
from paddle_pose.metrics.coco_ap import coco_ap_with_intervals
from paddle_pose.names import require_apart
from paddle_pose.skeletons import COCO17
from reproduce.small_runs import mean_and_spread
from reproduce.twins_judge import copy_run, pairs_in

RUNS = Path(__file__).parent / "runs" / "scenes"
BOTTOM_UP, TOP_DOWN, PRUNED = "vgg_scenes", "hrnet_w8_scenes_96x64", "vgg_scenes_pruned"
WAYS = ("single", "multi_scale", "strict")
COUNTS = {"all": (1, 99), "1": (1, 1), "2-3": (2, 3), "4-5": (4, 5), "6-8": (6, 8)}
TRUTH = "annotations/person_keypoints_val2017.json"
RESULTS = "keypoints_val2017_results.json"
RESAMPLES, ROUNDS, PICTURES, HEIGHT_PX = 300, 9, 6, 240
MOST = 8


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


def judged(folder: Path, scenes: Scenes, output: Path, resamples: int) -> dict[str, Any]:
    """Everything that one run was scored by."""
    record = copy_run(folder, output / folder.name)
    ways = {
        file.parent.name: scores(read_json(file), scenes, resamples)
        for file in sorted(folder.glob(f"*/{RESULTS}"))
    }
    return {"folder": folder.name, "parameters": record["parameters"], "ways": ways}


def seconds_by_people(networks: dict[str, Path], data: Path, rounds: int) -> dict[str, Any]:
    """Network → people in the picture → median seconds from pixels to poses."""
    from paddle_pose.inference.predictor import PosePredictor

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
            chosen[len(of)] = cv2.resize(pixels, (512, 384)), of
    ready = {
        name: PosePredictor.from_weights(
            weights, engine="onednn", benchmark=_timed(name), batch_size=MOST
        )
        for name, weights in networks.items()
    }
    costs: dict[str, dict[str, list[float]]] = {name: {} for name in networks}
    for turn in range(rounds + 1):
        for people, (pixels, of) in sorted(chosen.items()):
            for name, predictor in ready.items():
                given = None if predictor.whole else of
                began = time.perf_counter()
                predictor(pixels, given, channel_order="bgr")
                cost = time.perf_counter() - began
                if turn:  # the first one warms up
                    costs[name].setdefault(str(people), []).append(cost)
    return {
        name: {people: round(statistics.median(each), 5) for people, each in of.items()}
        for name, of in costs.items()
    }


def _timed(name: str) -> str:
    return "scenes_ground_truth" if name == TOP_DOWN else "scenes_strict"


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


def judge(
    runs: Path, output: Path, resamples: int = RESAMPLES, rounds: int = ROUNDS
) -> dict[str, Any]:
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
    networks = {
        name: runs / of_seeds["0"]["folder"] / "best_model" / "model.pdparams"
        for name, of_seeds in found.items()
        if "0" in of_seeds
    }
    first = runs / f"{BOTTOM_UP}_s0"
    drawn = pictures(first, data, output / "pictures") if BOTTOM_UP in networks else []
    result = {
        "pictures_by_people": {name: len(scenes.images(name)) for name in COUNTS},
        "resamples": resamples,
        "runs": found,
        "over_seeds": over_seeds(found),
        "rounds": rounds,
        "seconds_a_picture": seconds_by_people(networks, data, rounds),
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
    judge(options.runs, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
