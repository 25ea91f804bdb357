"""Published predictions through our evaluation: scores, curves, joints, head sizes, conventions."""

from __future__ import annotations

from typing import Any

from reproduce.reporting import evidence, published_rows, sources
from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import Block, Cell, Charts, Section, Table, Text, absent
from reproduce.reporting.records import files, points, read_json, signed

FOLDER = "reproduce/rescored"
THRESHOLDS = {"0.5": "PCKh@0.5", "0.1": "PCKh@0.10", "0.11": "PCKh@0.11"}
GROUPS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
IN_CURVES = ("newell_8_stacks", "bearpaw_8_stacks", "bearpaw_1_stack", "tompson")
"""Sets that the figures show, so that they stay readable; the tables have all."""


def path(name: str) -> str:
    """The record of one set of predictions."""
    return f"{FOLDER}/{name}_curves.json"


def sets() -> dict[str, dict[str, Any]]:
    """Name → record of every set, best first."""
    found = {
        file.rpartition("/")[2].removesuffix("_curves.json"): read_json(file)
        for file in files(f"{FOLDER}/*_curves.json")
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]["scores"]["Mean"]["0.5"]["value"]))


def scored(entry: dict[str, Any], digits: int = 2) -> str:
    """``88.04 (87.4 – 88.6)``."""
    low, high = entry["interval"]
    return f"{points(entry['value'], digits)} ({low:.1f} – {high:.1f})"


def result_table() -> Table | None:
    """Scores of every set."""
    rows = []
    for name, record in sets().items():
        values = [Cell(scored(record["scores"]["Mean"][t]), path(name)) for t in THRESHOLDS]
        label = Cell(record["label"], source_address(record["source"]), title=record["source"])
        rows.append([label, *values])
    caption = (
        "*Re-scored*: predictions that their authors published, on all 2,958 MPII validation "
        "people; in brackets 95 % bootstrap intervals over people. Coordinates are compared as "
        "they stand in each file, as its authors' scripts do."
    )
    header = ["published predictions", *THRESHOLDS.values()]
    table = Table(caption, header, rows, frozenset({1, 2, 3}), anchor="rescored-table")
    return table if rows else None


def source_address(source: str) -> str:
    """Permalink of ``owner/name @commit:path``."""
    repository, _, rest = source.partition(" @")
    commit, _, file = rest.partition(":")
    return sources.code(repository, commit, file)


def section() -> Section:
    """Published predictions re-scored."""
    title = "Published predictions, re-scored"
    table = result_table()
    lead = Text(
        "The predictions that authors published need no network and no training: they test the "
        "metric alone, on every MPII validation person."
    )
    if table is None:
        return Section("rescored", title, [lead, absent("scores of published predictions")])
    agreement = evidence.agreement_table(published_rows.table_rows())
    measured = conventions()
    inner = Section("conventions", "What each convention is worth", measured) if measured else None
    blocks = [lead, table, *([agreement] if agreement else [])]
    return Section("rescored", title, blocks, [inner] if inner else [])


def figures_section() -> Section:
    """PCKh over its threshold, by joint and by head size: all of hourglasses but one."""
    found, title = sets(), "By threshold, joint and head size"
    if not found:
        return Section("by-joint", title, [absent("scores of published predictions")])
    words = (
        "The [published predictions](#rescored) of hourglasses on MPII's validation people, and "
        "Tompson's network beside them."
    )
    charts = Charts([curve_chart(found)])
    return Section("by-joint", title, [Text(words), charts, *joint_blocks(found)])


def curve_chart(found: dict[str, dict[str, Any]]) -> Chart:
    """PCKh over its threshold."""
    shown = [name for name in found if name in IN_CURVES]
    series = tuple(
        Series(
            found[name]["label"],
            numbers(found[name]["curve"]["thresholds"]),
            numbers(found[name]["curve"]["Mean"]),
            color,
        )
        for color, name in enumerate(shown)
    )
    ends = ", ".join(
        f"{found[n]['label']} {points(found[n]['scores']['Mean']['0.5']['value'])}" for n in shown
    )
    links = ", ".join(f"[{found[n]['label']}]({path(n)})" for n in shown)
    return Chart(
        "rescored-curves",
        "lines",
        "PCKh over its threshold",
        "Between 0.10 and 0.11 every curve is at its steepest: that is why one name for both "
        f"misleads. {links}.",
        f"PCKh grows from 0 to its value at threshold 0.5: {ends}.",
        "threshold, head sizes",
        "PCKh, per cent",
        series,
        x_range=(0.0, 0.5),
        y_range=(0.0, 100.0),
        marks=((0.1, ""), (0.11, "0.10 and 0.11")),
    )


def joint_blocks(found: dict[str, dict[str, Any]]) -> list[Block]:
    """By joint and by head size."""
    shown = {name: record for name, record in found.items() if name in IN_CURVES}
    header = ["published predictions", *GROUPS, "Mean"]
    rows = [
        [
            record["label"],
            *[
                Cell(scored(record["scores"][name]["0.5"], 1), path(key))
                for name in (*GROUPS, "Mean")
            ],
        ]
        for key, record in found.items()
    ]
    caption = "PCKh@0.5 by joint, left and right averaged, with 95 % bootstrap intervals"
    table = Table(caption, header, rows, frozenset(range(1, 9)), folded=True)
    return [Charts([joint_chart(shown), head_size_chart(shown)]), table]


def joint_chart(found: dict[str, dict[str, Any]]) -> Chart:
    """Median error by joint, with the quarter to three quarters of it."""
    groups = [g for g in GROUPS if all(g in record["error_by_joint"] for record in found.values())]
    series = []
    for color, record in enumerate(found.values()):
        spread = [
            record["error_by_joint"][group]["quantiles_of_error_in_head_sizes"] for group in groups
        ]
        series.append(
            Series(
                record["label"],
                numbers([one["0.5"] for one in spread]),
                tuple(float(row) for row in range(len(groups))),
                color,
                numbers([one["0.25"] for one in spread]),
                numbers([one["0.75"] for one in spread]),
            )
        )
    worst = max(zip(series[0].x, groups, strict=True))
    return Chart(
        "rescored-joints",
        "dots",
        "Error by joint",
        "Median error, and from where a quarter to where three quarters of the joints lie.",
        f"For {series[0].name} the median error is largest at the {worst[1].lower()}: "
        f"{worst[0]:.2f} head sizes.",
        "error, head sizes",
        "",
        tuple(series),
        tuple(groups),
    )


def head_size_chart(found: dict[str, dict[str, Any]]) -> Chart:
    """PCKh@0.1 by quarters of head size: small heads suffer from heat-map cells and labels."""
    series, names = [], []
    for color, record in enumerate(found.values()):
        quarters = record["error_by_head_size"]
        names = [f"about {q['median_head_size_px']} px" for q in quarters]
        scores = [q["scores"]["0.1"] for q in quarters]
        series.append(
            Series(
                record["label"],
                numbers([one["value"] for one in scores]),
                tuple(float(row) for row in range(len(quarters))),
                color,
                numbers([one["interval"][0] for one in scores]),
                numbers([one["interval"][1] for one in scores]),
            )
        )
    first = series[0]
    return Chart(
        "rescored-heads",
        "dots",
        "PCKh@0.10 by head size",
        "Quarters of the people by head size, each at its median, with 95 % bootstrap intervals.",
        f"{first.name}: {first.x[0]:.1f} for the smallest heads, {first.x[-1]:.1f} the largest.",
        "PCKh@0.10, per cent",
        "",
        tuple(series),
        tuple(names),
    )


def conventions() -> list[Block] | None:
    """What scoring differently is worth on real predictions."""
    file = f"{FOLDER}/conventions.json"
    record = read_json(file)
    if record is None:
        return None
    rows = []
    for name, words in record["conventions"].items():
        row: list[Cell | str] = [Cell(name, title=words["what"]), words["what"]]
        for metric in ("Mean", "Mean@0.1"):
            row.append(_range(file, record, name, metric))
        rows.append([*row, words["used_by"]])
    caption = (
        f"Difference to the official way ({record['official']}), in points: smallest to largest "
        f"over {len(record['sets'])} public sets of predictions. {record['intervals']} of every "
        "one are in the record."
    )
    header = ["convention", "what it does", "at 0.5", "at 0.10", "who scores so"]
    return [Table(caption, header, rows, frozenset({2, 3}), anchor="conventions-table")]


def _range(file: str, record: dict[str, Any], convention: str, metric: str) -> Cell | str:
    found = [
        one["conventions"][convention][metric]["difference"]
        for one in record["sets"].values()
        if metric in one["conventions"].get(convention, {})
    ]
    if not found:
        return "–"
    low, high = signed(min(found)), signed(max(found))
    return Cell(low if low == high else f"{low} to {high}", file)
