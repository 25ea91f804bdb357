"""An analysis of errors as a picture: kinds by joint, size and rotation, and what each costs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.evaluation.analysis import rows, shares
from paddle_pose.files import write_bytes
from paddle_pose.metrics.error_kinds import KINDS
from paddle_pose.skeletons import Skeleton

COLORS = {"jitter": "#f0c419", "inversion": "#1e90ff", "swap": "#7b3fa0", "miss": "#b3261e"}
"""Light, middle, dark: told apart without colour too."""


def draw(analysis: dict[str, Any], skeleton: Skeleton, file: Path) -> None:
    """Write a PNG; Raises UserError where it cannot be written."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [(name, row) for name, row in rows(analysis, skeleton) if sum(row.values())]
    percents = np.array([shares(row)[1:] for _, row in shown]).reshape(-1, len(KINDS) - 1)
    scores = analysis["scores"]
    names = list(scores["as_it_is"])[:2]
    first = names[0]
    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 1.6 + 0.27 * len(shown)), layout="constrained", dpi=110)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        start = np.zeros(len(shown))
        for kind, values in zip(KINDS[1:], percents.T, strict=True):
            left.barh(range(len(shown)), values, left=start, color=COLORS[kind], label=kind)
            start += values
        labels = [f"{name}  ({sum(row.values()):,})" for name, row in shown]
        left.set_yticks(range(len(shown)), labels)
        left.set_ylim(len(shown) - 0.4, -0.6)
        left.set_xlabel("per cent of the joints; what is left is good")
        left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)

        kinds = [*COLORS]
        places = np.arange(len(kinds))
        each = 0.8 / len(names)
        for column, name in enumerate(names):
            gain = [scores["on_the_truth"][k][name] - scores["as_it_is"][name] for k in kinds]
            at = places + (column - (len(names) - 1) / 2) * each
            bars = right.barh(at, gain, each * 0.9, color=[COLORS[k] for k in kinds],
                              alpha=1.0 - 0.2 * column)  # fmt: skip
            digits = 1 if first == "Mean" else 3
            right.bar_label(bars, [f"{name} +{g:.{digits}f}" for g in gain], padding=3, fontsize=8)
        right.set_yticks(places, kinds)
        right.set_ylim(len(kinds) - 0.5, -0.5)
        right.margins(x=0.5)
        now = [f"{n} {scores['as_it_is'][n]:.{2 if first == 'Mean' else 4}f}" for n in names]
        right.set_title(f"{analysis['metric']}\nnow {', '.join(now)}", fontsize=9, loc="left")
        right.set_xlabel("gained with that kind on the truth")
        stream = io.BytesIO()
        FigureCanvasAgg(figure).print_png(stream)
    write_bytes(file, stream.getvalue())
