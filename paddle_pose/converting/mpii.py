"""MPII's official release → train, valid and test as HRNet's and Newell's files have them.

Rules, and where they come from:

* A person is kept with a position (``objpos``) and a ``scale``; to train or validate, with at least
  one joint. A joint that is there is labelled, hidden (``is_visible`` 0) or not: ``jnt_missing`` of
  the published truth is 1 for joints without a point alone. Coordinates at or below 0 are kept.
* Pixels stay 1-based, the centre and scale as annotated (no 15 × scale, no 1.25: loaders do that).
* Joints are the release's. The published ``gt_valid.mat`` has 0 for a coordinate of 13 joints of 10
  validation people where the release has a number, and rounding noise below 0.002 px elsewhere:
  Newell's published predictions score 88.038 on these joints and 88.035 on those.
* The head box is ``x1 … y2``; head size is 0.6 × its diagonal. People to validate need one.
* ``test``: everybody with position and scale on images where ``img_train`` is 0. HRNet's own
  test.json has the 7,247 of ``single_person`` alone.
* ``valid``: the release does not say who. Tompson et al. (CVPR 2015) chose 2,958 people on 2,729
  images. They stand, in this order, in Tompson's ``detections.mat``, Newell's ``valid.h5`` and
  HRNet's ``valid.json``. ``train`` is everybody on the images that hold none of them.

Source: bearpaw/pytorch-pose miscs/gen_mpii.m:28, evaluation/data/detections.mat;
princeton-vl/pose-hg-train src/misc/mpii.py:44, src/misc/convert_annot.py
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.converting.converted import Converted, LeftOut, assumed
from paddle_pose.converting.mat_file import apart, load_mat
from paddle_pose.converting.mpii_layout import MpiiPerson, records, truth_mat
from paddle_pose.converting.mpii_release import Release, ReleasePerson, read_release
from paddle_pose.data import image_files
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.understood import Fact, Understood, counted

OFFICIAL_IMAGES = 24_987
"""Images in the release; a file of so many is checked against the published counts."""

PUBLISHED = {"train": 22_246, "valid": 2_958, "test": 11_731}
"""People in HRNet's train.json and valid.json, and in Newell's test.h5."""

_SHARE = 10
"""Without a list one video in so many is for validation."""

_NEAR_PX = 1.0
"""A record of a valid.json is the person whose centre is nearer than this."""


def convert(mat: Path, images: Path, output: Path, valid_list: Path | None) -> Converted:
    """The three splits and ``gt_valid.mat`` below ``output/annot``.

    Args:
        mat: the official file.
        images: folder of the photos; missing ones are counted.
        output: for ``annot/``.
        valid_list: who is for validation: ``detections.mat``, ``valid.h5``, ``valid.json``, or
            image names, one a line. None takes whole videos, one in ten.

    Raises:
        UserError: a file that cannot be read, or a list that is not of this release.
    """
    release = apart(read_release, mat)
    left = LeftOut()
    usable = _usable(release, left)
    valid, facts = _validation(release, usable, valid_list)
    taken = {(person.image, person.person) for person in valid}
    their_images = {person.image for person in valid}
    train, test = [], []
    for person in usable:
        if not release.train[person.image]:
            test.append(person)
        elif person.image not in their_images:
            train.append(person)
        elif (person.image, person.person) not in taken:
            left.add("people on validation images, not validated", person.where)
    scored = [person for person in valid if person.has_head]
    for person in valid:
        left.add("people to validate without a head box", person.where, not person.has_head)
    splits = {"train": _found(train), "valid": _found(scored), "test": _found(test)}
    for name in ("train", "valid"):
        if not splits[name]:
            raise UserError(f"{mat}: nobody is left for '{name}'; {left.fact().text}")
    annot = output / "annot"
    files: dict[Path, Any] = {
        annot / f"{name}.json": records(people, with_joints=name != "test")
        for name, people in splits.items()
    }
    files[annot / "gt_valid.mat"] = truth_mat(splits["valid"])
    facts += [
        _counts(release, splits, sum(person.single for person in test)),
        left.fact(),
        _pictures(release, images),
    ]
    understood = Understood(tuple(facts))
    files[output / "converted.json"] = understood.plain()
    inputs = (mat, valid_list) if valid_list else (mat,)
    return Converted(files, inputs, understood)


def _usable(release: Release, left: LeftOut) -> list[ReleasePerson]:
    """Everybody with position and scale; on training images also with a joint."""
    usable = []
    for person in release.people:
        if person.found is None:
            left.add("people without position or scale", person.where)
        elif release.train[person.image] and not person.has_joints:
            left.add("people to train on without any joint", person.where)
        else:
            usable.append(person)
    return usable


def _found(people: list[ReleasePerson]) -> list[MpiiPerson]:
    return [person.found for person in people if person.found is not None]


def _counts(release: Release, splits: dict[str, list[MpiiPerson]], single: int) -> Fact:
    counts = {name: len(people) for name, people in splits.items()}
    text = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    text += f" ({single:,} of the test people in single_person)"
    if len(release.names) == OFFICIAL_IMAGES:
        published = " / ".join(f"{n:,}" for n in PUBLISHED.values())
        equal = counts == PUBLISHED
        text += f"; {'equal to' if equal else 'NOT'} the published {published}"
    return Fact("people", counts, text, "counted")


def _pictures(release: Release, images: Path) -> Fact:
    absent = image_files.missing(images, release.names)
    text = f"{len(release.names):,} in the release, {len(absent):,} of them not in {images}"
    if absent:
        text += f" (first: {absent[0]}); training needs those of its people"
    return Fact("images", {"listed": len(release.names), "missing": len(absent)}, text, "counted")


@dataclass(frozen=True)
class _Wanted:
    """A row of a list: its image, and the person by position or by centre."""

    image: int
    person: int | None
    center_xy: np.ndarray | None
    where: str


def _validation(
    release: Release, usable: list[ReleasePerson], file: Path | None
) -> tuple[list[ReleasePerson], list[Fact]]:
    """Who is validated, in the list's order, and how that was decided."""
    trainable = [person for person in usable if release.train[person.image]]
    if file is None:
        chosen = [p for p in trainable if _own_choice(release, p.image)]
        text = (
            f"no --valid_list: one video in {_SHARE} (all images of a video together) is for "
            "validation; not the published split, scores on it compare with no published one"
        )
        return chosen, [assumed("validation_split", "videos", text)]
    by_image: dict[int, list[ReleasePerson]] = {}
    for person in trainable:
        by_image.setdefault(person.image, []).append(person)
    if file.suffix in (".mat", ".h5", ".json"):
        chosen = [_match(row, by_image.get(row.image, [])) for row in _rows(file, release)]
        if len({(p.image, p.person) for p in chosen}) < len(chosen):
            raise UserError(f"--valid_list {file}: names a person twice")
        text = f"{counted(len(chosen), 'person', 'people')} of {file}"
        return chosen, [Fact("validation_split", file.name, text)]
    images = _named_images(file, release)
    chosen = [person for image in images for person in by_image.get(image, [])]
    text = (
        f"{file.name} names images, not people: all {len(chosen):,} with joints on them are "
        "validated; the published 2,958 are a part (detections.mat, valid.h5, valid.json say who)"
    )
    return chosen, [assumed("validation_split", file.name, text)]


def _own_choice(release: Release, image: int) -> bool:
    video = release.videos[image]
    key = f"video {video}" if video >= 0 else release.names[image]
    return zlib.crc32(key.encode()) % _SHARE == 0


def _match(row: _Wanted, there: list[ReleasePerson]) -> ReleasePerson:
    if row.person is not None:
        found = [person for person in there if person.person == row.person]
    else:
        near = [
            (float(np.linalg.norm(p.found.center_xy - row.center_xy)), i)
            for i, p in enumerate(there)
            if p.found is not None
        ]
        found = [there[i] for distance, i in sorted(near)[:1] if distance < _NEAR_PX]
    if not found:
        raise UserError(f"{row.where}: no such person with joints in the release's training images")
    return found[0]


def _rows(file: Path, release: Release) -> list[_Wanted]:
    if file.suffix == ".json":
        return _json_rows(file, release)
    if file.suffix == ".mat":
        names, first = ("RELEASE_img_index", "RELEASE_person_index"), 1
        content = apart(load_mat, file, names)
    else:
        content = _read_h5(file)
        names, first = ("index", "person"), 0
    if any(name not in content for name in names):
        raise UserError(f"--valid_list {file}: has no {names[0]} and {names[1]}")
    try:
        images, people = (np.ravel(content[name]).astype(int) - first for name in names)
    except (TypeError, ValueError) as error:
        raise UserError(f"--valid_list {file}: {names[0]} is not numbers ({error})") from error
    if len(images) != len(people) or not len(images):
        raise UserError(f"--valid_list {file}: {len(images)} images and {len(people)} people")
    stated = [name for name in np.ravel(content.get("imgname", ())) if isinstance(name, bytes)]
    rows = []
    for row, (image, person) in enumerate(zip(images, people, strict=True)):
        where = f"--valid_list {file}: row {row}"
        if not 0 <= image < len(release.names):
            raise UserError(f"{where}: image {image} is not among {len(release.names)}")
        if row < len(stated):
            name = stated[row].decode(errors="replace")
            if name != release.names[image]:
                raise UserError(
                    f"{where}: says {name}, the release has {release.names[image]} there"
                )
        rows.append(_Wanted(int(image), int(person), None, where))
    return rows


def _json_rows(file: Path, release: Release) -> list[_Wanted]:
    content = read_json(file)
    positions = {name: index for index, name in enumerate(release.names)}
    if not isinstance(content, list) or not content:
        raise UserError(f"--valid_list {file}: expected a list of people, as HRNet's valid.json is")
    rows = []
    for row, record in enumerate(content):
        where = f"--valid_list {file}: record {row}"
        try:
            name = str(record["image"])
            center = np.array(record["center"], float).reshape(2)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: needs 'image' and 'center' [x, y] ({error!r})") from error
        if name not in positions:
            raise UserError(f"{where}: image {name} is not in the release")
        rows.append(_Wanted(positions[name], None, center, f"{where} ({name})"))
    return rows


def _named_images(file: Path, release: Release) -> list[int]:
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--valid_list {file}: cannot read this file ({error})") from error
    positions = {name: index for index, name in enumerate(release.names)}
    wanted = dict.fromkeys(line for line in lines if line)
    for name in wanted:
        if name not in positions:
            raise UserError(f"--valid_list {file}: image {name[:80]} is not in the release")
    return [positions[name] for name in wanted]


def _read_h5(file: Path) -> dict[str, Any]:
    import h5py

    try:
        with h5py.File(file, "r") as content:
            wanted = [name for name in ("index", "person", "imgname") if name in content]
            return {name: content[name][()] for name in wanted}
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, TypeError and more
        raise UserError(f"--valid_list {file}: cannot be read as HDF5 ({error})") from error
