"""Everybody on every picture of a COCO-form file, and the main persons that samples are made of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from paddle_pose.data import image_sizes
from paddle_pose.data.coco import image_root, read_file
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.data.coco_people import Annotations
from paddle_pose.data.coco_values import compact_numbers
from paddle_pose.data.image_files import read_bytes
from paddle_pose.data.masks import counted as pixels_that_count
from paddle_pose.data.masks import shape_of
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Place
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.understood import ASSUMED, Fact, Understood, counted

RULES = ("reference", "intended")
"""Of two main persons whose middles are near by the size of: ``reference``, the last annotated one
of the picture, whoever it is, as the official code runs; ``intended``, the first main person."""

LEAST_JOINTS = 5
LEAST_SIDE_PX = 32
LEAST_DISTANCE = 0.3
"""Of a main person: labelled joints, side of a square of its area, and distance from the main
persons before it, of the larger side of a box."""

LEAST_BOX_PX = 1.0
"""Side of a main person's box: samples are as large as its height says."""

FILE_SKELETONS = {"bodypose18": "coco17"}
"""Joint sets of networks with joints that no file has, and those of the files."""


class Source(Protocol):
    """Where pictures and their masks are."""

    def photo(self, image: int) -> tuple[bytes, str]:
        """A picture's file, and where it lies; Raises UserError."""

    def mask(self, image: int) -> np.ndarray | None:
        """(H, W) uint8, 255 where a picture counts; None where it all does; Raises UserError."""


@dataclass(frozen=True)
class WholePeople:
    """N people on M pictures, and R samples to be made of them.

    Attributes:
        skeleton: joints of the file.
        image_names, image_ids: of M pictures.
        sizes_wh: (M, 2) as annotated, pixels.
        image_index: (N,) picture of each person, ascending; crowds are people here.
        rows: (N,) their places in ``annotations``.
        boxes_xywh: (N, 4) as annotated.
        keypoints: (N, J, 3) x, y and COCO's visibility.
        labelled: (N,) how many joints are labelled, as the file says.
        main: (R,) the person whom each sample is made for.
        source: pictures and masks.
        understood: of the files.
        files: that were read.
    """

    skeleton: Skeleton
    image_names: tuple[str, ...]
    image_ids: np.ndarray
    sizes_wh: np.ndarray
    image_index: np.ndarray
    rows: np.ndarray
    boxes_xywh: np.ndarray
    keypoints: np.ndarray
    labelled: np.ndarray
    main: np.ndarray
    source: Source
    understood: Understood = field(default_factory=Understood)
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        """How many samples."""
        return len(self.main)

    def on(self, image: int) -> np.ndarray:
        """Everybody on a picture, in the file's order."""
        return np.arange(*np.searchsorted(self.image_index, (image, image + 1)))

    def people_of(self, sample: int) -> np.ndarray:
        """(P,) the main person, then the others of its picture with any joint labelled."""
        main = self.main[sample]
        others = self.on(self.image_index[main])
        others = others[(self.labelled[others] > 0) & (others != main)]
        return np.concatenate([[main], others])

    def name_of(self, sample: int) -> str:
        """What a message calls a sample."""
        main = self.main[sample]
        return f"{self.image_names[self.image_index[main]]}, annotation {self.rows[main]}"

    def place(self, sample: int) -> Place:
        """Where a sample's main person stands; without joints."""
        main = self.main[sample]
        x, y, w, h = self.boxes_xywh[main]
        return Place(
            center_xy=np.array([x + w / 2, y + h / 2]),
            scale_wh=np.array([w, h]) / UNIT_PX,
            image_id=np.asarray(self.image_ids[self.image_index[main]], np.int64),
            row=np.asarray(self.rows[main], np.int64),
            joints_xy=np.empty((0, 2)),
            visible=np.empty(0),
        )

    def head(self, limit: int | None) -> WholePeople:
        """The first ``limit`` samples; all of them for None."""
        if limit is None or limit >= len(self):
            return self
        said = Fact(
            "limit", limit, f"the first {limit:,} of {counted(len(self), 'sample')}", "recipe"
        )
        told = self.understood + Understood((said,))
        return replace(self, main=self.main[:limit], understood=told)


def main_persons(
    boxes_xywh: np.ndarray, areas_px2: np.ndarray, labelled: np.ndarray, rule: str
) -> np.ndarray:
    """Which of the people of one picture are main persons, by their places, in order.

    Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/dataio/coco_dataset.py:197
    @2ec95cb
    """
    middles = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
    larger = boxes_xywh[:, 2:].max(1)
    reach = LEAST_DISTANCE * (np.full_like(larger, larger[-1]) if rule == RULES[0] else larger)
    found: list[int] = []
    for one in np.flatnonzero((labelled >= LEAST_JOINTS) & (areas_px2 >= LEAST_SIDE_PX**2)):
        apart = np.hypot(*(middles[found] - middles[one]).T)
        if (apart >= reach[found]).all():
            found.append(int(one))
    return np.array(found, int)


@dataclass(frozen=True)
class Annotated:
    """Pictures in their folder, masks drawn from what the file says of people's shapes."""

    root: Path
    names: tuple[str, ...]
    sizes_wh: np.ndarray
    people: Annotations
    first: np.ndarray
    shapes: list[Any]
    file: Path

    def photo(self, image: int) -> tuple[bytes, str]:
        """As ``Source``."""
        return read_bytes(self.root, self.names[image])

    def mask(self, image: int) -> np.ndarray:
        """As ``Source``; a box stands for a shape that is lacking."""
        people, size = self.people, (int(self.sizes_wh[image, 0]), int(self.sizes_wh[image, 1]))
        crowd: list[np.ndarray] = []
        labelled: list[np.ndarray] = []
        unlabelled: list[np.ndarray] = []
        members = range(*self.first[image : image + 2])
        masked = [i for i in members if people.crowd[i] or people.labelled[i] <= 0]
        for one in members if masked else ():
            where = f"{self.file}: annotations[{people.rows[one]}]"
            shape = shape_of(self.shapes[people.rows[one]], size, where)
            if shape is None:
                shape = _box_shape(people.boxes_xywh[one], size)
            kind = unlabelled if people.labelled[one] <= 0 else labelled
            (crowd if people.crowd[one] else kind).append(shape)
        return pixels_that_count(crowd, labelled, unlabelled, size)


def _box_shape(box_xywh: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    x, y, w, h = box_xywh
    across, down = np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1]) + 0.5
    return ((down > y) & (down < y + h))[:, None] & ((across > x) & (across < x + w))[None]


def from_annotations(
    dataset_root: Path,
    split: str,
    skeleton_name: str,
    *,
    annotations: Path | None = None,
    stated: DataSettings | None = None,
    rule: str = "reference",
) -> WholePeople:
    """Read from a COCO-form file; ``skeleton_name`` as a recipe's ``data.skeleton``.

    Raises:
        UserError: files that cannot be used, or nobody to make a sample for.
    """
    named = FILE_SKELETONS.get(skeleton_name, skeleton_name)
    read = read_file(dataset_root, split, named, annotations=annotations, stated=stated)
    everyone = read.require_somebody(made="samples of")
    images = list(read.images.values())
    index = np.array([read.images[i].position for i in everyone.image_ids.tolist()], np.int64)
    order = np.argsort(index, kind="stable")
    people = Annotations(**{name: column[order] for name, column in vars(everyone).items()})
    index = index[order]
    first = np.searchsorted(index, np.arange(len(images) + 1))
    thin = people.boxes_xywh[:, 2:].min(1) < LEAST_BOX_PX
    labelled = np.where(thin, 0, people.labelled)
    main = [
        begin + main_persons(
            people.boxes_xywh[begin:end], people.areas_px2[begin:end], labelled[begin:end], rule
        )
        for begin, end in itertools.pairwise(first) if end > begin
    ]  # fmt: skip
    mains = np.concatenate(main)
    if not len(mains):
        raise UserError(
            f"{read.file}: nobody has {LEAST_JOINTS} labelled joints, an area of "
            f"{LEAST_SIDE_PX}×{LEAST_SIDE_PX} pixels and a box of a pixel a side, which a main "
            "person must have"
        )
    names = tuple(image.name for image in images)
    needed = np.unique(index[mains])
    root = image_root(Path(dataset_root), split, names, needed, read, True)
    sizes, told = image_sizes.known(
        root, names, [image.size_wh for image in images], needed, with_images=True
    )
    shapes = _shapes(read)
    said = _said(people, mains, len(needed), rule) + _too_thin(people, thin)
    facts = (*said, *told, *_lacking(people, shapes))
    return WholePeople(
        skeleton=read.category.skeleton,
        image_names=names,
        image_ids=np.array(list(read.images), np.int64),
        sizes_wh=sizes,
        image_index=index,
        rows=people.rows,
        boxes_xywh=people.boxes_xywh,
        keypoints=people.keypoints,
        labelled=people.labelled,
        main=mains,
        source=Annotated(root, names, sizes, people, first, shapes, read.file),
        understood=read.understood + Understood(facts),
        files=(read.file,),
    )


def _shapes(read: CocoFile) -> list[Any]:
    """``segmentation`` of each of the file's annotations, which ``coco_file`` leaves out."""

    def only_shape(record: dict[str, Any]) -> Any:
        if "image_id" in record:
            shape = record.get("segmentation")
            return [compact_numbers(one) for one in shape] if isinstance(shape, list) else shape
        return record if "annotations" in record or "counts" in record else None

    return read_json(read.file, object_hook=only_shape)["annotations"]


def _said(people: Annotations, mains: np.ndarray, images: int, rule: str) -> list[Fact]:
    text = f"{counted(len(mains), 'main person')} on {counted(images, 'image')}, by the {rule} rule"
    text += " (distances by the picture's last box, a fault of the official code)" * (
        rule == RULES[0]
    )
    return [Fact("records", {"records": len(mains), "images": images, "rule": rule}, text)]


def _too_thin(people: Annotations, thin: np.ndarray) -> list[Fact]:
    out = thin & (people.labelled >= LEAST_JOINTS) & (people.areas_px2 >= LEAST_SIDE_PX**2)
    count, first = int(out.sum()), people.rows[out][:1].tolist()
    text = f"{counted(count, 'person', 'people')} with a box of less than a pixel a side (first: "
    text += f"annotations[{first[0] if first else 0}]) cannot be a main person, and left out as one"
    return [Fact("boxes without size", count, text, ASSUMED)] if count else []


def _lacking(people: Annotations, shapes: list[Any]) -> list[Fact]:
    masked = people.crowd | (people.labelled <= 0)
    count = sum(not shapes[row] for row in people.rows[masked].tolist())
    text = f"{count:,} of {masked.sum():,} crowds and unlabelled people have no shape, their box is"
    return [Fact("masks", count, f"{text} left out of the loss", ASSUMED)] if count else []


def joints_of(
    keypoints: np.ndarray, skeleton: Skeleton, name: str, neck: str
) -> tuple[np.ndarray, np.ndarray]:
    """(N, J, 2) joints of the named set and (N, J) whether they count, of COCO's flags.

    Args:
        keypoints: (N, K, 3).
        skeleton: theirs.
        name: the set that is asked for: another one has its joints by name, and a neck.
        neck: rule, see ``PafCodec``.

    Source: NVIDIA/tao_tensorflow1_backend
    nvidia_tao_tf1/cv/bpnet/dataloaders/dataset_config.py:88 @2ec95cb
    """
    xy, counts = keypoints[..., :2], keypoints[..., 2] > 0
    if name == skeleton.name:
        return xy, counts
    wanted = skeleton_named(name)
    shoulders = [skeleton.index(f"{side}_shoulder") for side in ("left", "right")]
    neck_xy = xy[:, shoulders].mean(1, keepdims=True)
    neck_counts = counts[:, shoulders].all(1, keepdims=True) | (neck == "reference")
    places = [-1 if joint == "neck" else skeleton.index(joint) for joint in wanted.joints]
    return (
        np.concatenate([xy, neck_xy], 1)[:, places],
        np.concatenate([counts, neck_counts], 1)[:, places],
    )
