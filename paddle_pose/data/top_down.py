"""Records → augmented crops with targets; a sample depends on (seed, epoch, index) alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paddle_pose.codecs.codec import Codec, matrix_of
from paddle_pose.data.augment import STILL, Augmentation, Crop, Photo, draw
from paddle_pose.data.image_files import read_bytes
from paddle_pose.data.images import REDUCTIONS, decode_as_annotated, jpeg_size
from paddle_pose.data.pixels import draw_pixels
from paddle_pose.data.records import PersonRecord, PersonTable
from paddle_pose.data.samples import Sample
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Place
from paddle_pose.settings import AugmentSettings, DataSettings, by_alphapose
from paddle_pose.skeletons import skeleton_named

KEEP_DECODED_BYTES = 384 << 20
"""A data set smaller than this, decoded, is kept in the memory of each worker."""


def reduction_for(scale_wh: np.ndarray, image_size_wh: tuple[int, int]) -> int:
    """The largest reduction that leaves a crop of that scale no coarser than its own pixels."""
    shrink = scale_wh[0] * UNIT_PX / image_size_wh[0]
    return max(reduction for reduction in REDUCTIONS if reduction <= max(shrink, 1))


class Encoded(NamedTuple):
    """Joints (J, 2) in crop pixels, their visibility (J,) and what is to be learnt of them."""

    joints_xy: np.ndarray
    visible: np.ndarray
    targets: dict[str, np.ndarray]


class PersonCrops:
    """People of a table as crops and targets; a map-style data set for any loader.

    Keys are ``(epoch, index)`` or ``index`` (epoch 0). Without ``augment`` it gives the test crop;
    a dictionary of them has the first epoch of each stage. A crop may be ``view_scale`` times as
    large as its place says: a view to test with.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/JointsDataset.py:113 @6f69e46
    """

    def __init__(
        self,
        table: PersonTable,
        data: DataSettings,
        codec: Codec,
        *,
        augment: AugmentSettings | dict[int, AugmentSettings] | None = None,
        seed: int = 0,
        with_targets: bool = True,
        view_scale: float = 1.0,
    ) -> None:
        self.table = table
        width, height = data.image_size_wh
        self.image_size_wh = (width, height)
        self.codec = codec
        self.augment = {0: augment} if isinstance(augment, AugmentSettings) else augment
        self.seed = seed
        self.with_targets = with_targets
        self.view_scale = view_scale
        self.reduced = data.reduced_decoding and augment is not None
        self.move_unseen = not by_alphapose(data)
        self.skeleton = skeleton_named(table.skeleton)
        self._decoded: dict[tuple[str, int], Photo] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple | list) else (0, key)
        return self.sample(int(epoch), int(index))

    def name_of(self, key: tuple[int, int]) -> str:
        """What a message calls that sample."""
        record = self.table[key[1]]
        return f"{record.image}, row {record.row}"

    def sample(self, epoch: int, index: int) -> Sample:
        """The crop of one person in one epoch.

        Raises:
            UserError: the image is missing or broken.
            IndexError: index outside the table.
        """
        table = self.table
        if not 0 <= index < len(table):
            raise IndexError(f"person {index} of {len(table)}")
        record = table[index]
        size_wh = table.size_wh(table.image_index[index])
        change = STILL
        if self.augment is not None:
            settings = self.augment[max(first for first in self.augment if first <= epoch)]
            rng = np.random.default_rng([self.seed, epoch, index])
            aspect_ratio = self.image_size_wh[0] / self.image_size_wh[1]
            change = draw(settings, record, self.skeleton, aspect_ratio, rng, size_wh)
            pixels = draw_pixels(settings.pixels, self.image_size_wh, rng)
            change = replace(change, pixels=pixels)
        photo = self._photo(record, change, size_wh)
        whole_scale = record.scale_wh
        if self.view_scale != 1.0:
            record = replace(record, scale_wh=record.scale_wh * self.view_scale)
        crop = change.view(
            record,
            photo,
            self.image_size_wh,
            self.skeleton.flip_order,
            move_unseen=self.move_unseen,
            matrix_of=matrix_of(self.codec),
        )
        found = Encoded(np.zeros((0, 2)), np.zeros(0), {})
        if self.with_targets:
            found = self.encoded(index, crop, change, photo)
        scale_wh = crop.scale_wh if self.augment is not None else whole_scale
        place = Place(
            center_xy=np.asarray(crop.center_xy, np.float64),
            scale_wh=np.asarray(scale_wh, np.float64),
            image_id=np.asarray(table.image_ids[table.image_index[index]], np.int64),
            row=np.asarray(record.row, np.int64),
            joints_xy=found.joints_xy,
            visible=np.asarray(found.visible, np.float64),
        )
        return Sample(crop.image_HWC, found.targets, place)

    def encoded(self, index: int, crop: Crop, change: Augmentation, photo: Photo) -> Encoded:
        """What is learnt of a crop of person ``index``."""
        targets = self.codec.encode(crop.joints_xy, crop.visible, self.image_size_wh)
        return Encoded(crop.joints_xy, crop.visible, targets)

    def _photo(
        self, record: PersonRecord, change: Augmentation, size_wh: tuple[int, int] | None
    ) -> Photo:
        """The decoded file; the last one is kept, as people of one image follow each other.

        A data set whose images are few enough (by the size of this one) stays decoded whole.
        """
        reduction = 1
        if self.reduced:
            _, scale_wh = change.crop_of(record.center_xy, record.scale_wh, 0)
            reduction = reduction_for(scale_wh, self.image_size_wh)
        key = record.image, reduction
        if key not in self._decoded:
            photo = read_photo(self.table.image_root, record.image, reduction, size_wh)
            if photo.pixels_HWC.nbytes * len(self.table.image_names) > KEEP_DECODED_BYTES:
                self._decoded.clear()
            self._decoded[key] = photo
        return self._decoded[key]


def read_photo(
    image_root: Path, name: str, reduction: int = 1, size_wh: tuple[int, int] | None = None
) -> Photo:
    """An image of a data set as it was annotated, reduced if it is a JPEG; Raises UserError."""
    data, where = read_bytes(image_root, name)
    if reduction > 1 and jpeg_size(data) is None:
        reduction = 1
    return Photo(*decode_as_annotated(data, where, size_wh, reduction=reduction), reduction)
