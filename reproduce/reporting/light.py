"""The light FastPose's small runs: beside the hourglass, and one thing changed at a time."""

from __future__ import annotations

from typing import Any

from reproduce.reporting import seeds
from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Block, Cell, Charts, Section, Table, Text
from reproduce.reporting.records import read_json, read_lines, signed, with_interval
from reproduce.reporting.twins import METRICS

FOLDER = "reproduce/runs/light"
RECORD = f"{FOLDER}/light.json"
LABELS = {
    "newell_hg1_lspet_96x96": "Newell's hourglass, 1 stack of 96",
    "mobile_small_lspet_96x96": "FastPoseMobile-small, integral",
}
WAYS = {
    "integral": "integral regression, symmetric gradient",
    "heat maps": "heat maps, squared error",
    "plain gradient": "integral regression, plain gradient",
    "DPG": "integral regression, DPG in the second half",
}
BOXES = {"true": "true boxes", "shaken": "shaken boxes"}


def sections() -> list[Section]:
    """The section, where there is a record."""
    record = read_json(RECORD)
    return [section(record)] if record else []


def section(record: dict[str, Any]) -> Section:
    """What the record says."""
    blocks: list[Block] = []
    if "photos" in record:
        blocks += photos(record["photos"])
    if record["ways"]:
        blocks += ways(record["ways"])
    return Section("light", "The light FastPose, trained small", blocks)


def photos(found: dict[str, Any]) -> list[Block]:
    """Both networks on photos."""
    rows = []
    for name, run in found["runs"].items():
        file = f"{FOLDER}/{run['folder']}/record.json"
        scores = [Cell(with_interval(run, metric), file) for metric in METRICS]
        learnt = run["learnt"]
        rows.append(
            [
                LABELS[name],
                f"{run['parameters'] / 1e6:.2f} M",
                f"{learnt['minutes']:.1f} min, {learnt['epochs']} epochs",
                *scores,
                Cell(f"{1000 * run['seconds_a_person']:.2f} ms", RECORD),
            ]
        )
    differences = []
    for metric, words in METRICS.items():
        one = found["difference"][metric]
        low, high = (signed(end, 1) for end in one["interval"])
        differences.append(f"{signed(one['difference'])} {words} ({low} to {high})")
    first, second = found["runs"].values()
    ratio = first["seconds_a_person"] / second["seconds_a_person"]
    speed = f"{ratio:.1f} times as fast" if ratio >= 1 else f"{1 / ratio:.1f} times as slow"
    lead = Text(
        f"**What was found**: after equal training time FastPoseMobile-small with integral "
        f"regression is {' and '.join(differences)} from the hourglass, the same people drawn for "
        f"both; compiled it is {speed} a person. LSPET's photos in MPII's layout: no number "
        "compares with a published one, and one run of each says nothing of other seeds. Equal "
        "time is of one processor core: the light network's step costs more in training than its "
        "arithmetic says (depthwise convolutions)."
    )
    caption = (
        f"*Trained* on LSPET at 96×96, one core each; scores of {found['people']:,} people with "
        "95 % bootstrap intervals. Training time: steps × their median time. Time a person: "
        f"compiled, float32, batch {found['batch']}, no flip, median of {found['rounds']} rounds "
        "in turn in one process"
    )
    header = ["network", "parameters", "training time", *METRICS.values(), "time a person"]
    table = Table(caption, header, rows, frozenset({1, 3, 4, 5}), anchor="light-photos")
    curves = [
        (words, found["runs"][name], color) for color, (name, words) in enumerate(LABELS.items())
    ]
    chart = Chart(
        "light-photos",
        "lines",
        "LSPET: validation score by training time",
        f"Against minutes of one core, [record]({RECORD}).",
        "PCKh@0.5 of both networks over the minutes of their training.",
        "minutes of training",
        "PCKh@0.5, per cent",
        tuple(_curve(words, run, "Mean", color, minutes=True) for words, run, color in curves),
    )
    return [lead, table, Charts([chart])]


def _curve(
    name: str, run: dict[str, Any], key: str, color: int, *, minutes: bool, thin: bool = False
) -> Series:
    """Validation scores of a run, by epoch or minutes."""
    lines = read_lines(f"{FOLDER}/{run['folder']}/metrics.jsonl")
    found = [(line["epoch"] + 1, line[key]) for line in lines if line["kind"] == "eval"]
    each = run["learnt"]["minutes"] / run["learnt"]["epochs"] if minutes else 1
    x, y = [epoch * each for epoch, _ in found], [value for _, value in found]
    return Series(name, numbers(x, 4), numbers(y), color, thin=thin)


def ways(found: dict[str, Any]) -> list[Block]:
    """Every way on rendered people."""
    rows = []
    for way, entry in found.items():
        cells: list[Any] = []
        for boxes in BOXES:
            cells.append(seeds.mean(entry[boxes], RECORD))
            cells.append(seeds.gain(entry.get(f"{boxes} gain"), RECORD))
        rows.append([WAYS[way], str(len(entry["runs"])), *cells])
    lead = Text(
        "On rendered people, against integral regression with the symmetric gradient: "
        + "; ".join(_said(way, entry) for way, entry in found.items() if way != "integral")
        + ". Shaken boxes: every side of a true box moved by up to 15 % of its size, as a detector "
        "might. A gain is called sure where Student's 95 % interval over the seeds leaves out 0; "
        "three seeds show large differences alone."
    )
    caption = (
        "*Trained* on rendered people at 96×64, FastPoseMobile-small, 1,600 steps of 16: AP, mean "
        "of the seeds ± their standard deviation, and the gain over the first row by pairs of seeds"
    )
    header = ["way", "seeds", "AP, true boxes", "gain", "AP, shaken boxes", "gain"]
    table = Table(caption, header, rows, frozenset({1, 2, 3, 4, 5}), anchor="light-ways")
    series = [
        _curve(WAYS[way] if not place else "", run, "AP", color, minutes=False, thin=True)
        for color, (way, entry) in enumerate(found.items())
        for place, run in enumerate(entry["runs"].values())
    ]
    chart = Chart(
        "light-ways",
        "lines",
        "Rendered people: validation AP of every run",
        f"One line per seed, true boxes, [record]({RECORD}).",
        f"AP of {len(series)} runs over the epochs, one colour per way.",
        "epoch",
        "AP",
        tuple(series),
    )
    return [lead, table, Charts([chart])]


def _said(way: str, entry: dict[str, Any]) -> str:
    """A way's gains in words."""
    parts = []
    for boxes, words in BOXES.items():
        gain = entry.get(f"{boxes} gain")
        if gain is None:
            continue
        low, high = gain.get("interval", (gain["mean"], gain["mean"]))
        sure = "surely " if low > 0 or high < 0 else "not surely "
        parts.append(f"{sure}{signed(gain['mean'], 3)} with {words}")
    return f"**{WAYS[way]}** {' and '.join(parts) if parts else 'has no seed in common'}"
