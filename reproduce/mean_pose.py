"""What no network at all scores: every person gets the training set's mean pose.

``python -m reproduce.mean_pose --dataset_root ../shared/data/lspet_mpii --output FILE.json``
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import one_line_errors
from paddle_pose.evaluation import mpii as evaluation
from paddle_pose.files import sha256, write_json
from paddle_pose.geometry import UNIT_PX
from paddle_pose.names import require_not_read


def mean_pose(table: PersonTable) -> np.ndarray:
    """(J, 2) mean joint position in crop widths from the crop's centre, over visible joints."""
    sizes_px = table.scale_wh[:, :1] * UNIT_PX
    relative = (table.joints_xy - table.center_xy[:, None]) / sizes_px[:, None]
    seen = (table.visible > 0)[:, :, None]
    return (relative * seen).sum(0) / np.maximum(seen.sum(0), 1)


def place(pose: np.ndarray, table: PersonTable) -> np.ndarray:
    """(N, J, 3) key points: the pose in everybody's crop, in image pixels, score 1."""
    sizes_px = table.scale_wh[:, :1] * UNIT_PX
    points = table.center_xy[:, None] + pose * sizes_px[:, None]
    return np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)


def main() -> None:
    """Score the mean pose of the training people on the validation people."""
    parser = CommandLine(description=__doc__)
    parser.add_argument("--dataset_root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with one_line_errors():
        root = arguments.dataset_root
        train, valid = mpii.load(root, "train"), mpii.load(root, "valid")
        require_not_read([arguments.output], [*train.files, *valid.files])
        found = place(mean_pose(train), valid)
        scores = evaluation.score_mpii(found, mpii.truth(root, "valid")).values
        record = {
            "what": "mean pose of the training people, in everybody's crop",
            "train_people": len(train),
            "valid_people": len(valid),
            "files": {file.name: sha256(file) for file in (*train.files, *valid.files)},
            "scores": scores,
        }
        write_json(arguments.output, record)
        print(f"=> mean pose: Mean={scores['Mean']:.3f} Mean@0.1={scores['Mean@0.1']:.3f}")


if __name__ == "__main__":
    main()
