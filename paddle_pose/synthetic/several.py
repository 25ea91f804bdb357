"""Scenes of one to eight people, with crowds and people whom nobody labelled; COCO's form.

Who stands nearer hides who stands behind. A joint that somebody (or a seat) hides has visibility 1,
one that is seen 2; ears, eyes and nose turned away are not labelled. A few people have a box and an
outline alone; in a few pictures a group far behind is one ``iscrowd`` record. Areas and outlines
are of what is seen of a body. Boxes go around the whole body inside the picture, hidden parts
included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from paddle_pose.skeletons import COCO17
from paddle_pose.synthetic.background import background, foreground
from paddle_pose.synthetic.coco_layout import BODY, FACE, file_of
from paddle_pose.synthetic.facets import paint, project
from paddle_pose.synthetic.figure import build
from paddle_pose.synthetic.look import Look
from paddle_pose.synthetic.pose import sample_figure
from paddle_pose.synthetic.scene import (
    Label,
    Placement,
    add_seat,
    crowded,
    label_of,
    light_from,
    photograph,
    shadow,
)

MOST_PEOPLE = 8
SIZES_WH = ((480, 360), (512, 384), (427, 320), (400, 400), (384, 480), (560, 373))

UNLABELLED = 0.08
"""Share of the people whom nobody labelled."""

CROWDS = 0.12
"""Share of the pictures with a group far behind, one record of a crowd."""

LEAST_JOINTS = 5
"""Seen joints of a labelled person; who has fewer stays without labels."""

_CROWD = (3, 7)
_TRIES = 60


@dataclass(frozen=True)
class SeenPerson:
    """One record, 0-based image pixels.

    Attributes:
        keypoints: (17, 3) x, y, visibility; all 0 without labels.
        box_xywh: around the body inside the picture.
        seen: (H, W) bool, the pixels that show this person, or the crowd.
        crowd: several people in one record.
    """

    keypoints: np.ndarray
    box_xywh: np.ndarray
    seen: np.ndarray
    crowd: bool = False


def people_per_picture(seed: int, split: int, total: int) -> list[int]:
    """One to eight people a picture, each number equally often, ``total`` together."""
    rng = np.random.default_rng([seed, split, MOST_PEOPLE])
    counts: list[int] = []
    left = total
    while left > 0:
        counts.append(min(left, int(rng.integers(1, MOST_PEOPLE + 1))))
        left -= counts[-1]
    return counts


def draw_several(rng: np.random.Generator, people: int) -> tuple[np.ndarray, list[SeenPerson]]:
    """A picture (H, W, 3) uint8 BGR and its records: the people, then a crowd if there is one."""
    size_wh = SIZES_WH[rng.integers(len(SIZES_WH))]
    image, light = background(rng, size_wh), light_from(rng)
    behind = _far(rng, size_wh) if rng.random() < CROWDS else []
    placed = _placed(rng, people, size_wh)
    # Far people are painted first, so that what is painted later hides them.
    order = [*behind, *sorted(placed, key=lambda one: one.unit_px)]
    covers = [_painted(rng, image, one, light, size_wh) for one in order]
    in_front = np.zeros(image.shape[:2], bool)
    records: list[SeenPerson] = []
    group = np.zeros_like(in_front)
    for number, (one, cover) in reversed(list(enumerate(zip(order, covers, strict=True)))):
        if number < len(behind):
            group |= cover & ~in_front
        else:
            label = label_of(rng, one, size_wh)
            records.append(_record(rng, label, cover & ~in_front, in_front))
            in_front |= cover
    if group.any():
        rows, columns = np.flatnonzero(group.any(1)), np.flatnonzero(group.any(0))
        corner = np.array([columns[0], rows[0]])
        size = np.array([columns[-1] + 1, rows[-1] + 1]) - corner
        records.append(SeenPerson(np.zeros((17, 3)), np.concatenate([corner, size]), group, True))
    if rng.random() < 0.04 and not group.any():
        before = image.copy()
        foreground(rng, image)
        strip = (image != before).any(2)
        records = [_behind(one, strip) for one in records]
    return photograph(rng, image), records


def _behind(one: SeenPerson, strip: np.ndarray) -> SeenPerson:
    """A record with what these pixels hide."""
    height, width = strip.shape
    keypoints, flags = one.keypoints.copy(), one.keypoints[:, 2]
    columns, rows = np.rint(keypoints[:, :2]).astype(int).T
    hidden = strip[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    keypoints[:, 2] = np.where((flags == 2) & hidden, 1, flags)
    if (keypoints[:, 2] == 2).sum() < LEAST_JOINTS:
        keypoints[:] = 0
    return replace(one, keypoints=keypoints, seen=one.seen & ~strip)


def _placed(rng: np.random.Generator, people: int, size_wh: tuple[int, int]) -> list[Placement]:
    """People on a ground: the smaller, the farther, the higher in the picture; heads apart."""
    size = np.array(size_wh, np.float64)
    placed: list[Placement] = []
    labels: list[Label] = []
    largest = float(np.clip(1.15 - 0.09 * people, 0.45, 0.95))
    while len(placed) < people:
        for _ in range(_TRIES):
            figure, distance = sample_figure(rng), rng.uniform(14, 30)
            shape = project(figure.joints, np.zeros(2), 1.0, distance)
            low, high = shape.min(0) - 0.3, shape.max(0) + 0.3
            share = rng.uniform(0.4, 1.0) * largest
            unit_px = float(share * np.min(size / (high - low)))
            free = size - unit_px * (high - low)
            ground = 0.35 + 0.65 * (share / largest)  # of the way down, for the feet
            across = rng.uniform(-0.06, 1.06) * free[0]
            down = np.clip(ground + rng.normal(0, 0.05), 0, 1.02) * free[1]
            origin = np.array([across, down]) - unit_px * low
            one = Placement(figure, origin, unit_px, distance)
            label = label_of(rng, one, size_wh)
            if label.inside.sum() >= LEAST_JOINTS and not crowded([*labels, label], near=0.2):
                placed.append(one)
                labels.append(label)
                break
        else:  # no room: everybody a little smaller
            largest *= 0.9
    return placed


def _far(rng: np.random.Generator, size_wh: tuple[int, int]) -> list[Placement]:
    """A group of small people, side by side."""
    width, height = size_wh
    count = int(rng.integers(_CROWD[0], _CROWD[1] + 1))
    unit_px = height * rng.uniform(0.018, 0.03)
    left, feet = rng.uniform(0.05, 0.6) * width, rng.uniform(0.4, 0.6) * height
    found = []
    for number in range(count):
        figure, distance = sample_figure(rng), rng.uniform(14, 30)
        lowest = project(figure.joints, np.zeros(2), 1.0, distance)[:, 1].max()
        at = left + number * unit_px * rng.uniform(1.6, 2.4), feet - lowest * unit_px
        found.append(Placement(figure, np.array(at), unit_px, distance))
    return found


def _painted(
    rng: np.random.Generator,
    image: np.ndarray,
    one: Placement,
    light: np.ndarray,
    size_wh: tuple[int, int],
) -> np.ndarray:
    """Paint one person over ``image`` in place; where they are, seat included, (H, W) bool."""
    points = one.project(one.figure.joints)
    low = np.clip(np.floor(points.min(0) - one.unit_px), 0, size_wh).astype(int)
    high = np.clip(np.ceil(points.max(0) + one.unit_px), low + 1, size_wh).astype(int)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    facets = build(one.figure, Look.sample(rng, image[part].mean((0, 1))))
    if one.figure.pose == "sitting":
        add_seat(rng, facets, one.figure)
    across, down = (high - low).tolist()
    colour, cover = paint(
        facets, one.origin_px - low, one.unit_px, one.camera_distance, light, (across, down)
    )
    if rng.random() < 0.6:
        shadow(rng, image, points, one.unit_px)
    image[part] *= 1 - cover[..., None]
    image[part] += colour
    whole = np.zeros(image.shape[:2], bool)
    whole[part] = cover > 0.5
    return whole


def _record(
    rng: np.random.Generator, label: Label, seen: np.ndarray, in_front: np.ndarray
) -> SeenPerson:
    joints_xy = np.concatenate([label.face_xy, label.joints_xy[BODY]])
    labelled = np.concatenate([label.face_seen, label.inside[BODY]])
    height, width = in_front.shape
    columns, rows = np.rint(joints_xy).astype(int).T
    hidden = in_front[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    flags = np.where(labelled, np.where(hidden, 1, 2), 0)
    keypoints = np.column_stack([np.round(joints_xy, 2), flags]) * labelled[:, None]
    if rng.random() < UNLABELLED or (flags == 2).sum() < LEAST_JOINTS:
        keypoints = np.zeros((FACE + len(BODY), 3))
    return SeenPerson(keypoints, np.round(label.box_xywh, 2), seen)


def _polygons(seen: np.ndarray) -> list[list[float]]:
    """Outlines of a mask as COCO has them, those of three points and more."""
    found, _ = cv2.findContours(seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [one.reshape(-1).astype(float).tolist() for one in found if len(one) >= 3]


def _run_lengths(seen: np.ndarray) -> dict[str, Any]:
    """A mask as COCO's uncompressed run lengths: down the columns, zeros first."""
    flat = seen.T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(seen.shape), "counts": [0, *counts] if flat[0] else counts}


def content(
    names: Sequence[str],
    sizes_wh: Sequence[tuple[int, int]],
    people: Sequence[Sequence[SeenPerson]],
) -> dict[str, Any]:
    """A file's content: pictures, their sizes and the records of each, in order."""
    return file_of(names, sizes_wh, people, COCO17, _facts)


def _facts(one: SeenPerson) -> dict[str, Any]:
    outline = _run_lengths(one.seen) if one.crowd else _polygons(one.seen)
    flat = [v if i % 3 < 2 else int(v) for i, v in enumerate(one.keypoints.ravel())]
    return {
        "category_id": 1,
        "iscrowd": int(one.crowd),
        "bbox": one.box_xywh.tolist(),
        "area": int(one.seen.sum()),
        "segmentation": outline,
        "num_keypoints": int((one.keypoints[:, 2] > 0).sum()),
        "keypoints": flat,
    }
