"""Records of the benchmarks: machine, versions, rows with every sample; and their tables."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import PAIRS, ROOT, Options
from paddle_pose.commands import record as records
from paddle_pose.files import read_json, write_json

FOLDER = ROOT / "benchmarks" / "results"
GROWTH = "growth-"
RIVALS = ("work", "ours", "rivals, fastest first: time, ratio, memory")
COLUMNS = ("work", "against", "ours", "theirs", "ratio", "target", "met", "memory", "share of peak")


def file_name(prefix: str) -> str:
    """``amd-epyc-2025-01-31.json``."""
    cpu = re.sub(r"[^a-z0-9]+", "-", records.environment()["cpu"].lower()).strip("-")
    return f"{prefix}{cpu}-{records.now()[:10]}.json"


def header(options: Options) -> dict[str, Any]:
    """What a record says about machine, code and options; no paths of the machine."""
    shown = {}
    for name, value in asdict(options).items():
        if name != "folder":
            shown[name] = value if not isinstance(value, Path) else value.name
    shown["torch_python"] = "this" if options.torch_python == Path(sys.executable) else "another"
    return {
        "date": records.now(),
        "code": records.code_state(),
        "machine": records.environment(),
        "options": shown,
    }


def write(record: dict[str, Any], file: Path) -> None:
    """As JSON, whole or not at all."""
    write_json(file, record)


def newest_file(prefix: str = "") -> Path | None:
    """The latest record in ``results/``: of the comparisons, or with ``growth-`` of growth."""
    others = (
        GROWTH,
        "export",
        "light",
        "bottom_up",
        "two_people",
        "ready",
    )  # of commands of their own
    files = [f for f in FOLDER.glob(f"{prefix}*.json") if prefix or not f.name.startswith(others)]
    return max(files, key=lambda f: read_json(f)["date"], default=None)


def newest(prefix: str = "") -> dict[str, Any] | None:
    """What ``newest_file`` holds."""
    file = newest_file(prefix)
    return read_json(file) if file else None


def amount(value: float, unit: str) -> str:
    """Three digits, small times in milliseconds: ``0.4 ms``, ``1.52 s/image``."""
    kind, slash, piece = unit.partition("/")
    if kind == "s" and value < 1:
        return f"{1000 * value:.3g} ms{slash}{piece}"
    return f"{value:.3g} {unit}"


def share(row: dict[str, Any], side: str, rates: dict[str, dict[str, float]]) -> str:
    """Of the fastest matrix product in the side's precision; empty where it says nothing."""
    work, made = row["ours"]["facts"].get("multiply_adds"), row[side]
    precision = made["facts"].get("precision", "float32") if made else ""
    if not work or precision not in rates:
        return ""
    return f"{100 * work / made['median'] / max(rates[precision].values()):.0f} %"


def target_text(target: dict[str, Any] | None, unit: str) -> str:
    """``≥ 1.6``, ``≤ 4 processor s``."""
    if target is None:
        return ""
    sign = "≥" if target["kind"] == "speedup" else "≤"
    return f"{sign} {target['value']:g}" + (f" {unit}" if target["kind"] == "limit" else "")


def absent(row: dict[str, Any]) -> str:
    """Which rivals are not in the row and why: ``PyTorch eager: No module named 'torch'``."""
    why: dict[str, list[str]] = {}
    for one in row.get("rivals", ()):
        if "note" in one:
            who = why.setdefault(one["note"], [])
            if (name := one["label"].partition(",")[0]) not in who:
                who.append(name)
    return "; ".join(f"{', '.join(names)}: {note}" for note, names in why.items())


def against(row: dict[str, Any]) -> str:
    """The other side, or why there is none; after it what rivals could not be measured."""
    note = row["note"].splitlines()[0] if row["note"] else ""
    missing = absent(row)
    if not row["theirs"]:
        return missing or note or "–"
    return row["theirs"]["label"] + (f" (not measured: {missing})" if missing else "")


def rival_rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    """One line of RIVALS per row that has some; records of earlier days have none."""
    lines = []
    for row in record["rows"]:
        ours, unit = row["ours"], row["unit"]
        found = [one for one in row.get("rivals", ()) if "median" in one]
        cells = []
        for one in sorted(found, key=lambda one: one["median"]):
            pairs = zip(one["samples"], ours["samples"], strict=False) if ours else ()
            ratios = [theirs / own for theirs, own in pairs]
            ratio = f", {statistics.median(ratios):.2f}" if ratios else ""
            memory = f", {one['peak_mib']:.0f} MiB" if one["peak_mib"] else ""
            cells.append(f"{one['label']}: {amount(one['median'], unit)}{ratio}{memory}")
        if missing := absent(row):
            cells.append(f"not measured: {missing}")
        if cells:
            own = (
                f"{amount(ours['median'], unit)}, {ours['peak_mib'] or 0:.0f} MiB" if ours else "–"
            )
            lines.append((row["work"], own, "<br>".join(cells)))
    return lines


def table_rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    """One line of COLUMNS per row."""
    lines, rates = [], record["matrix_product"]
    for row in record["rows"]:
        ours, theirs, limit = row["ours"], row["theirs"], (row["target"] or {}).get("kind")
        pairs = [(side, row[side]) for side in ("ours", "theirs") if row[side]]
        memory = " / ".join(f"{s['peak_mib']:.0f}" for _, s in pairs if s["peak_mib"])
        met = {True: "yes", False: "**no**", None: "not measured"}[row["met"]]
        lines.append(
            (
                row["work"],
                against(row),
                amount(ours["median"], row["unit"]) if ours else "–",
                amount(theirs["median"], row["unit"]) if theirs else "–",
                f"{row['reached']:.2f}" if row["reached"] and limit != "limit" else "",
                target_text(row["target"], row["unit"]),
                met if row["target"] else "",
                f"{memory} MiB" if memory else "",
                " / ".join(filter(None, (share(row, s, rates) for s, _ in pairs))) if ours else "",
            )
        )
    return lines


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    table = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def printed(record: dict[str, Any]) -> str:
    """The table for a terminal."""
    table = [COLUMNS, *table_rows(record)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def machine(record: dict[str, Any]) -> str:
    """Processor, threads, versions, commit and day."""
    facts = [
        side["facts"]
        for row in record["rows"]
        for side in (row["ours"], row["theirs"], *row.get("rivals", ()))
        if side and "facts" in side
    ]
    names = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
    versions = {k: f[k] for k in ("paddle", "torch", *names) for f in facts if k in f}
    engines = [f"{name} {versions[k]}, " for k, name in names.items() if k in versions]
    return (
        f"{record['machine']['cpu']}, {record['options']['threads']} threads, "
        f"Paddle {versions.get('paddle', '–')}, PyTorch {versions.get('torch', '–')}, "
        f"{''.join(engines)}"
        f"commit {(record['code']['commit'] or '–')[:7]}, {record['date'][:10]}"
    )


def caption(record: dict[str, Any]) -> str:
    """Machine, how often, what the columns are: what the numbers hold for."""
    rates = ", ".join(
        f"{2 * max(by.values()) / 1e9:.0f} GFLOP/s in {precision}"
        for precision, by in record["matrix_product"].items()
    )
    alone = [len(r["ours"]["samples"]) for r in record["rows"] if r["ours"] and not r["theirs"]]
    pairs = record["options"]["pairs"] or PAIRS
    runs = f" (of a side alone: {min(alone)} or more)" if alone else ""
    later = {row["name"]: row["again"] for row in record["rows"] if "again" in row}
    again = "; ".join(
        f"{name} ({stamp['date'][:16].replace('T', ' ')}, {(stamp['code']['commit'] or '–')[:7]})"
        for name, stamp in later.items()
    )
    return (
        f"{machine(record)}. Medians over {pairs} pairs or more{runs}, A B A B, "
        "each side in its own process; ratio: median over the pairs"
        + (", to the fastest rival" if rival_rows(record) else "")
        + ". Memory: peak of the process, "
        f"ours / theirs. Share of peak: of the fastest matrix product here ({rates})."
        + (f" Measured again later: {again}." if again else "")
    )
