"""Runs made here: results, curves, what each joint scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Cell, Charts, Section, Table, Text, absent
from reproduce.reporting.records import points, read_json, read_lines, with_interval

NAMES = {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10"}
GROUPS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


@dataclass(frozen=True)
class Run:
    """A folder under ``reproduce/runs`` and what to call it."""

    folder: str
    what: str

    def file(self, name: str) -> str:
        """Path of one of its files from the repository's root."""
        return f"reproduce/runs/{self.folder}/{name}"


LSPET = Run("newell_hg1_lspet_128x128", "`newell_hg1_lspet_128x128`, one stack")


def result_table() -> Table | None:
    """Scores of the run on LSPET beside the mean pose."""
    scores, record = read_json(LSPET.file("scores.json")), read_json(LSPET.file("record.json"))
    mean_pose = read_json(LSPET.file("mean_pose.json"))
    if not (scores and record and mean_pose):
        return None
    people = record["data"]["train"]["people"]
    rows = [
        [
            Cell(f"{LSPET.what}, trained on {people:,} photos", LSPET.file("record.json")),
            *[Cell(with_interval(scores, name), LSPET.file("scores.json")) for name in NAMES],
        ],
        [
            "mean pose, no network",
            *[
                Cell(points(mean_pose["scores"][name]), LSPET.file("mean_pose.json"))
                for name in NAMES
            ],
        ],
    ]
    caption = (
        f"*Trained* here on {record['environment']['cores']} CPU cores; "
        f"{scores['counts']['people']} LSPET-derived validation photos, in brackets 95 % bootstrap "
        "intervals over people. Not MPII: compares with nothing published."
    )
    header = ["run", *NAMES.values()]
    return Table(caption, header, rows, frozenset({1, 2}), anchor="trained-table")


def curve_charts(folder: str, name: str, source: str) -> list[Chart]:
    """Loss and scores over epochs of one run folder."""
    lines = read_lines(f"{folder}/metrics.jsonl")
    train = [line for line in lines if line["kind"] == "train"]
    evals = [line for line in lines if line["kind"] == "eval"]
    charts = []
    if train:
        per_epoch: dict[int, list[dict[str, Any]]] = {}
        for line in train:
            per_epoch.setdefault(line["epoch"], []).append(line)
        x, y = [], []
        for epoch, found in sorted(per_epoch.items()):
            for index, line in enumerate(found):
                x.append(epoch + (index + 1) / len(found))
                y.append(line["loss"])
        caption = f"Training loss at every log line, [metrics.jsonl]({folder}/metrics.jsonl)."
        alt = f"The training loss falls from {y[0]:.3g} to {y[-1]:.3g} in {len(per_epoch)} epochs."
        series = (Series("", numbers(x), numbers(y)),)
        charts.append(
            Chart(f"{name}-loss", "lines", "Training loss", caption, alt, "epoch", "loss", series)
        )
    if evals:
        series = tuple(
            Series(
                label,
                numbers([line["epoch"] + 1 for line in evals]),
                numbers([line[metric] for line in evals]),
                index,
            )
            for index, (metric, label) in enumerate(NAMES.items())
        )
        last = evals[-1]
        caption = f"Validation while training, [metrics.jsonl]({folder}/metrics.jsonl). {source}"
        alt = f"After epoch {last['epoch'] + 1}: PCKh@0.5 {points(last['Mean'])}."
        charts.append(
            Chart(
                f"{name}-score",
                "lines",
                "Validation score",
                caption.strip(),
                alt,
                "epoch",
                "PCKh, per cent",
                series,
            )
        )
    return charts


def section() -> Section:
    """Runs made here."""
    table = result_table()
    if table is None:
        return Section("trained", "Trained here", [absent("the run on LSPET")])
    scores = read_json(LSPET.file("scores.json"))
    joints = Table(
        "PCKh@0.5 by joint, left and right averaged, with 95 % intervals",
        ["", *GROUPS],
        [
            [
                LSPET.what,
                *[Cell(with_interval(scores, g, 1), LSPET.file("scores.json")) for g in GROUPS],
            ]
        ],
        frozenset(range(1, 1 + len(GROUPS))),
        folded=True,
    )
    why = (
        "No published network has been trained in full here: that takes a GPU for days. What a "
        "CPU can train is a small hourglass on real photos, which shows that training, resuming "
        "and evaluation work from end to end."
    )
    charts = curve_charts(f"reproduce/runs/{LSPET.folder}", "lspet", "")
    return Section("trained", "Trained here", [Text(why), table, Charts(charts), joints])
