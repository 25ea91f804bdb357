"""Runs made here: results, curves, what each joint scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Block, Cell, Charts, Section, Table, Text, absent
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
PACKAGED = Run("small_person", "`small_person`, two stacks, the weights of `predict.py`")
SIDES = {
    "scores_torch.json": "as trained, the official network in PyTorch",
    "scores_float32.json": "ported, float32",
    "scores.json": "ported, float16: the packaged file",
}


def result_table() -> Table | None:
    """Scores of the runs on LSPET beside the mean pose."""
    mean_pose = read_json(LSPET.file("mean_pose.json"))
    rows = []
    for run in (PACKAGED, LSPET):
        scores, record = read_json(run.file("scores.json")), read_json(run.file("record.json"))
        if not (scores and record):
            continue
        where = record.get("framework", "Paddle"), record["device"]
        rows.append(
            [
                Cell(run.what, run.file("record.json"), below=", ".join(where)),
                *[Cell(with_interval(scores, name), run.file("scores.json")) for name in NAMES],
            ]
        )
    if not (rows and mean_pose):
        return None
    rows.append(
        [
            "mean pose, no network",
            *[
                Cell(points(mean_pose["scores"][name]), LSPET.file("mean_pose.json"))
                for name in NAMES
            ],
        ]
    )
    caption = (
        f"*Trained* here on {mean_pose['train_people']:,} photos; {mean_pose['valid_people']} "
        "LSPET-derived validation photos, in brackets 95 % bootstrap intervals over people. "
        "Not MPII: compares with nothing published."
    )
    header = ["run", *NAMES.values()]
    return Table(caption, header, rows, frozenset({1, 2}), anchor="trained-table")


def packaged_blocks() -> list[Block]:
    """How the packaged weights were made, that the port keeps their scores, and their curve."""
    record = read_json(PACKAGED.file("record.json"))
    sides = {name: read_json(PACKAGED.file(name)) for name in SIDES}
    if not record or not all(sides.values()):
        return []
    ported = sides["scores_torch.json"]["ported"]
    official = record["official"]
    means = [sides[name]["values"]["Mean"] for name in ("scores_float32.json", "scores.json")]
    lost = abs(means[0] - means[1])
    words = (
        f"The weights that `predict.py` brings along were trained in PyTorch "
        f"({official['repository']} @{official['commit'][:7]}) on one {record['device']}: "
        f"{record['steps']:,} steps of {record['batch_size']} in {record['seconds']:.0f} s, then "
        f"ported. The port is the same network: the farthest of {ported['keypoints']:,} key points "
        f"is {ported['largest_px']:.4f} px from where the official network finds it, and no score "
        f"differs; float16 changes {lost:.2f} points. "
        f"{record['dip']}"
    )
    rows = [
        [
            label,
            *[
                Cell(f"{sides[name]['values'][score]:.3f}", PACKAGED.file(name))
                for score in ("Mean", "Mean@0.1", "Mean@0.11")
            ],
        ]
        for name, label in SIDES.items()
    ]
    header = ["weights of `small_person`", "PCKh@0.5", "PCKh@0.10", "PCKh@0.11"]
    caption = "The same weights in PyTorch and here, on the same crops, with flip test and DARK"
    charts = curve_charts(
        f"reproduce/runs/{PACKAGED.folder}",
        "small-person",
        "By the training's own rougher validation of the averaged weights.",
    )
    return [Text(words), Table(caption, header, rows, frozenset({1, 2, 3})), Charts(charts)]


def joints_table() -> Table:
    """PCKh@0.5 by joint."""
    rows = []
    for run in (PACKAGED, LSPET):
        scores = read_json(run.file("scores.json"))
        if scores:
            cells = [Cell(with_interval(scores, g, 1), run.file("scores.json")) for g in GROUPS]
            rows.append([run.what, *cells])
    caption = "PCKh@0.5 by joint, left and right averaged, with 95 % intervals"
    header, numeric = ["", *GROUPS], frozenset(range(1, 1 + len(GROUPS)))
    return Table(caption, header, rows, numeric, folded=True)


def curve_charts(folder: str, name: str, source: str) -> list[Chart]:
    """Loss and scores over epochs of one run folder."""
    lines = read_lines(f"{folder}/metrics.jsonl")
    train = [line for line in lines if line["kind"] == "train"]
    evals = [line for line in lines if line["kind"] == "eval"]
    charts = []
    if train:
        x, y = _passed(train), [line["loss"] for line in train]
        caption = f"Training loss at every log line, [metrics.jsonl]({folder}/metrics.jsonl)."
        alt = f"The training loss falls from {y[0]:.3g} to {y[-1]:.3g} in {x[-1]:.0f} epochs."
        series = (Series("", numbers(x), numbers(y)),)
        charts.append(
            Chart(f"{name}-loss", "lines", "Training loss", caption, alt, "epoch", "loss", series)
        )
    if evals:
        series = tuple(
            Series(
                label,
                numbers(_passed(evals)),
                numbers([line[metric] for line in evals]),
                index,
            )
            for index, (metric, label) in enumerate(NAMES.items())
        )
        last = evals[-1]
        caption = f"Validation while training, [metrics.jsonl]({folder}/metrics.jsonl). {source}"
        alt = f"After epoch {_passed(evals)[-1]:.0f}: PCKh@0.5 {points(last['Mean'])}."
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


def _passed(lines: list[dict[str, Any]]) -> list[float]:
    """Epochs that were over at each line: stated, or by the lines of the epoch that it names."""
    if "epochs" in lines[0]:
        return [line["epochs"] for line in lines]
    count, seen = Counter(line["epoch"] for line in lines), Counter[int]()
    passed = []
    for line in lines:
        epoch = line["epoch"]
        seen[epoch] += 1
        passed.append(epoch + seen[epoch] / count[epoch])
    return passed


def section() -> Section:
    """Runs made here."""
    table = result_table()
    if table is None:
        return Section("trained", "Trained here", [absent("the run on LSPET")])
    why = (
        "No published network has been trained in full here: that takes a GPU for days. What was "
        "trained are small hourglasses on real photos: one on a CPU, which shows that training, "
        "resuming and evaluation work from end to end, and the one that `predict.py` brings along."
    )
    charts = curve_charts(f"reproduce/runs/{LSPET.folder}", "lspet", "")
    blocks: list[Block] = [Text(why), table, Charts(charts), *packaged_blocks(), joints_table()]
    return Section("trained", "Trained here", blocks)
