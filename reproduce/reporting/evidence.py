"""``verdicts.py`` for the report: a word, its badge, and our numbers, by published table row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from reproduce import training_costs, verdicts
from reproduce.reporting import missing
from reproduce.reporting.content import Cell, Section, Table, Text, badge
from reproduce.reporting.published_rows import MAIN, Line, TableRow, table_rows, value_cell
from reproduce.reporting.records import points, signed
from reproduce.verdicts import Verdict

BY_A_USER = "a user's run"
WORDS = (*verdicts.WORDS, BY_A_USER)
BADGES = {
    **dict.fromkeys(("reproduced", "re-scored", "tested"), "good"),
    "ported and aligned": "fair",
    "aligned": "fair-line",
}
MEANING = {
    "reproduced": "trained in full here by its own recipe, under the row's protocol, and each main "
    "value within the tolerance that was set before the run",
    "re-scored": "its authors' own predictions, scored by the evaluation here; whether that gives "
    "what they printed is said value by value",
    "tested": "its published weights, converted, scored here on the whole split under the row's "
    "protocol; whether that gives what was printed is said value by value",
    "ported and aligned": "its weights convert without PyTorch, and its network and everything "
    "around it equal the official code step by step (mmpose's HRNet and PoseResNet by HRNet's own "
    "code and recipe, AlphaPose's deformable operator by its formula); not trained in full",
    "aligned": "its network and everything around it equal the publisher's official code step by "
    "step (AlphaPose's deformable operator by its formula), but its number cannot be tested from "
    "outside, as its weights, the boxes it was measured with or the truth of its test set are not "
    "public; the row says which",
    "not run": "none of these; shortened runs do not count",
    BY_A_USER: "reported in an issue: shown for comparison, not a published row",
}


@dataclass(frozen=True)
class Evidence:
    """What stands behind a table row.

    Attributes:
        word: of WORDS.
        why_not_better: what is lacking for the next better word.
        by_metric: metric name → the verdict on that value.
    """

    word: str
    why_not_better: str
    by_metric: dict[str, Verdict]

    @property
    def badge(self) -> Cell:
        """The word as a label."""
        return badge(BADGES.get(self.word, "plain"), self.word, self.why_not_better)


@cache
def of(name: str) -> Evidence:
    """What stands behind the table row of that id: the weakest word of its main values."""
    row = next(row for row in table_rows() if row.id == name)
    if row.any.kind == "user":
        return Evidence(BY_A_USER, "", {})
    main = [name for name in MAIN[row.any.protocol.dataset] if name in row.values]
    chosen = list(row.values) if row.any.predictions else main
    found = {name: verdicts.verdict(row.values[name]) for name in chosen}
    if any(one.word == "tested" for one in found.values()):
        found = {name: verdicts.verdict(value) for name, value in row.values.items()}
    weakest = max((found[name] for name in main), key=lambda one: verdicts.WORDS.index(one.word))
    return Evidence(weakest.word, weakest.lacking, found)


def best(line: Line) -> tuple[TableRow, Evidence]:
    """The edition with the strongest word, the newest of several, and what stands behind it."""
    found = [(row, of(row.id)) for row in reversed(line.editions)]
    return min(found, key=lambda one: WORDS.index(one[1].word))


def line_badge(line: Line) -> Cell:
    """The best word; below it the editions that earned it, or what is missing."""
    row, found = best(line)
    below = ""
    if found.word in missing.WITHOUT_TEST:
        below = missing.sentence(row, found.why_not_better)
    elif len(line.editions) > 1:
        earned = [one.publisher for one in line.editions if of(one.id).word == found.word]
        below = " / ".join(earned)
    return replace(found.badge, below=below)


def measured_cell(row: TableRow, name: str) -> Cell | str:
    """Our number under the value's own protocol, with its record; a dash where there is none.

    Where the source does not say which mean it took, all that its predictions can mean.
    """
    verdict = of(row.id).by_metric.get(name)
    if verdict is None or (verdict.measured is None and verdict.word != "re-scored"):
        return "–"
    record = f"reproduce/{verdict.records[-1]}"
    if verdict.measured is None:
        values = verdicts.rescored_values(row.values[name]).values()
        span = f"{points(min(values))} to {points(max(values))}"
        return Cell(span, record, title=verdict.lacking, below="mean not stated")
    digits = 3 if row.values[name].unit == "fraction" else 2
    return Cell(points(verdict.measured, digits), record)


def agreement_table(rows: Sequence[TableRow]) -> Table | None:
    """Published beside measured, value by value, for the rows whose predictions are public."""
    lines = []
    for row in rows:
        for name, verdict in of(row.id).by_metric.items():
            if verdict.word not in ("re-scored", "tested"):
                continue
            if verdict.measured is None:
                difference, word = "–", badge("plain", "not stated which", verdict.lacking)
            else:
                difference = signed(verdict.measured - row.values[name].value)
                word = badge("good", "equal") if verdict.within else badge("warm", "differs")
            lines.append(
                [
                    f"{row.name}, {row.publisher}",
                    name,
                    value_cell(row.values[name]),
                    measured_cell(row, name),
                    difference,
                    word,
                ]
            )
    caption = (
        "What the authors printed about their predictions or weights, and what those score here. "
        "Equal: within half of the last printed digit, of weights within one."
    )
    header = ["row", "score", "published", "measured", "difference", ""]
    return Table(caption, header, lines, frozenset({2, 3, 4}), folded=True) if lines else None


def open_section() -> Section:
    """What would settle the open rows: commands and what they cost."""
    lines, trained, logged = [], 0, 0
    for row in table_rows():
        command, port = verdicts.train_command(row.any), verdicts.port_command(row.any)
        if not (command or port) or of(row.id).word in ("reproduced", BY_A_USER):
            continue
        trained += bool(command)
        cost = training_costs.cost(row.any)
        logged += bool(command) and cost.gpu_hours is not None
        lines.append(
            [
                Cell(row.name, below=f"{row.data_set}, {row.publisher}"),
                _hours(cost),
                f"`{command}`" if command else verdicts.NO_TRAINING,
                f"`{port}`" if port else "–",
            ]
        )
    published = [row for row in table_rows() if of(row.id).word != BY_A_USER]
    without = sum(1 for row in published if not verdicts.settles(row.any))
    words = (
        f"{len(lines)} open rows, each edition by itself, have a protocol here, {trained} of them "
        "the recipe of their "
        f"training too: the others' weights were trained by another. {without} more rows say what "
        "is lacking in their note in [published.csv](reproduce/published.csv). GPU hours, of all "
        "GPUs together, are from published logs, named in "
        f"[training_costs.csv](reproduce/training_costs.csv): they exist for {logged} of the "
        f"{trained} trainings; a dash means that none is known."
    )
    table = Table(
        "The exact commands, and their cost",
        ["row", "GPU hours to train", "train and test", "test the published weights"],
        lines,
        folded=True,
        anchor="open-rows",
    )
    return Section("open", "What would settle the open rows", [Text(words), table])


def _hours(cost: training_costs.Cost) -> Cell | str:
    if cost.gpu_hours is None:
        return "–"
    low, high = (f"{hours:,.0f}" for hours in cost.gpu_hours)
    span = low if low == high else f"{low} – {high}"
    return Cell(f"{span} ({cost.gpu})", "reproduce/training_costs.csv", title=cost.source)


def rescored_within() -> tuple[int, int]:
    """How many re-scored values equal what was printed, of how many that can be compared."""
    found = [
        verdict.within
        for row in table_rows()
        for verdict in of(row.id).by_metric.values()
        if verdict.word == "re-scored" and verdict.within is not None
    ]
    return sum(found), len(found)
