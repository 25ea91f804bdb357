"""What a whole training's validation scores tell: spread, and what choosing the best is worth.

``python -m reproduce.training_logs --logs FOLDER`` reads the two logs of the Paddle predecessor
(txyugood/PaddlePose @285ebf4: ``hourglass_256x256.log``, ``hourglass_384x384.log``; Hourglass-52 on
MPII, 210 epochs, validated after each) and writes ``training_logs.json``. ``--check`` needs no
logs: it derives the figures again from the curves in the record.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import json_text, write_text

FILE = Path(__file__).parent / "training_logs.json"
SOURCE = "txyugood/PaddlePose @285ebf4:"
LOGS = {
    "hourglass52_mpii_256x256": "hourglass_256x256.log",
    "hourglass52_mpii_384x384": "hourglass_384x384.log",
}
EPOCHS, STEPS_PER_EPOCH = 210, 347  # 22,246 people by 64, the last short batch left out
LAST = (10, 20, 40)
DIGITS = 4

_STEP = re.compile(r"\[TRAIN\] epoch=(\d+), batch_id=(\d+), .* ETA (\d+):(\d\d):(\d\d)")
_SCORES = re.compile(r"\[EVAL\] epoch=(\d+):(.*)")


def curves(text: str, name: str) -> dict[str, list[float]]:
    """Score name → its value after every epoch.

    Raises:
        UserError: not the log of 210 epochs.
    """
    found: list[dict[str, float]] = []
    for epoch, scores in _SCORES.findall(text):
        if int(epoch) != len(found):
            raise UserError(f"{name}: epoch {epoch} follows epoch {len(found) - 1}")
        pairs = (item.split("=") for item in scores.split())
        found.append({key: round(float(value), DIGITS) for key, value in pairs})
    if len(found) != EPOCHS:
        raise UserError(f"{name}: {len(found)} validations, expected {EPOCHS}; is it whole?")
    return {key: [scores[key] for scores in found] for key in sorted(found[0])}


def gpu_hours(text: str, name: str) -> float:
    """How long the run took, validations included.

    The log has no clock. Its ETA is the steps that remain × the mean time of the last ten, so each
    line gives the time of its ten steps back; the first of an epoch holds the validation before it.
    ETAs are cut to seconds, so the last half hour, where that would show, is left to the mean.

    Raises:
        UserError: no such lines.
    """
    total, whole = 0.0, EPOCHS * STEPS_PER_EPOCH
    timed = 0
    for epoch, batch, hours, minutes, seconds in _STEP.findall(text):
        left = whole - (int(epoch) * STEPS_PER_EPOCH + int(batch))
        eta_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        if eta_s < 1800:
            continue
        total += 10 * (eta_s + 0.5) / left  # half a second, because ETAs are cut
        timed += 10
    if timed < 0.9 * whole:
        raise UserError(f"{name}: times of {timed} of {whole} steps; is it the whole log?")
    return round(total * whole / timed / 3600, 1)


def spread(curve: list[float]) -> dict[str, Any]:
    """Best and last epochs of a score: how far it scatters, what choosing the best adds."""
    best = max(curve)
    result: dict[str, Any] = {
        "best": best,
        "best_epoch": curve.index(best),
        "last": curve[-1],
        "best_minus_last": best - curve[-1],
    }
    for count in LAST:
        values = curve[-count:]
        result[f"last_{count}"] = {
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values),
            "min": min(values),
            "max": max(values),
            "best_minus_mean": best - statistics.fmean(values),
        }
    return {key: _rounded(value) for key, value in result.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value


def chosen_by(curve: dict[str, list[float]], chooser: str) -> dict[str, float]:
    """The scores of the epoch that is best by one of them, and their gain over the last 10."""
    epoch = curve[chooser].index(max(curve[chooser]))
    return {"epoch": epoch} | {
        name: _rounded(curve[name][epoch] - statistics.fmean(curve[name][-10:]))
        for name in ("Mean", "Mean@0.1")
    }


def derived(run: dict[str, Any]) -> dict[str, Any]:
    """A run's figures from its curves."""
    curve = run["curves"]
    return {
        "scores": {name: spread(values) for name, values in curve.items()},
        "gain_of_the_best_epoch_over_the_mean_of_the_last_10": {
            f"chosen by {name}": chosen_by(curve, name) for name in ("Mean", "Mean@0.1")
        },
    }


def run_of(text: str, name: str) -> dict[str, Any]:
    """The record of one log."""
    run: dict[str, Any] = {
        "source": SOURCE + LOGS[name],
        "epochs": EPOCHS,
        "people_per_step": 64,
        "gpu": "one V100",
        "gpu_hours": gpu_hours(text, LOGS[name]),
        "curves": curves(text, LOGS[name]),
    }
    return run | derived(run)


def read() -> dict[str, Any]:
    """The committed record.

    Raises:
        UserError: it is missing or broken.
    """
    try:
        return json.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{FILE}: cannot be read ({error})") from error


def stale(record: dict[str, Any]) -> list[str]:
    """Names of runs whose figures do not follow from their curves."""
    return [
        name
        for name, run in record["runs"].items()
        if any(run[key] != value for key, value in derived(run).items())
    ]


def main() -> None:
    """Read the logs, or check the record."""
    parser = CommandLine(description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--logs", type=Path, help="folder of the predecessor's two logs")
    what.add_argument("--check", action="store_true", help="do figures and curves agree?")
    arguments = parser.parse_args()
    with one_line_errors():
        if arguments.check:
            names = stale(read())
            if names:
                raise UserError(f"{FILE.name}: {', '.join(names)} is stale; run with --logs")
            return
        runs = {}
        for name, file in LOGS.items():
            try:
                text = (arguments.logs / file).read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise UserError(f"{arguments.logs / file}: cannot read ({error})") from error
            runs[name] = run_of(text, name)
        content = {
            "what": "Hourglass-52 on MPII by the Paddle predecessor: PCKh of the validation "
            "people in per cent after each of 210 epochs; Mean@0.1 is 0.10",
            "learning_rate": "5e-4, a tenth from epoch 170 and again from epoch 200 (from 0)",
            "runs": runs,
        }
        text = json_text(content, indent=1)
        write_text(FILE, re.sub(r"\n {5,}(?=-?\d+(\.\d+)?,?\n)", " ", text) + "\n")


if __name__ == "__main__":
    main()
