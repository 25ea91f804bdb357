"""Scores in the model card of the packaged weights, as ``reproduce.report`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from reproduce.reporting.content import Table
from reproduce.reporting.markdown import MarkdownWriter
from reproduce.reporting.records import points, read_json, with_interval
from reproduce.reporting.trained import GROUPS, NAMES, PACKAGED

CARD = "paddle_pose/weights_files/README.md"
BEGIN, END = "<!-- scores: written by python -m reproduce.report -->", "<!-- end of scores -->"
BOXES = PACKAGED.file("whole_image.json")


def block() -> str:
    """Everything between the marks; Raises KeyError for a record that lacks something."""
    scores, mean = (
        read_json(PACKAGED.file("scores.json")),
        read_json(PACKAGED.file("mean_pose.json")),
    )
    names = [*NAMES, *GROUPS]
    header = ["", *NAMES.values(), *GROUPS]
    rows = [
        ["this file", *[with_interval(scores, name, 1) for name in names]],
        ["mean pose, no network", *[points(mean["scores"][name], 1) for name in names]],
    ]
    joints = Table(
        f"{scores['counts']['people']} LSPET-derived photos, annotated boxes, flip test, DARK; in "
        "brackets 95 % bootstrap intervals over people. Joints at 0.5, left and right averaged",
        header,
        rows,
        frozenset(range(1, len(header))),
    )
    record = read_json(BOXES)
    groups = {name: one for name, one in record.items() if isinstance(one, dict)}
    boxes = Table(
        "PCKh@0.5 by where the box is from, and by the side of the person's annotated square "
        "against the longer side of the photo",
        ["box", *[f"{name}: {one['people']} photos" for name, one in groups.items()]],
        [
            [name, *[points(one["scores"][name]["Mean"], 1) for one in groups.values()]]
            for name in groups["all"]["scores"]
        ],
        frozenset(range(1, len(groups) + 1)),
    )
    writer = MarkdownWriter(Path(CARD).parent)
    return "\n\n".join([BEGIN, writer.table(joints), writer.table(boxes), END])


def with_scores(card: str) -> str:
    """The card's text with the block of today."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block(), card, flags=re.DOTALL)
