"""``growth.md`` and its plots, from a record of ``benchmarks.growth``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks import ring
from benchmarks.harness import ROOT
from benchmarks.results import amount, markdown
from paddle_pose.files import atomic, write_text

PAGE = ROOT / "benchmarks" / "growth.md"
PLOTS = ROOT / "benchmarks" / "growth"
PEOPLE_LIMIT_MIB = 1536
NOTHING = "# How cost grows\n\nNo run is recorded yet: `make growth` makes one.\n"


def digest(axis: dict[str, Any]) -> str:
    """Of the numbers that a plot shows; the plot carries it."""
    return hashlib.sha256(json.dumps(axis, sort_keys=True).encode()).hexdigest()


def axis_table(axis: dict[str, Any]) -> str:
    """Time and memory of each curve, a line a point."""
    curves = list(axis["points"][0]["curves"])
    header = [axis["x"]]
    for curve in curves:
        header += [curve, "memory"]
    lines = []
    for point in axis["points"]:
        line = [f"{point['x']:,}"]
        for curve in curves:
            found = point["curves"][curve]
            if "error" in found:
                line += [found["error"], ""]
            else:
                line += [amount(found["median"], axis["unit"]), f"{found['peak_mib']:,.0f} MiB"]
        lines.append(line)
    return markdown(header, lines)


def people_verdict(axis: dict[str, Any]) -> str:
    """Whether the largest data set starts within what was asked for."""
    largest = axis["points"][-1]
    words = []
    for layout, found in largest["curves"].items():
        if "error" not in found:
            within = "within" if found["peak_mib"] < PEOPLE_LIMIT_MIB else "**over**"
            words.append(f"{layout} {found['peak_mib']:,.0f} MiB, {within}")
    return (
        f"Asked for: under {PEOPLE_LIMIT_MIB:,} MiB at 200,000 people, for the process and its "
        f"workers together. At {largest['x']:,}: {'; '.join(words) or 'not measured'}."
    )


def ring_tables(gradient_bytes: dict[str, float]) -> list[str]:
    """Efficiency on paper, a table a job; the words that belong to it."""
    parts = [
        "## Ranks on paper, to 64 GPUs",
        "**Computed, not measured**: nobody ran this code on more than one GPU for this page. "
        "A step takes what a published log says, plus a ring all-reduce of the gradients in "
        "float32: 2 (n − 1) messages of 1/n of them. Same people per GPU at any n; one link speed "
        "all around the ring, nominal; a message waits 5 µs (Ethernet 50 µs) besides; reading and "
        "validation cost nothing. Each cell: share of n times one GPU's images per second with "
        "nothing overlapped – with all that fits behind the backward pass (two thirds of a step).",
    ]
    for job in ring.jobs():
        if job.recipe not in gradient_bytes:
            continue
        size = gradient_bytes[job.recipe]
        lines = []
        for ranks in ring.RANKS[1:]:
            cells = []
            for link in ring.LINKS:
                low, high = ring.efficiency(job.step_s, size, ranks, link)
                cells.append(f"{100 * low:.1f} – {100 * high:.1f} %")
            lines.append([str(ranks), *cells])
        parts += [
            f"`{job.recipe}`: {size / 1e6:.1f} MB of gradients, {job.step_s:.2f} s for a step of "
            f"{job.people} people ({job.source}).",
            markdown(["GPUs", *(link.name for link in ring.LINKS)], lines),
        ]
    return parts


def page(record: dict[str, Any] | None) -> str:
    """The whole Markdown text."""
    if record is None:
        return NOTHING
    machine, commit = record["machine"], record["code"]["commit"] or "–"
    paddle = machine["packages"].get("paddlepaddle", "–")
    parts = [
        "# How cost grows",
        f"Written by `python -m benchmarks.growth`: {machine['cpu']}, "
        f"{record['options']['threads']} threads, Paddle {paddle}, commit {commit[:7]}, "
        f"{record['date'][:10]}. Float32. Every point in "
        "its own process, memory is that process's peak; median of two runs after one, a single "
        "run for people and ranks.",
    ]
    for axis in record["axes"]:
        parts += [f"## {axis['title']}", f"![{axis['title']}](growth/{axis['name']}.svg)"]
        parts.append(axis_table(axis))
        if axis["name"] == "people":
            parts.append(people_verdict(axis))
    return "\n\n".join(parts + ring_tables(record["gradient_bytes"])) + "\n"


def plot(axis: dict[str, Any], file: Path) -> None:
    """Time and memory of every curve, side by side; the same bytes for the same numbers."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9}
    with plt.rc_context(style):
        figure, panels = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
        for curve in axis["points"][0]["curves"]:
            made = [(p["x"], p["curves"][curve]) for p in axis["points"]]
            made = [(x, found) for x, found in made if "error" not in found]
            for panel, key in zip(panels, ("median", "peak_mib"), strict=True):
                panel.plot([x for x, _ in made], [f[key] for _, f in made], "o-", label=curve)
        for panel, label in zip(panels, (axis["unit"], "peak memory, MiB"), strict=True):
            values = [point["x"] for point in axis["points"]]
            if axis["log_x"]:
                panel.set_xscale("log", base=2)
            panel.set_xticks(values, [f"{value:,}" for value in values], minor=False)
            panel.set(xlabel=axis["x"], ylabel=label)
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
        panels[0].legend(frameon=False)
        metadata = {"Date": None, "Creator": None, "Description": digest(axis)}
        with atomic(file) as stream:
            figure.savefig(stream, format="svg", metadata=metadata)
        plt.close(figure)


def draw(record: dict[str, Any] | None) -> None:
    """Page and plots."""
    write_text(PAGE, page(record))
    for axis in record["axes"] if record else ():
        plot(axis, PLOTS / f"{axis['name']}.svg")


def stale(record: dict[str, Any] | None) -> str | None:
    """The first file that does not show the record; None where all do.

    A plot is of its numbers if it carries their digest: its bytes differ between matplotlibs.
    """
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page(record):
        return "benchmarks/growth.md"
    for axis in record["axes"] if record else ():
        file = PLOTS / f"{axis['name']}.svg"
        if not file.is_file() or digest(axis) not in file.read_text(encoding="utf-8"):
            return f"benchmarks/growth/{file.name}"
    return None
