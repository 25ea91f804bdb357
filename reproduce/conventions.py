"""What each convention of PCKh is worth, measured on every public set of predictions.

``python -m reproduce.conventions --dataset_root ../shared/data/mpii --predictions FOLDER …``
writes ``rescored/conventions.json`` and ``rescored/<set>_curves.json``. The files of the sets are
named in ``prediction_sets.SETS``; those that are not there keep their records. With ``--check``
nothing is written and a record that its file does not give any more is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.command_line import CommandLine
from paddle_pose.data.mpii import HEAD_BOX_FACTOR, MpiiTruth
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json, write_json
from paddle_pose.metrics import pckh
from paddle_pose.skeletons import MPII16
from reproduce import prediction_sets
from reproduce.prediction_sets import EVERY, SCORED, SETS, PredictionSet, Sample, rounded, score

FOLDER = Path(__file__).parent / "rescored"
FILE = FOLDER / "conventions.json"
NAMES = {0.5: "Mean", 0.1: "Mean@0.1", 0.11: "Mean@0.11"}


@dataclass(frozen=True)
class Case:
    """A set of predictions on its way to a score; a convention changes one field.

    Attributes:
        joints_xy: (N, 16, 2) as compared with the 1-based truth.
        truth_xy: (N, 16, 2).
        visible: (N, 16) bool.
        head_size_px: (N,) what errors are divided by.
        joints: (16,) bool, those in the mean.
        plain: plain mean of the joints' percentages.
        strict: error < threshold instead of <=.
        thresholds: nominal threshold → the one that is really used.
    """

    joints_xy: np.ndarray
    truth_xy: np.ndarray
    visible: np.ndarray
    head_size_px: np.ndarray
    joints: np.ndarray
    plain: bool = False
    strict: bool = False
    thresholds: tuple[tuple[float, float], ...] = ((0.5, 0.5), (0.1, 0.1), (0.11, 0.11))

    def samples(self) -> dict[str, Sample]:
        """``Mean``, ``Mean@0.1``, … with their resamples."""
        errors = pckh.normalised_errors(self.joints_xy, self.truth_xy, self.head_size_px)
        seen = self.visible[:, self.joints]
        found = {}
        for nominal, used in self.thresholds:
            within = errors < used if self.strict else errors <= used
            hits = within[:, self.joints] & seen
            found[NAMES[nominal]] = score(hits, seen, plain=self.plain)
        return found


@dataclass(frozen=True)
class Convention:
    """Another way to score, and who scores so."""

    name: str
    what: str
    used_by: str
    change: Callable[[Case], Case]


def _replace(**changes: Any) -> Callable[[Case], Case]:
    return lambda case: Case(**{**case.__dict__, **changes})


def _one_pixel_on(case: Case) -> Case:
    return _replace(joints_xy=case.joints_xy + 1.0)(case)


def _segment(case: Case, factor: float) -> Case:
    """Head sizes from the distance between head top and upper neck, where both are labelled."""
    top, neck = MPII16.index("head_top"), MPII16.index("upper_neck")
    length = np.linalg.norm(case.truth_xy[:, top] - case.truth_xy[:, neck], axis=1)
    both = case.visible[:, [top, neck]].all(1)
    return _replace(head_size_px=np.where(both, factor * length, case.head_size_px))(case)


def _inside_only(case: Case) -> Case:
    inside = (case.truth_xy > 1.0).all(-1)
    return _replace(visible=case.visible & inside)(case)


CONVENTIONS = (
    Convention(
        "index 11",
        "0.11 under the name 0.1: row 11 of the thresholds 0, 0.01, … instead of row 10",
        "HRNet, SimpleBaseline, PaddleDetection, Paddle Fluid, mmpose until 2021",
        _replace(thresholds=((0.1, 0.11),)),
    ),
    Convention(
        "one pixel",
        "1 added to the coordinates before they are compared",
        "HRNet, mmpose and PaddleDetection add it to 0-based predictions; others do not",
        _one_pixel_on,
    ),
    Convention(
        "plain mean",
        "mean of the 14 joints' percentages instead of each labelled joint counting once",
        "bearpaw/pytorch-pose",
        _replace(plain=True),
    ),
    Convention(
        "16 joints",
        "pelvis and thorax in the mean as well",
        "princeton-vl/pytorch_stacked_hourglass",
        _replace(joints=EVERY),
    ),
    Convention(
        "strict",
        "error < threshold instead of error <= threshold",
        "mmpose, bearpaw, princeton",
        _replace(strict=True),
    ),
    Convention(
        "joints inside only",
        "labelled joints with a coordinate <= 1 left out",
        "Newell's files and scripts (valid.h5; util.lua: > 1)",
        _inside_only,
    ),
    Convention(
        "head segment",
        "divided by |head top - upper neck| instead of 0.6 times the head box's diagonal",
        "nobody's table here; a common description of PCKh",
        lambda case: _segment(case, 1.0),
    ),
    Convention(
        "head size from joints",
        "0.75 times |head top - upper neck|, for data without head boxes (LSPET here)",
        "paddle_pose.data.mpii where a split has no .mat",
        lambda case: _segment(case, 0.75),
    ),
    Convention(
        "whole head box",
        "the factor 0.6 forgotten",
        "nobody's table here",
        lambda case: _replace(head_size_px=case.head_size_px / HEAD_BOX_FACTOR)(case),
    ),
)


def measure(entry: PredictionSet, joints_xy: np.ndarray, truth: MpiiTruth) -> dict[str, Any]:
    """The official score of a set, and every convention's difference to it with its interval.

    The same people are drawn for both sides (paired), so an interval that leaves out 0 says that
    the convention, and not the choice of people, makes the difference.
    """
    case = Case(joints_xy, truth.joints_xy, truth.visible > 0, truth.head_size_px, SCORED)
    official = case.samples()
    changes = {}
    for convention in CONVENTIONS:
        changed = convention.change(case)
        if changed.joints is EVERY and not entry.pelvis_and_thorax:
            continue
        scores = {}
        for name, sample in changed.samples().items():
            shift = Sample(
                sample.value - official[name].value, sample.resampled - official[name].resampled
            )
            scores[name] = {
                "value": sample.value,
                "difference": shift.value,
                "interval": shift.interval(),
            }
        changes[convention.name] = scores
    values = {
        name: {"value": sample.value, "interval": sample.interval()}
        for name, sample in official.items()
    }
    return rounded({"label": entry.label, "official": values, "conventions": changes})


def records(
    dataset_root: Path, folders: list[Path], keep: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """``conventions.json`` and set name → curves, for the sets whose files are there.

    Raises:
        UserError: none is there, or a broken file.
    """
    truth = prediction_sets.read_truth(dataset_root)
    files = prediction_sets.find(folders)
    if not files:
        raise UserError(
            f"{', '.join(map(str, folders))}: no known set of predictions; "
            f"the first is {SETS[0].source}"
        )
    measured, curves = {}, {}
    for entry in SETS:
        if entry.name in files:
            joints_xy = prediction_sets.read_joints(files[entry.name])
            measured[entry.name] = measure(entry, joints_xy, truth)
            curves[entry.name] = prediction_sets.record(entry, joints_xy, truth)
            print(f"{entry.name}: {files[entry.name]}", flush=True)
        elif entry.name in keep.get("sets", {}):
            measured[entry.name] = keep["sets"][entry.name]
            print(f"{entry.name}: not there ({entry.source}); its record stays", flush=True)
    content = {
        "what": "PCKh in per cent of 2,958 MPII validation people; difference to the official way",
        "official": "0.6 times the head box's diagonal, <=, 14 joints each as often as labelled",
        "intervals": "95 % paired bootstrap over people, 1000 resamples",
        "conventions": {
            entry.name: {"what": entry.what, "used_by": entry.used_by} for entry in CONVENTIONS
        },
        "sets": measured,
    }
    return content, curves


def close(one: Any, other: Any) -> bool:
    """Equal data, with floats within one of their last kept digit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=1.01 * 10.0**-prediction_sets.DIGITS)
    return one == other


def read(file: Path) -> dict[str, Any]:
    """A committed record, or nothing where there is none."""
    return read_json(file) if file.is_file() else {}


def main() -> None:
    """Measure, then write or compare."""
    parser = CommandLine(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset_root", type=Path, required=True, help="MPII with its valid.json")
    parser.add_argument("--predictions", type=Path, nargs="+", help="folders (DATASET_ROOT/preds)")
    parser.add_argument("--check", action="store_true", help="compare with the committed records")
    arguments = parser.parse_args()
    with one_line_errors():
        folders = arguments.predictions or [arguments.dataset_root / "preds"]
        content, curves = records(arguments.dataset_root, folders, read(FILE))
        named = {FILE: content} | {FOLDER / f"{n}_curves.json": c for n, c in curves.items()}
        for file, found in named.items():
            if not arguments.check:
                write_json(file, found)
            elif not close(found, read(file)):
                raise UserError(f"{file.name}: is stale; run python -m reproduce.conventions")


if __name__ == "__main__":
    main()
