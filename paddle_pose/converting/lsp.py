"""Leeds Sports Pose, and its extension, → MPII's layout: one person a photo, 14 joints of 16.

Rules (those by which the project's own LSPET numbers were made):

* Joints: LSP's neck is MPII's upper neck; pelvis and thorax are not labelled. Left and right are
  the person's, as LSP's own ``joints.mat`` has them (files called "OC" have the observer's).
* LSP (3 × 14 × N) marks hidden joints by 1 in its third row, all joints are placed: all are
  labelled. LSPET (14 × 3 × N) marks the joints that are placed by 1.
* scale: 1.15 × the larger side of the labelled joints' box, at least 60 px, / 200; the centre is
  the box's, 6 × scale higher: medians of MPII's validation people.
* Head box: neither has one. A square midway between neck and head top whose 0.6 × diagonal is
  0.75 × their distance, MPII's median, and at least 7.5 px.

Source: bearpaw/pytorch-pose miscs/gen_lsp.m:33 (LSP's third row is inverted)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.converting.converted import Converted, LeftOut, assumed
from paddle_pose.converting.mat_file import apart, load_mat
from paddle_pose.converting.mpii_layout import MpiiPerson, records, truth_mat
from paddle_pose.data.image_files import ENDINGS
from paddle_pose.data.mpii import HEAD_BOX_FACTOR, HEAD_PER_NECK, SMALLEST_HEAD_PX
from paddle_pose.errors import UserError
from paddle_pose.understood import Fact, Understood, counted

LSP_JOINTS = 14
MPII_SLOTS = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)
"""Where LSP's joints stand in MPII's order."""

FEWEST_JOINTS = 8
SMALLEST_SIDE_PX = 60.0
_NECK, _HEAD = 8, 9
_LSP_PEOPLE, _LSP_TEST = 2000, 1000


def convert(
    mat: Path, images: Path, output: Path, *, valid: int | None, pixel_origin: int
) -> Converted:
    """``annot/train.json``, ``annot/valid.json`` and ``annot/gt_valid.mat`` below ``output``.

    Args:
        mat: ``joints.mat``.
        images: folder of ``im0001.jpg`` or ``im00001.jpg`` …; people without a photo are left out.
        output: for ``annot/``.
        valid: people to validate, evenly spread; None: LSP's last 1,000, else one in twenty.
        pixel_origin: what the file counts pixels from.

    Raises:
        UserError: another file, or a joint that is not a finite number.
    """
    joints, placed, kind = _read(mat)
    names = _numbered(images)
    left = LeftOut()
    people: list[MpiiPerson] = []
    numbers: list[int] = []
    for index in range(len(joints)):
        where = f"{mat}: person {index + 1}"
        if index + 1 not in names:
            left.add(f"people without a photo in {images}", where)
        elif placed[index].sum() < FEWEST_JOINTS:
            left.add(f"people with fewer than {FEWEST_JOINTS} joints", where)
        elif not np.isfinite(joints[index][placed[index]]).all():
            raise UserError(f"{where}: a labelled joint is not a finite number")
        else:
            moved = joints[index] + (1 - pixel_origin)
            people.append(_person(names[index + 1], moved, placed[index]))
            numbers.append(index)
    official = kind == "LSP" and len(joints) == _LSP_PEOPLE and valid is None
    if official:
        chosen = {i for i, number in enumerate(numbers) if number >= _LSP_TEST}
        split = assumed("split", "official", "LSP's own: the last 1,000 are for validation")
    else:
        chosen = _spread(people, max(1, len(people) // 20) if valid is None else valid)
        text = f"{counted(len(chosen), 'person', 'people')}, evenly spread, for validation; "
        text += "LSPET itself has none"
        split = assumed("split", "spread", text)
    scored = [p for i, p in enumerate(people) if i in chosen and p.labelled[[_NECK, _HEAD]].all()]
    left.add("people to validate without neck or head top", str(mat), len(chosen) - len(scored))
    train = [person for i, person in enumerate(people) if i not in chosen]
    if not train or not scored:
        raise UserError(
            f"{mat}: {counted(len(train), 'person', 'people')} to train on and {len(scored)} to "
            "validate; both need one; "
            f"left out {left.fact().text}"
        )
    annot = output / "annot"
    counts = {"train": len(train), "valid": len(scored)}
    rule = "third row: 1 is hidden but placed" if kind == "LSP" else "third column: 1 is placed"
    understood = Understood(
        (
            Fact(
                "file",
                kind,
                f"{kind}, {counted(len(joints), 'person', 'people')}; {rule}",
                "counted",
            ),
            assumed("pixel_origin", pixel_origin, f"{mat.name} counts pixels from {pixel_origin}"),
            assumed("sides", "person", "left and right are the person's own"),
            assumed("scale", "joints", "1.15 × the larger side of the joints' box, / 200 px"),
            assumed("head_box", "neck", "0.75 × |head top - neck|; PCKh on it is not MPII's"),
            split,
            Fact("people", counts, f"{len(train):,} train, {len(scored):,} valid", "counted"),
            left.fact(),
        )
    )
    files: dict[Path, Any] = {
        annot / "train.json": records(train),
        annot / "valid.json": records(scored),
        annot / "gt_valid.mat": truth_mat(scored),
        output / "converted.json": understood.plain(),
    }
    return Converted(files, (mat,), understood)


def _read(mat: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """(N, 14, 2) as stored, (N, 14) whether a joint is placed, and whose file it is."""
    content = apart(load_mat, mat, ("joints",))
    if "joints" not in content:
        raise UserError(f"{mat}: has no array 'joints'; expected LSP's joints.mat")
    values = content["joints"]
    shape = np.shape(values)
    if len(shape) == 2:  # a single person, whose last axis MATLAB drops
        values = np.asarray(values)[..., None]
    try:
        values = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{mat}: 'joints' does not hold numbers ({error})") from error
    if values.ndim == 3 and values.shape[:2] == (3, LSP_JOINTS):
        people = values.transpose(2, 1, 0)
        return people[..., :2], np.ones(people.shape[:2], bool), "LSP"
    if values.ndim == 3 and values.shape[:2] == (LSP_JOINTS, 3):
        people = values.transpose(2, 0, 1)
        return people[..., :2], people[..., 2] > 0, "LSPET"
    raise UserError(f"{mat}: 'joints' is of shape {shape}, expected 3×14×N (LSP) or 14×3×N (LSPET)")


def _numbered(images: Path) -> dict[int, str]:
    """Number of a person → its photo."""
    pattern = re.compile(r"im(\d{1,9})", re.IGNORECASE)
    found = {}
    for path in sorted(images.iterdir()):
        match = pattern.fullmatch(path.stem)
        if match and path.suffix.lower() in ENDINGS:
            found[int(match[1])] = path.name
    if not found:
        raise UserError(f"--images {images}: no im0001.jpg or im00001.jpg there")
    return found


def _person(image: str, joints_xy: np.ndarray, placed: np.ndarray) -> MpiiPerson:
    joints, labelled = np.full((16, 2), np.nan), np.zeros(16, bool)
    joints[list(MPII_SLOTS)], labelled[list(MPII_SLOTS)] = joints_xy, placed
    low, high = joints[labelled].min(0), joints[labelled].max(0)
    scale = 1.15 * max(*(high - low), SMALLEST_SIDE_PX) / 200
    center = (low + high) / 2 - [0, 6 * scale]
    length = float(np.linalg.norm(joints[_HEAD] - joints[_NECK]))
    head_px = max(HEAD_PER_NECK * length, SMALLEST_HEAD_PX) / HEAD_BOX_FACTOR
    half = head_px / np.sqrt(2) / 2
    middle = (joints[_HEAD] + joints[_NECK]) / 2
    box = np.concatenate([middle - half, middle + half])
    return MpiiPerson(image, center, scale, joints, labelled, box)


def _spread(people: list[MpiiPerson], count: int) -> set[int]:
    """Positions of so many people with neck and head top, evenly spread over all of them."""
    eligible = [i for i, p in enumerate(people) if p.labelled[[_NECK, _HEAD]].all()]
    if not 1 <= count < len(people):
        raise UserError(f"--valid {count}: must be at least 1 and leave people to train on")
    if count > len(eligible):
        raise UserError(f"--valid {count}: only {len(eligible)} people have neck and head top")
    ranks = np.linspace(0, len(eligible) - 1, count).round().astype(int)
    return {eligible[rank] for rank in ranks}
