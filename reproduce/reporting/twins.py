"""The same run in both frameworks: curves, scores against the spread of seeds, first steps."""

from __future__ import annotations

from typing import Any

from reproduce.reporting import sources
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
from reproduce.reporting.records import points, read_json, read_lines, signed

FOLDER = "reproduce/runs/twins"
LABELS = {
    "newell_hg1_lspet": "Newell hourglass, 1 stack",
    "newell_hg1_lspet_cells": "Newell hourglass, 1 stack, cross-entropy",
    "hrnet_w8_lspet": "HRNet, width 8",
}
FRAMEWORKS = {"paddle": "Paddle, this project", "torch": "PyTorch, official network code"}
METRICS = {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10"}
NO_REFERENCES = absent("what the PyTorch side ran")
VERDICT_BADGES = {"no difference seen": "good", "a difference is seen": "warm"}


def label(name: str) -> str:
    """What a twin is called."""
    return LABELS.get(name.removeprefix("twin_"), name)


def best_known() -> tuple[str, dict[str, Any]] | None:
    """The twin of most seeds, of two the one that learnt more, and its PCKh@0.5 as judged."""
    found: list[tuple[str, float, str, dict[str, Any]]] = []
    for name, one in (read_json(f"{FOLDER}/twins.json") or {}).items():
        if words := one["judgement"].get("Mean"):
            reached = max(run["paddle"]["Mean"] for run in one["runs"] if "paddle" in run)
            found.append((words["seeds"], reached, name, words))
    best = max(found, key=lambda one: one[:2], default=None)
    return None if best is None else best[2:]


def run_folder(name: str, seed: int, framework: str) -> str:
    """Where the record of one run lies."""
    return f"{FOLDER}/{name}_s{seed}_{framework}"


def section() -> Section:
    """All twins."""
    title = "Twins: the same run in Paddle and in PyTorch"
    twins = read_json(f"{FOLDER}/twins.json")
    lead = Text(
        "Same initial weights, same batches in the same order, same schedule, on the same LSPET "
        "photos: once by this project in Paddle, once by the official network code in PyTorch. "
        "If the frameworks differ by more than two seeds of one framework do, it shows here. The "
        "photos are not MPII: no number compares with a published one. Some thousand steps are "
        "the beginning of a training, not its end. Paddle's runs are of one CPU core each; where "
        "PyTorch's are of a GPU, the next lines say so."
    )
    if not twins:
        return Section("twins", title, [lead, absent("the twins")])
    blocks: list[Block] = [lead, references(twins), judgement_table(twins)]
    blocks += [scores_table(twins, metric) for metric in METRICS]
    charts = [one for name in twins for one in curve_charts(name, twins[name])]
    blocks.append(Charts(charts))
    return Section("twins", title, [*blocks, *first_steps()])


def result_table() -> Table | None:
    """The judgement, where there is one."""
    twins = read_json(f"{FOLDER}/twins.json")
    return judgement_table(twins) if twins else None


def judgement_table(twins: dict[str, Any]) -> Table:
    """Difference of the means against what seeds alone would make of it."""
    rows = []
    for name, twin in twins.items():
        for metric, words in twin["judgement"].items():
            spread = [words.get("paddle_sd"), words.get("torch_sd")]
            rows.append(
                [
                    label(name),
                    METRICS[metric],
                    str(words["seeds"]),
                    Cell(signed(words["difference"]), f"{FOLDER}/twins.json"),
                    " / ".join("–" if one is None else points(one) for one in spread),
                    points(words["seen_beyond"]) if "seen_beyond" in words else "–",
                    badge(VERDICT_BADGES.get(words["verdict"], "plain"), words["verdict"]),
                ]
            )
    caption = (
        "*Trained*, in both frameworks. Difference: mean over seeds, Paddle minus PyTorch, in "
        "points. Spread: standard deviation between the seeds of one framework, Paddle / PyTorch. "
        "A difference counts as seen when it is beyond Student's 95 % point of that spread."
    )
    header = ["network", "score", "seeds", "difference", "spread", "seen beyond", "judgement"]
    return Table(caption, header, rows, frozenset({2, 3, 4, 5}), anchor="twins-table")


def scores_table(twins: dict[str, Any], metric: str) -> Table:
    """Every run's final score."""
    rows = []
    for name, twin in twins.items():
        for run in twin["runs"]:
            both = [_score(name, run, framework, metric) for framework in FRAMEWORKS]
            rows.append([f"{label(name)}, seed {run['seed']}", *both, _paired(run, metric)])
    caption = (
        f"Final {METRICS[metric]} of every run with 95 % bootstrap intervals over people; paired: "
        "the same people are drawn for both frameworks"
    )
    header = ["run", "Paddle", "PyTorch", "paired difference"]
    return Table(caption, header, rows, frozenset({1, 2, 3}))


def references(twins: dict[str, Any]) -> Text:
    """Which official code the PyTorch side ran."""
    lines = []
    for name, twin in twins.items():
        for run in twin["runs"][:1]:
            file = f"{run_folder(name, run['seed'], 'torch')}/record.json"
            official = (read_json(file) or {}).get("official")
            if official:
                repository, commit = official["repository"], official["commit"]
                parts = ", ".join(
                    f"[{official[part]}]({sources.code(repository, commit, official[part])})"
                    for part in ("network", "loss")
                    if part in official
                )
                if "loss" not in official:
                    parts += ", with the loss of this project, written in PyTorch"
                lines.append(
                    f"* {label(name)}: {repository} @{commit[:7]} ({parts}){_where(name, run)}; "
                    f"[record]({file})"
                )
    return Text("What the PyTorch side ran:\n\n" + "\n".join(lines)) if lines else NO_REFERENCES


def _where(name: str, run: dict[str, Any]) -> str:
    """How much was seen, and on which device where that is not a CPU."""
    ours, theirs = (run_folder(name, run["seed"], framework) for framework in FRAMEWORKS)
    data = (read_json(f"{ours}/record.json") or {}).get("data", {})
    people = data.get("train", {}).get("people")
    epochs = max((line["epoch"] + 1 for line in read_lines(f"{theirs}/metrics.jsonl")), default=0)
    seen = f"; {people:,} people, {epochs} epochs" if people else ""
    device = (read_json(f"{theirs}/record.json") or {}).get("device", "cpu")
    return seen if device == "cpu" else f"{seen}; float32 without TF32 on one {device}"


def _score(name: str, run: dict[str, Any], framework: str, metric: str) -> Cell | str:
    if framework not in run:
        return "not run"
    low, high = run[f"{framework}_intervals"][metric]
    text = f"{points(run[framework][metric])} ({low:.1f} – {high:.1f})"
    return Cell(text, f"{run_folder(name, run['seed'], framework)}/scores.json")


def _paired(run: dict[str, Any], metric: str) -> Cell | str:
    if "paired" not in run:
        return "–"
    found = run["paired"][metric]
    low, high = found["interval"]
    text = f"{signed(found['difference'])} ({signed(low, 1)} to {signed(high, 1)})"
    return Cell(text, f"{FOLDER}/twins.json")


def curve_charts(name: str, twin: dict[str, Any]) -> list[Chart]:
    """Validation score and training loss of every seed, both frameworks in one picture."""
    made = []
    for kind, key, y_label, title in (
        ("eval", "Mean", "PCKh@0.5, per cent", "validation score"),
        ("train", "loss", "loss", "training loss"),
    ):
        series = []
        for color, (framework, words) in enumerate(FRAMEWORKS.items()):
            seeds = [run["seed"] for run in twin["runs"] if framework in run]
            for seed in seeds:
                found = _points(run_folder(name, seed, framework), kind, key)
                if found:
                    shown = words if seed == seeds[0] else ""
                    series.append(Series(shown, *map(numbers, found), color, thin=len(seeds) > 1))
        if not series:
            continue
        records = f"[records]({FOLDER}/twins.json)"
        made.append(
            Chart(
                f"{name}-{key}",
                "lines",
                f"{label(name)}: {title}",
                f"One line per seed and framework, {records}.",
                f"{len(series)} runs; {title} of Paddle and PyTorch over the epochs. "
                + _ends(series, y_label),
                "epoch",
                y_label,
                tuple(series),
                log_y=kind == "train",
            )
        )
    return made


def _ends(series: list[Series], what: str) -> str:
    ends = [one.y[-1] for one in series]
    return f"All end between {min(ends):.3g} and {max(ends):.3g} ({what})."


def _points(folder: str, kind: str, key: str) -> tuple[list[float], list[float]] | None:
    """Epochs and values of a run's log lines; losses as the mean over each epoch's lines."""
    by_epoch: dict[int, list[float]] = {}
    for line in read_lines(f"{folder}/metrics.jsonl"):
        if line["kind"] == kind:
            by_epoch.setdefault(line["epoch"], []).append(line[key])
    if not by_epoch:
        return None
    epochs = sorted(by_epoch)
    return [e + 1 for e in epochs], [sum(by_epoch[e]) / len(by_epoch[e]) for e in epochs]


def first_steps() -> list[Block]:
    """Where the two part: relative difference of the losses over the first steps."""
    steps = read_json(f"{FOLDER}/first_steps.json")
    if not steps:
        return [absent("the first steps in float64")]
    charts, rows = [], []
    fewest = min(len(one["paddle"]) for found in steps.values() for one in found.values())
    for name, precisions in steps.items():
        series = []
        for color, precision in enumerate(sorted(precisions, reverse=True)):
            difference = precisions[precision]["relative_difference"]
            # A logarithmic axis has no place for equal losses: they stand at its lower end.
            shown = [max(value, 1e-17) for value in difference]
            series.append(
                Series(precision, numbers(range(1, len(shown) + 1)), numbers(shown, 3), color)
            )
            beyond = precisions[precision]["first_step_beyond"]
            rows.append(
                [
                    f"{label(name)}, {precision}",
                    Cell(f"{max(difference):.1e}", f"{FOLDER}/first_steps.json"),
                    *["never" if step is None else str(step + 1) for step in beyond.values()],
                ]
            )
            limits = list(beyond)
        last = {one.name: one.y[-1] for one in series}
        charts.append(
            Chart(
                f"{name}-first-steps",
                "lines",
                f"{label(name)}: where the two part",
                "Relative difference of the training loss, step by step, from the same weights on "
                f"the same batches, [record]({FOLDER}/first_steps.json).",
                "Relative difference after the last step shown: "
                + ", ".join(f"{p} {v:.1e}" for p, v in last.items())
                + ".",
                "step",
                "relative difference of the loss",
                tuple(series),
                log_y=True,
            )
        )
    caption = (
        "First step at which the losses of Paddle and PyTorch differ by more than so much "
        f"(relative), of {fewest} steps or more"
    )
    header = ["run", "largest", *[f"> {limit}" for limit in limits]]
    table = Table(caption, header, rows, frozenset(range(1, len(header))))
    return [Charts(charts), *_epsilon(steps), table]


def _epsilon(steps: dict[str, Any]) -> list[Block]:
    """Why they part in float64, where it was tried."""
    tried = {
        name: max(found["relative_difference"])
        for name, precisions in steps.items()
        for variant, found in precisions.items()
        if "epsilon" in variant
    }
    if not tried:
        return []
    results = "; ".join(f"{label(name)}: at most {most:.1e} apart" for name, most in tried.items())
    return [
        Text(
            "Why the two part in float64: Paddle's batch norm holds its epsilon of 1e-5 in "
            "float32, also when it computes in float64, which takes 2.5e-8 of it away. Where "
            "activations are as small as HRNet's at its start (weights of 0.001), epsilon is much "
            "of what they are divided by, and training makes the difference grow. The same steps "
            f"with the same rounded epsilon in PyTorch ({results}) show how much of the difference "
            "that is."
        )
    ]
