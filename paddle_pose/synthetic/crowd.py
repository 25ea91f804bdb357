"""Pairs: one person behind another, their boxes overlapping by a chosen share; COCO's form.

The joints are CrowdPose's fourteen. A joint that the person in front (or the seat) hides has
visibility 1, every other one 2, turned away from the camera or not. A box is around the whole body,
hidden parts included, and so is ``area``, the pixels that it covers. Beyond COCO's keys an image
has ``overlap``, the IoU of its two boxes, and a person ``behind``, 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_pose.skeletons import CROWDPOSE14, MPII16
from paddle_pose.synthetic.background import background
from paddle_pose.synthetic.coco_layout import file_of
from paddle_pose.synthetic.facets import Facets, paint, project
from paddle_pose.synthetic.figure import build
from paddle_pose.synthetic.look import Look
from paddle_pose.synthetic.pose import Figure, sample_figure
from paddle_pose.synthetic.scene import (
    SIZES_WH,
    Placement,
    add_seat,
    light_from,
    photograph,
    shadow,
)

OVERLAPS = (0.3, 0.9)
"""IoU of the boxes from one to the other, all equally often."""

LEAST_SEEN = 4
"""Joints of the person behind that nobody hides; with fewer the pair is drawn again."""

_JOINTS = [
    MPII16.index({"head": "head_top", "neck": "upper_neck"}.get(name, name))
    for name in CROWDPOSE14.joints
]
_HEADS = (0.7, 1.3)
"""Head length of the person behind, in those of the one in front: children, and the distance."""


@dataclass(frozen=True)
class PairLabel:
    """One of a pair, 0-based image pixels.

    Attributes:
        joints_xy: (14, 2), all inside the picture.
        hidden: (14,) bool, by the person in front.
        box_xywh: around the body.
        area_px2: of the body.
        overlap: IoU of the pair's boxes.
        behind: which of the two.
        size_wh: of the picture.
    """

    joints_xy: np.ndarray
    hidden: np.ndarray
    box_xywh: np.ndarray
    area_px2: float
    overlap: float
    behind: bool
    size_wh: tuple[int, int]


@dataclass
class _Person:
    """A dressed body around the origin, one pixel a head length, and its box there."""

    figure: Figure
    facets: Facets
    camera_distance: float
    box: np.ndarray

    @classmethod
    def of(
        cls, rng: np.random.Generator, figure: Figure, camera_distance: float, backdrop: np.ndarray
    ) -> _Person:
        """In clothes that mostly stand out from the mean colour behind."""
        facets = build(figure, Look.sample(rng, backdrop))
        points = np.concatenate(facets.corners).reshape(-1, 3)
        return cls(figure, facets, camera_distance, _around(points, camera_distance))


def _around(points: np.ndarray, camera_distance: float) -> np.ndarray:
    """(4,) box, x0, y0, x1, y1, of camera-frame points."""
    pixels = project(points, np.zeros(2), 1.0, camera_distance)
    return np.concatenate([pixels.min(0), pixels.max(0)])


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    both = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    areas = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])
    return float(both / (areas - both))


def draw_pair(rng: np.random.Generator, overlap: float) -> tuple[np.ndarray, list[PairLabel]]:
    """A picture (H, W, 3) uint8 BGR, the person in front and the one behind."""
    size_wh = SIZES_WH[rng.integers(len(SIZES_WH))]
    image, light = background(rng, size_wh), light_from(rng)
    while True:
        people, scale, shift = _matched(rng, overlap, image.mean((0, 1)))
        placements = _placed(rng, people, scale, shift, np.array(size_wh))
        layers = bodies = _painted(people, placements, light, size_wh)
        if seated := [one for one in people if one.figure.pose == "sitting"]:
            for person in seated:
                add_seat(rng, person.facets, person.figure)
            layers = _painted(people, placements, light, size_wh)
        labels = _labels(people, placements, bodies, layers[0][1])
        if (~labels[1].hidden).sum() >= LEAST_SEEN:
            break
    for at in placements:
        if rng.random() < 0.6:
            shadow(rng, image, at.project(at.figure.joints), at.unit_px)
    for colour, cover in reversed(layers):
        image *= 1 - cover[..., None]
        image += colour
    return photograph(rng, image), labels


def _matched(
    rng: np.random.Generator, overlap: float, backdrop: np.ndarray
) -> tuple[list[_Person], float, np.ndarray]:
    """Two people, and scale and shift of the second that make their boxes overlap so much."""
    front = _Person.of(rng, sample_figure(rng), rng.uniform(14, 30), backdrop)
    for _ in range(200):
        figure, distance = sample_figure(rng), rng.uniform(14, 30)
        rough = _around(figure.joints, distance) + np.array([-0.3, -0.3, 0.3, 0.3])
        scale = float(np.sqrt(_area(front.box) / _area(rough)) * rng.uniform(0.85, 1.05))
        # Not all that could match need be built: building takes far longer than this.
        if not _HEADS[0] < scale < _HEADS[1] or _most(front.box, rough * scale) < overlap - 0.03:
            continue
        behind = _Person.of(rng, figure, distance, backdrop)
        if _most(front.box, behind.box * scale) >= overlap:
            way = rng.uniform(-1, 1), -rng.uniform(0, 0.4)  # higher in the picture, if at all
            return [front, behind], scale, _shift(front.box, behind.box * scale, way, overlap)
    return _matched(rng, overlap, backdrop)


def _area(box: np.ndarray) -> float:
    return float(np.prod(box[2:] - box[:2]))


def _middle(box: np.ndarray) -> np.ndarray:
    return 0.5 * (box[:2] + box[2:])


def _moved(box: np.ndarray, by: np.ndarray) -> np.ndarray:
    return box + np.tile(by, 2)


def _most(one: np.ndarray, other: np.ndarray) -> float:
    """The largest IoU that two boxes can have: with one middle."""
    return iou(one, _moved(other, _middle(one) - _middle(other)))


def _shift(
    one: np.ndarray, other: np.ndarray, way: tuple[float, float], overlap: float
) -> np.ndarray:
    """(2,) that moves the second box from the first one's middle that way, to this IoU."""
    start, way_xy = _middle(one) - _middle(other), np.array(way) / np.linalg.norm(way)
    near, far = 0.0, float(np.linalg.norm(one[2:] - one[:2] + other[2:] - other[:2]))
    for _ in range(40):
        middle = 0.5 * (near + far)
        enough = iou(one, _moved(other, start + middle * way_xy)) >= overlap
        near, far = (middle, far) if enough else (near, middle)
    return start + near * way_xy


def _placed(
    rng: np.random.Generator,
    people: list[_Person],
    scale: float,
    shift: np.ndarray,
    size_wh: np.ndarray,
) -> list[Placement]:
    """Both wholly inside the picture."""
    front, behind = people[0].box, _moved(people[1].box * scale, shift)
    low, high = np.minimum(front[:2], behind[:2]), np.maximum(front[2:], behind[2:])
    unit_px = float(rng.uniform(0.7, 0.95) * np.min((size_wh - 4) / (high - low)))
    corner = 2 + rng.random(2) * (size_wh - 4 - unit_px * (high - low))
    origin = corner - unit_px * low
    one, other = people
    return [
        Placement(one.figure, origin, unit_px, one.camera_distance),
        Placement(other.figure, origin + unit_px * shift, unit_px * scale, other.camera_distance),
    ]


def _painted(
    people: list[_Person], placements: list[Placement], light: np.ndarray, size_wh: tuple[int, int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Colour and cover of each over the whole picture."""
    return [
        paint(one.facets, at.origin_px, at.unit_px, at.camera_distance, light, size_wh)
        for one, at in zip(people, placements, strict=True)
    ]


def _labels(
    people: list[_Person],
    placements: list[Placement],
    bodies: list[tuple[np.ndarray, np.ndarray]],
    in_front: np.ndarray,
) -> list[PairLabel]:
    """Of both; ``in_front`` is the cover (H, W) of all that stands before the person behind."""
    boxes = [
        np.round(person.box * at.unit_px + np.tile(at.origin_px, 2), 2)
        for person, at in zip(people, placements, strict=True)
    ]
    labels = []
    for number, (at, (_, cover)) in enumerate(zip(placements, bodies, strict=True)):
        joints_xy = at.project(at.figure.joints)[_JOINTS]
        columns, rows = np.rint(joints_xy).astype(int).T
        hidden = (in_front[rows, columns] > 0.5) & bool(number)
        box_xywh = np.concatenate([boxes[number][:2], boxes[number][2:] - boxes[number][:2]])
        height, width = cover.shape
        labels.append(
            PairLabel(
                joints_xy=joints_xy,
                hidden=hidden,
                box_xywh=box_xywh,
                area_px2=float(cover.sum()),
                overlap=iou(*boxes),
                behind=bool(number),
                size_wh=(width, height),
            )
        )
    return labels


def coco_file(
    names: Sequence[str], sizes_wh: Sequence[tuple[int, int]], people: Sequence[Sequence[PairLabel]]
) -> dict[str, Any]:
    """A file's content: pictures, their sizes and the pair on each, in order."""
    return file_of(
        names,
        sizes_wh,
        people,
        CROWDPOSE14,
        _facts,
        lambda pair: {"overlap": round(pair[0].overlap, 4)},
    )


def _facts(label: PairLabel) -> dict[str, Any]:
    flags = np.where(label.hidden, 1, 2)
    joints = np.column_stack([np.round(label.joints_xy, 2), flags])
    return {
        "category_id": 1,
        "iscrowd": 0,
        "behind": int(label.behind),
        "bbox": np.round(label.box_xywh, 2).tolist(),
        "area": round(label.area_px2, 1),
        "num_keypoints": len(joints),
        "keypoints": [int(v) if i % 3 == 2 else v for i, v in enumerate(joints.ravel())],
    }
