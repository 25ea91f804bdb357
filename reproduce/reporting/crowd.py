"""Rendered pairs: what a second pose of a box is worth, by overlap; where it was found."""

from __future__ import annotations

from typing import Any

from reproduce.reporting import seeds
from reproduce.reporting.content import Block, Cell, Picture, Section, Strip, Strips, Table, Text
from reproduce.reporting.records import points, read_json, signed

FOLDER = "reproduce/runs/crowd"
RECORD = f"{FOLDER}/crowd.json"
LABELS = {"hrnet": "HRNet", "mipnet": "MIPNet"}
BOXES = {
    "everybody": "the boxes of both people",
    "in front": "the box of the person in front alone",
}
PEOPLE = {"everybody": "everybody", "behind": "the people behind"}


def sections() -> list[Section]:
    """The section, where there is a record."""
    record = read_json(RECORD)
    return [section(record)] if record else []


def section(record: dict[str, Any]) -> Section:
    """What the record says."""
    lead = Text(
        f"{record['pairs']['all']:,} rendered pictures of two people, one behind the other, "
        "whose boxes overlap by 0.3 to 0.9 (IoU), all shares equally often. A small HRNet (width "
        "8, 96×64) and the same network as MIPNet learn the same crops in the same order for as "
        "many steps, from the same weights, by cross-entropy over the cells instead of the papers' "
        "squared error, which learns too little in so few steps. The people are rendered: no "
        "number compares with a published one. A detector's suppression often leaves one of two "
        "boxes that overlap so much; the second table is of that case, scored from the same "
        "predictions."
    )
    blocks: list[Block] = [Text(finding(record)), lead]
    blocks += [gain_table(record, boxes) for boxes in BOXES]
    blocks += [alone_table(record), answers_table(record), runs_table(record)]
    if record["pictures"]:
        blocks += [Text(_PICTURES), Strips([_strip(one) for one in record["pictures"]])]
    return Section("crowd", "Two people in a box: MIPNet on rendered pairs", blocks)


def finding(record: dict[str, Any]) -> str:
    """What the four gains over any overlap say, in words."""
    parts = []
    for boxes, words in BOXES.items():
        for people, who in PEOPLE.items():
            gain = record["over_seeds"][_key(boxes, "both", people, "all")].get("gain")
            if gain is None:
                continue
            ends = gain.get("interval", (gain["mean"], gain["mean"]))
            seen = "gains" if ends[0] > 0 else "loses" if ends[1] < 0 else "shows no sure gain:"
            parts.append(f"with {words} MIPNet {seen} {signed(gain['mean'], 3)} AP of {who}")
    return "**What was found**: " + "; ".join(parts) + "." if parts else "No seed is of both."


_PICTURES = (
    "Boxes of people in front, from MIPNet's first seed: the first ones in the file whose second "
    "pose is the person behind (OKS of at least 0.5), and the first ones where it is not, none "
    "chosen by hand. Left the truth, then the first pose (yellow), then the second (magenta)."
)


def _key(boxes: str, poses: str, people: str, share: str) -> str:
    return f"boxes {boxes}, poses {poses}, people {people}, overlap {share}"


def gain_table(record: dict[str, Any], boxes: str) -> Table:
    """Both networks and their difference, by people and overlap."""
    rows = []
    for people, who in PEOPLE.items():
        for share, pairs in record["pairs"].items():
            found = record["over_seeds"][_key(boxes, "both", people, share)]
            each = [seeds.mean(found.get(network), RECORD) for network in LABELS]
            gain = seeds.gain(found.get("gain"), RECORD)
            rows.append([f"{who}, {_overlap(share)}", f"{pairs:,}", *each, gain])
    most = max(len([r for r in record["runs"] if r["network"] == name]) for name in LABELS)
    caption = (
        f"*Trained*: AP with {BOXES[boxes]}, mean of {most} seeds ± their standard deviation. "
        "Gain: MIPNet minus HRNet of the same seed, with Student's 95 % interval over the seeds. "
        "Of the people behind: poses that match somebody in front count neither for nor against"
    )
    header = ["people", "pairs", *LABELS.values(), "gain"]
    anchor = f"crowd-{boxes.replace(' ', '-')}"
    return Table(caption, header, rows, frozenset({1, 2, 3, 4}), anchor=anchor)


def _overlap(share: str) -> str:
    return "any overlap" if share == "all" else f"overlap {share.replace('-', ' to ')}"


def alone_table(record: dict[str, Any]) -> Table:
    """MIPNet's three scores."""
    rows = []
    for boxes, words in BOXES.items():
        for people, who in PEOPLE.items():
            entries = [
                record["over_seeds"].get(_key(boxes, poses, people, "all"), {}).get("mipnet")
                for poses in ("both", "primary", "secondary")
            ]
            rows.append([f"{words}: {who}", *(seeds.mean(entry, RECORD) for entry in entries)])
    caption = "MIPNet's three scores: AP of both poses of a box, of the first alone, of the second"
    header = ["boxes and people", "both", "primary alone", "secondary alone"]
    return Table(caption, header, rows, frozenset({1, 2, 3}))


def answers_table(record: dict[str, Any]) -> Table:
    """Whom the poses are of."""
    rows = []
    for network, label in LABELS.items():
        runs = [run["answers"] for run in record["runs"] if run["network"] == network]
        for name in runs[0] if runs else ():
            means = [sum(run[name][who] for run in runs) / len(runs) for who in _WHO]
            box, pose, share = name.split(", ")
            if share == "overlap all" or pose == "secondary" or box == "box behind":
                shares = [Cell(f"{100 * mean:.1f}", RECORD) for mean in means]
                asked = "any overlap" if share == "overlap all" else share.replace("-", " to ")
                rows.append([f"{label}: {pose}, {box}, {asked}", *shares])
    caption = (
        "Whom a pose is of, per cent of the boxes, mean of the seeds: the person whose box it is, "
        f"the other one, or neither (OKS below {record['found_oks']} with both)"
    )
    header = ["pose and box", "its owner", "the other one", "neither"]
    return Table(caption, header, rows, frozenset({1, 2, 3}), folded=True)


_WHO = ("owner", "other", "neither")


def runs_table(record: dict[str, Any]) -> Table:
    """Every run with its interval over pictures."""
    rows = []
    for run in record["runs"]:
        cells = []
        for boxes in BOXES:
            for people in PEOPLE:
                found = run["scores"][_key(boxes, "both", people, "all")]
                ends = [points(end, 3) for end in found["AP_interval"]]
                text = points(found["AP"], 3) + (f" ({' – '.join(ends)})" if ends else "")
                cells.append(Cell(text, f"{FOLDER}/{run['folder']}/record.json"))
        rows.append([f"{LABELS[run['network']]}, seed {run['seed']}", *cells])
    caption = (
        f"AP of every run with 95 % intervals of {record['resamples']} bootstrap draws of pictures"
    )
    header = ["run", *(f"{who}, boxes of {boxes}" for boxes in BOXES for who in PEOPLE.values())]
    return Table(caption, header, rows, frozenset({1, 2, 3, 4}), folded=True)


def _strip(one: dict[str, Any]) -> Strip:
    word = "found" if one["found"] else "not found"
    alt = f"overlap {one['overlap']}, the person behind {word}"
    caption = (
        f"Overlap {one['overlap'].replace('-', ' to ')}: **{word}**. The second pose's OKS is "
        f"{one['oks_behind']:.2f} with the person behind, {one['oks_owner']:.2f} with the owner."
    )
    picture = Picture(f"{FOLDER}/pictures/{one['file']}", alt, "truth, first pose, second pose")
    return Strip([picture], caption)
