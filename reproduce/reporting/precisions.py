"""The quickstart's network trained in float32 and in bfloat16, as ``precision_run`` recorded it."""

from __future__ import annotations

from typing import Any

from reproduce.reporting.content import Cell, Section, Table, badge
from reproduce.reporting.records import points, read_json, signed
from reproduce.reporting.twins import METRICS, VERDICT_BADGES

RECORD = "reproduce/runs/precision/precision.json"
SETS = {"rendered": "rendered people, the quickstart", "lspet": "LSPET, its first epochs"}


def sections() -> list[Section]:
    """The section, where there is a record."""
    record = read_json(RECORD)
    return [Section("precision", "Training in bfloat16", [table(record)])] if record else []


def table(record: dict[str, Any]) -> Table:
    """Mean and spread over seeds in each precision, and the judgement."""
    rows = []
    for name, found in record.items():
        for metric, words in found["judgement"].items():
            means = [
                Cell(f"{sum(values) / len(values):.2f} ± {points(words[f'{kind}_sd'])}", RECORD)
                if f"{kind}_sd" in words
                else Cell(points(values[0]), RECORD)
                for kind, runs in found["runs"].items()
                if (values := [run[metric] for run in runs])
            ]
            rows.append(
                [
                    f"{SETS[name]}, {found['people']} people",
                    METRICS[metric],
                    str(words["seeds"]),
                    *means,
                    Cell(signed(words["difference"]), RECORD),
                    points(words["seen_beyond"]) if "seen_beyond" in words else "–",
                    badge(VERDICT_BADGES.get(words["verdict"], "plain"), words["verdict"]),
                ]
            )
    caption = (
        "*Trained*, Newell's hourglass of one stack on a CPU, the same seeds in both; ± is the "
        "standard deviation between seeds. All are scored in float32. Difference: bfloat16 minus "
        "float32, in points; seen beyond Student's 95 % point of the spread"
    )
    header = ["photos", "score", "seeds", "bfloat16", "float32", "difference", "seen beyond"]
    return Table(caption, [*header, "judgement"], rows, frozenset(range(2, 7)))
