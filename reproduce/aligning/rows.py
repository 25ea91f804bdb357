"""One compared quantity as a row; files of rows; the printed table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import json_text, write_text

STEPS = (
    "forward",
    "data",
    "metric",
    "decode",
    "loss",
    "learning rate",
    "backward",
    "optimiser",
    "batch norm",
    "initialisation",
    "pruning",
)
"""Paddle's method in its order, with decoding and batch norm's statistics named apart."""


@dataclass(frozen=True)
class Reference:
    """Whose code made the other side: repository, commit, and the file (with the function)."""

    repository: str
    commit: str
    file: str


@dataclass(frozen=True)
class Row:
    """One quantity of one step.

    Attributes:
        network: a name of ``networks.NETWORKS``, or ``mpii`` / ``coco`` for what every network on
            that data set shares.
        step: one of STEPS.
        precision: ``float64``, ``float32``, or what the quantity is made of.
        quantity: what is compared, and whether relative or in which unit.
        difference: the largest one.
        tolerance: None where a row states an effect that was measured and judges nothing.
        tolerance_source: where the tolerance comes from.
        reference: the other side.
        evidence: ``recorded`` (arrays that the reference wrote once) or ``live`` (it ran now).
        code: digest of what of ours made it (see ``freshness``); empty before it is written.
        arrays: ours and the reference's, where they are small enough to keep; not written.
    """

    network: str
    step: str
    precision: str
    quantity: str
    difference: float
    tolerance: float | None
    tolerance_source: str
    reference: Reference
    evidence: str = "recorded"
    code: str = ""
    arrays: tuple[np.ndarray, np.ndarray] | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> bool | None:
        """Whether the difference is within the tolerance (nan is not); None without one."""
        return None if self.tolerance is None else bool(self.difference <= self.tolerance)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells one row from the others of its file."""
        return self.step, self.precision, self.quantity, self.reference.repository


def to_json(row: Row) -> dict[str, Any]:
    """The row as data: difference and tolerance to two digits, as the order of sums moves others.

    Rounding keeps their order, so a row that is within stays within; one that is not stays exact.
    """
    values = asdict(replace(row, arrays=None))
    del values["arrays"]
    values["ok"] = row.ok
    if not math.isfinite(row.difference):
        values["difference"] = None
    elif row.ok is not False:
        values["difference"] = float(f"{row.difference:.2g}")
        values["tolerance"] = None if row.tolerance is None else float(f"{row.tolerance:.2g}")
    return values


def from_json(values: dict[str, Any]) -> Row:
    """The reverse of ``to_json``; Raises KeyError or TypeError for another shape."""
    values = {name: value for name, value in values.items() if name != "ok"}
    if values["difference"] is None:
        values["difference"] = math.nan
    return Row(**{**values, "reference": Reference(**values["reference"])})


def read(file: Path) -> list[Row]:
    """Rows of a file, none if there is no file.

    Raises:
        UserError: it is not a file of rows.
    """
    if not file.exists():
        return []
    try:
        return [from_json(values) for values in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not a list of alignment rows ({error}); delete it") from error


def same(old: Row, new: Row) -> bool:
    """Whether a row says what it said: of the same code, and all but the difference alike.

    The difference moves by rounding, with the threads and the machine. A live row draws numbers of
    its own each time, and with them some tolerances: there the same commit and verdict will do.
    """
    if (old.key, old.code, old.ok, old.evidence) != (new.key, new.code, new.ok, new.evidence):
        return False
    if new.evidence == "live":
        return old.reference.commit == new.reference.commit
    facts = [
        replace(row, difference=0.0, tolerance=to_json(row)["tolerance"]) for row in (old, new)
    ]
    return facts[0] == facts[1]


def renewed(
    rows: Iterable[Row], folder: Path, keep: Callable[[Row], bool] = lambda row: False
) -> dict[Path, list[Row]]:
    """What ``<network>.json`` (``live_<network>.json`` for live rows) becomes with these rows.

    A row that stands there and says the ``same`` stays as it is. One that was not made stays where
    ``keep`` says so: a run that cannot make them all leaves the others.
    """
    files: dict[Path, dict[tuple, Row]] = {}
    for row in rows:
        prefix = "live_" if row.evidence == "live" else ""
        files.setdefault(folder / f"{prefix}{row.network}.json", {})[row.key] = row
    for file, made in files.items():
        for old in read(file):
            new = made.get(old.key)
            if same(old, new) if new else keep(old):
                made[old.key] = old
    return {
        file: sorted(kept.values(), key=lambda row: (STEPS.index(row.step), row.key))
        for file, kept in sorted(files.items())
    }


def write(files: dict[Path, list[Row]]) -> None:
    """The rows of each file, where it says anything else."""
    for file, rows in files.items():
        lines = ",\n".join(json_text(to_json(row)) for row in rows)
        text = f"[\n{lines}\n]\n"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)


def news(files: dict[Path, list[Row]]) -> list[str]:
    """A line for whatever ``write`` would change."""
    lines = []
    for file, rows in files.items():
        before, now = ({row.key: row for row in some} for some in (read(file), rows))
        other_code = set()
        for key in sorted(before.keys() | now.keys(), key=lambda key: (STEPS.index(key[0]), key)):
            old, new = before.get(key), now.get(key)
            what = f"{file.name}: {key[0]}, {key[1]}, {key[2]}"
            if old is None or new is None:
                lines.append(f"{what}: {'not recorded' if new else 'recorded and no longer made'}")
            elif old.code != new.code:
                other_code.add(key[0])
            elif old != new:
                lines.append(f"{what}: recorded with another verdict, tolerance or reference")
        if other_code:
            steps = ", ".join(sorted(other_code, key=STEPS.index))
            lines.append(f"{file.name}: other code made its rows of {steps}")
    return lines


HEADER = ("network", "step", "precision", "quantity", "difference", "tolerance", "ok", "because")


def table(rows: Sequence[Row]) -> str:
    """The rows as text, one line each, for a wide terminal."""
    words = {True: "yes", False: "NO", None: "-"}
    lines = [HEADER]
    for row in rows:
        tolerance = "-" if row.tolerance is None else f"{row.tolerance:.1e}"
        lines.append(
            (
                row.network + (" (live)" if row.evidence == "live" else ""),
                row.step,
                row.precision,
                row.quantity,
                f"{row.difference:.1e}",
                tolerance,
                words[row.ok],
                row.tolerance_source,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER) - 1)]
    padded = [[c.ljust(w) for c, w in zip(line, widths, strict=False)] for line in lines]
    return "\n".join(
        "  ".join([*cells, line[-1]]) for cells, line in zip(padded, lines, strict=True)
    )
