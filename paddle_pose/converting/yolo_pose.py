"""A YOLO pose data set (``data.yaml``, ``images/``, ``labels/``) → one COCO keypoint file a split.

A line is ``class cx cy w h`` and x, y (and visibility 0, 1, 2) of each joint, all / image size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from paddle_pose.converting.coco_file import AREA, ORIGIN, CocoFile, sides_fact
from paddle_pose.converting.converted import Converted, LeftOut, assumed
from paddle_pose.data.image_files import ENDINGS, read_bytes
from paddle_pose.data.images import stored_size
from paddle_pose.errors import UserError, nearest
from paddle_pose.names import require_inside
from paddle_pose.recipes import plain_yaml
from paddle_pose.skeletons import COCO17, MPII16, Skeleton
from paddle_pose.understood import Fact, Understood

MOST_JOINTS = 1000
"""Far more than the 133 of the whole body."""

SPLITS = ("train", "val", "test")
_OVER = 0.01
"""Boxes may stick out of the image by so much of it: rounding of other tools."""


def convert(
    data_yaml: Path, output: Path, *, joints: Sequence[str], class_name: str | None
) -> Converted:
    """``annotations/person_keypoints_{train,val,test}.json`` below ``output``.

    Image names are relative to the data set's root, which ``output/images`` must then be.

    Args:
        data_yaml: the data set's YAML.
        output: for ``annotations/``.
        joints: their names; empty: ``kpt_names`` of the YAML, else COCO's for 17, else numbers.
        class_name: which class is people where there are several; None takes ``person``.

    Raises:
        UserError: a YAML, label file or line that is not of this form, or a missing image.
    """
    settings = _settings(data_yaml)
    count, values = _shape(settings, data_yaml)
    person, class_fact = _class(settings, data_yaml, class_name)
    known, facts = _joints(settings, data_yaml, count, joints, person)
    left = LeftOut()
    root = _root(settings, data_yaml)
    files: dict[Path, CocoFile] = {}
    inputs = [data_yaml]
    for split in _splits(settings, root, left):
        coco = CocoFile(known)
        for image in tqdm(_images(settings[split], root, data_yaml), split, disable=None):
            name = require_inside(_below(image, root, data_yaml), f"{data_yaml}: {split}")
            size_wh = stored_size(*read_bytes(root, name))
            image_id = coco.add_image(name, size_wh)
            label = _label_file(image)
            if not label.is_file():
                left.add("images without a label file: nobody on them", name)
                continue
            inputs.append(label)
            for where, row in _lines(label, 5 + count * values):
                if int(row[0]) != person:
                    left.add("objects of other classes", where)
                    continue
                box, keypoints = _object(where, row, values, size_wh)
                coco.add_person(image_id, keypoints, box)
        if not coco.annotations:
            raise UserError(f"{data_yaml}: nobody in '{split}'; left out {left.fact().text}")
        files[output / "annotations" / f"person_keypoints_{split}.json"] = coco
    if not files:
        raise UserError(f"{data_yaml}: names none of {', '.join(SPLITS)}")
    if values == 2:
        text = "two numbers a joint: 0 0 and negative ones are not labelled, all others visible"
        facts.append(assumed("visibility", "non-zero", text))
    counted = [
        Fact(path.stem.rpartition("_")[2], fact.value, fact.text, fact.source)
        for path, fact in ((path, coco.counts()) for path, coco in files.items())
    ]
    understood = Understood((*facts, class_fact, ORIGIN, AREA, *counted, left.fact()))
    plain = dict(understood.plain())
    contents = {path: coco.content(plain) for path, coco in files.items()}
    return Converted(contents, tuple(inputs), understood, root)


def _settings(file: Path) -> dict[str, Any]:
    try:
        content = plain_yaml.parse(_text(file))
    except UserError as error:
        raise UserError(f"{file}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected keys train, val, kpt_shape, names")
    return content


def _shape(settings: dict[str, Any], file: Path) -> tuple[int, int]:
    shape: Any = settings.get("kpt_shape")
    whole = isinstance(shape, list) and all(type(x) is int for x in shape) and len(shape) == 2
    if not whole or not 1 <= shape[0] <= MOST_JOINTS or shape[1] not in (2, 3):
        raise UserError(
            f"{file}: kpt_shape must be [1 to {MOST_JOINTS} joints, 2 or 3], found {shape!r:.60}"
        )
    return shape[0], shape[1]


def _joints(
    settings: dict[str, Any], file: Path, count: int, given: Sequence[str], person: int
) -> tuple[tuple[str, ...], list[Fact]]:
    """Names, which also say the sides: flip_idx must agree with them."""
    flip: Any = settings.get("flip_idx") or None
    whole = isinstance(flip, list) and all(type(index) is int for index in flip)
    if flip is not None and (not whole or sorted(flip) != list(range(count))):
        raise UserError(f"{file}: flip_idx is not an order of {count} joints: {flip!r:.80}")
    listed = settings.get("kpt_names")
    listed = listed.get(person) if isinstance(listed, dict) else listed
    if not isinstance(listed, list | None):
        raise UserError(f"{file}: kpt_names must list names, found {listed!r:.60}")
    names, source = tuple(given) or tuple(map(str, listed or ())), "recipe" if given else "file"
    if not names:
        source = "assumed"
        alike = [k for k in (COCO17, MPII16) if len(k) == count and flip == k.flip_order.tolist()]
        if not alike and flip is None and count == len(COCO17):
            alike = [COCO17]
        names = alike[0].joints if alike else _numbered(flip or list(range(count)))
    if len(names) != count or len(set(names)) != count:
        raise UserError(f"{file}: {len(set(names))} joint names for kpt_shape of {count} joints")
    order = Skeleton("", names, (), ()).flip_order.tolist()
    for wrong in range(count) if flip is not None else ():
        if order[wrong] == flip[wrong]:
            continue
        raise UserError(
            f"{file}: flip_idx swaps '{names[wrong]}' with '{names[flip[wrong]]}', the names with "
            f"'{names[order[wrong]]}'; sides are read from the names: give --joints"
        )
    facts = [Fact("joints", list(names), f"{count}: {', '.join(names)}", source), sides_fact(names)]
    if flip is not None and names == _numbered(flip):
        facts += _left_fact(flip)
    if flip is None:
        facts.append(assumed("flip_idx", None, "no flip_idx: sides are those of the names"))
    return names, facts


def _numbered(flip: list[int]) -> tuple[str, ...]:
    """``point_3``, or ``left_3`` and ``right_3`` of a pair: the lower number is called left."""
    names = []
    for joint, other in enumerate(flip):
        side = "point" if joint == other else "left" if joint < other else "right"
        names.append(f"{side}_{min(joint, other)}")
    return tuple(names)


def _left_fact(flip: list[int]) -> list[Fact]:
    """Which joint of each numbered pair is called left."""
    left = {a: b for a, b in enumerate(flip) if a < b}
    shown = ", ".join(f"{a} (not {b})" for a, b in left.items())
    text = f"joints {shown}, as flip_idx does not say which side is which; --joints does"
    return [assumed("left", list(left), text)] if left else []


def _class(settings: dict[str, Any], file: Path, wanted: str | None) -> tuple[int, Fact]:
    names = settings.get("names", {0: "person"})
    names = dict(enumerate(names)) if isinstance(names, list) else names
    whole = isinstance(names, dict) and all(type(index) is int for index in names)
    if not whole or not names:
        raise UserError(f"{file}: names must list the classes, found {names!r:.60}")
    by_name = {str(name): int(index) for index, name in names.items()}
    if wanted is not None and wanted not in by_name:
        raise UserError(f"--class {wanted}: not in {file}{nearest(wanted, by_name)}")
    if wanted is None and len(by_name) > 1 and "person" not in by_name:
        raise UserError(
            f"{file}: several classes ({', '.join(by_name)}); --class says who is people"
        )
    name = wanted or ("person" if "person" in by_name else next(iter(by_name)))
    text = f"class {by_name[name]}, '{name}', of {len(by_name)}"
    return by_name[name], Fact("class", name, text, "recipe" if wanted else "file")


def _root(settings: dict[str, Any], file: Path) -> Path:
    """``path`` of the YAML if it is there from here or from the YAML, else the YAML's folder."""
    stated = Path(str(settings.get("path") or "."))
    candidates = [file.parent / stated, stated, file.parent]
    return next(folder for folder in candidates if folder.is_dir())


def _splits(settings: dict[str, Any], root: Path, left: LeftOut) -> list[str]:
    """Those that the file names; a test set that is not there is left out: exports name it."""
    found = [split for split in SPLITS if settings.get(split)]
    if "test" in found and not any(path.exists() for path in _parts(settings["test"], root)):
        left.add("splits whose images are not there", "test")
        found.remove("test")
    return found


def _parts(entry: Any, root: Path) -> list[Path]:
    """Where a split's images are; Roboflow's files say ``../train/images`` for train/images."""
    found = []
    for part in map(str, entry if isinstance(entry, list) else [entry]):
        path = root / part
        found.append(path if path.exists() else root / part.removeprefix("../"))
    return found


def _images(entry: Any, root: Path, file: Path) -> list[Path]:
    """Images of a folder, of a list in a .txt, or of several of these."""
    found: list[Path] = []
    for path in _parts(entry, root):
        if path.is_dir():
            found += [p for p in sorted(path.rglob("*")) if p.suffix.lower() in ENDINGS]
        elif path.suffix == ".txt" and path.is_file():
            found += [root / line.strip() for line in _text(path).splitlines() if line.strip()]
        else:
            raise UserError(f"{file}: {path} is neither a folder nor a .txt")
    if not found:
        raise UserError(f"{file}: no images in {entry}")
    return found


def _below(image: Path, root: Path, file: Path) -> str:
    try:
        return image.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise UserError(f"{file}: {image} is not below the data set's folder {root}") from error


def _label_file(image: Path) -> Path:
    """``…/labels/…/a.txt`` for ``…/images/…/a.jpg``: the last folder of that name counts."""
    parts = list(image.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot read this file ({error})") from error


def _lines(file: Path, numbers: int) -> list[tuple[str, list[float]]]:
    rows = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        where = f"{file}: line {number}"
        words = line.split()
        if not words:
            continue
        if len(words) != numbers:
            raise UserError(f"{where}: {len(words)} numbers, kpt_shape asks for {numbers}")
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        if not all(map(math.isfinite, row)) or row[0] < 0 or row[0] != int(row[0]):
            raise UserError(f"{where}: expected a class number and finite numbers")
        rows.append((where, row))
    return rows


def _object(
    where: str, row: list[float], values: int, size_wh: tuple[int, int]
) -> tuple[list[float], np.ndarray]:
    """Box and (J, 3) keypoints in pixels; Raises UserError for numbers that are not / size."""
    x, y, w, h = row[1:5]
    edges = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    if min(edges) < -_OVER or max(edges) > 1 + _OVER or min(w, h) <= 0:
        raise UserError(
            f"{where}: box {x:g} {y:g} {w:g} {h:g} is empty or outside the image; numbers must be "
            "divided by the image's width and height"
        )
    points: np.ndarray = np.array(row[5:]).reshape(-1, values)
    if values == 2:
        labelled = (points >= 0).all(1) & (points > 0).any(1)
        points = np.concatenate([points, np.where(labelled, 2.0, 0.0)[:, None]], 1)
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        raise UserError(f"{where}: a visibility is not 0, 1 or 2")
    placed = points[points[:, 2] > 0, :2]
    if ((placed < -_OVER) | (placed > 1 + _OVER)).any():
        raise UserError(f"{where}: a joint lies outside the image, or is not divided by its size")
    width, height = size_wh
    points[:, :2] *= size_wh
    return [edges[0] * width, edges[1] * height, w * width, h * height], points
