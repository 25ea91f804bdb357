"""Data-parallel training on paper: what an all-reduce of the gradients adds to a step."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from benchmarks.harness import ROOT

RANKS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Link:
    """What joins neighbours in the ring, by its nominal speed.

    Attributes:
        name: as vendors call it.
        bytes_per_s: in one direction.
        latency_s: of one message, an assumption.
    """

    name: str
    bytes_per_s: float
    latency_s: float


LINKS = (
    Link("NVLink 2, six links (150 GB/s)", 150e9, 5e-6),
    Link("PCIe 3.0 ×16 (15.75 GB/s)", 15.75e9, 5e-6),
    Link("InfiniBand EDR (12.5 GB/s)", 12.5e9, 5e-6),
    Link("Ethernet, 10 Gb/s (1.25 GB/s)", 1.25e9, 50e-6),
)


@dataclass(frozen=True)
class Job:
    """A training whose step time on one GPU somebody has published.

    Attributes:
        recipe: whose gradients.
        step_s: of one GPU. Where the log is of several, their communication is in it already,
            and the efficiency comes out too high.
        people: of one GPU in one step.
        source: where that stands.
    """

    recipe: str
    step_s: float
    people: int
    source: str


MPII_TRAIN_PEOPLE = 22246
JOBS = (
    ("hourglass:hourglass52_mpii_256x256", "predecessor"),
    ("hrnet:w32_coco_256x192", "mmpose0"),
    ("hrnet:w48_coco_384x288", "mmpose0"),
)
"""Rows of reproduce/training_costs.csv: recipe and one of its publishers."""


def jobs() -> list[Job]:
    """With step times from published logs."""
    file = ROOT / "reproduce" / "training_costs.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = []
    for recipe, publisher in JOBS:
        row = next(
            r for r in rows if r["recipe"] == recipe and publisher in r["publishers"].split()
        )
        people = int(row["people_per_step"]) // int(row["gpus"])
        if row["seconds_per_step"]:
            step_s = float(row["seconds_per_step"])
        else:
            steps = int(row["epochs"]) * -(-MPII_TRAIN_PEOPLE // people)
            step_s = 3600 * float(row["hours_low"]) / steps
        source = f"{row['gpus']} × {row['gpu']}, {row['source'].partition(';')[0]}"
        found.append(Job(recipe, step_s, people, source))
    return found


def all_reduce_s(size_bytes: float, ranks: int, link: Link) -> float:
    """Ring all-reduce: every rank sends and receives 2 (n - 1) / n of the gradients.

    Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, JPDC 2009
    """
    messages = 2 * (ranks - 1)
    return messages * (size_bytes / ranks / link.bytes_per_s + link.latency_s)


def efficiency(step_s: float, size_bytes: float, ranks: int, link: Link) -> tuple[float, float]:
    """Share of ``ranks`` times one GPU's images per second: nothing, and all possible, overlapped.

    The backward pass, two thirds of a step, is what communication can hide behind.
    """
    added_s = all_reduce_s(size_bytes, ranks, link)
    hidden_s = max(added_s - step_s * 2 / 3, 0.0)
    return step_s / (step_s + added_s), step_s / (step_s + hidden_s)
