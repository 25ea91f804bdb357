"""Sizes of a data set's images: as its file says, compared with the pictures' headers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from paddle_pose.data.image_files import read_bytes
from paddle_pose.errors import UserError
from paddle_pose.understood import ASSUMED, Fact

CHECKED = 1000
"""So many pictures are looked at before work begins, spread evenly; all others when read.

A header takes 0.1 ms where the file is in memory, but some ms from a cold disk.
"""

_ORIENTATION = 0x0112


class Header(NamedTuple):
    """A picture's stored size, and its EXIF orientation: 1 upright, from 5 on lying."""

    size_wh: tuple[int, int]
    orientation: int

    @property
    def upright_wh(self) -> tuple[int, int]:
        """The size once it is turned as EXIF says."""
        return self.size_wh[::-1] if self.orientation >= 5 else self.size_wh


def known(
    root: Path,
    names: Sequence[str],
    stated_wh: Sequence[tuple[int, int] | None],
    needed: np.ndarray,
    *,
    with_images: bool,
) -> tuple[np.ndarray, list[Fact]]:
    """(M, 2) sizes in which the images were annotated, 0 where unknown; and what was found.

    Sizes that nobody stated are the pictures' own, where those are there.

    Args:
        root: folder or archive of the images.
        names: of all M images.
        stated_wh: their sizes as the annotation file has them.
        needed: places of images with people.
        with_images: whether the pictures are looked at to compare.

    Raises:
        UserError: a picture of another size than the file says.
    """
    sizes_wh = np.array([size or (0, 0) for size in stated_wh], np.int64).reshape(-1, 2)
    places = np.unique(needed)
    lacking = places[~sizes_wh[places].all(axis=1)]
    measured = turns = 0
    for place in lacking.tolist():
        header = header_of(root, names[place])
        if header is not None:
            sizes_wh[place] = header.size_wh
            measured += 1
            turns += header.orientation > 1
    facts = []
    if len(lacking):
        text = f"{measured:,} of {len(lacking):,} images without one are taken as they are stored"
        text += f", {turns:,} of them with an EXIF turn that is not applied" if turns else ""
        facts.append(Fact("image sizes not stated", len(lacking), text, ASSUMED))
    stated = np.setdiff1d(places, lacking)
    if with_images and len(stated):
        facts += _compared(root, names, sizes_wh, stated)
    return sizes_wh, facts


def _compared(
    root: Path, names: Sequence[str], sizes_wh: np.ndarray, places: np.ndarray
) -> list[Fact]:
    some = places[np.unique(np.linspace(0, len(places) - 1, min(CHECKED, len(places))).astype(int))]
    turned = unclear = checked = 0
    for place in some.tolist():
        header = header_of(root, names[place])
        if header is None:
            continue
        checked += 1
        size_wh = (int(sizes_wh[place, 0]), int(sizes_wh[place, 1]))
        if size_wh not in (header.size_wh, header.upright_wh):
            raise wrong_size(f"{root / names[place]}", header.upright_wh, size_wh)
        turned += header.size_wh != size_wh
        same_either_way = header.size_wh == size_wh == header.upright_wh
        unclear += header.orientation > 1 and same_either_way
    text = f"{checked:,} of {len(places):,} pictures are of the size that the file says"
    text += f", {turned:,} of them when turned as their EXIF says" if turned else ""
    text += "; the others are looked at when they are read" if checked < len(places) else ""
    facts = [Fact("image sizes", {"checked": checked, "turned": turned}, text, "counted")]
    if unclear:
        text = f"{unclear:,} are read as stored, as published loaders do; the sizes leave it open"
        facts.append(Fact("pictures with an EXIF turn", unclear, text, ASSUMED))
    return facts


def wrong_size(where: str, found_wh: tuple[int, int], size_wh: tuple[int, int]) -> UserError:
    """What to say of a picture that is not as large as its annotation file says."""
    return UserError(
        f"{where}: the picture is {found_wh[0]}×{found_wh[1]}, the annotation file says "
        f"{size_wh[0]}×{size_wh[1]}; was it resized or turned after it was annotated?"
    )


def header_of(root: Path, name: str) -> Header | None:
    """Of a data set's picture; None where it is not there or is broken: reading it says so."""
    try:
        path = root / name
        source = path if path.is_file() else io.BytesIO(read_bytes(root, name)[0])
        with warnings.catch_warnings(), Image.open(source) as picture:
            warnings.simplefilter("ignore")
            orientation = picture.getexif().get(_ORIENTATION, 1)
            known = isinstance(orientation, int) and 1 <= orientation <= 8
            size_wh = picture.size
            if picture.format == "TIFF":  # Pillow gives it turned
                size_wh = int(picture.tag_v2[256]), int(picture.tag_v2[257])
            return Header(size_wh, orientation if known else 1)
    except Exception:  # whatever broken files bring about in Pillow's many readers
        return None
