"""What kinds of errors every re-scored set of predictions has, and its score without each kind.

``python -m reproduce.analyse --dataset_root ../shared/data/mpii`` writes ``analysis.json``: counts
and scores alone. Sets whose files are not there keep their records. With ``--check`` nothing is
written and a record that its file does not give any more is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.evaluation.analysis import PCKH_WIDTH, RULES, TAXONOMY, analyse_mpii
from paddle_pose.files import write_json
from reproduce import prediction_sets
from reproduce.conventions import close, read
from reproduce.prediction_sets import SETS, rounded

FILE = Path(__file__).parent / "analysis.json"


def records(dataset_root: Path, folders: list[Path], keep: dict[str, Any]) -> dict[str, Any]:
    """``analysis.json``, of the sets whose files are there; Raises UserError where none is."""
    truth = prediction_sets.read_truth(dataset_root)
    images = mpii.load(dataset_root, "valid", with_truth=False).image_index
    files = prediction_sets.find(folders)
    if not files:
        raise UserError(
            f"{', '.join(map(str, folders))}: no known set of predictions; "
            f"the first is {SETS[0].source}"
        )
    sets = {}
    for entry in SETS:
        if entry.name in files:
            keypoints = prediction_sets.read_joints(files[entry.name]) - 1.0
            sets[entry.name] = {
                "label": entry.label,
                "source": entry.source,
                "sha256": entry.digest,
                **of_mpii(keypoints, truth, images, entry.joints),
            }
            print(f"{entry.name}: {files[entry.name]}", flush=True)
        elif entry.name in keep.get("sets", {}):
            sets[entry.name] = keep["sets"][entry.name]
            print(f"{entry.name}: not there ({entry.source}); its record stays", flush=True)
        else:
            print(f"{entry.name}: not there ({entry.source}), and has no record", flush=True)
    for one in sets.values():
        one.pop("taxonomy", None)  # the same of all
    return {"taxonomy": f"{TAXONOMY}; {PCKH_WIDTH}", "rules": RULES, "sets": sets}


def of_mpii(
    keypoints: np.ndarray, truth: mpii.MpiiTruth, images: np.ndarray, joints: np.ndarray
) -> dict[str, Any]:
    """One set's analysis with the digits that records keep."""
    return rounded(analyse_mpii(keypoints, truth, images, joints=joints))


def main() -> None:
    """Measure, then write or compare."""
    parser = CommandLine(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset_root", type=Path, required=True, help="MPII with its valid.json")
    parser.add_argument("--predictions", type=Path, nargs="+", help="folders (DATASET_ROOT/preds)")
    parser.add_argument("--check", action="store_true", help="compare with the committed record")
    arguments = parser.parse_args()
    with one_line_errors():
        folders = arguments.predictions or [arguments.dataset_root / "preds"]
        content = records(arguments.dataset_root, folders, read(FILE))
        if not arguments.check:
            write_json(FILE, content)
            print(f"=> {FILE}")
        elif not close(content, read(FILE)):
            raise UserError(f"{FILE.name}: is stale; run python -m reproduce.analyse")


if __name__ == "__main__":
    main()
