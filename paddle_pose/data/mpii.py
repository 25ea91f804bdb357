"""MPII on disk → PersonTable and truth; HRNet's folder layout and mmpose's, told apart by itself.

Files are 1-based (MATLAB); a PersonTable is 0-based, MpiiTruth stays 1-based as the official
evaluation compares it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose.array_files import read_mat
from paddle_pose.data import image_files
from paddle_pose.data.mpii_files import (
    FAR,
    Records,
    find_layout,
    read_records,
    refuse_rows,
    require_sound_people,
    too_far,
)
from paddle_pose.data.records import PersonTable
from paddle_pose.data.skeleton_facts import KNOWN, skeleton_facts
from paddle_pose.errors import UserError
from paddle_pose.metrics.pckh import normalised_errors
from paddle_pose.skeletons import MPII16, Skeleton
from paddle_pose.understood import ASSUMED, Fact, Understood

HEAD_BOX_FACTOR = 0.6
"""MPII's head size is so much of the head box's diagonal."""

HEAD_PER_NECK = 0.75
"""Median of head size over |head top - upper neck| on MPII's 2,958 validation people."""

HEAD_PER_SCALE_PX = 25.0
"""MPII's annotated scale is head size / 25 px: 200 × scale = 8 × head size, for all people."""

SMALLEST_HEAD_PX = 7.5

_MAT_FIELDS = ("dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src")
_MAT_JOINTS = "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri"


@dataclass(frozen=True)
class MpiiTruth:
    """What the official evaluation compares with.

    Attributes:
        joints_xy: (N, 16, 2) image pixels, **1-based**, as the .mat has them.
        visible: (N, 16) 1 labelled, 0 missing.
        head_size_px: (N,) 0.6 × diagonal of the head box.
    """

    joints_xy: np.ndarray
    visible: np.ndarray
    head_size_px: np.ndarray

    def __len__(self) -> int:
        return len(self.head_size_px)

    def errors(self, keypoints: np.ndarray) -> np.ndarray:
        """(N, J) distances in head sizes of key points (N, J, 2 or 3) in 0-based image pixels."""
        # The one place where 0-based predictions meet 1-based truth.
        joints_xy = np.asarray(keypoints, np.float64)[:, :, :2] + 1.0
        return normalised_errors(joints_xy, self.joints_xy, self.head_size_px)

    def select(self, rows: np.ndarray) -> MpiiTruth:
        """The people of those rows of the annotation file."""
        return MpiiTruth(self.joints_xy[rows], self.visible[rows], self.head_size_px[rows])


def annotation_file(dataset_root: Path, split: str) -> Path:
    """The json of a split in whichever layout is there; Raises UserError as ``find_layout``."""
    return find_layout(dataset_root, split).annotation_file(Path(dataset_root), split)


def truth_file(dataset_root: Path, split: str) -> Path | None:
    """The .mat to score against, which may be missing on disk; None for the test split."""
    layout = find_layout(dataset_root, split)
    return None if split == "test" else layout.truth_file(Path(dataset_root), split)


def load(
    dataset_root: Path, split: str, *, skeleton: Skeleton = MPII16, with_truth: bool = True
) -> PersonTable:
    """All people of a split, crops as HRNet's loader makes them (no row is left out).

    The centre moves down by 15 × scale, the scale grows by 1.25 and coordinates become 0-based.
    ``head_size_px`` comes from the head boxes of the .mat where the split has one. Otherwise it is
    0.75 × |head top - upper neck|, at least 7.5 px, or 25 × raw scale where one of the two is
    missing: within 1 % of MPII's own head sizes for 98 % of people, and the very rule by which
    head boxes are derived for LSPET. nan in the test split and without ``with_truth``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/mpii.py:43 @6f69e46

    Raises:
        UserError: wrong folder, broken file or record, or a validation split without its .mat.
    """
    root = Path(dataset_root)
    layout = find_layout(root, split)
    file = layout.annotation_file(root, split)
    has_joints = split != "test"
    records = read_records(file, len(skeleton), has_joints=has_joints)
    people = len(records.images)
    names, index = np.unique(np.array(records.images), return_inverse=True)
    visible = records.visible
    head_size_px = np.full(people, np.nan)
    files: tuple[Path, ...] = (file,)
    heads = None
    if with_truth and has_joints:
        mat = layout.truth_file(root, split)
        if mat.is_file() or split in ("valid", "val"):
            head_size_px = _read_truth(mat, people, file).head_size_px
            files = (file, mat)
            heads = Fact("head sizes", "head boxes", f"{HEAD_BOX_FACTOR} × the head box's diagonal")
        else:
            head_size_px = _derived_head_size_px(records, skeleton)
            text = f"{HEAD_PER_NECK} × head top to upper neck, as there are no head boxes"
            heads = Fact("head sizes", "head top and neck", text, ASSUMED)

    known = records.center_xy[:, 0] != -1
    told = _understood(f"{file.name} ({layout.name} layout)", people, skeleton, heads)
    if lacking := int((~known).sum()):
        text = f"{lacking:,} people, cropped around the picture's corner, as HRNet does"
        told += Understood((Fact("no centre", lacking, text, ASSUMED),))
    center_xy = records.center_xy.copy()
    center_xy[known, 1] += 15 * records.scale[known]
    scale = np.where(known, records.scale * 1.25, records.scale)
    return PersonTable(
        skeleton=skeleton.name,
        image_root=root / "images",
        image_names=tuple(names.tolist()),
        image_ids=np.arange(len(names)),
        image_index=index.reshape(-1),
        rows=np.arange(people),
        center_xy=center_xy - 1,
        scale_wh=np.stack([scale, scale], -1),
        joints_xy=records.joints_xy - 1 if has_joints else records.joints_xy,
        visible=visible,
        head_size_px=head_size_px,
        box_score=np.ones(people),
        summary=f"{file} ({layout.name} layout)",
        understood=told,
        files=files,
    )


def _understood(where: str, people: int, skeleton: Skeleton, heads: Fact | None) -> Understood:
    """What is said of a split besides its counts: joints, crops, pictures, heads."""
    facts = (
        Fact("people", {"people": people}, f"{people:,} in {where}, nobody left out"),
        *skeleton_facts(skeleton, dict.fromkeys(("pairs", "limbs"), KNOWN)),
        Fact("boxes", "ground_truth", "squares around the annotated centre, as HRNet has them"),
        Fact("image sizes", None, "not in MPII's files; pictures are read as they are stored"),
    )
    return Understood(facts if heads is None else (*facts, heads))


def truth(dataset_root: Path, split: str) -> MpiiTruth:
    """Joints and head sizes of the split's .mat, in the rows of its json.

    Raises:
        UserError: no .mat for this split, or one of another file than the json.
    """
    root = Path(dataset_root)
    layout = find_layout(root, split)
    file = layout.annotation_file(root, split)
    has_joints = split != "test"
    people = len(read_records(file, len(MPII16), has_joints=has_joints).images)
    return _read_truth(layout.truth_file(root, split), people, file)


def disagreement(table: PersonTable, truth: MpiiTruth) -> str:
    """What differs between people and their truth, of the same rows; empty if nothing does."""
    apart = np.abs(truth.joints_xy - 1 - table.joints_xy).max(2) > 1  # a .json may be rounded
    flags = truth.visible != table.visible
    moved = (flags | (apart & (truth.visible > 0))).any(1)
    ratio = truth.head_size_px / (HEAD_PER_SCALE_PX * table.scale_wh[:, 0] / 1.25)
    heads = (ratio < 0.1) | (ratio > 10)  # 0.3 to 3.4 on LSPET, 1 on MPII
    facts = {
        "other joints in the .mat, which they are scored by, than in the .json": moved,
        "a head in the .mat 10 times as large or small as the scale in the .json says": heads,
    }
    return "; ".join(
        f"{found.sum()} of {len(table)} people have {what}"
        for what, found in facts.items()
        if found.any()
    )


def describe(table: PersonTable) -> None:
    """Print what was found: the predecessor's two lines, then files and counts."""
    images = len(np.unique(table.image_index))
    visible = int(table.visible.sum())
    print(f"=> num_images: {images}")
    print(f"=> load {len(table)} samples")
    print(
        f"=> {table.summary}: {len(table)} people on {images} images, "
        f"{visible} visible joints of '{table.skeleton}'",
        flush=True,
    )
    table.understood.tell()


def missing_images(table: PersonTable) -> list[str]:
    """Names of the table's people whose image is not there, in order; Raises UserError."""
    used = [table.image_names[i] for i in np.unique(table.image_index)]
    return image_files.missing(table.image_root, used)


def require_images(table: PersonTable) -> None:
    """Raises UserError naming the first missing images and how many there are."""
    absent = missing_images(table)
    if absent:
        used = len(np.unique(table.image_index))
        first = ", ".join(absent[:3]) + (" …" if len(absent) > 3 else "")
        raise UserError(
            f"{table.image_root}: {len(absent)} of {used} images are missing: {first}; "
            "complete the folder, or use fewer people (train.py, val.py --set data.limit=N)"
        )


def _derived_head_size_px(records: Records, skeleton: Skeleton) -> np.ndarray:
    top, neck = skeleton.index("head_top"), skeleton.index("upper_neck")
    length = np.linalg.norm(records.joints_xy[:, top] - records.joints_xy[:, neck], axis=1)
    both = records.visible[:, [top, neck]].all(1)
    from_neck = np.maximum(HEAD_PER_NECK * length, SMALLEST_HEAD_PX)
    return np.where(both, from_neck, HEAD_PER_SCALE_PX * records.scale)


def _read_truth(file: Path, people: int, annotation: Path) -> MpiiTruth:
    if not file.is_file():
        raise UserError(f"{file}: no such file; scores need it (it belongs to {annotation.name})")
    content = read_mat(file, _MAT_FIELDS)
    for name in _MAT_FIELDS:
        if content.get(name) is None:
            raise UserError(f"{file}: has no field '{name}'; it is not MPII's truth")
    names, *arrays = (content[name] for name in _MAT_FIELDS)
    if not isinstance(names, list) or names != _MAT_JOINTS.split():
        found = " ".join(names) if isinstance(names, list) else names
        raise UserError(f"{file}: joints are '{found}', expected '{_MAT_JOINTS}'")
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise UserError(f"{file}: expected numbers in {', '.join(_MAT_FIELDS[1:])}")
    missing, joints, boxes = (np.asarray(array, np.float64) for array in arrays)
    count = missing.shape[-1]
    shapes = (missing.shape, joints.shape, boxes.shape)
    if shapes != ((16, count), (16, 2, count), (2, 2, count)):
        raise UserError(f"{file}: arrays of shapes {shapes}, expected 16×N, 16×2×N and 2×2×N")
    if count != people:
        raise UserError(
            f"{file} has {count} people but {annotation} has {people}; they are not of one split"
        )
    visible = np.ascontiguousarray(1.0 - missing.T)
    joints_xy = np.ascontiguousarray(joints.transpose(2, 0, 1))
    require_sound_people(file, "person", visible, joints_xy)
    refuse_rows(
        file, "person", too_far(boxes.transpose(2, 0, 1)).any((1, 2)), "its head box " + FAR
    )
    head_size_px = HEAD_BOX_FACTOR * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    refuse_rows(file, "person", ~(head_size_px > 0), "its head box is empty")
    return MpiiTruth(joints_xy, visible, head_size_px)
