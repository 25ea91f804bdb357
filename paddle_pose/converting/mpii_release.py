"""The official ``mpii_human_pose_v1_u12_1.mat`` as it stands: structs → images and people.

``RELEASE.annolist(i).annorect(j).annopoints.point(k)``: each level may be one struct, an array of
them or ``[]``, and each field empty or not there at all. Positions are named as MATLAB counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from paddle_pose.converting.mat_file import load_mat
from paddle_pose.converting.mpii_layout import MpiiPerson
from paddle_pose.errors import UserError
from paddle_pose.names import require_inside

JOINTS = 16


@dataclass(frozen=True)
class ReleasePerson:
    """An ``annorect``.

    Attributes:
        image, person: positions in ``annolist`` and ``annorect``, from 0.
        found: centre, scale, joints and head box; None without a position and scale.
        single: whether ``single_person`` names it.
        where: for messages.
    """

    image: int
    person: int
    found: MpiiPerson | None
    single: bool
    where: str

    @property
    def has_joints(self) -> bool:
        """Whether any joint is labelled."""
        return self.found is not None and bool(self.found.labelled.any())

    @property
    def has_head(self) -> bool:
        """Whether there is a head box with a diagonal."""
        box = self.found.head_box_xyxy if self.found is not None else np.full(4, np.nan)
        return bool(np.isfinite(box).all() and (box[:2] != box[2:]).any())


@dataclass(frozen=True)
class Release:
    """Everything that the converter takes from the file.

    Attributes:
        names: image names, in the file's order.
        train: (images,) bool, ``img_train``.
        videos: ``vididx`` of each image, -1 where unknown.
        people: in the file's order.
    """

    names: tuple[str, ...]
    train: np.ndarray
    videos: tuple[int, ...]
    people: tuple[ReleasePerson, ...]


def read_release(file: Path) -> Release:
    """All images and people; Raises UserError that names the struct which is wrong."""
    content = load_mat(file, ["RELEASE"])
    if not content:
        raise UserError(f"{file}: has no struct RELEASE, as mpii_human_pose_v1_u12_1.mat has")
    release = content["RELEASE"]
    entries = _items(_part(release, "annolist"))
    train = np.array(
        [_number(x, f"{file}: img_train") for x in _items(_part(release, "img_train"))]
    )
    if not entries or len(train) != len(entries):
        raise UserError(
            f"{file}: RELEASE has {len(entries)} images in annolist and {len(train)} in img_train"
        )
    singles = _cells(_part(release, "single_person"), len(entries))
    names, videos, people = [], [], []
    for index, entry in enumerate(tqdm(entries, "reading", disable=None, unit="image")):
        where = f"{file}: annolist({index + 1})"
        name = _part(_part(entry, "image"), "name")
        if not isinstance(name, str):
            raise UserError(f"{where}.image.name: expected a file name, found {name!r:.60}")
        names.append(require_inside(name.strip(), f"{where}.image.name"))
        video = _part(entry, "vididx")
        videos.append(-1 if video is None else int(_number(video, f"{where}.vididx")))
        single = {int(_number(x, f"{where}: single_person")) - 1 for x in _items(singles[index])}
        for person, rect in enumerate(_items(_part(entry, "annorect"))):
            place = f"{where}.annorect({person + 1})"
            found = _person(rect, names[-1], place)
            people.append(ReleasePerson(index, person, found, person in single, place))
    return Release(tuple(names), train != 0, tuple(videos), tuple(people))


def _person(rect: Any, image: str, where: str) -> MpiiPerson | None:
    position, scale = _part(rect, "objpos"), _part(rect, "scale")
    if position is None or scale is None:
        return None
    center = [_number(_part(position, axis), f"{where}.objpos.{axis}") for axis in "xy"]
    size = _number(scale, f"{where}.scale")
    if size <= 0:
        raise UserError(f"{where}.scale: {size:g} is not positive")
    joints, labelled = np.full((JOINTS, 2), np.nan), np.zeros(JOINTS, bool)
    points = _items(_part(_part(rect, "annopoints"), "point"))
    for k, point in enumerate(points):
        place = f"{where}.annopoints.point({k + 1})"
        joint = _number(_part(point, "id"), f"{place}.id")
        if joint not in range(JOINTS):
            raise UserError(f"{place}.id: {joint:g} is not a joint of 0 to {JOINTS - 1}")
        # Missing, [], 0, 1, '0' and '1' occur; 0 is hidden, which PCKh counts as any other.
        visible = _part(point, "is_visible")
        if visible is not None and _number(visible, f"{place}.is_visible") not in (0, 1):
            raise UserError(f"{place}.is_visible: {visible!r:.40} is neither 0 nor 1")
        joints[int(joint)] = [_number(_part(point, axis), f"{place}.{axis}") for axis in "xy"]
        labelled[int(joint)] = True
    corners = [_part(rect, name) for name in ("x1", "y1", "x2", "y2")]
    box = [np.nan] * 4
    if not any(corner is None for corner in corners):
        box = [_number(corner, f"{where}.x1 … y2") for corner in corners]
    return MpiiPerson(image, np.array(center), size, joints, labelled, np.array(box))


def _items(value: Any) -> list[Any]:
    """The elements of a MATLAB array, one struct or number alone too; none for None and ``[]``."""
    if value is None:
        return []
    return list(value.flat) if isinstance(value, np.ndarray) else [value]


def _cells(value: Any, count: int) -> list[Any]:
    """A cell array of one cell an image; SciPy unpacks it where there is one image alone."""
    if count == 1:
        return [value]
    cells = _items(value)
    return cells if len(cells) == count else [None] * count


def _part(node: Any, name: str) -> Any:
    """A field of a struct; None where it is missing or empty, or where there is no struct."""
    if isinstance(node, np.ndarray) and node.size == 1:
        node = node.flat[0]
    value = getattr(node, name, None)
    if isinstance(value, str):
        return value if value.strip() else None
    return None if value is None or np.size(value) == 0 else value


def _number(value: Any, where: str) -> float:
    """A finite number, also from text; Raises UserError."""
    try:
        number = float(value.item() if isinstance(value, np.ndarray) else value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: expected a number, found {value!r:.40}") from error
    if not np.isfinite(number):
        raise UserError(f"{where}: {number} is not a finite number")
    return number
