"""A COCO-form annotation file, checked once: people to predict and truth to score are both from it.

Coordinates are taken as the file has them and read as 0-based, as every published number does.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import halpe
from paddle_pose.data.coco_category import Category, choose, read_category
from paddle_pose.data.coco_people import Annotations, Found, doubts, typed
from paddle_pose.data.coco_values import compact_numbers, finite
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.names import require_inside
from paddle_pose.plain import integer
from paddle_pose.settings import DataSettings, by_alphapose
from paddle_pose.understood import Fact, Understood, counted

_IMAGE_KEYS = ("id", "file_name", "width", "height", "crowdIndex")
_ANNOTATION_KEYS = (
    "id", "image_id", "category_id", "bbox", "area", "iscrowd", "num_keypoints",
)  # fmt: skip
_JOINT_KEYS = ("keypoints", *halpe.WHOLE_BODY_KEYS)


@dataclass(frozen=True)
class Image:
    """A row of ``images``; no size and no CrowdPose's ``crowdIndex`` where the file has none."""

    position: int
    name: str
    size_wh: tuple[int, int] | None
    crowd_index: float | None = None


@dataclass(frozen=True)
class CocoFile:
    """An annotation file, checked.

    Attributes:
        file: where it is from.
        category: which annotations are people, and their joints.
        images: by their ids, in the file's order.
        people: who is annotated; None where ``annotations`` is lacking or empty.
        left_out: annotations that are not read, by reason.
        understood: what was understood, in words.
        stated: the recipe's, whose rules choose people and folders.
    """

    file: Path
    category: Category
    images: Mapping[int, Image]
    people: Annotations | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    understood: Understood = field(default_factory=Understood)
    stated: DataSettings = field(default_factory=DataSettings)

    @property
    def has_people(self) -> bool:
        """Whether there is a truth: not where nobody is annotated, or by boxes alone."""
        people = self.people
        return people is not None and (
            not len(people) or bool((people.keypoints[..., 2] > 0).any())
        )

    def and_said(self, fact: Fact) -> CocoFile:
        """The same, with one more fact."""
        return replace(self, understood=self.understood + Understood((fact,)))

    @property
    def image_count(self) -> int:
        """Images that are listed."""
        return len(self.images)

    def require_somebody(
        self, image_ids: np.ndarray | None = None, *, made: str = "a score over"
    ) -> Annotations:
        """The people; Raises UserError where nobody (on those images) counts for what is made."""
        if self.people is None:
            raise UserError(f"{self.file}: annotates nobody, so there would be {made} nobody")
        counts = self.people.counted
        if image_ids is not None:
            counts = counts & np.isin(self.people.image_ids, image_ids)
        if not counts.any():
            where = (
                "" if image_ids is None else f" on the {counted(len(image_ids), 'scored image')}"
            )
            out = [f"{count} {why}" for why, count in self.left_out.items() if count]
            raise UserError(
                f"{self.file}: there would be {made} nobody: of "
                f"{counted(len(self.people), 'person', 'people')}{where} none has labelled joints "
                "and is no crowd" + (f"; left out {', '.join(out)}" if out else "")
            )
        return self.people

    def truth(self) -> dict[str, Any]:
        """What ``metrics.coco_ap`` takes."""
        people = self.require_somebody()
        columns = (
            people.image_ids, people.boxes_xywh, people.areas_px2, people.crowd.astype(int),
            people.labelled,
        )  # fmt: skip
        names = ("image_id", "bbox", "area", "iscrowd", "num_keypoints")
        records = zip(*(column.tolist() for column in columns), strict=True)
        flat = people.keypoints.reshape(len(people), 3 * len(self.category.skeleton))
        return {
            "images": [{"id": image_id} for image_id in self.images],
            "annotations": [
                {
                    **dict(zip(names, record, strict=True)),
                    "category_id": self.category.id,
                    "keypoints": joints.tolist(),
                }
                for record, joints in zip(records, flat, strict=True)
            ],
        }


def read(
    file: Path,
    dataset_root: Path,
    skeleton_name: str,
    stated: DataSettings | None = None,
    *,
    missing: str = "",
) -> CocoFile:
    """A file and all that is understood of it.

    Args:
        file: ``.json`` or ``.json.gz``.
        dataset_root: for the message of a missing file.
        skeleton_name: joint set, or ``from_file``.
        stated: the recipe's pairs, sigmas, limbs, areas and rules.
        missing: what a person puts where, if the file is missing.

    Raises:
        UserError: missing or broken file, or a broken record, which is named.
    """
    content = _content(file, dataset_root, missing)
    images = _images(content["images"], file)
    annotations = [] if content.get("annotations") is None else content["annotations"]
    if not isinstance(annotations, list):
        raise UserError(f"{file}: 'annotations' must be a list")
    category_id, _ = choose(content, file)
    people, left_out = _of_category(annotations, category_id, images, file)
    stated = stated or DataSettings()
    kept = halpe.prepare(content, people, skeleton_name, stated, file)
    joints = _joint_count(people, file)
    category = read_category(content, file, skeleton_name, stated=stated, joints=joints)
    read = CocoFile(file, category, images, stated=stated)
    facts = [Fact("file", file.name, f"{file}: {counted(len(images), 'image')}")]
    if annotations:
        found, area = typed(people, category, stated, file)
        read = replace(read, people=found, left_out=left_out)
        doubtful = doubts(found, _sizes(images, found), scored=by_alphapose(stated))
        facts.append(_said(read, len(annotations)))
        facts += [*kept, *category.understood.facts, area, *doubtful]
    else:
        facts.append(Fact("annotations", 0, "nobody is annotated"))
        facts += category.understood.facts
    return replace(read, left_out=left_out, understood=Understood(tuple(facts)))


def _content(file: Path, dataset_root: Path, missing: str) -> dict[str, Any]:
    if not file.is_file():
        folder = file.parent
        there = sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []
        hint = f" (there: {', '.join(there[:6])})" if there else ""
        raise UserError(
            f"{file}: no such annotation file{hint}; is {dataset_root} the data set's folder? "
            f"{missing and f'{missing}; '}--annotations FILE names another file"
        )
    content = read_json(file, object_hook=_compact)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{file}: not a COCO file; expected an object with a list 'images'")
    return content


def _compact(record: dict[str, Any]) -> dict[str, Any]:
    """An annotation or image without what is not read here: else 200,000 people take gigabytes."""
    if "image_id" in record:
        kept = {key: record[key] for key in _ANNOTATION_KEYS if key in record}
        joints = {key: compact_numbers(record[key]) for key in _JOINT_KEYS if key in record}
        return kept | joints
    if "file_name" in record:
        return {key: record[key] for key in _IMAGE_KEYS if key in record}
    return record


def _images(records: list[Any], file: Path) -> dict[int, Image]:
    images: dict[int, Image] = {}
    for row, record in enumerate(records):
        where = f"{file}: images[{row}]"
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object, got {record!r:.80}")
        for key in ("id", "file_name"):
            if record.get(key) is None:
                raise UserError(f"{where}: has no '{key}'; an image needs id and file_name")
        image_id, name = integer(record["id"], f"{where}: id"), record["file_name"]
        if not isinstance(name, str):
            raise UserError(f"{where}: file_name {name!r:.80} is not text")
        require_inside(name, f"{where}: file_name")
        crowd = record.get("crowdIndex")
        crowd = None if crowd is None else finite(crowd, f"{where}: crowdIndex")
        image = Image(len(images), name, _size(record, where), crowd)
        known = images.setdefault(image_id, image)
        if known.name != name:
            raise UserError(
                f"{where}: image id {image_id} is '{name}' here and '{known.name}' before; were "
                "two files merged? Give each image an id of its own"
            )
        if known.size_wh != image.size_wh:
            raise UserError(
                f"{where}: image id {image_id} is {known.size_wh} before, {image.size_wh} here"
            )
    if not images:
        raise UserError(f"{file}: lists no images")
    return images


def _size(record: dict[str, Any], where: str) -> tuple[int, int] | None:
    if record.get("width") is None and record.get("height") is None:
        return None
    width, height = (integer(record.get(key), f"{where}: {key}") for key in ("width", "height"))
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise UserError(f"{where}: a size of {width}×{height} pixels")
    return width, height


def _of_category(
    annotations: list[Any], category_id: int, images: Mapping[int, Image], file: Path
) -> tuple[Found, dict[str, int]]:
    """The people's annotations on images that are listed, each once; and how many others."""
    found: Found = []
    elsewhere = other = again = 0
    seen: dict[int | str, int] = {}
    for row, record in enumerate(annotations):
        where = f"{file}: annotations[{row}]"
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object, got {record!r:.80}")
        for key in ("image_id", "category_id"):
            if record.get(key) is None:
                raise UserError(f"{where}: has no '{key}'")
        image_id = integer(record["image_id"], f"{where}: image_id")
        if integer(record["category_id"], f"{where}: category_id") != category_id:
            other += 1
            continue
        if image_id not in images:
            elsewhere += 1
            continue
        own = _annotation_id(record.get("id"), where)
        first = seen.setdefault(repr(record) if own is None else own, row)
        if first != row and annotations[first] == record:
            again += 1
            continue
        if first != row:
            raise UserError(
                f"{where}: id {own} is that of annotations[{first}] as well, which differs; give "
                "each an id of its own"
            )
        found.append((row, image_id, record))
    return found, {
        "of other categories": other,
        "on images that are not listed": elsewhere,
        "listed twice": again,
    }


def _annotation_id(value: Any, where: str) -> int | str | None:
    """An annotation's id, which only tells records apart."""
    if value is None or (isinstance(value, str) and not value.strip().isdecimal()):
        return value
    return integer(value, f"{where}: id")


def _joint_count(people: Found, file: Path) -> int | None:
    """How many joints the people have, the same number each; None where none has any."""
    count: int | None = None
    for row, _, record in people:
        values = record.get("keypoints")
        if values is None or (isinstance(values, list | array) and not len(values)):
            continue
        where = f"{file}: annotations[{row}]: keypoints"
        if not isinstance(values, array):
            listed = values if isinstance(values, list) else [values]
            flat = chain.from_iterable(v if isinstance(v, list) else [v] for v in listed)
            bad = next((v for v in flat if type(v) not in (int, float)), values)
            raise UserError(f"{where}: must be numbers x, y, visibility, …, found {bad!r:.80}")
        if len(values) % 3:
            raise UserError(f"{where}: {len(values)} numbers are no triples x, y, visibility")
        if count is not None and len(values) != 3 * count:
            raise UserError(
                f"{where}: expected {3 * count} finite numbers for {count} joints, as before, "
                f"got {len(values)}"
            )
        count = len(values) // 3
    return count


def _sizes(images: Mapping[int, Image], people: Annotations) -> np.ndarray:
    sizes = [images[image_id].size_wh or (np.nan, np.nan) for image_id in people.image_ids.tolist()]
    return np.array(sizes, np.float64).reshape(-1, 2)


def _said(read: CocoFile, annotations: int) -> Fact:
    out = {why: count for why, count in read.left_out.items() if count}
    text = counted(annotations, "annotation")
    if out:
        text += "; left out " + ", ".join(f"{count:,} {why}" for why, count in out.items())
    return Fact("annotations", {"read": annotations, **out}, text)
