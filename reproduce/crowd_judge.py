"""Finished crowd runs → a record: AP by overlap, whom each pose found, pictures.

python -m reproduce.crowd_judge --runs output/crowd

The folder is as ``reproduce/crowd_run.py`` leaves it. Written below ``reproduce/runs/crowd/``:
record, metrics and recipe of each run, ``crowd.json`` and the pictures. Two sets of boxes are
scored from the same predictions: those of everybody, and those of the people in front alone, which
is what a detector's suppression leaves of two boxes that overlap so much. "Behind" is COCO's AP of
the people behind: poses that match somebody in front count neither for nor against.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose import configs, drawing
from paddle_pose.codecs.pairs import INSTANCES, PairCodec
from paddle_pose.command_line import CommandLine
from paddle_pose.data import coco
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.evaluation.oks_results import finished, second_factors
from paddle_pose.files import read_json, sha256, write_bytes, write_json
from paddle_pose.geometry import UNIT_PX
from paddle_pose.metrics.coco_ap import coco_ap_with_intervals
from paddle_pose.names import require_apart
from paddle_pose.poses import predictions
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.poses.oks import oks
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import CROWDPOSE14
from reproduce.small_runs import mean_and_spread
from reproduce.twins_judge import copy_run, pairs_in

RUNS = Path(__file__).parent / "runs" / "crowd"
NETWORKS = ("hrnet", "mipnet")
BINS = {"all": (0.0, 1.0), "0.3-0.5": (0.3, 0.5), "0.5-0.7": (0.5, 0.7), "0.7-0.9": (0.7, 0.901)}
BOXES = ("everybody", "in front")
PEOPLE = ("everybody", "behind")
FOUND_OKS = 0.5
RESAMPLES = 300
PICTURES_EACH, HEIGHT_PX = 2, 180
SIGMAS = np.array(CROWDPOSE14.oks_sigmas)


@dataclass(frozen=True)
class Pairs:
    """The truth: the rendered file, and by row of its people who stands behind.

    Attributes:
        content: of the annotation file.
        table: its people.
        behind: (N,) bool, by row of the table.
        overlap: (N,) of the pair of each.
    """

    content: dict[str, Any]
    table: PersonTable
    behind: np.ndarray
    overlap: np.ndarray

    @classmethod
    def of(cls, content: dict[str, Any], table: PersonTable) -> Pairs:
        """Of the file that the table was read from."""
        overlap = {image["id"]: image["overlap"] for image in content["images"]}
        people = [content["annotations"][row] for row in table.rows.tolist()]
        if (np.unique(table.image_index, return_counts=True)[1] != 2).any():
            raise UserError(f"{table.files[0]}: expected two people on every picture")
        return cls(
            content,
            table,
            np.array([bool(person["behind"]) for person in people]),
            np.array([overlap[person["image_id"]] for person in people]),
        )

    def truth(self, people: str) -> dict[str, Any]:
        """The file; for those behind, with the people in front as what COCO calls a crowd."""
        if people == "everybody":
            return self.content
        marked = [
            person | {"iscrowd": 1 - person["behind"]} for person in self.content["annotations"]
        ]
        return self.content | {"annotations": marked}

    def images(self, name: str) -> list[int]:
        """Ids of the images of a bin."""
        low, high = BINS[name]
        images = self.content["images"]
        return [image["id"] for image in images if low <= image["overlap"] < high]

    @property
    def other(self) -> np.ndarray:
        """(N,) place in the table of the other one of each pair."""
        found = np.full(len(self.table), -1)
        for image in np.unique(self.table.image_index):
            pair = np.flatnonzero(self.table.image_index == image)
            found[pair] = pair[::-1]
        return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.crowd_judge", description=__doc__)
    command.add_argument("--runs", type=Path, required=True, help="folder of the finished runs")
    command.add_argument("--record_dir", type=Path, default=RUNS, help="where the record goes")
    return command


def read_run(folder: Path, data: Path) -> tuple[Recipe, Poses, Pairs]:
    """Recipe, poses and truth of one run; Raises UserError for predictions of other data."""
    recipe = configs.load(str(folder / "recipe.yaml"))
    table = coco.load(
        data,
        recipe.data.val_split,
        image_size_wh=recipe.data.image_size_wh,
        skeleton_name=CROWDPOSE14.name,
        stated=recipe.data,
    )
    truth, file = table.files[0], folder / "eval" / "predictions.json"
    found = predictions.read(file, 0, joints=len(CROWDPOSE14), skeleton=CROWDPOSE14.name)
    predictions.require_made_for(found, file, annotation_sha256=sha256(truth))
    poses = predictions.for_rows(found, file, table.rows).poses
    return recipe, poses, Pairs.of(read_json(truth), table)


def scores(recipe: Recipe, poses: Poses, pairs: Pairs, resamples: int) -> dict[str, Any]:
    """AP, AR and the interval of AP: by boxes, poses, people, overlap."""
    benchmark, table = recipe.benchmarks[0], pairs.table
    at = table.index_of(poses.rows)
    results = CocoResults(
        table.image_ids[table.image_index[at]],
        poses.keypoints,
        second_factors(poses.instances, benchmark),
        np.prod(table.scale_wh[at] * UNIT_PX, axis=1),
    )
    asked = {"both": np.full(len(poses), True)}
    if isinstance(recipe.codec, PairCodec):
        asked |= {name: poses.instances == number for number, name in enumerate(INSTANCES)}
    boxes = {"everybody": np.full(len(poses), True), "in front": ~pairs.behind[at]}
    rows: dict[str, Any] = {}
    for one, of_boxes in boxes.items():
        for name, of_poses in asked.items():
            kept = finished(results.select(of_boxes & of_poses), CROWDPOSE14, benchmark).rows()
            for people in PEOPLE:
                for share in filter(pairs.images, BINS):
                    values, ends = coco_ap_with_intervals(
                        pairs.truth(people),
                        kept,
                        sigmas=CROWDPOSE14.oks_sigmas,
                        image_ids=pairs.images(share),
                        resamples=resamples,
                    )
                    rows[key(one, name, people, share)] = {
                        "AP": round(values["AP"], 5),
                        "AR": round(values["AR"], 5),
                        "AP_interval": [round(end, 4) for end in ends.get("AP", ())],
                    }
    return rows


def key(boxes: str, poses: str, people: str, share: str) -> str:
    """How the record calls a score."""
    return f"boxes {boxes}, poses {poses}, people {people}, overlap {share}"


def similarities(poses: Poses, pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) places in the table, and OKS of each pose with its box's owner and with the other."""
    table, at = pairs.table, pairs.table.index_of(poses.rows)
    areas = np.array([pairs.content["annotations"][row]["area"] for row in table.rows.tolist()])
    both = [
        oks(poses.keypoints, table.joints_xy[who], SIGMAS, areas[who])
        for who in (at, pairs.other[at])
    ]
    return at, both[0], both[1]


def answers(poses: Poses, pairs: Pairs) -> dict[str, dict[str, float]]:
    """Shares of poses that are of the box's owner, of the other one and of neither."""
    at, own, other = similarities(poses, pairs)
    found: dict[str, dict[str, float]] = {}
    for share, (low, high) in BINS.items():
        inside = (pairs.overlap[at] >= low) & (pairs.overlap[at] < high)
        for box, behind in (("in front", False), ("behind", True)):
            for number in np.unique(poses.instances):
                mine = inside & (pairs.behind[at] == behind) & (poses.instances == number)
                if not mine.any():
                    continue
                best = np.maximum(own, other)[mine] >= FOUND_OKS
                owners = best & (own >= other)[mine]
                found[f"box {box}, {INSTANCES[number]}, overlap {share}"] = {
                    "owner": round(float(owners.mean()), 4),
                    "other": round(float((best & ~owners).mean()), 4),
                    "neither": round(float((~best).mean()), 4),
                }
    return found


def over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of AP over the seeds of each network, and MIPNet's gain by pairs of seeds.

    The gain's interval is Student's of the paired differences; none for a single seed.
    """
    by_network = {
        network: {run["seed"]: run["scores"] for run in runs if run["network"] == network}
        for network in NETWORKS
    }
    shared = sorted(set.intersection(*(set(of_seeds) for of_seeds in by_network.values())))
    result: dict[str, Any] = {}
    for name in dict.fromkeys(name for run in runs for name in run["scores"]):
        entry: dict[str, Any] = {}
        for network, of_seeds in by_network.items():
            values = [one[name]["AP"] for one in of_seeds.values() if name in one]
            entry |= {network: mean_and_spread(values)} if values else {}
        if shared and len(entry) == len(NETWORKS):
            ours, theirs = (
                np.array([by_network[network][seed][name]["AP"] for seed in shared])
                for network in reversed(NETWORKS)
            )
            entry["gain"] = mean_and_spread((ours - theirs).tolist())
        result[name] = entry
    return result


def pictures(poses: Poses, pairs: Pairs, output: Path) -> list[dict[str, Any]]:
    """The first boxes in each bin whose second pose is the person behind, and the first without."""
    at, own, other = similarities(poses, pairs)
    second = np.flatnonzero((poses.instances == 1) & ~pairs.behind[at])
    found = (other >= FOUND_OKS) & (other > own)
    made = []
    for share, (low, high) in list(BINS.items())[1:]:
        inside = second[(pairs.overlap[at[second]] >= low) & (pairs.overlap[at[second]] < high)]
        for word, wanted in (("found", True), ("missed", False)):
            chosen = inside[found[inside] == wanted][:PICTURES_EACH]
            for number, pose in enumerate(chosen.tolist(), start=1):
                file = f"{word}_{share.replace('.', '')}_{number}.jpg"
                picture = _picture(poses, pose, pairs)[..., ::-1]
                _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])
                write_bytes(output / file, encoded.tobytes())
                made.append(
                    {
                        "file": file,
                        "overlap": share,
                        "found": wanted,
                        "oks_behind": round(float(other[pose]), 3),
                        "oks_owner": round(float(own[pose]), 3),
                    }
                )
    return made


def _picture(poses: Poses, pose: int, pairs: Pairs) -> np.ndarray:
    """The box three times: the truth of both, its first pose, its second."""
    table, row = pairs.table, poses.rows[pose]
    at = int(table.index_of(np.array([row]))[0])
    photo = cv2.imread(str(table.image_root / table.image_names[table.image_index[at]]))
    if photo is None:
        raise UserError(f"{table.image_root}: pictures of the data set cannot be read")
    half = 0.5 * UNIT_PX * table.scale_wh[at]
    low = np.maximum(np.floor(table.center_xy[at] - half), 0).astype(int)
    high = np.ceil(table.center_xy[at] + half).astype(int)
    crop = photo[low[1] : high[1], low[0] : high[0], ::-1]
    zoom = HEIGHT_PX / crop.shape[0]
    crop = cv2.resize(np.ascontiguousarray(crop), None, fx=zoom, fy=zoom)
    first = np.flatnonzero((poses.rows == row) & (poses.instances == 0))[0]
    truths = (table.joints_xy[at], table.joints_xy[pairs.other[at]])
    shown = [truths, (poses.keypoints[first, :, :2], None), (None, poses.keypoints[pose, :, :2])]
    cells = []
    for two in shown:
        cell = crop
        for joints_xy, color in zip(two, drawing.INSTANCE_RGB, strict=True):
            if joints_xy is not None:
                moved = (joints_xy - low + 0.5) * zoom - 0.5
                cell = drawing.draw_pose(cell, moved, CROWDPOSE14, color=color)
        cells.append(cell)
    return drawing.grid(cells, len(cells))


def judge(runs: Path, output: Path, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Write the record of all finished runs; Raises UserError where there is none."""
    made: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    shutil.rmtree(output / "pictures", ignore_errors=True)
    pairs = None
    for name, seed, folder in pairs_in(runs):
        network = name.partition("_")[0]
        if network not in NETWORKS or not (folder / "eval" / "predictions.json").is_file():
            continue
        recipe, poses, pairs = read_run(folder, runs / "data")
        record = copy_run(folder, output / folder.name)
        made.append(
            {
                "network": network,
                "seed": seed,
                "folder": folder.name,
                "parameters": record["parameters"],
                "scores": scores(recipe, poses, pairs, resamples),
                "answers": answers(poses, pairs),
            }
        )
        if isinstance(recipe.codec, PairCodec) and not drawn:
            drawn = pictures(poses, pairs, output / "pictures")
    if pairs is None:
        raise UserError(f"--runs {runs}: no finished run; see python -m reproduce.crowd_run")
    result: dict[str, Any] = {
        "pairs": {share: len(pairs.images(share)) for share in filter(pairs.images, BINS)},
        "found_oks": FOUND_OKS,
        "resamples": resamples,
        "runs": made,
        "over_seeds": over_seeds(made),
        "pictures": drawn,
    }
    write_json(output / "crowd.json", result)
    for people in PEOPLE:
        for boxes in BOXES:
            found = result["over_seeds"][key(boxes, "both", people, "all")]
            words = ", ".join(f"{name} {entry['mean']:.4f}" for name, entry in found.items())
            print(f"[JUDGED] boxes of {boxes}, AP of {people}: {words}")
    print(f"=> {output / 'crowd.json'}")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    require_apart(options.record_dir, [options.runs], "--record_dir")
    judge(options.runs, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
