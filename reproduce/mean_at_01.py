"""What does "Mean@0.1" mean? A section of the report, from the records and published.csv.

``python -m reproduce.mean_at_01`` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reproduce import conventions, published, training_logs
from reproduce.published import PublishedRow

MMPOSE_BEFORE, MMPOSE_AFTER = "mmpose0_2020", "mmpose0"
PUBLISHERS = {
    "hrnet_readme": "HRNet's README",
    "simplebaseline_readme": "SimpleBaseline's README",
    "paddledetection": "PaddleDetection's model zoo",
    "fluid": "Paddle Fluid's README",
    "mmpose0_2020": "mmpose's model zoo until March 2021",
    "mmpose0": "mmpose 0.x's model zoo since",
    "mmpose1": "mmpose 1.x's model zoo",
    "predecessor": "the Paddle predecessor's README",
}
"""Who prints a column of that name, as ids in published.csv begin."""

MIXED = (
    (
        ("predecessor:hourglass52_mpii_256x256", "Mean@0.1"),
        ("hrnet_readme:hrnet_w32_mpii_256x256", "Mean@0.11"),
    ),
    (
        ("mmpose1:hrnet_w32_mpii_256x256", "Mean@0.1"),
        ("hrnet_readme:hrnet_w32_mpii_256x256", "Mean@0.11"),
    ),
    (
        ("mmpose1:hourglass52_mpii_256x256", "Mean@0.1"),
        ("mmpose0_2020:hourglass52_mpii_256x256", "Mean@0.11"),
    ),
    (
        ("paddledetection:w32_mpii_256x256", "Mean@0.11"),
        ("mmpose1:hrnet_w32_dark_mpii_256x256", "Mean@0.1"),
    ),
    (
        ("mmpose1:resnet_50_mpii_256x256", "Mean@0.1"),
        ("simplebaseline_readme:res50_mpii_256x256", "Mean@0.11"),
    ),
)
"""Numbers that stand under one name and are not one thing."""


def section() -> str:
    """The section as Markdown, without a heading."""
    rows = published.load()
    record = conventions.read(conventions.FILE)
    return "\n\n".join(
        [
            _answer(record),
            _who(rows),
            _change(rows),
            _mixed(rows),
            _others(record),
            _best_epoch(),
        ]
    )


def _answer(record: dict[str, Any]) -> str:
    low, high = _range(record, "index 11", "Mean@0.1")
    one = record["sets"]["newell_8_stacks"]
    at_10, at_11 = (one["official"][name]["value"] for name in ("Mean@0.1", "Mean@0.11"))
    return (
        "A predicted joint counts as found when it lies within some fraction of the person's head "
        'size from the labelled place. "Mean" takes half a head. "Mean@0.1" is meant to take a '
        "tenth. The scripts evaluate all the fractions 0, 0.01, 0.02, … and print one row of the "
        "result; counted from 0, the tenth of a head is row 10. HRNet's script prints row 11, "
        "which is 0.11, and every table that was made with it or with a copy of it says 0.11 "
        f"under the name 0.1. On {len(record['sets'])} public sets of predictions the one row is "
        f"worth {low:.1f} to {high:.1f} points: Newell's 8 stacks, for one, score {at_10:.2f} at "
        f"0.10 and {at_11:.2f} at 0.11 ([record](rescored/conventions.json)). That is more than "
        "lies between most of the networks in these tables. Here both are printed, each under "
        "its own name: `Mean@0.1` is 0.10, `Mean@0.11` is 0.11."
    )


def _who(rows: Iterable[PublishedRow]) -> str:
    thresholds: dict[str, set[str]] = {}
    for row in rows:
        threshold = row.protocol.threshold
        if row.metric_name.startswith("Mean@"):
            thresholds.setdefault(row.id.partition(":")[0], set()).add(threshold)
    lines = ["| who prints “Mean@0.1” | what it is |", "| --- | --- |"]
    for publisher, label in PUBLISHERS.items():
        (threshold,) = thresholds[publisher]
        lines.append(f"| {label} | {float(threshold):.2f} |")
    return "\n".join(lines)


def _change(rows: tuple[PublishedRow, ...]) -> str:
    pairs = []
    for row in rows:
        publisher, _, name = row.id.partition(":")
        if publisher == MMPOSE_BEFORE and row.metric_name == "Mean@0.11":
            after = _find(rows, f"{MMPOSE_AFTER}:{name}", "Mean@0.1")
            pairs.append((row.value - after.value, row, after))
    gaps = [gap for gap, _, _ in pairs]
    _, before, after = pairs[0]
    return (
        f"mmpose shows it on its own weights. Its table of 2020 says {before.value:.1f} for "
        f"{before.protocol.network} at {before.protocol.input_hw}; pull request 516 (March 2021) "
        f"put {after.value:.1f} there, for the same file of weights; pull request 773 (July 2021) "
        f"then moved the code from row 11 to row 10. Over its {len(pairs)} Hourglass, HRNet and "
        f"SimpleBaseline rows the change is {min(gaps):.1f} to {max(gaps):.1f} points. Between the "
        "two dates the code still printed 0.11 beside a table of 0.10."
    )


def _mixed(rows: tuple[PublishedRow, ...]) -> str:
    lines = [
        "Comparisons that mix two meanings. Each pair stands under one name, and is compared in "
        "practice (jeffffffli/res-loglikelihood-regression issue 32 asks why one of 33.911 is 25.4 "
        "elsewhere):",
        "",
        "| one number | the other | what keeps them apart |",
        "| --- | --- | --- |",
    ]
    for one, other in MIXED:
        left, right = _find(rows, *one), _find(rows, *other)
        reasons = published.differences(left.protocol, right.protocol)
        if not reasons:
            raise ValueError(f"{one} and {other} compare; they are no example of a mixture")
        cells = [f"{_label(row)}: {row.value:.1f} (`{row.source}`)" for row in (left, right)]
        lines.append(f"| {cells[0]} | {cells[1]} | {'; '.join(reasons)} |")
    return "\n".join(lines)


def _label(row: PublishedRow) -> str:
    return f"{PUBLISHERS[row.id.partition(':')[0]]}, {row.protocol.network}"


def _others(record: dict[str, Any]) -> str:
    names = {
        "one pixel": "adding 1 to every coordinate",
        "plain mean": "the plain mean over joints",
        "16 joints": "pelvis and thorax in the mean",
        "strict": "`<` in the place of `<=`",
    }
    parts = []
    for name, words in names.items():
        half, tenth = (_range(record, name, metric) for metric in ("Mean", "Mean@0.1"))
        parts.append(f"{words} {_signed(*half)} at 0.5 and {_signed(*tenth)} at 0.10")
    worst = max(
        record["sets"].values(), key=lambda one: abs(_difference(one, "one pixel", "Mean@0.1"))
    )
    low, high = worst["conventions"]["one pixel"]["Mean@0.1"]["interval"]
    return (
        f"The other conventions, in points over the same sets: {'; '.join(parts)}. The pixel is "
        f"the treacherous one. {worst['label']}: "
        f"{_difference(worst, 'one pixel', 'Mean'):+.2f} at half a head, which nobody would "
        f"notice, and {_difference(worst, 'one pixel', 'Mean@0.1'):+.2f} (95 % interval {low:.2f} "
        f"to {high:.2f}) at a tenth, as much as the wrong row. Its code cuts positions to whole "
        "pixels (bearpaw/pytorch-pose pose/utils/transforms.py:117 @edc7aec), and its table, at "
        "0.5, follows to the last digit from the file as it stands."
    )


def _best_epoch() -> str:
    runs = training_logs.read()["runs"]
    parts = []
    for run, size in ((runs[f"hourglass52_mpii_{s}"], s) for s in ("256x256", "384x384")):
        score = run["scores"]["Mean@0.1"]
        parts.append(
            f"{size}: {score['best']:.2f} in epoch {score['best_epoch']}, "
            f"{score['last_10']['mean']:.2f} ± {score['last_10']['sd']:.2f} over the last ten"
        )
    return (
        "One more thing is in some published values at 0.10: the predecessor kept the best of 210 "
        f"epochs by this very score on these very people ({'; '.join(parts)}; "
        "[record](training_logs.json)). A comparison at 0.10 that is about less than that is about "
        "nothing."
    )


def _find(rows: Iterable[PublishedRow], name: str, metric: str) -> PublishedRow:
    return next(row for row in rows if (row.id, row.metric_name) == (name, metric))


def _difference(one: dict[str, Any], convention: str, metric: str) -> float:
    return one["conventions"][convention][metric]["difference"]


def _range(record: dict[str, Any], convention: str, metric: str) -> tuple[float, float]:
    found = [
        _difference(one, convention, metric)
        for one in record["sets"].values()
        if convention in one["conventions"]
    ]
    return min(found), max(found)


def _signed(low: float, high: float) -> str:
    if f"{low:+.2f}" == f"{high:+.2f}":
        return "0" if f"{low:.2f}" in ("0.00", "-0.00") else f"{low:+.2f}"
    return f"{low:+.2f} to {high:+.2f}"


if __name__ == "__main__":
    print(section())
