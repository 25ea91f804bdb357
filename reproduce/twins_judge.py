"""Finished twins → records: scores with intervals, paired differences, and the judgement.

python -m reproduce.twins_judge --runs OUT --dataset_root DATA

OUT holds, as ``reproduce/twins.py`` leaves them, ``<recipe>_s<seed>/{paddle,torch}/`` with
``predictions.json`` of the last weights in each (the Paddle side's by ``val.py --output_dir``), and
``first_steps/<recipe>_{paddle,torch}_{float32,float64}/losses.json``, for PyTorch also
``…_float64_paddle_epsilon/`` and ``…_float64_cuda/``. Written below ``reproduce/runs/twins/``:
record, metrics, recipe and scores of each run, ``first_steps.json`` and ``twins.json``. The photos
are LSPET's: a number on them compares with nothing published. What is there of other recipes stays.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from paddle_pose.command_line import CommandLine
from paddle_pose.commands import record
from paddle_pose.data import mpii
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.evaluation import mpii as evaluation
from paddle_pose.files import read_json, write_json
from paddle_pose.metrics import pckh
from paddle_pose.metrics.bootstrap import percentile_intervals, resampled_rates
from paddle_pose.names import require_apart
from paddle_pose.poses import predictions
from paddle_pose.poses.predictions import Predictions
from paddle_pose.skeletons import MPII16

RUNS = Path(__file__).parent / "runs" / "twins"
FRAMEWORKS = ("paddle", "torch")
THRESHOLDS = {"Mean": 0.5, "Mean@0.1": 0.1}
RESAMPLES = 1000
VARIANTS = {
    "_paddle_epsilon": ", PyTorch with Paddle's epsilon",
    "_cuda": ", PyTorch on a GPU",
}
"""Ends of the folders' names where PyTorch took the first steps otherwise, and what is said."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.twins_judge", description=__doc__)
    command.add_argument("--runs", type=Path, required=True, help="folder of the finished twins")
    command.add_argument("--dataset_root", type=Path, required=True, help="what they ran on")
    command.add_argument("--output_dir", type=Path, default=RUNS, help="where the records go")
    return command


def scored_hits(found: Predictions, truth: MpiiTruth) -> np.ndarray:
    """(N, T) joints of each person within each of THRESHOLDS, over the scored joints."""
    joints = pckh.scored_joints(MPII16)
    errors = truth.errors(found.poses.keypoints)
    columns = [pckh.hits(errors, truth.visible, t)[:, joints].sum(1) for t in THRESHOLDS.values()]
    return np.column_stack(columns)


def paired_difference(
    ours: Predictions, theirs: Predictions, truth: MpiiTruth
) -> dict[str, dict[str, Any]]:
    """Per threshold: first minus second in per cent, with the interval of the paired bootstrap."""
    labelled = (truth.visible[:, pckh.scored_joints(MPII16)] > 0).sum(1)
    hits = np.column_stack([scored_hits(ours, truth), scored_hits(theirs, truth)])
    count, width = len(THRESHOLDS), 2 * len(THRESHOLDS)
    visible = np.repeat(labelled[:, None], width, 1)
    rates = resampled_rates(hits, visible, RESAMPLES, seed=0)
    intervals = percentile_intervals(rates[:, :count] - rates[:, count:])
    means = 100.0 * hits.sum(0) / labelled.sum()
    return {
        name: {
            "difference": round(float(means[i] - means[i + count]), 4),
            "interval": [round(float(end), 4) for end in intervals[i]],
        }
        for i, name in enumerate(THRESHOLDS)
    }


def judged(
    paddle: Sequence[float], torch: Sequence[float], names: Iterable[str] = FRAMEWORKS
) -> dict[str, Any]:
    """Difference of the means of some seeds against what seeds alone would make of it.

    ``names`` are what the two sides are called in the result.

    With n and m seeds drawn from one spread, the difference of the means has a standard error of
    s·√(1/n + 1/m), s pooled over both sides. It is called seen beyond Student's two-sided 95 %
    point of n + m - 2 degrees of freedom.
    """
    freedom = len(paddle) + len(torch) - 2
    difference = round(float(np.mean(paddle) - np.mean(torch)), 4) + 0.0  # not -0.0
    counts: dict[str, Any] = {"seeds": f"{len(paddle)} / {len(torch)}", "difference": difference}
    for name, values in zip(names, (paddle, torch), strict=True):
        if len(values) > 1:
            counts[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 4)
    if freedom < 2:
        return {**counts, "verdict": "too few seeds: the spread between them is not known"}
    squares = sum(float(np.sum((np.array(v) - np.mean(v)) ** 2)) for v in (paddle, torch))
    pooled = math.sqrt(squares / freedom)
    error = pooled * math.sqrt(1 / len(paddle) + 1 / len(torch))
    limit = float(student.ppf(0.975, freedom)) * error
    word = "no difference seen" if abs(difference) <= limit else "a difference is seen"
    return {
        **counts,
        "pooled_sd": round(pooled, 4),
        "seen_beyond": round(limit, 4),
        "verdict": word,
    }


def _clean(command: str) -> str:
    """A command without the folders of the machine that it ran on: their last part stays."""
    words = [word.rstrip("/") for word in command.split(" ")]
    keep = r"(?:[\w.]+_s\d+/)?[^/]+$"
    return " ".join(re.search(keep, w).group() if w.startswith(("/", "..")) else w for w in words)


def copy_run(source: Path, target: Path) -> dict[str, Any]:
    """recipe, metrics and record of one run; returns the record."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.yaml", "metrics.jsonl"):
        shutil.copyfile(source / name, target / name)
    content = record.RunFolder(source).read_record()
    for part in (content, *content.get("resumed", ())):
        part["command"] = _clean(part["command"])
    started = content.get("pretrained_model")
    if isinstance(started, dict) and "file" in started:
        started["file"] = Path(started["file"]).name
    record.RunFolder(target).write_record(content)
    return content


def read_predictions(folder: Path, truth: MpiiTruth) -> Predictions | None:
    """predictions.json of the last weights, if the run got so far."""
    files = [folder / "predictions.json", folder / "eval" / "predictions.json"]
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        return None
    found = predictions.read(file, 0, joints=len(MPII16), skeleton=MPII16.name)
    predictions.require_whole(found, file, len(truth), len(truth))
    return predictions.one_each(found, file, np.arange(len(truth)))


def pairs_in(runs: Path) -> list[tuple[str, int, Path]]:
    """Recipe, seed and folder of each ``<recipe>_s<seed>``, by recipe and then by number."""
    folders = [path for path in runs.glob("*_s*") if path.is_dir()]
    named = [(re.fullmatch(r"(.+)_s(\d+)", path.name), path) for path in folders]
    return sorted((match[1], int(match[2]), path) for match, path in named if match)


def score_runs(runs: Path, dataset_root: Path, output_dir: Path) -> dict[str, Any]:
    """Records and scores of every finished run; what ``twins.json`` says."""
    truth = mpii.truth(dataset_root, "valid")
    twins: dict[str, Any] = {}
    for name, seed, pair in pairs_in(runs):
        found = {side: read_predictions(pair / side, truth) for side in FRAMEWORKS}
        values: dict[str, Any] = {"seed": seed}
        for side, one in found.items():
            if one is None:
                continue
            target = output_dir / f"{pair.name}_{side}"
            copy_run(pair / side, target)
            scores = evaluation.score_mpii(one.poses.keypoints, truth, resamples=RESAMPLES)
            facts = {"note": evaluation.THRESHOLD_NOTE, "recipe": one.recipe, "run": side}
            write_json(target / "scores.json", {**asdict(scores), **facts})
            values[side] = {t: round(scores.values[t], 4) for t in THRESHOLDS}
            values[f"{side}_intervals"] = {
                t: [round(end, 4) for end in scores.intervals[t]] for t in THRESHOLDS
            }
        if all(found.values()):
            values["paired"] = paired_difference(found["paddle"], found["torch"], truth)
        twins.setdefault(name, {"runs": []})["runs"].append(values)
    if not twins:
        raise UserError(f"--runs {runs}: no <recipe>_s<seed> folder; see reproduce/twins.py")
    for twin in twins.values():
        sides = [[run[side] for run in twin["runs"] if side in run] for side in FRAMEWORKS]
        twin["judgement"] = {
            t: judged(*([values[t] for values in side] for side in sides))
            for t in THRESHOLDS
            if all(sides)
        }
    return twins


def read_first_steps(folder: Path) -> dict[str, Any]:
    """Per recipe and precision: losses of both sides, relative difference, step where they part."""
    result: dict[str, Any] = {}
    for other in sorted(folder.glob("*_torch_float*/losses.json")):
        name, _, variant = other.parent.name.rpartition("_torch_")
        end = next((one for one in VARIANTS if variant.endswith(one)), "")
        precision = variant.removesuffix(end)
        file = folder / f"{name}_paddle_{precision}" / "losses.json"
        if not file.is_file():
            continue
        paddle, torch = (np.array(read_json(f)) for f in (file, other))
        steps = min(len(paddle), len(torch))
        relative = np.abs(paddle[:steps] - torch[:steps]) / np.abs(torch[:steps])
        parted = {
            f"{limit:g}": next((i for i, value in enumerate(relative) if value > limit), None)
            for limit in (1e-12, 1e-9, 1e-6, 1e-3)
        }
        words = precision + VARIANTS.get(end, "")
        result.setdefault(name, {})[words] = {
            "paddle": paddle[:steps].tolist(),
            "torch": torch[:steps].tolist(),
            "relative_difference": [float(f"{value:.2g}") for value in relative],
            "first_step_beyond": parted,
        }
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    require_apart(options.output_dir, [options.runs], "--output_dir")
    twins = score_runs(options.runs, options.dataset_root, options.output_dir)
    steps = read_first_steps(options.runs / "first_steps")
    for name, content in (("twins.json", twins), ("first_steps.json", steps)):
        file = options.output_dir / name
        kept = read_json(file) if file.is_file() else {}
        write_json(file, {**kept, **content})
    for name, twin in twins.items():
        for threshold, words in twin["judgement"].items():
            print(f"{name} {threshold}: {words}")


if __name__ == "__main__":
    with one_line_errors():
        main()
