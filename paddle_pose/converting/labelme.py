"""A folder of labelme's JSON files → one COCO keypoint file.

A person is a ``group_id``: points are its joints by their labels, a rectangle is its box. In a file
without any group all points are one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from paddle_pose.converting.coco_file import (
    AREA,
    ORIGIN,
    CocoFile,
    box_around,
    sides_fact,
)
from paddle_pose.converting.converted import Converted, LeftOut, assumed
from paddle_pose.data.image_files import read_bytes
from paddle_pose.data.images import stored_size
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import read_json
from paddle_pose.skeletons import COCO17, MPII16
from paddle_pose.understood import Fact, Understood, counted

_HIDDEN = ("occluded", "hidden", "invisible")
"""Flags of a point that make it COCO's 1 (labelled, not visible)."""


def convert(folder: Path, output: Path, *, images: Path | None, joints: Sequence[str]) -> Converted:
    """All people of a folder, in the order of the files' names.

    Args:
        folder: with the JSON files.
        output: the COCO file to write.
        images: folder of the images; None: where each file says, below ``folder``.
        joints: order of the joints; empty: COCO's or MPII's if those are the labels, else as they
            first occur.

    Raises:
        UserError: a broken file or shape, an unknown label, an image that is missing or of another
            size than the file says.
    """
    left = LeftOut()
    documents: list[tuple[Path, dict[str, Any]]] = []
    for path in tqdm(sorted(folder.glob("*.json")), "reading", disable=None, unit="file"):
        content = read_json(path)
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            documents.append((path, content))
        else:
            left.add("files of another kind than labelme's", path.name)
    if not documents:
        raise UserError(f"{folder}: no labelme files (*.json with 'shapes'); {left.fact().text}")
    known = tuple(joints) or _joints_of(documents)
    root = images or folder
    coco = CocoFile(known)
    alone = boxless = 0
    for path, content in tqdm(documents, "converting", disable=None, unit="file"):
        name, size_wh = _image(path, content, root)
        image_id = coco.add_image(name, size_wh)
        groups, ungrouped = _groups(path, content["shapes"], left)
        alone += ungrouped
        for group, shapes in groups.items():
            where = f"{path.name}: group {group}"
            keypoints, box = _person(where, shapes, known)
            if not (keypoints[:, 2] > 0).any():
                left.add("rectangles without joints", where)
                continue
            boxless += box is None
            coco.add_person(image_id, keypoints, box or box_around(keypoints, size_wh))
    if not coco.annotations:
        raise UserError(f"{folder}: nobody with joints; left out {left.fact().text}")
    source = "recipe" if joints else "assumed"
    facts = [
        Fact("joints", list(known), f"{len(known)}: {', '.join(known)}", source),
        sides_fact(known),
        ORIGIN,
        AREA,
    ]
    if alone:
        text = f"{counted(alone, 'file')} without any group_id: all points of each are one person"
        facts.append(assumed("one_person", alone, text))
    if boxless:
        text = f"{counted(boxless, 'person', 'people')} without a rectangle: their joints' box, "
        text += "10 % larger on each side"
        facts.append(assumed("boxes", boxless, text))
    understood = Understood((*facts, coco.counts(), left.fact()))
    inputs = [path for path, _ in documents] + [root / image["file_name"] for image in coco.images]
    contents = {output: coco.content(dict(understood.plain()))}
    return Converted(contents, tuple(inputs), understood, root)


def _joints_of(documents: list[tuple[Path, dict[str, Any]]]) -> tuple[str, ...]:
    labels = dict.fromkeys(
        str(shape["label"])
        for _, content in documents
        for shape in content["shapes"]
        if isinstance(shape, dict) and shape.get("shape_type") == "point" and "label" in shape
    )
    for skeleton in (COCO17, MPII16):
        if labels and labels.keys() <= set(skeleton.joints):
            return skeleton.joints
    return tuple(labels)


def _image(path: Path, content: dict[str, Any], root: Path) -> tuple[str, tuple[int, int]]:
    """Name below ``root`` and size; the size in the file must be that of the pixels."""
    stated = content.get("imagePath")
    if not isinstance(stated, str) or not stated.strip() or "\0" in stated:
        raise UserError(f"{path}: has no imagePath")
    stated = stated.replace("\\", "/")
    inside = (path.parent / stated).resolve()
    name = Path(stated).name
    if inside.is_file() and inside.is_relative_to(root.resolve()):
        name = inside.relative_to(root.resolve()).as_posix()
    elif not (root / name).is_file():
        raise UserError(f"{path}: its image {stated} is not in {root}; --images names the folder")
    size_wh = stored_size(*read_bytes(root, name))
    told = content.get("imageWidth"), content.get("imageHeight")
    if None not in told and told != size_wh:
        raise UserError(
            f"{path}: says the image is {told[0]}×{told[1]}, {root / name} is "
            f"{size_wh[0]}×{size_wh[1]}; was it resized, or turned by its EXIF orientation?"
        )
    return name, size_wh


def _groups(
    path: Path, shapes: list[Any], left: LeftOut
) -> tuple[dict[Any, list[tuple[str, dict[str, Any]]]], bool]:
    """Shapes with their places, by group; and whether a lone person was taken for one."""
    usable = []
    for row, shape in enumerate(shapes):
        where = f"{path.name}: shapes[{row}]"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise UserError(f"{where}: needs a label")
        if not isinstance(shape.get("group_id"), int | str | None):
            raise UserError(f"{where}: group_id {shape['group_id']!r:.40} is not a number")
        if shape.get("shape_type") in ("point", "rectangle"):
            usable.append((where, shape))
        else:
            left.add(f"shapes of type {shape.get('shape_type')}", where)
    lone = bool(usable) and all(shape.get("group_id") is None for _, shape in usable)
    groups: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
    for where, shape in usable:
        group = shape.get("group_id")
        if group is None and not lone:
            left.add("shapes without group_id beside others with one", where)
        else:
            groups.setdefault(group, []).append((where, shape))
    return groups, lone


def _person(
    where: str, shapes: list[tuple[str, dict[str, Any]]], joints: tuple[str, ...]
) -> tuple[np.ndarray, list[float] | None]:
    """(J, 3) keypoints, and the box where there is a rectangle."""
    keypoints, box = np.zeros((len(joints), 3)), None
    for place, shape in shapes:
        label = shape["label"]
        points = _points(place, shape)
        if shape["shape_type"] == "rectangle":
            if box is not None:
                raise UserError(f"{place}: a second rectangle in {where}; give each a group_id")
            low, high = points.min(0), points.max(0)
            if not (high > low).all():
                raise UserError(f"{place}: this rectangle is empty")
            box = [*low.tolist(), *(high - low).tolist()]
            continue
        if label not in joints:
            raise UserError(f"{place}: joint '{label}' is not in --joints{nearest(label, joints)}")
        joint = joints.index(label)
        if keypoints[joint, 2]:
            raise UserError(f"{place}: a second '{label}' in {where}; give people group_ids")
        flags = shape.get("flags") or {}
        hidden = any(flags.get(name) for name in _HIDDEN) if isinstance(flags, dict) else False
        keypoints[joint] = [*points[0], 1 if hidden else 2]
    return keypoints, box


def _points(where: str, shape: dict[str, Any]) -> np.ndarray:
    """(1, 2) of a point, (2, 2) or (4, 2) of a rectangle; Raises UserError."""
    allowed = (1,) if shape["shape_type"] == "point" else (2, 4)
    try:
        points = np.array(shape["points"], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: points are not pairs of numbers ({error!r})") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in allowed:
        raise UserError(f"{where}: a {shape['shape_type']} with points of shape {points.shape}")
    if not np.isfinite(points).all():
        raise UserError(f"{where}: a coordinate is not a finite number")
    return points
