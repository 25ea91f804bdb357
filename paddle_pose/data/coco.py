"""COCO keypoint files → PersonTable: the official layout, and any file of the same form.

Coordinates are taken as the file has them and read as 0-based, as every published number does.
"""

from __future__ import annotations

import contextlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data.archives import open_archives
from paddle_pose.data.boxes import read_boxes
from paddle_pose.data.coco_category import Category, read_category
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.geometry import box_to_center_scale
from paddle_pose.names import require_plain
from paddle_pose.skeletons import Skeleton

BOX_PADDING = 1.25

_IMAGE_KEYS = ("id", "file_name", "width", "height")
_ANNOTATION_KEYS = ("image_id", "category_id", "bbox", "area", "iscrowd", "keypoints")


@dataclass(frozen=True)
class _Image:
    """What is needed of an image row."""

    position: int
    name: str
    width: int
    height: int


def annotation_file(dataset_root: Path, split: str) -> Path:
    """Where the official layout has a split's annotations; test splits have image lists only.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:112 @6f69e46
    """
    require_plain(split, "split")
    prefix = "image_info" if "test" in split else "person_keypoints"
    return Path(dataset_root) / "annotations" / f"{prefix}_{split}.json"


def box_file(dataset_root: Path, split: str) -> Path:
    """The one detector-box file of a split in ``person_detection_results``.

    Raises:
        UserError: there is none, or several; lists them.
    """
    folder = Path(dataset_root) / "person_detection_results"
    found = sorted(folder.glob(f"COCO_{split}_detections*.json")) if folder.is_dir() else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"{folder}: no detector boxes COCO_{split}_detections_*.json; "
            "put the file there, name one (val.py --boxes FILE), or take the boxes of the "
            "annotated people (val.py --benchmark NAME, one whose boxes are ground_truth)"
        )
    names = ", ".join(file.name for file in found)
    raise UserError(
        f"{folder}: several box files for '{split}' ({names}); choose one (val.py --boxes FILE)"
    )


def load(
    dataset_root: Path,
    split: str,
    *,
    image_size_wh: tuple[int, int],
    skeleton_name: str = "coco17",
    boxes: str = "ground_truth",
    annotations: Path | None = None,
    boxes_file: Path | None = None,
    box_threshold: float = 0.0,
    with_images: bool = True,
) -> PersonTable:
    """People of a split as crops: annotated boxes, or those of a detector.

    Args:
        dataset_root: folder with ``annotations/`` and ``images/`` (official), or any folder that
            holds the images when ``annotations`` is given.
        split: ``train2017``, ``val2017``, ``test-dev2017``, …
        image_size_wh: network input, for the crops' aspect ratio.
        skeleton_name: joint set of the file, or ``from_file`` to read it from its category (it is
            then known to ``skeleton_named`` as ``from_file``).
        boxes: ``ground_truth`` or ``detector``.
        annotations: file instead of the layout's.
        boxes_file: detector boxes instead of the layout's.
        box_threshold: detector boxes that score less are left out.
        with_images: whether a folder with any of the images must be found; not needed to score.

    Ground-truth rows are annotations in image order, without crowds, people without any labelled
    joint and invalid boxes; boxes are clipped and lose a pixel as in the reference. Detector rows
    are boxes in file order, with no joint visible. Counts stand in ``summary``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:143,246 @6f69e46

    Raises:
        UserError: missing or broken file, or a broken record, which is named.
    """
    file = Path(annotations) if annotations else annotation_file(dataset_root, split)
    content = _read(file, Path(dataset_root))
    images = _images(content, file)
    category = read_category(content, file, skeleton_name)
    files: tuple[Path, ...] = (file,)
    if boxes == "ground_truth":
        people = _annotated(content, file, images, category)
    elif boxes == "detector":
        source = Path(boxes_file) if boxes_file else box_file(dataset_root, split)
        people = _detected(source, file, images, category, box_threshold)
        files = (file, source)
    else:
        raise UserError(f"boxes: '{boxes}' is neither 'ground_truth' nor 'detector'")
    if not people.rows:
        raise UserError(f"no people to work on: {people.summary}")
    width, height = image_size_wh
    center, scale = box_to_center_scale(np.array(people.boxes_xywh), width / height, BOX_PADDING)
    names = tuple(image.name for image in images.values())
    index = np.array([images[image_id].position for image_id in people.image_ids])
    return PersonTable(
        skeleton=category.skeleton.name,
        image_root=_image_root(Path(dataset_root), split, names, index, file, with_images),
        image_names=names,
        image_ids=np.array(list(images), np.int64),
        image_index=index,
        rows=np.array(people.rows),
        center_xy=center.astype(np.float64),
        scale_wh=scale.astype(np.float64),
        joints_xy=people.joints[:, :, :2],
        visible=(people.joints[:, :, 2] > 0).astype(np.float64),
        head_size_px=np.full(len(people.rows), np.nan),
        box_score=np.array(people.scores, np.float64),
        summary=people.summary,
        files=files,
    )


def skeleton_of(annotations: Path, skeleton_name: str) -> Skeleton:
    """The joint set of a file, checked against the name (or read, for ``from_file``)."""
    content = _read(Path(annotations), Path(annotations).parent)
    return read_category(content, Path(annotations), skeleton_name).skeleton


def describe(table: PersonTable) -> None:
    """Print what was found, in the reference's two lines and one of counts."""
    print(f"=> num_images: {len(table.image_names)}")
    print(f"=> load {len(table)} samples")
    print(f"=> {table.summary}", flush=True)


@dataclass(frozen=True)
class _People:
    """Rows on their way into a table."""

    rows: list[int]
    image_ids: list[int]
    boxes_xywh: list[list[float]]
    scores: list[float]
    joints: np.ndarray
    summary: str


def _read(file: Path, dataset_root: Path) -> dict[str, Any]:
    if not file.is_file():
        folder = file.parent
        there = sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []
        hint = f" (there: {', '.join(there[:6])})" if there else ""
        raise UserError(
            f"{file}: no such annotation file{hint}; is {dataset_root} the data set's folder? "
            "--annotations FILE names another file"
        )
    content = read_json(file, object_hook=_compact)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{file}: not a COCO file; expected an object with a list 'images'")
    return content


def _compact(record: dict[str, Any]) -> dict[str, Any]:
    """An annotation or image without what is not read here: else 200,000 people take gigabytes."""
    if "image_id" in record:
        with contextlib.suppress(KeyError, TypeError, OverflowError):  # kept for the message
            record["keypoints"] = array("d", record["keypoints"])
        return {key: record[key] for key in _ANNOTATION_KEYS if key in record}
    if "file_name" in record:
        return {key: record[key] for key in _IMAGE_KEYS if key in record}
    return record


def _images(content: dict[str, Any], file: Path) -> dict[int, _Image]:
    images: dict[int, _Image] = {}
    for row, record in enumerate(content["images"]):
        try:
            image_id, name = int(record["id"]), str(record["file_name"])
            size = int(record["width"]), int(record["height"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{file}: images[{row}] needs id, file_name, width, height ({error!r})"
            ) from error
        if image_id not in images:  # the same image listed twice is harmless
            images[image_id] = _Image(len(images), name, *size)
    if not images:
        raise UserError(f"{file}: lists no images")
    return images


def _annotated(
    content: dict[str, Any], file: Path, images: dict[int, _Image], category: Category
) -> _People:
    annotations = content.get("annotations")
    if not isinstance(annotations, list):
        raise UserError(f"{file}: has no list 'annotations'; without truth use detector boxes")
    by_image: dict[int, list[tuple[int, list[float], np.ndarray]]] = {key: [] for key in images}
    crowd = invalid = unlabelled = other = 0
    for row, record in enumerate(annotations):
        image_id, box, area = _checked(record, f"{file}: annotations[{row}]", images, category)
        if record["category_id"] != category.id:
            other += 1
        elif record.get("iscrowd", 0):
            crowd += 1
        elif area <= 0 or (clean := _clean(box, images[image_id])) is None:
            invalid += 1
        elif (joints := _joints(record, f"{file}: annotations[{row}]", category)).max() <= 0:
            unlabelled += 1
        else:
            by_image[image_id].append((row, clean, joints))
    found = [(image_id, *person) for image_id, rows in by_image.items() for person in rows]
    summary = (
        f"{file.name}: {len(images)} images, {len(annotations)} annotations, {len(found)} people; "
        f"left out {crowd} crowds, {unlabelled} without keypoints, {invalid} invalid boxes"
        + (f", {other} of other categories" if other else "")
    )
    joint_count = len(category.skeleton)
    return _People(
        rows=[row for _, row, _, _ in found],
        image_ids=[image_id for image_id, _, _, _ in found],
        boxes_xywh=[box for _, _, box, _ in found],
        scores=[1.0] * len(found),
        joints=np.array([joints for *_, joints in found]).reshape(-1, joint_count, 3),
        summary=summary,
    )


def clean_box(box_xywh: list[float], width_px: int, height_px: int) -> list[float] | None:
    """A box clipped to its image and one pixel smaller, as the reference has it; None if invalid.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:161 @6f69e46
    """
    x, y, w, h = box_xywh
    left, top = max(0.0, x), max(0.0, y)
    right = min(width_px - 1.0, left + max(0.0, w - 1))
    bottom = min(height_px - 1.0, top + max(0.0, h - 1))
    if right < left or bottom < top:
        return None
    return [left, top, right - left, bottom - top]


def _clean(box_xywh: list[float], image: _Image) -> list[float] | None:
    return clean_box(box_xywh, image.width, image.height)


def _checked(
    record: Any, where: str, images: dict[int, _Image], category: Category
) -> tuple[int, list[float], float]:
    """Image id, box and area of an annotation; Raises UserError saying what is wrong."""
    try:
        image_id, _ = int(record["image_id"]), int(record["category_id"])
        box = [float(value) for value in record["bbox"]]
        area = float(record["area"]) if "area" in record else 1.0
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: needs image_id, category_id and bbox ({error!r})") from error
    if image_id not in images:
        raise UserError(f"{where}: image_id {image_id} is not among the file's images")
    if len(box) != 4 or not np.isfinite([*box, area]).all():
        raise UserError(f"{where}: expected bbox [x, y, width, height], finite, got {box}")
    return image_id, box, area


def _joints(record: dict[str, Any], where: str, category: Category) -> np.ndarray:
    """(J, 3) x, y, visibility; Raises UserError for a wrong count."""
    count = len(category.skeleton)
    values = record.get("keypoints", [])
    try:
        joints = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: keypoints are not numbers ({error})") from error
    if joints.size == 0:
        return np.zeros((count, 3))
    if joints.shape != (3 * count,) or not np.isfinite(joints).all():
        raise UserError(
            f"{where}: expected {3 * count} finite numbers for the {count} joints of "
            f"'{category.skeleton.name}', got {joints.size}; another joint set: "
            "--set data.skeleton=from_file"
        )
    return joints.reshape(count, 3)


def _detected(
    source: Path, file: Path, images: dict[int, _Image], category: Category, box_threshold: float
) -> _People:
    found = read_boxes(source, category_id=category.id, min_score=box_threshold)
    keep = np.array([image_id in images for image_id in found.image_ids], bool)
    elsewhere = int((~keep).sum())
    people = int(keep.sum())
    summary = f"{found.summary}, {elsewhere} on images not in {file.name}: {people} people"
    return _People(
        rows=found.rows[keep].tolist(),
        image_ids=found.image_ids[keep].tolist(),
        boxes_xywh=found.boxes_xywh[keep].tolist(),
        scores=found.scores[keep].tolist(),
        joints=np.zeros((people, len(category.skeleton), 3)),
        summary=summary,
    )


def _image_root(
    dataset_root: Path,
    split: str,
    names: tuple[str, ...],
    index: np.ndarray,
    file: Path,
    required: bool,
) -> Path:
    """The folder, or its archives, with any of the people's images: the official one first."""
    folder = "test2017" if "test" in split else split
    near = file.parent
    candidates = [dataset_root / "images" / folder, dataset_root / folder, dataset_root / "images"]
    candidates += [dataset_root, near / "images", near.parent / "images", near]
    needed = [names[position] for position in dict.fromkeys(index.tolist())]
    for number, candidate in enumerate(candidates):
        if any((candidate / name).is_file() for name in needed[:200]):
            return candidate
        archives = open_archives(candidate) if number < 3 else None
        if archives is not None and any(archives.find(name) for name in needed[:200]):
            return candidate
    if not required:
        return candidates[0]
    tried = ", ".join(str(candidate) for candidate in dict.fromkeys(candidates[:4]))
    raise UserError(
        f"image {needed[0]} (and others of {file.name}) not found; looked in {tried}; "
        "is --dataset_root right?"
    )
