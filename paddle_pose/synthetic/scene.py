"""One drawn picture: a cluttered background, one to three people placed on it, their labels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from paddle_pose.skeletons import MPII16
from paddle_pose.synthetic.background import background, foreground
from paddle_pose.synthetic.facets import Facets, paint, project
from paddle_pose.synthetic.figure import build, face
from paddle_pose.synthetic.look import Look
from paddle_pose.synthetic.pose import Figure, sample_figure

MIN_VISIBLE_JOINTS = 6

SIZES_WH = ((320, 240), (360, 270), (400, 300), (427, 320), (480, 360), (300, 360), (270, 360))
_HEAD_SIZE_PER_LENGTH = 0.75
"""MPII: 0.6 × head-box diagonal over the distance from upper neck to head top."""
_HEAD_SIZES_PER_PERSON = 8.0
"""MPII: 200 × scale is eight head sizes."""
_CENTER_RAISE = 0.031
"""MPII: the centre lies this part of 200 × scale above the middle of the joints' box."""

_FLESH = 0.25
"""Head lengths from the outermost joints to the body's edge."""


@dataclass(frozen=True)
class Label:
    """One person's truth, 0-based image pixels.

    Attributes:
        joints_xy: (16, 2), also of joints outside the image.
        inside: (16,) bool. Occluded joints inside the image count: MPII labels them too.
        head_box_xyxy: around upper neck and head top.
        face_xy: (5, 2) nose, eyes, ears; left before right.
        face_seen: (5,) bool, inside the image and on the side of the head that is seen.
        box_xywh: around the body, inside the image.
        center_xy: middle of the person.
        scale: in units of 200 pixels, without padding.
        from_front: the chest's front is seen.
        pose: its name.
    """

    joints_xy: np.ndarray
    inside: np.ndarray
    head_box_xyxy: np.ndarray
    face_xy: np.ndarray
    face_seen: np.ndarray
    box_xywh: np.ndarray
    center_xy: np.ndarray
    scale: float
    from_front: bool
    pose: str


@dataclass(frozen=True)
class Placement:
    """A figure in a picture: where its pelvis is, pixels a head length, and how far the camera."""

    figure: Figure
    origin_px: np.ndarray
    unit_px: float
    camera_distance: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of camera-frame points (N, 3)."""
        return project(points, self.origin_px, self.unit_px, self.camera_distance)


def draw_scene(
    rng: np.random.Generator, people: int, *, need_head: bool
) -> tuple[np.ndarray, list[Label]]:
    """A picture (H, W, 3) uint8 BGR and one label per person.

    Every person has at least six joints inside the picture; with ``need_head`` also upper neck
    and head top, because PCKh needs a head box.
    """
    size_wh = SIZES_WH[rng.integers(len(SIZES_WH))]
    while True:
        placements = _place_people(rng, people, size_wh)
        labels = [label_of(rng, placement, size_wh) for placement in placements]
        if all(_usable(label, need_head) for label in labels) and not crowded(labels):
            break
    image = background(rng, size_wh)
    # The lower in the picture, the nearer: drawn last.
    nearness = [placement.project(placement.figure.joints)[:, 1].max() for placement in placements]
    light = light_from(rng)
    for index in np.argsort(nearness, kind="stable"):
        _draw_person(rng, image, placements[index], light)
    if rng.random() < 0.06:
        foreground(rng, image)
    return photograph(rng, image), labels


def light_from(rng: np.random.Generator) -> np.ndarray:
    """(3,) a direction above and before the people."""
    angle = np.deg2rad(rng.uniform(-65, 65))
    light = np.array([np.sin(angle), 0.9, 1.1 * np.cos(angle)])
    return light / np.linalg.norm(light)


def _usable(label: Label, need_head: bool) -> bool:
    head = [MPII16.index("upper_neck"), MPII16.index("head_top")]
    return label.inside.sum() >= MIN_VISIBLE_JOINTS and (
        not need_head or bool(label.inside[head].all())
    )


def crowded(labels: list[Label], near: float = 0.36) -> bool:
    """Whether two heads touch or two people stand nearer than that part of one's height."""
    for index, one in enumerate(labels):
        for other in labels[:index]:
            apart = np.linalg.norm(one.center_xy - other.center_xy)
            heads = np.linalg.norm(
                one.head_box_xyxy.reshape(2, 2).mean(0) - other.head_box_xyxy.reshape(2, 2).mean(0)
            )
            person_px = 200 * max(one.scale, other.scale)
            if apart < near * person_px or heads < 0.25 * person_px:
                return True
    return False


def _place_people(
    rng: np.random.Generator, people: int, size_wh: tuple[int, int]
) -> list[Placement]:
    size = np.array(size_wh, np.float64)
    placements = []
    for slot in rng.permutation(people):
        figure = sample_figure(rng)
        camera_distance = rng.uniform(14, 30)
        shape = project(figure.joints, np.zeros(2), 1.0, camera_distance)
        low, high = shape.min(0) - 0.3, shape.max(0) + 0.3
        cut = rng.random() < 0.26
        fill = rng.uniform(1.0, 1.45) if cut else rng.uniform(0.62, 0.97)
        if people > 1:
            fill *= rng.uniform(0.7, 1.0)
        unit_px = float(fill * np.min(size / (high - low)))
        free = size - unit_px * (high - low)
        where = rng.random(2)
        if people > 1:
            where[0] = np.clip((slot + where[0]) / people, 0, 1)
        if cut:  # the head stays in more often than the feet
            where[1] = rng.beta(3, 1.2)
            where[0] = rng.uniform(-0.15, 1.15)
        corner = np.minimum(free, 0) + np.abs(free) * where if cut else free * where
        placements.append(Placement(figure, corner - unit_px * low, unit_px, camera_distance))
    return placements


def label_of(rng: np.random.Generator, placement: Placement, size_wh: tuple[int, int]) -> Label:
    """The truth of one placed person."""
    joints_xy = placement.project(placement.figure.joints)
    inside = _inside(joints_xy, size_wh)
    face_3d, towards = face(placement.figure)
    face_xy = placement.project(face_3d)
    neck, top = joints_xy[MPII16.index("upper_neck")], joints_xy[MPII16.index("head_top")]
    head_size = _HEAD_SIZE_PER_LENGTH * float(np.linalg.norm(top - neck))
    # The box is upright in the image: tall around an upright head, wide around one lying down.
    along = np.abs(top - neck) / np.linalg.norm(top - neck)
    shape_wh = np.array([0.75, 1.0]) + along[0] * np.array([0.25, -0.25])
    half_wh = 0.5 * head_size / 0.6 * shape_wh / np.linalg.norm(shape_wh)
    middle = 0.5 * (neck + top)
    scale = _HEAD_SIZES_PER_PERSON * head_size / 200
    seen = joints_xy[inside] if inside.any() else joints_xy
    center = 0.5 * (seen.min(0) + seen.max(0)) + 200 * scale * rng.normal(0, 0.01, 2)
    center[1] -= _CENTER_RAISE * 200 * scale
    return Label(
        joints_xy=joints_xy,
        inside=inside,
        head_box_xyxy=np.concatenate([middle - half_wh, middle + half_wh]),
        face_xy=face_xy,
        face_seen=towards & _inside(face_xy, size_wh),
        box_xywh=_box(np.concatenate([joints_xy, face_xy]), placement.unit_px, size_wh),
        center_xy=center,
        scale=scale,
        from_front=placement.figure.faces_camera(),
        pose=placement.figure.pose,
    )


def _inside(points_xy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    return np.asarray(((points_xy >= 0) & (points_xy <= np.array(size_wh) - 1)).all(1))


def _box(points_xy: np.ndarray, unit_px: float, size_wh: tuple[int, int]) -> np.ndarray:
    """Left, top, width, height: joints and the flesh around them, cut at the image's edges."""
    margin = _FLESH * unit_px
    low = np.clip(points_xy.min(0) - margin, 0, size_wh)
    return np.concatenate([low, np.clip(points_xy.max(0) + margin, 0, size_wh) - low])


def _draw_person(
    rng: np.random.Generator, image: np.ndarray, placement: Placement, light: np.ndarray
) -> None:
    """Paint one person over ``image`` in place, with a shadow on the ground."""
    height, width = image.shape[:2]
    points = placement.project(placement.figure.joints)
    margin = 0.75 * placement.unit_px
    low = np.clip(np.floor(points.min(0) - margin), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin), 0, (width, height)).astype(int)
    region = image[low[1] : high[1], low[0] : high[0]]
    facets = build(placement.figure, Look.sample(rng, region.mean((0, 1))))
    if placement.figure.pose == "sitting":
        add_seat(rng, facets, placement.figure)
    size_wh = (int(high[0] - low[0]), int(high[1] - low[1]))
    colour, cover = paint(
        facets, placement.origin_px - low, placement.unit_px, placement.camera_distance, light,
        size_wh,
    )  # fmt: skip
    if rng.random() < 0.6:
        shadow(rng, image, points, placement.unit_px)
        region = image[low[1] : high[1], low[0] : high[0]]
    region *= 1 - cover[..., None]
    region += colour


def shadow(rng: np.random.Generator, image: np.ndarray, points: np.ndarray, unit_px: float) -> None:
    """A soft dark ellipse under the lowest part of the body."""
    height, width = image.shape[:2]
    low = points[points[:, 1] > points[:, 1].max() - 1.2 * unit_px]
    center = (low[:, 0].mean() + rng.normal(0, 0.2) * unit_px, points[:, 1].max() + 0.2 * unit_px)
    half = (0.5 * np.ptp(low[:, 0]) + 0.7 * unit_px, 0.28 * unit_px)
    shade = np.zeros((height // 4 + 1, width // 4 + 1), np.float32)
    box = (tuple(v / 4 for v in center), tuple(v / 2 for v in half), 0.0)
    cv2.ellipse(shade, box, 0.45, cv2.FILLED)
    shade = cv2.GaussianBlur(shade, (0, 0), max(0.8, unit_px / 40))
    image *= 1 - cv2.resize(shade, None, fx=4, fy=4)[:height, :width, None]


def add_seat(rng: np.random.Generator, facets: Facets, figure: Figure) -> None:
    """A stool or block under a sitting person, sometimes with a back."""
    colour = rng.uniform(30, 210, 3)
    top = -0.3 * figure.body.girth
    floor = top - figure.body.shank * rng.uniform(0.75, 1.0)
    if rng.random() < 0.35:
        _add_box(facets, figure.root, (-0.55, floor, -0.55), (0.55, top, 0.55), colour, -0.25)
    else:
        _add_box(facets, figure.root, (-0.6, top - 0.14, -0.55), (0.6, top, 0.6), colour, -0.25)
        for x in (-0.55, 0.43):
            for z in (-0.5, 0.43):
                low, high = (x, floor, z), (x + 0.12, top - 0.14, z + 0.12)
                _add_box(facets, figure.root, low, high, 0.85 * colour, 0.0)
    if rng.random() < 0.3:
        # Behind the trunk as a whole, or in front of it as a whole when seen from the back.
        bias = 3.0 if figure.root[2, 2] < -0.3 else -0.3
        high = (0.5, top + rng.uniform(0.5, 0.95), -0.62)
        _add_box(facets, figure.root, (-0.5, top - 0.1, -0.72), high, 0.9 * colour, bias)


def _add_box(
    facets: Facets, frame: np.ndarray, low: tuple, high: tuple, colour: np.ndarray, bias: float
) -> None:
    """An upright box in the frame of the body, its faces cut small enough to sort by depth."""
    xs, zs = np.linspace(low[0], high[0], 5), np.linspace(low[2], high[2], 5)
    outline = np.array(
        [(x, zs[-1]) for x in xs]
        + [(xs[-1], z) for z in zs[-2::-1]]
        + [(x, zs[0]) for x in xs[-2::-1]]
        + [(xs[0], z) for z in zs[1:-1]]
    )
    levels = [(y, 1.0) for y in np.linspace(low[1], high[1], 6)]
    levels += [(high[1], grow) for grow in (0.6, 0.25, 0.0)]
    center = np.array([low[0] + high[0], low[2] + high[2]]) / 2
    rings = np.empty((len(levels), len(outline), 3))
    for ring, (y, grow) in zip(rings, levels, strict=True):
        ring[:, 1] = y
        ring[:, 0::2] = center + grow * (outline - center)
    facets.add(rings @ frame.T, colour, bias)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Exposure, a colour cast, a little blur and sensor noise; uint8."""
    image *= (rng.uniform(0.85, 1.12) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.8))
    grain = rng.standard_normal(image.shape[:2], dtype=np.float32) * rng.uniform(1, 5)
    image += grain[..., None]
    return np.clip(image, 0, 255, out=image).astype(np.uint8)
