"""Skin, hair and clothes of the drawn people.

Fronts show a face, collar, buttons or print; backs show hair and plainer cloth, so that left and
right can be told from the picture and not from the position alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def bgr(*codes: str) -> np.ndarray:
    """(N, 3) float BGR colours from hexadecimal RGB codes."""
    return np.array([[int(code[i : i + 2], 16) for i in (4, 2, 0)] for code in codes], np.float64)


FRONT_TINT = 0.1
"""Cloth is so much lighter in front and darker behind, as after some wear: where no seam shows."""

_SKINS = bgr("f3cfb3", "e8b894", "d9a074", "c68b5c", "a56d42", "80502f", "5a3822")
_HAIRS = bgr("1c1512", "2b1b12", "4a2e1a", "6f4522", "a06a32", "d3ab62", "8a8783", "8c3a1c")
_CLOTHS = bgr(
    "f2f2ee", "23262e", "c0272d", "1f4e9e", "2c8a4b", "f0b429", "e86a1c", "7a3b8f", "3fb3c6",
    "e58fb1", "8d9aa5", "6b4a2f", "1b2f55", "a8c94a", "7d1f2e", "d8c49a",
)  # fmt: skip
_TROUSERS = bgr(
    "20242c", "2d4a78", "4b6d9c", "6d6f73", "c9b48a", "5a4632", "e6e4de", "3c4a33", "7b2230",
    "8b95a1",
)  # fmt: skip
_SHOES = bgr("f4f4f4", "1d1d1f", "b3242b", "6a4526", "2456a6", "f08a24")

_HAIR_STYLES = ("short", "long", "bun", "cap", "bald", "bob")


@dataclass(frozen=True)
class Look:
    """Colours (BGR) and cuts of one person's clothes, skin and hair."""

    skin: np.ndarray
    hair: np.ndarray
    hair_style: str
    beard: bool
    glasses: bool
    top: str
    cloth: np.ndarray
    accent: np.ndarray
    sleeve: float
    sleeves_differ: bool
    trousers: np.ndarray
    trouser_length: float
    skirt: bool
    shoes: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator, behind_bgr: np.ndarray) -> Look:
        """A random outfit that mostly stands out from the mean colour behind the person."""

        def pick(colours: np.ndarray, avoid: np.ndarray, tries: int) -> np.ndarray:
            chosen = colours[rng.integers(len(colours), size=tries)] + rng.normal(0, 9, (tries, 3))
            distance = np.linalg.norm(chosen - avoid, axis=1)
            return np.clip(chosen[distance.argmax()], 8, 247)

        tries = int(rng.choice((1, 3, 6), p=(0.15, 0.35, 0.5)))
        skin = _SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.94, 1.04)
        cloth = pick(_CLOTHS, behind_bgr, tries)
        trousers = pick(_TROUSERS, 0.5 * (behind_bgr + cloth), tries)
        feminine = rng.random() < 0.5
        top = str(rng.choice(list(_CUTS)))
        long_sleeved = top in ("jacket", "hoodie", "suit") or rng.random() < 0.3
        return cls(
            skin=np.clip(skin, 0, 250),
            hair=pick(_HAIRS, skin, 2),
            hair_style=str(
                rng.choice(_HAIR_STYLES, p=(0.15, 0.4, 0.16, 0.05, 0, 0.24))
                if feminine
                else rng.choice(_HAIR_STYLES, p=(0.66, 0.05, 0, 0.18, 0.08, 0.03))
            ),
            beard=bool(not feminine and rng.random() < 0.25),
            glasses=bool(rng.random() < 0.15),
            top=top,
            cloth=cloth,
            accent=pick(_CLOTHS, cloth, 5),
            sleeve=1.9 if long_sleeved else 0.0 if top == "tank" else rng.uniform(0.35, 0.75),
            sleeves_differ=bool(rng.random() < 0.05),
            trousers=trousers,
            trouser_length=1.95 if rng.random() < 0.68 else rng.uniform(0.45, 1.25),
            skirt=bool(feminine and rng.random() < 0.25),
            shoes=pick(_SHOES, trousers, 3),
        )


@dataclass
class _Panel:
    """The cloth around the trunk, as arrays over its facets.

    Attributes:
        look: the outfit.
        x: distance from the middle line, head lengths.
        h: height, 0 at the pelvis and 1 at the thorax.
        front: bool, the half towards the face.
        colours: (..., 3), painted by the cuts below.
    """

    look: Look
    x: np.ndarray
    h: np.ndarray
    front: np.ndarray
    colours: np.ndarray

    def paint(self, where: np.ndarray, colour: np.ndarray) -> None:
        self.colours[where] = colour

    @property
    def dark(self) -> np.ndarray:
        return self.look.cloth * 0.55

    @property
    def pale(self) -> np.ndarray:
        """A near white, or a near black on light cloth."""
        return _PALE if self.look.cloth.mean() < 175 else _INK

    def neckline(self, lowest: float = 0.8) -> None:
        self.paint(self.front & (self.x < 1.1 * (self.h - lowest)), self.look.skin)


_PALE, _INK, _BUCKLE = bgr("f0eeec", "2e3034", "e1cd78")


def _tee(panel: _Panel) -> None:
    panel.paint(panel.front & (panel.x < 1.1 * (panel.h - 0.74)), panel.dark)  # ribbed collar
    panel.neckline()
    pocket = panel.front & (abs(panel.x - 0.26) < 0.11) & (abs(panel.h - 0.64) < 0.09)
    panel.paint(pocket, panel.look.accent)


def _print(panel: _Panel) -> None:
    panel.paint(panel.front & (panel.x < 0.27) & (abs(panel.h - 0.6) < 0.18), panel.look.accent)
    panel.neckline(0.86)


def _stripes(panel: _Panel) -> None:
    panel.paint(np.floor(panel.h * 9) % 2 == 0, panel.look.accent)
    panel.paint(panel.front & (panel.x < 0.12) & (panel.h > 0.45), panel.pale)
    panel.neckline(0.74)


def _buttons(panel: _Panel) -> None:
    panel.paint(panel.front & (panel.x < 0.085), panel.dark)
    panel.paint(panel.front & (panel.x < 0.06) & (np.floor(panel.h * 13) % 2 == 0), panel.pale)
    panel.paint(panel.front & (panel.x < 0.24) & (panel.h > 0.9), panel.pale)


def _jacket(panel: _Panel) -> None:
    panel.paint(panel.front & (panel.x < 0.21), panel.dark)
    panel.paint(panel.front & (panel.x < 0.15), panel.look.accent)
    panel.neckline(0.84)


def _hoodie(panel: _Panel) -> None:
    x, h = panel.x, panel.h
    panel.paint(panel.front & (x < 0.045), panel.pale)
    panel.paint(panel.front & (abs(x - 0.2) < 0.13) & (h > 0.1) & (h < 0.34), panel.dark)
    panel.paint(~panel.front & (h > 0.84) & (x < 0.34), panel.dark)
    panel.neckline(0.9)


def _suit(panel: _Panel) -> None:
    panel.paint(panel.front & (panel.x < 0.6 * (panel.h - 0.3)), panel.dark)  # lapels
    panel.paint(panel.front & (panel.x < 0.55 * (panel.h - 0.42)), _PALE)
    panel.paint(panel.front & (panel.x < 0.06) & (panel.h > 0.42), panel.look.accent)


def _tank(panel: _Panel) -> None:
    bare = np.where(panel.front, 0.8, 0.93)
    panel.paint((panel.h > bare) & (abs(panel.x - 0.25) > 0.11), panel.look.skin)
    panel.paint(panel.front & (panel.x < 0.2) & (abs(panel.h - 0.48) < 0.13), panel.look.accent)


def _dungarees(panel: _Panel) -> None:
    x, h, cloth = panel.x, panel.h, panel.look.trousers
    panel.neckline()
    panel.paint(panel.front & (x < 0.33) & (h < 0.72), cloth)
    panel.paint(panel.front & (abs(x - 0.27) < 0.07), cloth)
    panel.paint(panel.front & (x < 0.14) & (abs(h - 0.58) < 0.08), cloth * 0.6)
    panel.paint(~panel.front & (abs(x - 0.33 * h) < 0.06), cloth)


_CUTS: dict[str, Callable[[_Panel], None]] = {
    "tee": _tee,
    "print": _print,
    "stripes": _stripes,
    "buttons": _buttons,
    "jacket": _jacket,
    "hoodie": _hoodie,
    "suit": _suit,
    "tank": _tank,
    "dungarees": _dungarees,
}


def top_colours(look: Look, x: np.ndarray, h: np.ndarray, front: np.ndarray) -> np.ndarray:
    """(..., 3) by distance ``x`` from the middle line, height ``h`` (pelvis 0, thorax 1), side."""
    panel = _Panel(look, x, h, front, np.broadcast_to(look.cloth, (*x.shape, 3)).copy())
    _CUTS[look.top](panel)
    panel.paint(h < 0.02, look.trousers)
    if look.top != "dungarees":
        panel.paint((h > -0.01) & (h < 0.05), _INK)
        panel.paint(front & (x < 0.08) & (h > -0.01) & (h < 0.05), _BUCKLE)
        panel.paint(front & (x < 0.03) & (h < -0.01), look.trousers * 0.6)
    pockets = ~front & (abs(x - 0.22) < 0.1) & (h < -0.01) & (h > -0.12)
    panel.paint(pockets, look.trousers * 0.6)
    panel.paint(h > 1.13, look.skin)
    return panel.colours * np.where(front, 1 + FRONT_TINT, 1 - FRONT_TINT)[..., None]
