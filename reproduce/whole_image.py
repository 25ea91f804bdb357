"""What ``predict.py`` loses where nobody says where the person is, and why it looks twice.

``python -m reproduce.whole_image --dataset_root DATA --output FILE`` scores the packaged weights
on LSPET's validation photos with annotated boxes and with boxes that need no annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import read_photo
from paddle_pose.errors import one_line_errors
from paddle_pose.evaluation.mpii import score_mpii
from paddle_pose.files import sha256, write_json
from paddle_pose.geometry import PADDING, UNIT_PX
from paddle_pose.inference.people import People
from paddle_pose.inference.predictor import PosePredictor, packaged_weights
from paddle_pose.names import require_not_read

TWICE = "first looks and a second one, as predict.py does"
BY_SIZE = {
    "person's square under half of the longer side": lambda share: share < 0.5,
    "half to three quarters": lambda share: (share >= 0.5) & (share < 0.75),
    "three quarters or more": lambda share: share >= 0.75,
}


def pixels_of(table: PersonTable, index: int) -> np.ndarray:
    """A person's photo."""
    return read_photo(table.image_root, table[index].image).pixels_HWC


def look(predictor: PosePredictor, people: Iterable[People], count: int) -> list[np.ndarray]:
    """Of each of so many photos (K, J, 3) key points of the K people cut out of it."""
    bar, found, waiting = tqdm(total=count, unit="photo", disable=None), [], []
    for one in people:
        waiting.append(one)
        if len(waiting) == predictor.batch_size:
            found += _found(predictor, waiting)
            waiting = []
        bar.update()
    return found + (_found(predictor, waiting) if waiting else [])


def _found(predictor: PosePredictor, parts: list[People]) -> list[np.ndarray]:
    joints = predictor.found(People.joined(parts))[0].keypoints
    return np.split(joints, np.cumsum([len(one) for one in parts])[:-1])


def measure(predictor: PosePredictor, dataset_root: Path) -> dict[str, Any]:
    """Scores by kind of box; Raises UserError."""
    table, truth = mpii.load(dataset_root, "valid"), mpii.truth(dataset_root, "valid")
    sizes = np.array([pixels_of(table, index).shape[1::-1] for index in range(len(table))])
    sides = table.scale_wh[:, :1] * UNIT_PX / PADDING
    squares = np.hstack([table.center_xy - sides / 2, sides, sides])
    wholes = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    boxes = {
        "annotated box": squares,
        "whole picture, padded by 1.25": wholes,
        "whole picture, not padded": np.c_[wholes[:, 2:] * 0.1, wholes[:, 2:] * 0.8],
    }
    rows = range(len(table))
    found = {}
    for name, given in boxes.items():
        cut = (predictor.people(pixels_of(table, row), given[row], row) for row in rows)
        found[name] = np.concatenate(look(predictor, cut, len(table)))
    cut = (predictor.people(pixels_of(table, row), None, row) for row in rows)
    first = look(predictor, cut, len(table))
    cut = (predictor.closer(pixels_of(table, row), first[row], row) for row in rows)
    found[TWICE] = np.concatenate(look(predictor, cut, len(table)))
    share = sides[:, 0] / sizes.max(1)
    groups = {"all": share > 0, **{name: of(share) for name, of in BY_SIZE.items()}}
    record: dict[str, Any] = {}
    for group, chosen in groups.items():
        part = truth.select(np.flatnonzero(chosen))
        scores = {name: score_mpii(joints[chosen], part).values for name, joints in found.items()}
        record[group] = {"people": len(part), "scores": scores}
    return record


def main(words: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = CommandLine(prog="python -m reproduce.whole_image", description=__doc__)
    parser.add_argument("--dataset_root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(words)
    require_not_read([options.output], [packaged_weights()])
    predictor = PosePredictor.from_weights(packaged_weights(), engine="onednn")
    record = measure(predictor, options.dataset_root)
    write_json(options.output, {"weights_sha256": sha256(packaged_weights()), **record})
    for name, values in record["all"]["scores"].items():
        print(f"{values['Mean']:.2f} {values['Mean@0.1']:.2f} {name}")


if __name__ == "__main__":
    with one_line_errors():
        main()
