"""The predecessor's training logs: how far scores scatter, what choosing the best epoch adds."""

from __future__ import annotations

from typing import Any

from reproduce.reporting import rescored
from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Cell, Charts, Section, Table, Text, absent
from reproduce.reporting.records import points, read_json, signed

FILE = "reproduce/training_logs.json"
METRICS = {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10"}


def section() -> Section:
    """Spread of the last epochs, and the gain of the best."""
    title = "A published training, epoch by epoch"
    record = read_json(FILE)
    if record is None:
        return Section("logs", title, [absent("the predecessor's logs")])
    words = (
        "The Paddle predecessor published the logs of two whole trainings of Hourglass-52 on "
        "MPII, validated after every one of 210 epochs. They show how far a score moves from "
        "epoch to epoch when nothing changes, and what choosing the best of 210 epochs on the "
        "validation people adds to it: that much of a published best value is chance."
    )
    names = list(record["runs"])
    charts = [curve_chart(record["runs"], metric) for metric in METRICS]
    return Section(
        "logs", title, [Text(words), spread_table(record["runs"], names), Charts(charts)]
    )


def label(name: str) -> str:
    """``hourglass52_mpii_256x256`` → size."""
    return f"Hourglass-52, {name.rpartition('_')[2].replace('x', '×')}"


def spread_table(runs: dict[str, Any], names: list[str]) -> Table:
    """One line per run and score."""
    rows = []
    for name in names:
        for metric, words in METRICS.items():
            found = runs[name]["scores"][metric]
            last = found["last_10"]
            numbers_ = (found["best"], last["mean"], last["sd"], found["last"])
            rows.append(
                [
                    Cell(
                        f"{label(name)}, {words}",
                        rescored.source_address(runs[name]["source"]),
                        title=runs[name]["source"],
                    ),
                    *[Cell(points(value), FILE) for value in numbers_],
                    Cell(signed(last["best_minus_mean"]), FILE),
                ]
            )
    header = [
        *("run and score", "best of 210", "mean of last 10", "their standard deviation"),
        *("last epoch", "best over mean"),
    ]
    caption = "Spread of the last epochs, and what choosing the best epoch is worth, in points"
    return Table(caption, header, rows, frozenset(range(1, 6)), anchor="logs-table")


def curve_chart(runs: dict[str, Any], metric: str) -> Chart:
    """A score over the epochs of both runs."""
    series = tuple(
        Series(
            label(name),
            tuple(float(epoch + 1) for epoch in range(run["epochs"])),
            numbers(run["curves"][metric]),
            color,
        )
        for color, (name, run) in enumerate(runs.items())
    )
    lowest = min(one.y[20] for one in series)
    ends = ", ".join(f"{one.name} {one.y[-1]:.2f}" for one in series)
    return Chart(
        f"logs-{metric.replace('@', '-').replace('.', '')}",
        "lines",
        f"{METRICS[metric]} after every epoch",
        f"From epoch 20 on; the learning rate falls at 170 and 200. [Record]({FILE}).",
        f"Both curves rise slowly, step up at epoch 170 and end flat: {ends}.",
        "epoch",
        "PCKh, per cent",
        series,
        x_range=(20.0, 212.0),
        y_range=(float(int(lowest)), max(max(one.y) for one in series) + 0.6),
        marks=((170.0, "rate / 10"),),
    )
