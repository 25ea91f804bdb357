"""What engine and precision do to scores: one network by each, with ``val.py``, side by side.

``python -m benchmarks.engine_scores NAME --what WORDS --config R --weights FILE --dataset_root D``
writes ``results/engine_scores/NAME.json``, figures only; ``benchmarks.readme`` makes the table.
AP is COCO's, of the twelve joints that MPII and COCO share, with COCO's constants; the area of a
person is that of the box around the labelled ones, as these people have no outline.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.pipeline import command, rendered, temporary_folder
from benchmarks.results import FOLDER, markdown, write
from benchmarks.worker import SkippedError, Work
from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.commands import record as records
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.names import require_plain
from paddle_pose.settings import PRECISIONS
from paddle_pose.system import runtime

if TYPE_CHECKING:
    from paddle_pose.data.records import PersonTable

KINDS = {
    "eager float32": ("--engine", "eager"),
    "onednn float32": ("--engine", "onednn"),
    "onednn bfloat16": ("--engine", "onednn", "--precision", "bfloat16"),
}
REFERENCE, LAST = "eager float32", "onednn bfloat16"
SCORES = {"Mean": 3, "Mean@0.1": 3, "AP": 4}
"""And their decimals in the table."""
RECORDS = FOLDER / "engine_scores"


def by_engine(recipe: str, weights: str | Path, data: str | Path) -> dict[str, Any]:
    """Kind of KINDS -> scores and median distance in pixels from the reference's key points."""
    from paddle_pose.data import mpii
    from paddle_pose.poses import predictions
    from paddle_pose.skeletons import MPII16

    output, found, keypoints = temporary_folder(), {}, {}
    words = ["val.py", "--config", recipe, "--dataset_root", data, "--num_workers", "0"]
    words += ["--pretrained_model", weights, "--set", "eval.bootstrap=0"]
    table = mpii.load(Path(data), "valid")
    for number, (kind, extra) in enumerate(KINDS.items()):
        folder = output / str(number)
        command(*words, *extra, "--output_dir", folder)
        values = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["values"]
        file = folder / "predictions.json"
        made = predictions.read(file, None, joints=len(MPII16), skeleton=MPII16.name)
        keypoints[kind] = made.poses.keypoints
        apart = np.linalg.norm((made.poses.keypoints - keypoints[REFERENCE])[:, :, :2], axis=2)
        found[kind] = {
            "Mean": values["Mean"],
            "Mean@0.1": values["Mean@0.1"],
            "AP": average_precision(made.poses.keypoints, table),
            "joints_apart_px": {"median": float(np.median(apart)), "largest": float(apart.max())},
        }
    return {"people": len(table), "scores": found}


def average_precision(keypoints: np.ndarray, table: PersonTable) -> float:
    """COCO's AP of one pose per person, as this file's heading says; a fraction.

    Args:
        keypoints: (N, 16, 3) found, image pixels and score.
        table: the ``PersonTable`` of the same N people, each a picture of its own.
    """
    from paddle_pose.metrics.coco_ap import coco_ap
    from paddle_pose.skeletons import COCO17, MPII16

    shared = [name for name in COCO17.joints if name in MPII16.joints]
    joints = [MPII16.joints.index(name) for name in shared]
    sigmas = [COCO17.oks_sigmas[COCO17.joints.index(name)] for name in shared]
    people, poses = [], []
    for row in range(len(table)):
        seen = table.visible[row, joints] > 0
        if not seen.any():
            continue
        truth_xy = table.joints_xy[row, joints]
        low, high = truth_xy[seen].min(0), truth_xy[seen].max(0)
        truth = np.where(seen[:, None], np.column_stack([truth_xy, 2 * seen]), 0.0)
        pose = keypoints[row, joints]
        one = {"image_id": row, "category_id": 1}
        people.append({**one, "keypoints": truth.ravel().tolist(), "bbox": [*low, *(high - low)]})
        poses.append({**one, "keypoints": pose.ravel().tolist(), "score": float(pose[:, 2].mean())})
    content = {"images": [{"id": one["image_id"]} for one in people], "annotations": people}
    return coco_ap(content, poses, sigmas=sigmas)["AP"]


def score_change(weights: str, recipe: str, data: str | None, root: str, people: int) -> Work:
    """Largest change of a PCKh by oneDNN in bfloat16; on rendered people where no ``data``."""
    for needed in filter(None, (weights, data)):
        if not Path(needed).exists():
            raise SkippedError(f"{Path(needed).name} is not there: make quickstart, or --weights F")
    figures: dict[str, float] = {}

    def run() -> float:
        found = by_engine(recipe, weights, data or rendered(root, 8, people))
        scores = found["scores"]
        for kind, values in scores.items():
            figures.update({f"{kind} {name}": values[name] for name in SCORES})
        figures["people"] = found["people"]
        return max(abs(scores[REFERENCE][n] - scores[LAST][n]) for n in ("Mean", "Mean@0.1"))

    return Work(run, facts={"recipe": recipe}, figures=lambda: figures)


def block() -> str:
    """The table of all records, as the benchmarks' README has it."""
    lines = []
    for file in sorted(RECORDS.glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        before = record["scores"][REFERENCE]
        for kind, values in record["scores"].items():
            change = [
                f"{values[name] - before[name]:+.{digits}f}" for name, digits in SCORES.items()
            ]
            apart = values["joints_apart_px"]
            lines.append(
                (
                    record["what"] if kind == REFERENCE else "",
                    f"{record['people']:,}" if kind == REFERENCE else "",
                    kind,
                    *(f"{values[name]:.{digits}f}" for name, digits in SCORES.items()),
                    "" if kind == REFERENCE else " / ".join(change),
                    "" if kind == REFERENCE else f"{apart['median']:.2g} / {apart['largest']:.2g}",
                )
            )
    titles = ("network and people", "people", "engine", "PCKh@0.5", "PCKh@0.10", "AP")
    return markdown((*titles, "change", "joints apart, median / largest, px"), lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one network and write its record; Raises UserError for what cannot be measured."""
    parser = CommandLine(prog="python -m benchmarks.engine_scores")
    parser.add_argument("name", help="of the record")
    parser.add_argument("--what", required=True, help="network and people, as the table says it")
    parser.add_argument("--config", required=True)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--dataset_root", required=True, type=Path)
    given = parser.parse_args(arguments)
    require_plain(given.name, "name")
    for path in (given.weights, given.dataset_root):
        if not path.exists():
            raise UserError(f"{path}: not there")
    configs.load(given.config)
    runtime.import_paddle()
    from paddle_pose.files import sha256
    from paddle_pose.inference import engine

    for precision in PRECISIONS:
        engine.choose("onednn", precision, people=1)

    record = {
        "what": given.what,
        "date": records.now(),
        "code": records.code_state(),
        "machine": records.environment(),
        "recipe": given.config,
        "data": given.dataset_root.name,
        "weights_sha256": sha256(given.weights),
    }
    try:
        record |= by_engine(given.config, given.weights.absolute(), given.dataset_root.absolute())
    except subprocess.CalledProcessError as error:
        if error.returncode == 2:  # val.py has said why, in one line
            sys.exit(2)
        raise UserError(f"val.py: ended with exit code {error.returncode}") from error
    write(record, RECORDS / f"{given.name}.json")
    for kind, values in record["scores"].items():
        print(kind, values)


if __name__ == "__main__":
    with one_line_errors():
        main()
