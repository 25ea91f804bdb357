"""The kinds of errors of an evaluation: a table, ``analysis.json`` and ``analysis.png``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddle_pose.evaluation import analysis, analysis_picture
from paddle_pose.evaluation.evaluator import Evaluator
from paddle_pose.files import write_json

FILES = ("analysis.json", "analysis.png")


def show(evaluator: Evaluator, found: Any, folder: Path | None) -> None:
    """Print, and write where there is a folder; Raises UserError for data of another kind."""
    result = analysis.analyse(evaluator, found)
    print(analysis.format_table(result, analysis.scored_joints(evaluator)), flush=True)
    if folder is None:
        print(f"=> --output_dir makes {' and '.join(FILES)}")
        return
    record, picture = (folder / name for name in FILES)
    write_json(record, {**result, "rules": analysis.RULES})
    analysis_picture.draw(result, analysis.scored_joints(evaluator), picture)
    print(f"=> {record}, {picture}")
