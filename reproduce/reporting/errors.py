"""What kinds of errors the re-scored predictions have, from ``analysis.json``."""

from __future__ import annotations

from typing import Any

from paddle_pose.evaluation.analysis import pooled, shares
from paddle_pose.metrics.error_kinds import KINDS
from paddle_pose.skeletons import MPII16
from reproduce.reporting import sources
from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Cell, Charts, Section, Table, Text, absent
from reproduce.reporting.records import points, read_json

FILE = "reproduce/analysis.json"
TITLE = "What kinds of errors they are"
PAPER = "https://arxiv.org/abs/1707.05388"
CODE = sources.code("matteorr/coco-analyze", "20dc544", "pycocotools/cocoanalyze.py")
EXAMPLE = "newell_8_stacks"
"""The set that the figures show."""

COLORS = {"jitter": 1, "inversion": 0, "swap": 4, "miss": 3}


def section() -> Section:
    """Kinds of errors of every set, what each costs, and one set by joint and by torso."""
    record = read_json(FILE)
    if record is None:
        return Section("errors", TITLE, [absent("the kinds of errors")])
    sets = dict(
        sorted(record["sets"].items(), key=lambda item: -item[1]["scores"]["as_it_is"]["Mean"])
    )
    blocks: list[Text | Table | Charts] = [Text(_words(sets)), table(sets)]
    if EXAMPLE in sets:
        one = sets[EXAMPLE]
        by_joint = pooled(one["by_joint"], MPII16)
        by_torso = {name: row for name, row in one["by_rotation"].items() if sum(row.values())}
        by_head = {f"head {name}": row for name, row in one["by_size"].items()}
        charts = [
            chart("joint", f"{one['label']}: errors by joint", by_joint),
            chart("torso", f"{one['label']}: errors by the torso's angle and the head's size",
                  {**by_torso, **by_head}),
        ]  # fmt: skip
        blocks.append(Charts(charts))
    return Section("errors", TITLE, blocks)


def _words(sets: dict[str, dict[str, Any]]) -> str:
    best = next(iter(sets.values()))
    inverted = shares(best["kinds"])[KINDS.index("inversion")]
    gained = _gain(best, "inversion", "Mean")
    return (
        f"The kinds of [Ronchi and Perona]({PAPER}), by the thresholds and the order of "
        f"[their code]({CODE}). *Jitter*: a little off; *inversion*: on the left joint instead of "
        "the right, or the other way round; *swap*: on a joint of somebody else; *miss*: on none. "
        "MPII has no OKS: half a head stands for their similarity of 0.5, so good ends at 0.24 "
        "heads, and jitter is what PCKh@0.5 forgives. The nearest joint decides: where left and "
        "right are less than a head apart, as hips seen from the side, an inversion may lie within "
        f"half a head and count as right: {inverted:.1f} % of the joints of “{best['label']}” are "
        f"inversions, and cost PCKh@0.5 {gained:.1f} points. Swaps are seen only where the "
        "other person is among the validation people, too. `python val.py --analyse` does the same "
        f"for any predictions, on COCO with OKS. [Record]({FILE})."
    )


def _gain(one: dict[str, Any], kind: str, metric: str) -> float:
    scores = one["scores"]
    return scores["on_the_truth"][kind][metric] - scores["as_it_is"][metric]


def table(sets: dict[str, dict[str, Any]]) -> Table:
    """A line per set: shares, then points gained."""
    rows: list[list[Cell | str]] = [
        [
            one["label"],
            *(f"{share:.1f}" for share in shares(one["kinds"])),
            Cell(points(one["scores"]["as_it_is"]["Mean"]), FILE),
            *(points(_gain(one, kind, "Mean"), 1) for kind in ("inversion", "swap", "miss")),
        ]
        for one in sets.values()
    ]
    caption = (
        "Per cent of the labelled joints (pelvis and thorax left out), and points of PCKh@0.5 "
        "that each kind costs: gained if its joints are put on the truth. PCKh@0.10 would gain "
        "nearly each kind's whole share"
    )
    costs = ("inversions cost", "swaps cost", "misses cost")
    header = ["published predictions", *KINDS, "PCKh@0.5", *costs]
    numeric = frozenset(range(1, len(header)))
    return Table(caption, header, rows, numeric, anchor="errors-table")


def chart(name: str, title: str, groups: dict[str, dict[str, int]]) -> Chart:
    """A dot per kind and group."""
    at = tuple(float(row) for row in range(len(groups)))
    found = [shares(row) for row in groups.values()]
    series = tuple(
        Series(kind, numbers([one[KINDS.index(kind)] for one in found]), at, color)
        for kind, color in COLORS.items()
    )
    worst = max(zip((sum(one[2:]) for one in found), groups, strict=True))
    return Chart(
        f"errors-{name}",
        "dots",
        title,
        f"What is left of 100 % is good. [Record]({FILE}).",
        f"Most inversions, swaps and misses: {worst[1]}, {worst[0]:.0f} % of the joints.",
        "per cent of the joints",
        "",
        series,
        tuple(groups),
    )
