"""Whole pictures to train on: everybody's maps, and a mask of what is known.

Pixels are counted from the picture's corner here, as the official code does with joints: the middle
of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.data.images import decode_as_annotated
from paddle_pose.data.samples import Sample
from paddle_pose.data.whole_people import WholePeople, joints_of
from paddle_pose.errors import UserError
from paddle_pose.geometry import transform_points
from paddle_pose.settings import AugmentSettings, DataSettings, SpatialSettings
from paddle_pose.skeletons import skeleton_named

OUTSIDE = 127
"""Grey around pictures."""

OF_CROPS = (
    "scale_factor", "half_body_probability", "shift_factor", "color_jitter",
)  # fmt: skip
"""Changes of crops that whole pictures do not know."""


@dataclass(frozen=True)
class Change:
    """Drawn for one sample.

    Attributes:
        flip, flip_vertical: mirror left and right, turn upside down.
        shift_xy: pixels of the picture.
        zoom: see ``SpatialSettings``.
        rotation_rad: positive turns x towards y.
    """

    flip: bool = False
    flip_vertical: bool = False
    shift_xy: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    rotation_rad: float = 0.0

    def turned(self) -> np.ndarray:
        """(3, 3) the rotation, then mirrored about the origin."""
        cos, sin = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        mirror = np.diag([-1.0 if self.flip else 1.0, -1.0 if self.flip_vertical else 1.0, 1.0])
        return mirror @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])


STILL = Change()


def draw(augment: AugmentSettings, spatial: SpatialSettings, rng: np.random.Generator) -> Change:
    """A random change.

    Source: NVIDIA/tao_tensorflow1_backend
    nvidia_tao_tf1/cv/bpnet/dataloaders/processors/augmentation_utils.py @2ec95cb
    """
    flip = rng.random() < augment.flip_probability
    flip_vertical = rng.random() < spatial.flip_vertical_probability
    shift = rng.integers(-spatial.shift_px, spatial.shift_px + 1, 2).tolist()
    zoom = float(rng.uniform(*spatial.zoom)) if rng.random() < spatial.zoom_probability else 1.0
    reach = np.deg2rad(augment.rotation_deg) * (rng.random() <= augment.rotation_probability)
    turn = float(rng.uniform(-reach, reach))
    return Change(bool(flip), bool(flip_vertical), (shift[0], shift[1]), zoom, turn)


class Person(NamedTuple):
    """Middle and height of the main person's box."""

    center_xy: np.ndarray
    height_px: float


def input_matrix(
    change: Change,
    spatial: SpatialSettings,
    picture_wh: tuple[int, int],
    person: Person,
    input_wh: tuple[int, int],
) -> np.ndarray:
    """(2, 3) from pixels of the picture to those of the input, both counted from corners.

    Pictures are turned as if they were square, which shears others, as the official code does.

    Source: NVIDIA/tao_tensorflow1_backend
    nvidia_tao_tf1/cv/bpnet/dataloaders/processors/augmentation.py @2ec95cb
    """
    picture, whole = np.array(picture_wh, float), np.array(input_wh, float)
    shift = np.array(change.shift_xy)
    if spatial.mode == "person_centric":
        zoom = spatial.person_size / (person.height_px / whole[1] * change.zoom + 1e-5)
        made = _scaled(zoom, zoom) @ change.turned() @ _moved(-(person.center_xy + shift))
        return (_moved(whole / 2) @ made)[:2]
    shown = whole
    if spatial.mode == "standard":
        shown = picture * (whole / picture).min()
    to_unit = _scaled(change.zoom, change.zoom) @ _moved([-0.5, -0.5]) @ _scaled(*(1 / picture))
    made = _scaled(*shown) @ change.turned() @ _moved(shift / picture) @ to_unit
    return (_moved(whole / 2) @ made)[:2]


def _moved(by_xy: np.ndarray | list[float]) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, 2] = by_xy
    return matrix


def _scaled(x: float, y: float) -> np.ndarray:
    return np.diag([x, y, 1.0])


def warped(pixels_HWC: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """The input, uint8: bilinear, OUTSIDE around the picture, values rounded."""
    half = _moved([0.5, 0.5])
    centred = (np.linalg.inv(half) @ np.vstack([matrix, [0, 0, 1]]) @ half)[:2]
    grey = (OUTSIDE,) * 3
    return cv2.warpAffine(pixels_HWC, centred, size_wh, flags=cv2.INTER_LINEAR, borderValue=grey)


def mask_cells(
    mask_HW: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int], stride: int
) -> np.ndarray:
    """(h, w) float32 of a mask of 0 and 255: how much of each cell's first pixel counts.

    All outside of the picture does.
    """
    columns, rows = (np.arange(0, side, stride) + 0.5 for side in size_wh)
    at = np.stack(np.meshgrid(columns, rows), -1)
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    xy = transform_points(at, inverse) - 0.5
    padded = np.pad(mask_HW, 1, constant_values=255).astype(np.float64) / 255
    # Beyond the padding everything counts as well.
    high = np.array(mask_HW.shape[::-1], float)
    x, y = np.moveaxis(np.clip(xy, -1, high) + 1, -1, 0)
    left, top = (np.minimum(v.astype(int), side - 2) for v, side in zip(
        (x, y), padded.shape[::-1], strict=True))  # fmt: skip
    right, low = x - left, y - top
    above = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    below = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return (above * (1 - low) + below * low).astype(np.float32)


class BottomUpSamples:
    """Everybody on a picture around one main person; a map-style data set for any loader.

    Keys are ``(epoch, index)`` or ``index`` (epoch 0). Targets are the codec's and ``mask`` (h, w).
    """

    def __init__(
        self,
        people: WholePeople,
        data: DataSettings,
        codec: PafCodec,
        *,
        augment: dict[int, AugmentSettings] | None = None,
        seed: int = 0,
    ) -> None:
        """Raises UserError for changes that whole pictures do not know, or an unfit codec."""
        self.people, self.codec, self.seed = people, codec, seed
        width, height = data.image_size_wh
        self.image_size_wh = (width, height)
        self.augment = augment
        for settings in (augment or {}).values():
            require_whole(settings)
        skeleton = skeleton_named(codec.skeleton)
        self.flip_order = skeleton.flip_order
        self.joints_xy, self.counts = joints_of(
            people.keypoints, people.skeleton, skeleton.name, codec.neck
        )

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Raises UserError for a picture or a mask that cannot be read."""
        epoch, index = key if isinstance(key, tuple | list) else (0, key)
        change, spatial = STILL, SpatialSettings()
        if self.augment is not None:
            settings = self.augment[max(first for first in self.augment if first <= epoch)]
            spatial = settings.spatial or spatial
            rng = np.random.default_rng([self.seed, int(epoch), int(index)])
            change = draw(settings, spatial, rng)
        return self.changed(int(index), change, spatial)

    def name_of(self, key: tuple[int, int]) -> str:
        """What a message calls that sample."""
        return self.people.name_of(key[1])

    def changed(self, index: int, change: Change, spatial: SpatialSettings) -> Sample:
        """A sample under that change; Raises UserError."""
        people = self.people
        main = people.main[index]
        image = int(people.image_index[main])
        size = (int(people.sizes_wh[image, 0]), int(people.sizes_wh[image, 1]))
        place = people.place(index)
        person = Person(place.center_xy, float(people.boxes_xywh[main, 3]))
        matrix = input_matrix(change, spatial, size, person, self.image_size_wh)
        pixels, _ = decode_as_annotated(*people.source.photo(image), size)
        who = people.people_of(index)
        joints_xy = transform_points(self.joints_xy[who], matrix)
        counts = self.counts[who]
        if change.flip:
            joints_xy, counts = joints_xy[:, self.flip_order], counts[:, self.flip_order]
        targets = self.codec.encode(joints_xy, counts, self.image_size_wh)
        mask = people.source.mask(image)
        if mask is None:
            targets["mask"] = np.ones(targets["heatmaps"].shape[1:], np.float32)
        else:
            stride = self.codec.stride
            targets["mask"] = mask_cells(mask, matrix, self.image_size_wh, stride)
        return Sample(warped(pixels, matrix, self.image_size_wh), targets, place)


def require_whole(augment: AugmentSettings) -> None:
    """Raises UserError for changes of crops, which would be ignored."""
    for name in OF_CROPS:
        if getattr(augment, name):
            raise UserError(f"augment.{name}: is of crops; whole pictures take 0")
    if augment.pixels != "none":
        raise UserError("augment.pixels: is of crops; whole pictures take none")
    if augment.spatial is None or augment.distribution != "uniform":
        raise UserError(
            "augment: networks that find everybody need augment.spatial={} and "
            "augment.distribution=uniform"
        )
