"""The light FastPose: beside Newell's hourglass, and one thing changed at a time; in one command.

python -m reproduce.light_run --output_dir output/light --lspet data/lspet_mpii

On LSPET's photos (MPII layout) FastPoseMobile-small with integral regression learns as long as the
hourglass does. On rendered people it learns with heat maps instead, with the plain gradient
instead of the symmetric one, with DPG in its second half, each with three seeds. Then
``reproduce/light_judge.py`` judges. Without ``--lspet`` its two runs are left out, which is said.
What is done already is skipped: after a stop the same command goes on. Two runs go at a time, of
one thread each (``reproduce/small_runs.py``).

The plan, on two free cores: 24 minutes for LSPET, 8 for each of the twelve others, so 75 in all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors
from paddle_pose.files import read_json, write_json
from paddle_pose.names import require_apart
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.system import runtime
from reproduce import light_judge, small_runs
from reproduce.small_runs import SmallRun

TRAIN_PEOPLE, VAL_PEOPLE = 1600, 400
TRUTH = "annotations/person_keypoints_val2017.json"
SHAKEN = 0.15
"""How far, of its size, each side of a box is moved at most, as a detector might."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.light_run", description=__doc__)
    add = command.add_argument
    add("--output_dir", type=Path, default=Path("output/light"), help="data and runs")
    add("--record_dir", type=Path, default=light_judge.RUNS, help="where the record goes")
    add("--lspet", type=Path, help="LSPET in MPII layout")
    add("--train", type=int, default=TRAIN_PEOPLE, help="rendered people to train on")
    add("--val", type=int, default=VAL_PEOPLE, help="rendered people to validate on")
    small_runs.add_arguments(command, seeds="runs of each way on rendered people")
    return command


def write_shaken_boxes(truth: Path, file: Path) -> None:
    """Every person's box with each side moved, as detections of COCO."""
    rng, boxes = np.random.default_rng(0), []
    for person in read_json(truth)["annotations"]:
        x, y, w, h = person["bbox"]
        moves = rng.uniform(-SHAKEN, SHAKEN, 4)
        left, top = x + w * moves[0], y + h * moves[1]
        right, bottom = x + w * (1 + moves[2]), y + h * (1 + moves[3])
        box = [round(float(v), 2) for v in (left, top, right - left, bottom - top)]
        boxes.append({"image_id": person["image_id"], "category_id": 1, "bbox": box, "score": 1.0})
    write_json(file, boxes)


def plan(options: argparse.Namespace) -> list[SmallRun]:
    """All runs, those on photos first."""
    data = options.output_dir / "data"
    boxes = options.output_dir / "shaken_boxes.json"
    true = ("--benchmark", "people_ground_truth", "--engine", "eager")
    shaken = ("--benchmark", "people_detector", "--boxes", boxes, "--engine", "eager")
    runs = []
    if options.lspet is None:
        print("=> --lspet is not given: the runs on its photos are left out")
    else:
        runs = [SmallRun(f"light:{name}", 0, options.lspet) for name in light_judge.ON_PHOTOS]
    scores = {"eval": true, "eval_shaken": shaken}
    return runs + [
        SmallRun(f"light:{name}", seed, data, scores)
        for seed in range(options.seeds)
        for name in light_judge.WAYS.values()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    small_runs.require_possible(options)
    require_apart(options.record_dir, [options.output_dir], "--record_dir")
    runtime.configure(quiet=True)
    data = options.output_dir / "data"
    synthetic.write_dataset(data, train_people=options.train, val_people=options.val, layout="coco")
    write_shaken_boxes(data / TRUTH, options.output_dir / "shaken_boxes.json")
    small_runs.run_all(plan(options), options.output_dir, options)
    light_judge.judge(options.output_dir, options.lspet, options.record_dir)


if __name__ == "__main__":
    with one_line_errors():
        main()
