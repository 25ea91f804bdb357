"""COCO keypoint files → PersonTable: the official layout, and any file of the same form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_pose.data import halpe, image_sizes
from paddle_pose.data.archives import open_archives
from paddle_pose.data.boxes import read_boxes
from paddle_pose.data.coco_file import CocoFile, read
from paddle_pose.data.coco_people import Annotations
from paddle_pose.data.layouts import LAYOUTS, annotation_file, box_file, sample_file, split_fact
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.geometry import box_to_center_scale
from paddle_pose.settings import DataSettings, by_alphapose
from paddle_pose.skeletons import Skeleton
from paddle_pose.understood import ASSUMED, Fact, Understood, counted

BOX_PADDING = 1.25


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
    stated: DataSettings | None = None,
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
        stated: the recipe's pairs, sigmas, limbs and areas.

    Raises:
        UserError: missing or broken file, or a broken record, which is named.
    """
    return people(
        read_file(dataset_root, split, skeleton_name, annotations=annotations, stated=stated),
        dataset_root,
        split,
        image_size_wh=image_size_wh,
        boxes=boxes,
        boxes_file=boxes_file,
        box_threshold=box_threshold,
        with_images=with_images,
    )


def read_file(
    dataset_root: Path,
    split: str,
    skeleton_name: str,
    *,
    annotations: Path | None = None,
    stated: DataSettings | None = None,
) -> CocoFile:
    """The file of a split, or the one named, checked; Raises UserError."""
    dataset = stated.dataset if stated is not None and stated.dataset in LAYOUTS else "coco"
    sample = None if annotations else sample_file(dataset_root, split, dataset)
    file = annotations or sample or annotation_file(dataset_root, split, dataset)
    missing = LAYOUTS[dataset].missing if annotations is None else ""
    found = read(Path(file), Path(dataset_root), skeleton_name, stated, missing=missing)
    fact = None
    if sample is not None:
        text = f"'{split}' has no file of its own; {sample.name} is read, a sample"
        fact = Fact("split", sample.name, text, ASSUMED)
    elif dataset != "coco" and annotations is None:
        fact = split_fact(dataset, split, found.image_count)
    return found if fact is None else found.and_said(fact)


def people(
    source: CocoFile,
    dataset_root: Path,
    split: str,
    *,
    image_size_wh: tuple[int, int],
    boxes: str = "ground_truth",
    boxes_file: Path | None = None,
    box_threshold: float = 0.0,
    with_images: bool = True,
) -> PersonTable:
    """The people of a file as crops, as ``load`` has it.

    Ground-truth rows are annotations in image order, without crowds, people without any labelled
    joint and invalid boxes; boxes are clipped and lose a pixel as in the reference. Detector rows
    are boxes in file order, with no joint visible. Counts stand in ``summary``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:143,246 @6f69e46

    Raises:
        UserError: broken boxes, no people, or images that are not found.
    """
    if boxes not in ("ground_truth", "detector"):
        raise UserError(f"boxes: '{boxes}' is neither 'ground_truth' nor 'detector'")
    images = list(source.images.values())
    names = tuple(image.name for image in images)
    files: tuple[Path, ...] = (source.file,)
    if boxes == "detector":
        files = (source.file, Path(boxes_file) if boxes_file else box_file(dataset_root, split))
        found = _detected(files[1], source, box_threshold)
        needed = found.index
    else:
        if source.people is None:
            raise UserError(
                f"{source.file}: annotates nobody to train on or to crop; a detector's boxes can "
                "be predicted without (val.py --boxes FILE --benchmark NAME)"
            )
        needed = np.unique(
            _positions(source, source.people.image_ids[_to_crop(source.people, source.stated)])
        )
    with_images = with_images and len(needed) > 0
    root = image_root(Path(dataset_root), split, names, needed, source, with_images)
    sizes_wh, told = image_sizes.known(
        root, names, [image.size_wh for image in images], needed, with_images=with_images
    )
    if boxes == "ground_truth" and source.people is not None:
        found = _annotated(source, source.people, sizes_wh)
    if not len(found.rows):
        raise UserError(f"no people to work on: {found.summary}")
    width, height = image_size_wh
    center, scale = box_to_center_scale(found.boxes_xywh, width / height, BOX_PADDING)
    facts = (Fact("people", found.counts, found.summary), Fact("boxes", boxes, found.boxes_are))
    return PersonTable(
        skeleton=source.category.skeleton.name,
        image_root=root,
        image_names=names,
        image_ids=np.array(list(source.images), np.int64),
        image_index=found.index,
        rows=found.rows,
        center_xy=center.astype(np.float64),
        scale_wh=scale.astype(np.float64),
        joints_xy=found.joints[:, :, :2],
        visible=_visible(source, found.joints[:, :, 2]),
        head_size_px=np.full(len(found.rows), np.nan),
        box_score=found.scores,
        image_sizes_wh=sizes_wh,
        boxes_xywh=found.boxes_xywh,
        summary=found.summary,
        understood=source.understood + Understood((*facts, *told)),
        files=files,
    )


def skeleton_of(
    annotations: Path, skeleton_name: str, stated: DataSettings | None = None
) -> Skeleton:
    """The joint set of a file, checked against the name (or read, for ``from_file``)."""
    file = Path(annotations)
    return read(file, file.parent, skeleton_name, stated).category.skeleton


def describe(table: PersonTable) -> None:
    """Print what was found, in the reference's two lines and what was understood."""
    print(f"=> num_images: {len(table.image_names)}")
    print(f"=> load {len(table)} samples", flush=True)
    table.understood.tell()


@dataclass(frozen=True)
class _People:
    """Rows on their way into a table."""

    rows: np.ndarray
    index: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray
    joints: np.ndarray
    summary: str
    counts: dict[str, int]
    boxes_are: str


def _annotated(source: CocoFile, everyone: Annotations, sizes_wh: np.ndarray) -> _People:
    file, index = source.file, _positions(source, everyone.image_ids)
    kept = _to_crop(everyone, source.stated)
    clean_of = halpe.clean_box if by_alphapose(source.stated) else clean_box
    unlabelled = ~everyone.crowd & _has_area(everyone, source.stated) & ~kept
    boxes_xywh = everyone.boxes_xywh.copy()
    for place in np.flatnonzero(kept).tolist():
        width, height = sizes_wh[index[place]].tolist()
        if not width:
            raise UserError(
                f"{file}: annotations[{everyone.rows[place]}] is on an image without width and "
                "height, which crops need, and its picture is not there to measure"
            )
        clean = clean_of(everyone.boxes_xywh[place].tolist(), width, height)
        # Of a point no crop can be made: its scale is 0.
        kept[place] = clean is not None and max(clean[2:]) > 0
        boxes_xywh[place] = clean or 0.0
    out = {
        "crowds": int(everyone.crowd.sum()),
        "without keypoints": int(unlabelled.sum()),
        "invalid boxes": int((~everyone.crowd & ~unlabelled & ~kept).sum()),
    }
    order = np.flatnonzero(kept)
    order = order[np.argsort(index[order], kind="stable")]
    return _People(
        rows=everyone.rows[order],
        index=index[order],
        boxes_xywh=boxes_xywh[order],
        scores=np.ones(len(order)),
        joints=everyone.keypoints[order],
        summary=f"{file.name}: {_summary(source, out, len(order))}",
        counts={"people": len(order), **out},
        boxes_are="as annotated, clipped to the picture and one pixel smaller, as "
        f"{'AlphaPose' if by_alphapose(source.stated) else 'HRNet'} has them",
    )


def _positions(source: CocoFile, image_ids: np.ndarray) -> np.ndarray:
    return np.array([source.images[i].position for i in image_ids.tolist()], np.int64)


def _has_area(everyone: Annotations, stated: DataSettings) -> np.ndarray:
    """(N,) bool; Halpe's loader looks at the box alone."""
    of_box = stated.dataset in halpe.DATASETS
    return np.ones(len(everyone), bool) if of_box else everyone.areas_px2 > 0


def _to_crop(everyone: Annotations, stated: DataSettings) -> np.ndarray:
    """(N,) bool: no crowd, an area, and joints, as the reference asks."""
    labelled = everyone.keypoints.max(axis=(1, 2), initial=0) > 0
    if by_alphapose(stated):
        labelled = halpe.labelled(everyone, stated)
    return ~everyone.crowd & _has_area(everyone, stated) & labelled


def _visible(source: CocoFile, scores: np.ndarray) -> np.ndarray:
    """(N, J) of joints by their third numbers."""
    if by_alphapose(source.stated):
        return halpe.visible(scores, source.stated)
    return (scores > 0).astype(np.float64)


def _summary(source: CocoFile, out: dict[str, int], people: int) -> str:
    """How many there are, and how many were left out, by reason."""
    read = 0 if source.people is None else len(source.people)
    out = out | {why: count for why, count in source.left_out.items() if count}
    listed = read + sum(source.left_out.values())
    parts = (
        (source.image_count, "image", ""),
        (listed, "annotation", ""),
        (people, "person", "people"),
    )
    text = ", ".join(counted(*part) for part in parts)
    left = ", ".join(f"{count} {why}" for why, count in out.items())
    return f"{text}; left out {left}" if left else text


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


def _detected(boxes: Path, source: CocoFile, box_threshold: float) -> _People:
    found = read_boxes(boxes, category_id=source.category.id, min_score=box_threshold)
    keep = np.isin(found.image_ids, np.array(list(source.images), np.int64))
    elsewhere, people = int((~keep).sum()), int(keep.sum())
    sizes = {i: image.size_wh for i, image in source.images.items() if image.size_wh}
    outside = int(found.outside(sizes)[keep].sum())
    where = f"{elsewhere} on images not in {source.file.name}"
    where += (
        f", {outside} wholly outside their pictures (predicted all the same)" if outside else ""
    )
    return _People(
        rows=found.rows[keep],
        index=_positions(source, found.image_ids[keep]),
        boxes_xywh=found.boxes_xywh[keep],
        scores=found.scores[keep],
        joints=np.zeros((people, len(source.category.skeleton), 3)),
        summary=f"{found.summary}, {where}: {people} people",
        counts={
            "people": people,
            "on images not listed": elsewhere,
            "wholly outside their pictures": outside,
        },
        boxes_are=f"a detector's, {boxes}",
    )


def image_root(
    dataset_root: Path,
    split: str,
    names: tuple[str, ...],
    index: np.ndarray,
    source: CocoFile,
    required: bool,
) -> Path:
    """The folder, or its archives, with any of the people's images: the official one first."""
    file, layout = source.file, LAYOUTS.get(source.stated.dataset, LAYOUTS["coco"])
    folder = "test2017" if "test" in split else split
    near = file.parent
    candidates = [dataset_root / name.format(split=split) for name in layout.folders]
    candidates += [dataset_root / "images" / folder, dataset_root / folder, dataset_root / "images"]
    packed = len(candidates)
    candidates += [dataset_root, near / "images", near.parent / "images", near]
    needed = [names[position] for position in dict.fromkeys(index.tolist())]
    for number, candidate in enumerate(candidates):
        if any((candidate / name).is_file() for name in needed[:200]):
            return candidate
        archives = open_archives(candidate) if number < packed else None
        if archives is not None and any(archives.find(name) for name in needed[:200]):
            return candidate
    if not required:
        return candidates[0]
    tried = ", ".join(str(candidate) for candidate in dict.fromkeys(candidates[:4]))
    remedy = f"below {dataset_root}: {layout.missing}" if layout.missing else ""
    raise UserError(
        f"image {needed[0]} (and others of {file.name}) not found; looked in {tried}; "
        f"{remedy or 'is --dataset_root right?'}"
    )
