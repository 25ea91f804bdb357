"""What ``predict.py`` loses where nobody says where the person is, and why it looks twice.

``python -m reproduce.whole_image --dataset_root DATA --output FILE`` scores the packaged weights
on LSPET's validation photos with annotated boxes and with boxes that need no annotation.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from paddle_pose.inference.people import People, around, whole
from paddle_pose.inference.predictor import PosePredictor, packaged_weights
from paddle_pose.names import require_not_read

DEFAULT, BARE = "whole picture, padded by 1.25", "whole picture, not padded"
BY_SIZE = {
    "person's square under half of the longer side": lambda share: share < 0.5,
    "half to three quarters": lambda share: (share >= 0.5) & (share < 0.75),
    "three quarters or more": lambda share: share >= 0.75,
}


def look(predictor: PosePredictor, table: PersonTable, boxes: list[list[float]]) -> np.ndarray:
    """(N, J, 3) key points of the table's people in those boxes."""
    size, found = predictor.batch_size, []
    for first in tqdm(range(0, len(boxes), size), unit="batch", disable=None):
        parts = [
            predictor.people(pixels_of(table, index), [boxes[index]], index)
            for index in range(first, min(first + size, len(boxes)))
        ]
        found.append(predictor.found(People.joined(parts))[0].keypoints)
    return np.concatenate(found)


def pixels_of(table: PersonTable, index: int) -> np.ndarray:
    """A person's photo."""
    return read_photo(table.image_root, table[index].image).pixels_HWC


def measure(predictor: PosePredictor, dataset_root: Path) -> dict[str, Any]:
    """Scores by kind of box; Raises UserError."""
    table, truth = mpii.load(dataset_root, "valid"), mpii.truth(dataset_root, "valid")
    sizes = np.array([pixels_of(table, index).shape[1::-1] for index in range(len(table))])
    sides = table.scale_wh[:, :1] * UNIT_PX / PADDING
    squares = np.hstack([table.center_xy - sides / 2, sides, sides])
    boxes = {
        "annotated box": squares.tolist(),
        DEFAULT: [[0, 0, *size] for size in sizes.tolist()],
        BARE: [whole(size)[0].tolist() for size in sizes.tolist()],
    }
    found = {name: look(predictor, table, given) for name, given in boxes.items()}
    for first in (DEFAULT, BARE):
        both = zip(found[first], sizes.tolist(), strict=True)
        second = [around(joints, size)[0].tolist() for joints, size in both]
        found[f"{first}; a second look, around its joints"] = look(predictor, table, second)
    share = sides[:, 0] / sizes.max(1)
    groups = {"all": share > 0, **{name: chosen(share) for name, chosen in BY_SIZE.items()}}
    record: dict[str, Any] = {}
    for group, rows in groups.items():
        part = truth.select(np.flatnonzero(rows))
        scores = {name: score_mpii(joints[rows], part).values for name, joints in found.items()}
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
