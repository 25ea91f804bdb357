"""COCO's and CrowdPose's scores as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paddle_pose.evaluation.evaluator import eval_line
from paddle_pose.metrics.coco_ap import NAMES
from paddle_pose.settings import INSTANCES


def format_table(
    values: Mapping[str, float],
    published: Mapping[str, float] | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    *,
    names: Sequence[str] = NAMES,
    title: str = "COCO keypoints",
) -> str:
    """Scores one per line, with 95 % intervals and published values where there are any.

    Scores of the owners and of the second people alone (``AP_primary``) stand beside both.
    """
    published, intervals = published or {}, intervals or {}
    alone = [name for name in INSTANCES if f"{names[0]}_{name}" in values]
    header = f"{title:<20}{'both' if alone else 'score':>9}"
    header += "".join(f"{name + ' alone':>17}" for name in alone)
    header += f"{'95 % of both' if alone else '95 % interval':>19}" if intervals else ""
    lines = [header + (f"{'published':>12}{'difference':>12}" if published else "")]
    for name in names:
        line = f"{name:<20}{values[name]:>9.5f}"
        line += "".join(f"{values[f'{name}_{one}']:>17.5f}" for one in alone)
        if name in intervals:
            low, high = intervals[name]
            line += f"{low:>10.4f} - {high:>6.4f}"
        elif intervals:
            line += " " * 19
        if name in published:
            line += f"{published[name]:>12.3f}{values[name] - published[name]:>+12.5f}"
        lines.append(line)
    return "\n".join(lines)


def eval_lines(values: Mapping[str, float]) -> str:
    """The [EVAL] line, and those of the owners and of the second people alone, if there are any."""
    left, lines = dict(values), []
    for name in INSTANCES:
        ending = f"_{name}"
        alone = {key: left.pop(key) for key in values if key.endswith(ending)}
        if alone:
            line = eval_line({key.removesuffix(ending): value for key, value in alone.items()})
            lines.append(line.replace("[EVAL]", f"[EVAL] {name} alone:"))
    return "\n".join([eval_line(left), *lines])
