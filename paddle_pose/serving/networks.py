"""The networks that the page offers: given by options, packaged, trained or exported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from paddle_pose.commands.predict import Network
from paddle_pose.errors import UserError
from paddle_pose.inference.exported import CARD
from paddle_pose.inference.predictor import PACKAGED, PosePredictor, packaged_weights

_LOADED = 3
"""Networks that stay in memory; the one used longest ago goes."""


@dataclass(frozen=True)
class Choice:
    """A network by the name that the page shows; ``stamp`` changes with its file."""

    network: Network
    stamp: int


class Networks:
    """What visitors can choose from; ``output`` is looked through again each time."""

    def __init__(self, given: Network, output: Path) -> None:
        self._given, self._output = given, output
        self._load = lru_cache(_LOADED)(_loaded)

    def names(self) -> list[str]:
        """The default first; Raises UserError where there is none at all."""
        return list(self._choices())

    def get(self, name: str | None = None) -> PosePredictor:
        """Loaded, by its name, or the default one; Raises UserError."""
        choices = self._choices()
        chosen = next(iter(choices)) if name is None else name
        if chosen not in choices:
            raise UserError(f"{chosen}: this network is not offered any more; reload the page")
        return self._load(choices[chosen])

    def _choices(self) -> dict[str, Choice]:
        found: dict[str, Choice] = {}
        for name, network, file in self._found():
            stamp = _stamp(file)
            if stamp or network is self._given:  # what was asked for is tried, there or not
                found.setdefault(name, Choice(network, stamp))
        if not found:
            packaged_weights()
        return found

    def _found(self) -> Iterator[tuple[str, Network, Path]]:
        """Name, network, and the file that says whether it is there and new."""
        given = self._given
        if given.exported is not None:
            yield str(given.exported), given, given.exported
        elif given.weights is not None:
            yield str(given.weights), given, given.weights
        others = replace(given, weights=None, recipe=None, exported=None)
        yield f"{PACKAGED.stem} (packaged)", others, PACKAGED
        for recipe in sorted(self._output.glob("*/recipe.yaml")):
            run = recipe.parent
            weights = run / "best_model" / "model.pdparams"
            yield str(run), replace(others, weights=weights), weights
        plain = replace(others, device=None, engine=None, precision=None)
        for depth in ("*", "*/*"):
            for card in sorted(self._output.glob(f"{depth}/{CARD}")):
                yield str(card.parent), replace(plain, exported=card.parent), card


def _loaded(choice: Choice) -> PosePredictor:
    return choice.network.open(1)


def _stamp(file: Path) -> int:
    """When it was last written; 0 where it is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
