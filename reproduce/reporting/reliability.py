"""Broken files, faults, a long run, from ``reliability.json``: page and RELIABILITY.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproduce.reporting.charts import Chart, Series, numbers
from reproduce.reporting.content import (
    Block,
    Cell,
    Charts,
    Section,
    Table,
    Text,
    absent,
    badge,
)
from reproduce.reporting.markdown import MarkdownWriter
from reproduce.reporting.records import read_json

FILE = "reproduce/reliability.json"
DOCUMENT = "reproduce/RELIABILITY.md"
TITLE = "Reliability: broken files, faults, a long run"
LEAD = (
    "What becomes of broken files, killed processes, full disks and damaged states, and of memory "
    "in a long run. `make soak` tries it again, `--seed N` with other draws; the same commands "
    "with `--only` and `--replay FILE` try a part, or one file."
)
ENDINGS = {
    "same": "same", "other content": "other content", "refused": "refused",
    "traceback": "traceback", "crash": "crash", "hang": "> 10 s", "memory": "> 2 GiB",
    "silent": "wrong, silent", "unclear": "long line",
}  # fmt: skip
GOOD = ("same", "other content", "refused")


def section() -> Section:
    """The sums, faults and the long run; the tables by format are folded, or RELIABILITY.md."""
    record = read_json(FILE)
    if record is None:
        return Section("reliability", TITLE, [absent("the campaign")])
    tables = [files_table(record), *kinds_tables(record)]
    writer = MarkdownWriter(Path())
    text = "\n\n".join(part for table in tables for part in writer.block(table))
    by_format = Text(text, summary="Broken files by format", source=DOCUMENT)
    return Section("reliability", TITLE, [*_head(record), by_format])


def document(note: str, page: str) -> str:
    """RELIABILITY.md."""
    record = read_json(FILE)
    blocks: list[Block] = [absent("the campaign")]
    if record is not None:
        blocks = [*_head(record), files_table(record), *kinds_tables(record)]
    writer = MarkdownWriter(Path(DOCUMENT).parent, page)
    return writer.document(TITLE, LEAD, [Section("numbers", "What was found", blocks)], note)


def _head(record: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = [Text(_summary(record)), faults_table(record)]
    if record["soak"]:
        blocks += [soak_table(record["soak"]), Charts([memory_chart(record["soak"])])]
    return blocks


def _summary(record: dict[str, Any]) -> str:
    ends = [entry["endings"] for entry in record["fuzz"].values()]
    total = {word: sum(one[word] for one in ends) for word in ENDINGS}
    bad = [f"{total[word]} {ENDINGS[word]}" for word in ENDINGS if word not in GOOD]
    hits = record["faults"].get("kills", {}).get("hits", 0)
    entries = [*record["fuzz"].values(), *record["faults"].values(), record["soak"]]
    commits = sorted({entry["commit"][:7] for entry in entries if entry.get("commit")})
    seeds = sorted({entry["seed"] for entry in entries if "seed" in entry})
    dates = sorted({entry["date"][:10] for entry in entries if entry})
    cpus = sorted({entry["cpu"] for entry in entries if entry})
    equal = record["faults"].get("kills", {})
    return (
        f"{sum(total.values()):,} broken files: {total['refused']:,} refused in one line, "
        f"{total['same']:,} read as before, {total['other content']:,} with other content that no "
        f"checksum guards; {', '.join(bad)}. {hits} `kill -9` in {equal.get('tried', 0)} runs, "
        f"{equal.get('as_promised', 0)} of which ended with every bit as if never stopped. Commit "
        f"{', '.join(commits)}, seed {', '.join(map(str, seeds))}, "
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, "
        f"{', '.join(cpus)}. [Record]({FILE})."
    )


def faults_table(record: dict[str, Any]) -> Table:
    """A line per fault."""
    rows: list[list[Cell | str]] = []
    for entry in record["faults"].values():
        if "not_tried" in entry:
            rows.append([entry["title"], entry["promise"], "–", "–", "–", entry["not_tried"]])
            continue
        good, tried = entry["as_promised"], entry["tried"]
        wrong = sorted({f"{one['what']}: {code(one['line'])}" for one in entry["wrong"]})
        said = "; ".join(wrong) if wrong else code(entry["line"])
        rows.append([
            entry["title"], entry["promise"], f"{tried}",
            badge("good" if good == tried else "bad", f"{good} of {tried}"),
            f"{entry['lost_steps']}", said,
        ])  # fmt: skip
    header = ["fault", "promised", "tried", "so ended", "steps done again, at most", "last line"]
    return Table("Faults of machines and hands", header, rows, frozenset({2, 4}), anchor="faults")


def files_table(record: dict[str, Any]) -> Table:
    """A line per format, and their sum."""
    rows: list[list[Cell | str]] = []
    total = dict.fromkeys(ENDINGS, 0)
    for name, entry in record["fuzz"].items():
        rows.append([name, f"{entry['tried']:,}", *_counts(entry["endings"])])
        for word in ENDINGS:
            total[word] += entry["endings"][word]
    rows.append(["**all**", f"{sum(total.values()):,}", *_counts(total)])
    caption = (
        "Broken files by format. *Other content*: read without a word, as another sound file might "
        "be; *wrong, silent*: not finite, a score of −1, unlike what a checksum promises, or a "
        "score moved by a value of another kind, without a word"
    )
    header = ["format", "files", *ENDINGS.values()]
    numeric = frozenset(range(1, len(header)))
    return Table(caption, header, rows, numeric, anchor="broken-files")


def _counts(endings: dict[str, int]) -> list[Cell | str]:
    return [
        badge("bad", f"{endings[word]}") if endings[word] and word not in GOOD
        else f"{endings[word]:,}"
        for word in ENDINGS
    ]  # fmt: skip


def code(text: str) -> str:
    """Text as it is: nothing in it is markup."""
    text = " ".join(text.replace("`", "'").split())
    return f"`{text}`" if text else "–"


def kinds_tables(record: dict[str, Any]) -> list[Table]:
    """Each kind of bad ending with an example; nothing where there is none."""
    rows = [
        [
            name,
            kind,
            f"{fault['times']}",
            *(code(fault["examples"][0][key]) for key in ("how", "line")),
        ]
        for name, entry in record["fuzz"].items()
        for kind, fault in entry["faults"].items()
    ]
    header = ["format", "ending", "times", "what was done, for example", "what was said"]
    table = Table("What ended badly", header, rows, frozenset({2}), anchor="bad-endings")
    return [table] if rows else []


QUANTITIES = {
    "rank_mib": "resident memory of the training process, MiB",
    "all_mib": "with its workers, shared pages once, MiB",
    "files": "open files", "threads": "threads", "shared_files": "files in /dev/shm",
}  # fmt: skip


def soak_table(soak: dict[str, Any]) -> Table:
    """Each quantity at the first steps after the hundredth, and at the end."""
    columns, rows = soak["columns"], []
    for name, words in QUANTITIES.items():
        curve = [(row[0], row[columns.index(name)]) for row in soak["samples"]]
        early = [value for step, value in curve if step >= min(100, curve[-1][0])][:1]
        grown = soak["growth"][name]
        growth = "–" if grown is None else f"{grown:+.1%}".replace("-", "−")
        rows.append([words, f"{early[0]:g}", f"{curve[-1][1]:g}",
                     f"{max(value for _, value in curve):g}", growth])  # fmt: skip
    caption = (
        f"A run of {soak['steps']} steps and {soak['validations']} validations with "
        f"{soak['workers']} workers; growth between medians over steps 100 to 160 and the last 60"
    )
    header = ["quantity", "at step 100", "at the end", "at most", "growth"]
    return Table(caption, header, rows, frozenset({1, 2, 3, 4}), anchor="soak")


def memory_chart(soak: dict[str, Any]) -> Chart:
    """Memory against steps."""
    columns = soak["columns"]
    steps = numbers([row[0] for row in soak["samples"]])
    series = tuple(
        Series(label, steps, numbers([row[columns.index(name)] for row in soak["samples"]]), color)
        for color, (name, label) in enumerate(
            (("rank_mib", "training process"), ("all_mib", "with workers"))
        )
    )
    grown = soak["growth"]["rank_mib"]
    words = "too short to tell" if grown is None else f"{grown:+.1%}".replace("-", "−")
    return Chart(
        "soak-memory", "lines", "Memory of a long run",
        f"Validations fork workers of their own. [Record]({FILE}).",
        f"Resident memory of the training process after the first hundred steps: {words}.",
        "steps", "MiB", series,
    )  # fmt: skip
