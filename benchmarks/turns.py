"""How a comparison is measured: processes that take turns, A B A B or A B C A B C; medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.harness import Child, Comparison, Options, Side, SideError, Target


@dataclass(frozen=True)
class Row:
    """A measured comparison, as the record keeps it."""

    name: str
    work: str
    unit: str
    target: Target | None
    ours: dict[str, Any] | None
    theirs: dict[str, Any] | None
    reached: float | None
    met: bool | None
    note: str = ""
    failed: bool = False
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    rivals: list[dict[str, Any]] = field(default_factory=list)
    """What was measured of each, or its label and a note; ``theirs`` is the fastest."""

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def compare(
    comparison: Comparison, options: Options, progress: Callable[[int], None] = lambda runs: None
) -> Row:
    """Measure one row; ``progress`` is called with the number of runs just done.

    A side that cannot run here leaves the other one's times in the row, and a note.
    """
    if not comparison.anew:
        return _compare(comparison, options, progress)
    one = replace(comparison, anew=False, pairs=1)
    pairs = comparison.runs(options)[1]
    made = [_compare(one, replace(options, pairs=None), progress) for _ in range(pairs)]
    whole = [row for row in made if row.ours and (row.theirs or not comparison.theirs)]
    failed = next((row for row in made if row.failed or row not in whole), None)
    return failed or _joined(comparison.target, made)


def _joined(target: Target | None, rows: list[Row]) -> Row:
    """One row of several with a pair each."""

    def side(name: str) -> dict[str, Any] | None:
        made = [getattr(row, name) for row in rows]
        if made[0] is None:
            return None
        samples = [sample for one in made for sample in one["samples"]]
        return {
            **made[0],
            "median": statistics.median(samples),
            "samples": samples,
            "busy_cores": statistics.median(one["busy_cores"] for one in made),
            "peak_mib": max(one["peak_mib"] or 0.0 for one in made) or None,
        }

    ours, theirs = side("ours"), side("theirs")
    reached = target and target.reached(ours["samples"], theirs["samples"] if theirs else None)
    met = None if reached is None else target.met(reached)
    return replace(rows[0], ours=ours, theirs=theirs, reached=reached, met=met)


@dataclass
class _Trouble:
    """What went wrong in a row: what its note says, and why which rival is not in it."""

    notes: list[str]
    failed: bool = False
    lost: dict[str, str] = field(default_factory=dict)


def _compare(comparison: Comparison, options: Options, progress: Callable[[int], None]) -> Row:
    """The row with the same processes for all pairs."""
    trouble = _Trouble([comparison.missing] if comparison.missing else [])
    children: list[Child] = []
    figures = {}
    try:
        _begin(comparison, options, children, trouble, progress)
        try:
            for _ in range(comparison.runs(options)[1]):
                for child in children:
                    child.run()
                    progress(1)
            for child in children:
                found = child.figures()
                if child.side in (comparison.ours, comparison.theirs):  # others are not alike
                    figures["ours" if child.side is comparison.ours else "theirs"] = found
        except SideError as error:
            trouble.notes.append(str(error))
            trouble.failed = True
        return _row(comparison, children, trouble, figures)
    finally:
        for child in children:
            child.__exit__()


def _begin(
    comparison: Comparison,
    options: Options,
    children: list[Child],
    trouble: _Trouble,
    progress: Callable[[int], None],
) -> None:
    """Set every side up and warm it up; ``children`` are those that could."""
    for side in comparison.sides:
        child = Child(side, options)
        children.append(child)
        try:
            child.wait_ready()
            for _ in range(comparison.runs(options)[0]):
                child.run(keep=False)
                progress(1)
        except SideError as error:
            trouble.failed = trouble.failed or not error.skipped
            if side in comparison.rivals:
                trouble.lost[side.label] = str(error).splitlines()[0].partition(": ")[2]
            if side in (comparison.ours, comparison.theirs) or not error.skipped:
                trouble.notes.append(str(error))
            children.remove(child)
            child.__exit__()


def _row(
    comparison: Comparison,
    children: list[Child],
    trouble: _Trouble,
    figures: dict[str, dict[str, float]],
) -> Row:
    measured = [child for child in children if child.samples]
    both = (
        next((child for child in measured if child.side is side), None)
        for side in (comparison.ours, comparison.also_ours)
    )
    own = [child for child in both if child]
    others = [child for child in measured if child not in own]
    ours, theirs = (
        min(some, key=lambda child: statistics.median(child.samples), default=None)
        for some in (own, others)
    )
    reached = met = None
    if comparison.target and ours:
        reached = comparison.target.reached(ours.samples, theirs.samples if theirs else None)
    if reached is not None:
        met = comparison.target.met(reached)
    note, failed = "; ".join(trouble.notes), trouble.failed
    if len(figures) == 2:
        first, second = figures.values()
        apart = [n for n in first if not abs(first[n] - second[n]) <= comparison.tolerance]
        if apart or first.keys() != second.keys():
            note, met, failed = f"{note}; figures differ: {apart}".strip("; "), False, True
    return Row(
        name=comparison.name,
        work=comparison.work,
        unit=comparison.unit,
        target=comparison.target,
        ours=ours.measured() if ours else None,
        theirs=theirs.measured() if theirs else None,
        reached=reached,
        met=met,
        note=note,
        failed=failed,
        figures=figures,
        rivals=[_found(side, others, trouble) for side in comparison.rivals],
    )


def _found(side: Side, measured: list[Child], trouble: _Trouble) -> dict[str, Any]:
    """What the record keeps of a rival."""
    child = next((child for child in measured if child.side is side), None)
    why = {"label": side.label, "note": trouble.lost.get(side.label, "not run to the end")}
    return child.measured() if child else why
