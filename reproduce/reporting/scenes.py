"""Rendered scenes: BodyPoseNet by number of people, pruned, in INT8; time beside top-down."""

from __future__ import annotations

from typing import Any

from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import (
    Block,
    Cell,
    Charts,
    Picture,
    Section,
    Strip,
    Strips,
    Table,
    Text,
)
from reproduce.reporting.records import points, read_json, signed

FOLDER = "reproduce/runs/scenes"
RECORD = f"{FOLDER}/scenes.json"
SPEED = f"{FOLDER}/speed.json"
LABELS = {
    "vgg_scenes": "BodyPoseNet, small",
    "vgg_scenes_pruned": "BodyPoseNet, small, half its filters",
    "hrnet_w8_scenes_96x64": "HRNet, width 8, top-down",
    "vgg_scenes_int8": "BodyPoseNet, small, INT8",
    "vgg_scenes_pruned_int8": "BodyPoseNet, small, half its filters, INT8",
}
WAYS = {
    "single": "one scale",
    "exact": "one scale, exact offsets",
    "multi_scale": "four scales",
    "strict": "strict",
    "int8_strict": "strict, INT8",
    "eval": "true boxes",
}


def sections() -> list[Section]:
    """The section, where there is a record."""
    record = read_json(RECORD)
    return [section(record, read_json(SPEED) or {})] if record else []


def section(record: dict[str, Any], speed: dict[str, Any]) -> Section:
    """What the record says."""
    counts = record["pictures_by_people"]
    lead = Text(
        f"{counts['all']:,} rendered pictures of one to eight people, some hidden, some not "
        "labelled, some with a crowd behind. A small BodyPoseNet of two stages learns there from "
        "nothing; half of its filters are pruned by the official rule and the rest learns again; "
        "INT8 is made with calibration pictures that have people. Beside it a small HRNet with "
        "true boxes, which knows what the other has to find. The people are rendered: no number "
        "compares with a published one."
    )
    blocks: list[Block] = [*findings(record, speed), lead, scores(record)]
    if speed:
        blocks += [times(speed), Charts([time_chart(speed)])]
    if record["pictures"]:
        strips = [
            Strip(
                [Picture(f"{FOLDER}/pictures/{one['file']}", f"people: {one['people']}", "")],
                f"people: {one['people']}, poses found: {one['poses']}",
            )
            for one in record["pictures"]
        ]
        text = "The first picture of each number of people, strict, nothing chosen by hand."
        blocks += [Text(text), Strips(strips)]
    return Section("scenes", "Everybody at once: BodyPoseNet on rendered scenes", blocks)


def _mean(record: dict[str, Any], name: str, way: str) -> float | None:
    found = record["over_seeds"].get(name, {}).get(way, {}).get("all")
    return None if found is None else found["mean"]


def findings(record: dict[str, Any], speed: dict[str, Any]) -> list[Block]:
    """What offsets, pruning and INT8 are worth, and where bottom-up is faster."""
    parts = []
    for text, pair in {
        "exact offsets are worth": (("vgg_scenes", "exact"), ("vgg_scenes", "single")),
        "four scales": (("vgg_scenes", "multi_scale"), ("vgg_scenes", "single")),
        "pruning by half, strict,": (("vgg_scenes_pruned", "strict"), ("vgg_scenes", "strict")),
        "INT8": (("vgg_scenes", "int8_strict"), ("vgg_scenes", "strict")),
    }.items():
        new, old = (_mean(record, *one) for one in pair)
        if new is not None and old is not None:
            parts.append(f"{text} {signed(new - old, 3)} AP")
    for name, of_seeds in record["runs"].items():
        for why in {run["int8_refused"] for run in of_seeds.values() if "int8_refused" in run}:
            parts.append(f"{LABELS[name]} has no INT8 ({why.removeprefix('int8: ')})")
    seconds = speed.get("seconds_a_picture", {})
    if {"vgg_scenes", "hrnet_w8_scenes_96x64"} <= set(seconds):
        ours, theirs = seconds["vgg_scenes"], seconds["hrnet_w8_scenes_96x64"]
        faster = [int(n) for n in ours if n in theirs and ours[n] < theirs[n]]
        parts.append(
            f"a picture takes less time than top-down from {min(faster)} people on"
            if faster
            else "no picture of up to eight people takes less time than top-down"
        )
    return [Text(f"**What was found**: {'; '.join(parts)}.")] if parts else []


def scores(record: dict[str, Any]) -> Table:
    """AP of every network and way, by number of people."""
    counts = record["pictures_by_people"]
    rows = []
    for name, ways in record["over_seeds"].items():
        for way in sorted(ways, key=list(WAYS).index):
            runs = record["runs"][name]
            first = next(run for run in runs.values() if way in run["ways"])
            cells: list[Any] = []
            for count in counts:
                found = ways[way].get(count)
                if found is None:
                    cells.append("–")
                    continue
                low, high = first["ways"][way][count]["AP_interval"] or (None, None)
                ends = "" if low is None else f" ({points(low, 3)} – {points(high, 3)})"
                text = points(found["mean"], 3) + (ends if found["seeds"] == 1 else "")
                text += f" ± {points(found['sd'], 3)}" if "sd" in found else ""
                cells.append(Cell(text, RECORD))
            label = f"{LABELS[name]}: {WAYS[way]}"
            size = f"{first['parameters'] / 1e6:.2f} M, {first['macs'] / 1e9:.2f} G"
            rows.append([label, f"{size}, {first['filters']:,}", *cells])
    caption = (
        "*Trained* on rendered scenes: AP by the number of people in a picture; mean of the "
        "seeds ± their standard deviation, or one with its 95 % bootstrap interval over pictures"
    )
    words = [
        "any number of people",
        *(f"{one} people" if one != "1" else "1 person" for one in list(counts)[1:]),
    ]
    columns = [f"{word} ({n})" for word, n in zip(words, counts.values(), strict=True)]
    header = ["network and way", "parameters, multiply-adds, filters", *columns]
    return Table(caption, header, rows, frozenset(range(1, 2 + len(counts))), anchor="scenes-table")


def times(speed: dict[str, Any]) -> Table:
    """How many times as fast as the float32 network each is."""
    rows = []
    for name, found in speed["times_as_fast"].items():
        of = speed["seconds_a_picture"][name]
        mean = 1000 * sum(of.values()) / len(of)
        text = f"{found['median']:.2f} ({found['low']:.2f} – {found['high']:.2f})"
        rows.append(
            [LABELS[name], speed["by"][name], Cell(f"{mean:.1f}", SPEED), Cell(text, SPEED)]
        )
    caption = (
        f"*Measured* from pixels to poses, {speed['threads']} thread of "
        f"{speed['environment']['cpu']}, all in turn in one process, {speed['rounds']} rounds over "
        "a picture of each number of people; ratios are of the same round, with the middle 80 % of "
        "rounds"
    )
    header = ["network", "run by", "ms a picture, mean", "times as fast as the small one"]
    return Table(caption, header, rows, frozenset({2, 3}), anchor="scenes-speed")


def time_chart(speed: dict[str, Any]) -> Chart:
    """Time a picture by the number of people."""
    series = []
    for color, (name, of) in enumerate(speed["seconds_a_picture"].items()):
        people = sorted(of, key=int)
        x, y = [float(n) for n in people], [1000 * of[n] for n in people]
        series.append(Series(LABELS[name], numbers(x), numbers(y, 4), color))
    return Chart(
        "scenes-time",
        "lines",
        "Time a picture by the number of people",
        "From pixels to poses, strict or true boxes, median of "
        f"{speed['rounds']} rounds in turn in one process, [record]({SPEED}).",
        "Bottom-up takes about the same time whatever the number of people, top-down a run of the "
        "network for each.",
        "people in the picture",
        "milliseconds a picture",
        tuple(series),
    )
