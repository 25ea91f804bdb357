"""What a training behind a published row took, where somebody logged it: training_costs.csv."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paddle_pose import configs
from reproduce.published import PublishedRow

FILE = Path(__file__).parent / "training_costs.csv"
NO_LOG = "no published log"

TRAINING_PEOPLE = {"mpii": 22_246, "coco": 149_813, "halpe": 0}
"""Of a full training; any other number is another data set or a part of this one.

Halpe's and AI Challenger's training files were not at hand: no run on them counts as a full one.
"""


@dataclass(frozen=True)
class Cost:
    """What a training took where somebody logged it.

    Attributes:
        gpu: kind of GPU.
        gpu_hours: lowest and highest, of all GPUs together.
        source: where that stands; NO_LOG where nothing does.
    """

    gpu: str
    gpu_hours: tuple[float, float] | None
    source: str


@cache
def _costs() -> tuple[dict[str, str], ...]:
    with FILE.open(newline="", encoding="utf-8") as content:
        return tuple(csv.DictReader(content))


def cost(row: PublishedRow) -> Cost:
    """GPU hours of the training behind a row, by its own publisher's log where there is one."""
    publisher = row.id.partition(":")[0]
    for entry in _costs():
        if entry["recipe"] == row.recipe and publisher in entry["publishers"].split():
            return Cost(entry["gpu"], gpu_hours(entry), entry["source"])
    return Cost("", None, NO_LOG)


def gpu_hours(entry: dict[str, str]) -> tuple[float, float]:
    """Of a line of training_costs.csv: GPUs × hours, or × steps × seconds per step."""
    gpus = int(entry["gpus"])
    if entry["hours_low"]:
        return gpus * float(entry["hours_low"]), gpus * float(entry["hours_high"])
    people = TRAINING_PEOPLE[configs.load(entry["recipe"]).data.dataset]
    steps = int(entry["epochs"]) * people / int(entry["people_per_step"])
    hours = gpus * steps * float(entry["seconds_per_step"]) / 3600
    return hours, hours
