"""Files as Paddle's reprod_log makes and reads them, for whoever checks with its tools.

``<what>_paddle.npy`` and ``<what>_ref.npy`` hold a dictionary of arrays by name, as ReprodLogger
saves it (``numpy.load(..., allow_pickle=True).tolist()``); ``<what>_diff.log`` is its report.

Source: PaddlePaddle/models tutorials/reprod_log reprod_log/logger.py, compare.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from paddle_pose.files import atomic, write_text
from reproduce.aligning.rows import Row

FILES = {
    "data": ("data", 1e-6),
    "forward": ("forward", 1e-5),
    "metric": ("metric", 1e-6),
    "loss": ("loss", 1e-5),
    "optimiser": ("losses", 1e-5),
}
"""Step → file and threshold of the mean difference. The guide's are 1e-6 and, for outputs, 1e-5;
float32 losses are off by 1e-6 of themselves, so they get the latter."""


def write(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Arrays and reports of the rows that kept their arrays; returns the files."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.arrays is not None and row.step in FILES:
            groups.setdefault(row.step, []).append(row)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for step, group in groups.items():
        what, threshold = FILES[step]
        named = {f"{row.network} {row.precision} {row.quantity}": row.arrays for row in group}
        for side, suffix in enumerate(("paddle", "ref")):
            files.append(folder / f"{what}_{suffix}.npy")
            arrays = {name: np.asarray(pair[side]) for name, pair in named.items()}
            with atomic(files[-1]) as file:
                np.save(file, np.array(arrays, dtype=object), allow_pickle=True)
        files.append(folder / f"{what}_diff.log")
        write_text(files[-1], _report(named, threshold))
    return files


def _report(named: dict[str, tuple[np.ndarray, np.ndarray]], threshold: float) -> str:
    lines, passed = [], True
    for name, (ours, theirs) in named.items():
        mean = float(np.abs(np.asarray(ours, np.float64) - theirs).mean())
        passed = passed and mean <= threshold
        lines += [f"{name}: ", f"\tmean diff: check passed: {mean <= threshold}, value: {mean}"]
    return "\n".join([*lines, f"diff check {'passed' if passed else 'failed'}"]) + "\n"
