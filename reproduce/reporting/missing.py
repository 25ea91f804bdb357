"""What is missing behind a row whose number is not tested: a sentence, and of which kind it is."""

from __future__ import annotations

import re

from reproduce.reporting.published_rows import TableRow

TECHNIQUES = {
    "coarsedropout": "coarse dropout",
    "gridmask": "grid mask",
    "photometric": "photometric distortion",
}
WITHOUT_TEST = ("aligned", "not run")
"""Verdicts whose rows say what is missing."""
KINDS = {
    r"never run here": "its publisher's code was never run here",
    r"training (\w+ )*is not published": "its training is not published",
    r"server holds the truth|truth of .* is not public": "the truth of its test set is not public",
    r"^no boxes|which detector's boxes": "the boxes it was measured with are not public",
    r"its weights are not published|^no weights": "no weights of it that porting can fetch",
    r"no alignment record|no record of|outside its tolerance": "not compared with official code",
    r"another network|network code|stride stands": "network not built",
    r"^no benchmark": "its protocol is not stated in full, or not built",
    r"no recipe": "no recipe here of its training",
}
"""Pattern of a sentence → its kind, in one line of a table; the first that fits."""


def sentence(row: TableRow, lacking: str) -> str:
    """Why a row's number is not tested.

    Args:
        row: of published.csv.
        lacking: its verdict's reason.

    Raises:
        ValueError: there is none.
    """
    if not lacking:
        raise ValueError(f"{row.id}: not tested, and nothing says why")
    technique = TECHNIQUES.get(row.variant, row.variant)
    return lacking.replace("trained with this augmentation", f"trained with {technique}")


def kind(lacking: str) -> str:
    """Of KINDS.

    Raises:
        ValueError: of none.
    """
    for pattern, name in KINDS.items():
        if re.search(pattern, lacking):
            return name
    raise ValueError(f"no kind of reason: {lacking}")
