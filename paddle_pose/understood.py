"""What was understood of a user's files and settings: said once before work, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ASSUMED = "assumed"


@dataclass(frozen=True)
class Fact:
    """One thing that was understood.

    Attributes:
        what: its short name, the key in ``record.json`` and ``scores.json``: ``flip_pairs``.
        value: as plain data, for those files.
        text: for a person, without ``what``: ``6 pairs, by their names``.
        source: ``file``, ``recipe``, ``known name``, ``counted``; or ``assumed`` for what nobody
            stated.
    """

    what: str
    value: Any
    text: str
    source: str = "file"

    def line(self) -> str:
        """``=> flip_pairs: …``; ``assumed: …`` for what was assumed."""
        head = "assumed: " if self.source == ASSUMED else "=> "
        return f"{head}{self.what}: {self.text}"


@dataclass(frozen=True)
class Understood:
    """Facts in the order in which they are said."""

    facts: tuple[Fact, ...] = ()

    def __add__(self, other: Understood) -> Understood:
        """Both; of facts about the same thing the later one, in the earlier place."""
        found = {fact.what: fact for fact in (*self.facts, *other.facts)}
        return Understood(tuple(found.values()))

    def tell(self) -> None:
        """One line each on the terminal."""
        for fact in self.facts:
            print(fact.line(), flush=True)

    def plain(self) -> Mapping[str, Any]:
        """``{what: {"value": …, "source": …}}`` for record.json and scores.json."""
        return {fact.what: {"value": fact.value, "source": fact.source} for fact in self.facts}


NOTHING = Understood()


def counted(count: int, one: str, many: str = "") -> str:
    """``1 pair``, ``1,200 pairs``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
