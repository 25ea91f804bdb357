"""MPII's files: the two folder layouts and the json, exactly as it stands (1-based)."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from paddle_pose.errors import UserError, nearest
from paddle_pose.files import json_bytes, parse_json
from paddle_pose.limits import LIMITS
from paddle_pose.names import require_inside, require_plain
from paddle_pose.plain import all_numbers

_BEGINS_LIST = re.compile(rb"[^!-~]*\[")  # a byte-order mark, the zeros of UTF-16, blanks


@dataclass(frozen=True)
class Layout:
    """Where one project keeps MPII's files; ``{split}`` is filled in."""

    name: str
    annotation: str
    truth: str
    split_names: dict[str, str] = field(default_factory=dict)

    def annotation_file(self, root: Path, split: str) -> Path:
        """The json of a split."""
        require_plain(split, "split")
        return root / self.annotation.format(split=self.split_names.get(split, split))

    def truth_file(self, root: Path, split: str) -> Path:
        """The .mat of a split, which only validation splits have."""
        return root / self.truth.format(split=self.split_names.get(split, split))

    def splits(self, root: Path) -> list[str]:
        """Splits whose json is there, as the files call them."""
        pattern = re.compile(re.escape(self.annotation).replace(r"\{split\}", r"(.+)"))
        folder = (root / self.annotation).parent
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        found = (pattern.fullmatch(file.relative_to(root).as_posix()) for file in files)
        return [match[1] for match in found if match]


LAYOUTS = (
    Layout("HRNet", "annot/{split}.json", "annot/gt_{split}.mat", {"val": "valid"}),
    Layout(
        "mmpose",
        "annotations/mpii_{split}.json",
        "annotations/mpii_gt_{split}.mat",
        {"valid": "val"},
    ),
)


def find_layout(dataset_root: Path, split: str) -> Layout:
    """Whose layout the folder has.

    Raises:
        UserError: no folder, neither layout, both, or no file for this split.
    """
    root = Path(dataset_root)
    if not root.is_dir():
        raise UserError(f"--dataset_root {root}: no such folder")
    present = [layout for layout in LAYOUTS if layout.splits(root)]
    wanted = " and ".join(
        f"{layout.annotation_file(root, split).relative_to(root)} ({layout.name} layout)"
        for layout in LAYOUTS
    )
    if len(present) > 1:
        raise UserError(
            f"--dataset_root {root}: annotations in both layouts; looked for {wanted}; "
            "keep one of the two folders"
        )
    if not present:
        inside = sorted(path.name for path in root.iterdir())
        nested = [name for name in inside if any(x.splits(root / name) for x in LAYOUTS)]
        if nested:
            hint = f"they are one level down: --dataset_root {root / nested[0]}"
        else:
            listing = ", ".join(inside[:6]) + (" …" if len(inside) > 6 else "")
            hint = f"the folder holds {listing or 'nothing'}"
            if "mpii_annotations.json" in inside:
                hint += (
                    "; mpii_annotations.json is pytorch-pose's, which is not read: take HRNet's "
                    "annot/train.json and valid.json, of the same people"
                )
        raise UserError(
            f"--dataset_root {root}: no MPII annotations here; looked for {wanted}; {hint}"
        )
    layout = present[0]
    file = layout.annotation_file(root, split)
    if not file.is_file():
        there = layout.splits(root)
        raise UserError(f"{file}: no such file; splits in this folder: {', '.join(there)}")
    return layout


@dataclass(frozen=True)
class Records:
    """A json as it stands, 1-based, nothing adjusted."""

    images: list[str]
    center_xy: np.ndarray
    scale: np.ndarray
    joints_xy: np.ndarray
    visible: np.ndarray


class _Collector:
    """Takes the parser's records one at a time, so that no list of dicts ever exists."""

    def __init__(self, file: Path, joints: int, *, has_joints: bool) -> None:
        self.file, self.joints, self.has_joints = file, joints, has_joints
        self.images: list[str] = []
        self.numbers, self.points, self.visible = array("d"), array("d"), array("d")

    def __call__(self, record: dict[str, Any]) -> None:
        where = f"{self.file}: record {len(self.images)}"
        _refuse_other_layouts(record, where)
        try:
            image, center, scale = record["image"], record["center"], record["scale"]
            points = record["joints"] if self.has_joints else []
            flags = record["joints_vis"] if self.has_joints else []
        except KeyError as error:
            hint = nearest(str(error.args[0]), record)
            raise UserError(f"{where}: no key '{error.args[0]}'{hint}") from error
        if not isinstance(image, str):
            raise UserError(f"{where}: 'image' must be a file name, found {image!r:.80}")
        require_inside(image, where)
        where = f"{where} ({image})"
        for name, value in (("center", center), ("joints", points), ("joints_vis", flags)):
            if not isinstance(value, list):
                raise UserError(f"{where}: '{name}' must be a list, found {value!r:.80}")
        try:
            if self.has_joints and (len(points) != self.joints or len(flags) != self.joints):
                raise UserError(
                    f"{where}: {len(points)} joints and {len(flags)} joints_vis; "
                    f"expected {self.joints} of each"
                )
            if len(center) != 2 or any(len(point) != 2 for point in points):
                raise UserError(f"{where}: a point has not two coordinates")
            if not (all_numbers([*center, scale]) and all_numbers(points, 1)):
                raise UserError(f"{where}: a coordinate or scale is not a number")
            self.numbers.extend((*center, scale))
            self.points.extend(chain.from_iterable(points))
            self.visible.extend(flags)
        except (TypeError, OverflowError) as error:
            raise UserError(f"{where}: a number or list is of the wrong type ({error})") from error
        self.images.append(image)


def _refuse_other_layouts(record: dict[str, Any], where: str) -> None:
    """Raises UserError for a record of pytorch-pose, which has both splits in one file.

    Source: bearpaw/pytorch-pose miscs/gen_mpii.m:47 @edc7aec
    """
    if "joint_self" in record or "img_paths" in record:
        raise UserError(
            f"{where}: is of pytorch-pose's mpii_annotations.json (joint_self, img_paths), which "
            "is not read; take HRNet's annot/train.json and valid.json, of the same people"
        )


def read_records(file: Path, joints: int, *, has_joints: bool) -> Records:
    """The people of a json; Raises UserError naming the line or the record that is wrong."""
    collector = _Collector(file, joints, has_joints=has_joints)
    text = json_bytes(file)
    if not _BEGINS_LIST.match(text):
        raise UserError(f"{file}: expected a list of people, as MPII's json files have it")
    parsed = parse_json(text, file, collector)
    # The collector leaves None where a record stood: a list around one would stay.
    if parsed == []:
        raise UserError(f"{file}: lists nobody")
    if parsed != [None] * len(collector.images):
        raise UserError(f"{file}: expected a list of people, found other items or lists in it")
    people = len(parsed)
    numbers = np.frombuffer(collector.numbers).reshape(people, 3)
    if has_joints:
        points = np.frombuffer(collector.points).reshape(people, joints, 2)
        visible = np.frombuffer(collector.visible).reshape(people, joints)
    else:
        points, visible = np.zeros((people, joints, 2)), np.zeros((people, joints))
    records = Records(collector.images, numbers[:, :2], numbers[:, 2], points, visible)
    flat = np.column_stack([records.center_xy, records.scale])
    refuse_rows(
        file, "record", too_far(flat).any(1), "a coordinate or scale " + FAR, records.images
    )
    if has_joints:
        require_sound_people(file, "record", visible, points, records.images, all_joints=True)
        bad = records.scale <= 0
        refuse_rows(file, "record", bad, "scale must be positive", records.images)
    return records


def require_sound_people(
    file: Path,
    kind: str,
    visible: np.ndarray,
    joints_xy: np.ndarray,
    images: Sequence[str] = (),
    *,
    all_joints: bool = False,
) -> None:
    """The checks of people that are loaded and of their truth alike; Raises UserError.

    Flags (N, J) are 0 or 1; joints (N, J, 2) are finite and near where visible, or with
    ``all_joints`` everywhere. The rest is for the message, see ``refuse_rows``.
    """
    flags = (visible != 0) & (visible != 1)
    refuse_rows(file, kind, flags.any(1), "joints_vis or jnt_missing must be 0 or 1", images)
    unknown = too_far(joints_xy).any(2) & (all_joints | (visible > 0))
    refuse_rows(file, kind, unknown.any(1), "a coordinate " + FAR, images)


FAR = f"is not a finite number of at most {LIMITS['far_px'].text}"


def too_far(values: np.ndarray) -> np.ndarray:
    """Where a value is not finite, or outside of every image."""
    return ~(np.abs(values) <= LIMITS["far_px"].most)


def refuse_rows(
    file: Path, kind: str, bad: ArrayLike, what: str, images: Sequence[str] = ()
) -> None:
    """Raises UserError naming the first row that is ``bad``, and how many are."""
    bad = np.asarray(bad, bool)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        image = f" ({images[row]})" if images else ""
        more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        raise UserError(f"{file}: {kind} {row}{image}{more}: {what}")
