"""Whole pictures to train Lightweight OpenPose on: resized, turned, cut and mirrored one by one.

Source: Daniil-Osokin/lightweight-human-pose-estimation.pytorch datasets/transformations.py,
datasets/coco.py, scripts/prepare_train_labels.py @d23c284
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.whole_images import GREY
from paddle_pose.data.bottom_up import require_whole
from paddle_pose.data.images import decode_as_annotated
from paddle_pose.data.masks import shape_of
from paddle_pose.data.samples import Sample
from paddle_pose.data.whole_people import (
    LEAST_BOX_PX,
    LEAST_DISTANCE,
    LEAST_JOINTS,
    LEAST_SIDE_PX,
    Annotated,
    WholePeople,
    from_annotations,
    joints_of,
)
from paddle_pose.errors import UserError
from paddle_pose.settings import AugmentSettings, DataSettings, SpatialSettings
from paddle_pose.skeletons import skeleton_named
from paddle_pose.understood import Fact, Understood, counted


@dataclass(frozen=True)
class Crowds(Annotated):
    """Pictures in their folder; of these all but crowds counts."""

    def mask(self, image: int) -> np.ndarray:
        """As ``Source``."""
        size = int(self.sizes_wh[image, 0]), int(self.sizes_wh[image, 1])
        members = np.arange(*self.first[image : image + 2])
        mask = np.full(size[::-1], 255, np.uint8)
        for one in members[self.people.crowd[members]]:
            row = self.people.rows[one]
            shape = shape_of(self.shapes[row], size, f"{self.file}: annotations[{row}]")
            mask[shape if shape is not None else slice(0)] = 0
        return mask


def people(
    root: Path, split: str, stated: DataSettings, *, annotations: Path | None = None
) -> WholePeople:
    """A split's people of its annotation file, crowds left out of them; Raises UserError."""
    every = from_annotations(root, split, stated.skeleton, annotations=annotations, stated=stated)
    source = every.source
    assert isinstance(source, Annotated)  # noqa: S101
    single = np.where(source.people.crowd, 0, every.labelled)
    thin = every.boxes_xywh[:, 2:].min(1) < LEAST_BOX_PX
    able = (single >= LEAST_JOINTS) & (source.people.areas_px2 >= LEAST_SIDE_PX**2) & ~thin
    mains = [main_persons(every.boxes_xywh, every.on(i)[able[every.on(i)]])
             for i in range(len(every.image_names))]  # fmt: skip
    main = np.concatenate(mains)
    if not len(main):
        raise UserError(f"{source.file}: nobody who is no crowd can be a main person")
    images = len(np.unique(every.image_index[main]))
    said = Fact(
        "records",
        {"records": len(main), "images": images, "rule": "width"},
        f"{counted(len(main), 'main person')} on {counted(images, 'image')}, no crowds among them",
    )
    return replace(
        every,
        labelled=single,
        main=main,
        source=Crowds(**vars(source)),
        understood=every.understood + Understood((said,)),
    )


def main_persons(boxes_xywh: np.ndarray, able: np.ndarray) -> np.ndarray:
    """Which of those who may be are a picture's main persons, in order.

    None whose middle is near that of one before, by 0.3 of the width of that one's box.

    Source: scripts/prepare_train_labels.py:22
    """
    middles = boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2
    found: list[int] = []
    for one in able.tolist():
        apart = ((middles[found] - middles[one]) ** 2).sum(1) ** 0.5
        if (apart >= LEAST_DISTANCE * boxes_xywh[found, 2]).all():
            found.append(one)
    return np.array(found, int)


@dataclass(frozen=True)
class LightChange:
    """Drawn for one sample.

    Attributes:
        zoom: × the size at which the main person's box is ``person_size`` of the input high.
        turn_deg: positive turns the content counter-clockwise.
        shift_xy: of the cut, whole input pixels.
        flip: mirror left and right.
    """

    zoom: float = 1.0
    turn_deg: float = 0.0
    shift_xy: tuple[int, int] = (0, 0)
    flip: bool = False


STILL = LightChange()


def draw(
    augment: AugmentSettings, spatial: SpatialSettings, rng: np.random.Generator
) -> LightChange:
    """A random change."""
    zoom = rng.uniform(*spatial.zoom) if rng.random() <= spatial.zoom_probability else 1.0
    reach = augment.rotation_deg * (rng.random() <= augment.rotation_probability)
    turn = (rng.random() - 0.5) * 2 * reach
    # Cut off towards 0, so that no shift at all is twice as likely as any other.
    x, y = ((rng.random(2) - 0.5) * 2 * spatial.shift_px).astype(int).tolist()
    return LightChange(float(zoom), float(turn), (x, y), rng.random() <= augment.flip_probability)


class LightSamples:
    """As ``BottomUpSamples``, by the steps of Lightweight OpenPose."""

    def __init__(
        self,
        people: WholePeople,
        data: DataSettings,
        codec: PafCodec,
        *,
        augment: dict[int, AugmentSettings] | None = None,
        seed: int = 0,
    ) -> None:
        """Raises UserError for changes that these samples do not know."""
        self.people, self.codec, self.seed, self.augment = people, codec, seed, augment
        self.image_size_wh = data.image_size_wh
        for settings in (augment or {}).values():
            require_whole(settings)
            spatial = settings.spatial or SpatialSettings()
            if spatial.mode != "person_centric" or spatial.flip_vertical_probability:
                raise UserError(
                    "augment.spatial: codec.kind=LightPafCodec has mode=person_centric and no "
                    "flip_vertical_probability"
                )
        skeleton = skeleton_named(codec.skeleton)
        self.flip_order = skeleton.flip_order
        self.joints_xy, self.counts = self._joints(skeleton.name)

    def _joints(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(N, J, 2) joints and (N, J) whether they count: labelled, in the picture, not at 0, 0."""
        people = self.people
        keypoints = people.keypoints.astype(np.float64)
        size = people.sizes_wh[people.image_index][:, None]
        xy = keypoints[..., :2]
        inside = ((xy >= 0) & (xy < size)).all(-1) & (xy != 0).any(-1)
        keypoints[..., 2] *= inside
        return joints_of(keypoints, people.skeleton, name, self.codec.neck)

    def __len__(self) -> int:
        return len(self.people)

    def name_of(self, key: tuple[int, int]) -> str:
        """What a message calls that sample."""
        return self.people.name_of(key[1])

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Raises UserError for a picture or a mask that cannot be read."""
        epoch, index = key if isinstance(key, tuple | list) else (0, key)
        change, spatial = STILL, SpatialSettings()
        if self.augment is not None:
            settings = self.augment[max(first for first in self.augment if first <= epoch)]
            spatial = settings.spatial or spatial
            rng = np.random.default_rng([self.seed, int(epoch), int(index)])
            change = draw(settings, spatial, rng)
        return self.changed(int(index), change, spatial.person_size)

    def changed(self, index: int, change: LightChange, person_size: float) -> Sample:
        """A sample under that change; Raises UserError."""
        people = self.people
        main = people.main[index]
        image = int(people.image_index[main])
        size = int(people.sizes_wh[image, 0]), int(people.sizes_wh[image, 1])
        pixels, _ = decode_as_annotated(*people.source.photo(image), size)
        drawn = people.source.mask(image)
        mask = np.ones(size[::-1], np.float32) if drawn is None else (drawn > 0).astype(np.float32)
        place, high = people.place(index), people.boxes_xywh[main, 3]
        zoom = person_size / (high / self.image_size_wh[1]) * change.zoom
        pixels, mask = (cv2.resize(one, (0, 0), fx=zoom, fy=zoom) for one in (pixels, mask))
        matrix, bound_wh = turned(change.turn_deg, (pixels.shape[1], pixels.shape[0]))
        pixels = cv2.warpAffine(pixels, matrix, bound_wh, borderValue=(GREY,) * 3)
        mask = cv2.warpAffine(mask, matrix, bound_wh, borderValue=(1, 1, 1))
        middle = _by(matrix, place.center_xy * zoom) + change.shift_xy
        width, height = self.image_size_wh
        first = int(middle[0] - width / 2), int(middle[1] - height / 2)
        pixels = cut(pixels, first, self.image_size_wh, GREY)
        # What is not wholly outside of crowds counts as inside of them: cut off, not rounded.
        mask = cut(mask.astype(np.uint8), first, self.image_size_wh, 1)
        who = people.people_of(index)
        joints_xy, counts = _by(matrix, self.joints_xy[who] * zoom) - first, self.counts[who]
        if change.flip:
            pixels, mask = cv2.flip(pixels, 1), cv2.flip(mask, 1)
            joints_xy[..., 0] = width - 1 - joints_xy[..., 0]
            joints_xy, counts = joints_xy[:, self.flip_order], counts[:, self.flip_order]
        targets = self.codec.encode(joints_xy, counts, self.image_size_wh)
        part = 1 / self.codec.stride
        small = cv2.resize(mask, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
        targets["mask"] = small.astype(np.float32)
        return Sample(np.ascontiguousarray(pixels), targets, place)


def turned(degrees: float, size_wh: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """(2, 3) matrix that turns a picture about its middle, and the size that then holds it."""
    width, height = size_wh
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    bound_wh = int(height * sin + width * cos), int(height * cos + width * sin)
    matrix[:, 2] += np.array(bound_wh) / 2 - (width / 2, height / 2)
    return matrix, bound_wh


def cut(
    pixels: np.ndarray, first_xy: tuple[int, int], size_wh: tuple[int, int], around: int
) -> np.ndarray:
    """The part of that size from ``first_xy`` on; where there is nothing, ``around``."""
    made = np.full((size_wh[1], size_wh[0], *pixels.shape[2:]), around, np.uint8)
    (x, y), (width, height) = first_xy, size_wh
    high, wide = pixels.shape[:2]
    rows, columns = slice(max(y, 0), min(y + height, high)), slice(max(x, 0), min(x + width, wide))
    part = pixels[rows, columns] if min(y + height, x + width) > 0 else pixels[:0, :0]
    if part.size:
        top, left = rows.start - y, columns.start - x
        made[top : top + part.shape[0], left : left + part.shape[1]] = part
    return made


def _by(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return xy @ matrix[:, :2].T + matrix[:, 2]
