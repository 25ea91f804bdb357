"""Records → augmented crops with targets; a sample depends on (seed, epoch, index) alone."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import signal
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs import heatmap
from paddle_pose.data.augment import Augmentation, draw
from paddle_pose.data.image_files import read_bytes
from paddle_pose.data.images import REDUCTIONS, decode_rgb, jpeg_size
from paddle_pose.data.records import PersonRecord, PersonTable
from paddle_pose.geometry import UNIT_PX, crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings, CodecSettings, DataSettings
from paddle_pose.skeletons import skeleton_named

KEEP_DECODED_BYTES = 384 << 20
"""A data set smaller than this, decoded, is kept in the memory of each worker."""


class Sample(NamedTuple):
    """One crop for the network.

    Attributes:
        image_HWC: uint8 RGB.
        targets_JHW: float32 heat maps.
        weights_J: float32, 0 for joints the loss leaves out.
        center_xy: (2,) float64 crop centre, pixels of the (mirrored) image.
        scale_wh: (2,) float64 crop size in units of 200 pixels.
        index: () int64, position in the table.
    """

    image_HWC: np.ndarray
    targets_JHW: np.ndarray
    weights_J: np.ndarray
    center_xy: np.ndarray
    scale_wh: np.ndarray
    index: np.ndarray


class Photo(NamedTuple):
    """A decoded image, perhaps reduced.

    Attributes:
        pixels_HWC: uint8 RGB.
        width_px: of the whole image.
        reduction: 1, 2, 4 or 8; a pixel stands for a block of so many whole ones in a square.
    """

    pixels_HWC: np.ndarray
    width_px: int
    reduction: int

    def whole_from_reduced(self, *, flip: bool) -> np.ndarray:
        """(3, 3) matrix from these pixels to the whole image's; of both mirrored with ``flip``.

        The centre of block 0 is pixel (reduction - 1) / 2. Where the last block sticks out of the
        image, a mirrored image begins with it.
        """
        first_xy = np.full(2, (self.reduction - 1) / 2)
        if flip:
            last_block = self.reduction * (self.pixels_HWC.shape[1] - 1)
            first_xy[0] = self.width_px - 1 - last_block - first_xy[0]
        matrix = np.diag([self.reduction, self.reduction, 1.0])
        matrix[:2, 2] = first_xy
        return matrix


def reduction_for(scale_wh: np.ndarray, image_size_wh: tuple[int, int]) -> int:
    """The largest reduction that leaves a crop of that scale no coarser than its own pixels."""
    shrink = scale_wh[0] * UNIT_PX / image_size_wh[0]
    return max(reduction for reduction in REDUCTIONS if reduction <= max(shrink, 1))


class PersonCrops:
    """People of a table as crops and targets; a map-style data set for any loader.

    Keys are ``(epoch, index)`` or ``index`` (epoch 0). Without ``augment`` it gives the test crop.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/JointsDataset.py:113 @6f69e46
    """

    def __init__(
        self,
        table: PersonTable,
        data: DataSettings,
        codec: CodecSettings,
        *,
        augment: AugmentSettings | None = None,
        seed: int = 0,
        with_targets: bool = True,
    ) -> None:
        self.table = table
        self.image_size_wh = tuple(data.image_size_wh)
        self.codec = codec
        self.augment = augment
        self.seed = seed
        self.with_targets = with_targets
        self.reduced = data.reduced_decoding and augment is not None
        self.skeleton = skeleton_named(table.skeleton)
        self._flip_order = self.skeleton.flip_order
        self._decoded: dict[tuple[str, int], Photo] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple | list) else (0, key)
        return self.sample(int(epoch), int(index))

    def sample(self, epoch: int, index: int) -> Sample:
        """The crop of one person in one epoch.

        Raises:
            UserError: the image is missing or broken.
            IndexError: index outside the table.
        """
        if not 0 <= index < len(self.table):
            raise IndexError(f"person {index} of {len(self.table)}")
        record = self.table[index]
        change = Augmentation()
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, epoch, index])
            aspect_ratio = self.image_size_wh[0] / self.image_size_wh[1]
            change = draw(self.augment, record, self.skeleton, aspect_ratio, rng)
        photo = self._photo(record, change)
        width_px = photo.width_px
        center, scale = record.center_xy, record.scale_wh
        if self.augment is not None:
            center, scale = change.crop_of(center, scale, width_px)
        matrix = from_photo = crop_matrix(center, scale, change.rotation_deg, self.image_size_wh)
        if photo.reduction > 1:
            from_photo = matrix @ photo.whole_from_reduced(flip=change.flip)
        crop = crop_image(photo.pixels_HWC, from_photo, self.image_size_wh, flip=change.flip)
        crop = change.colors_of(crop)
        # A single zero each: Paddle's workers cannot send an array of no numbers.
        targets, weights = np.zeros((1, 1, 1), np.float32), np.zeros(1, np.float32)
        if self.with_targets:
            joints, visible = change.joints_of(
                record.joints_xy, record.visible, width_px, self._flip_order
            )
            targets, weights = heatmap.encode(
                transform_points(joints, matrix), visible, self.image_size_wh, self.codec
            )
        return Sample(
            crop,
            targets,
            weights,
            np.asarray(center, np.float64),
            np.asarray(scale, np.float64),
            np.int64(index),
        )

    def _photo(self, record: PersonRecord, change: Augmentation) -> Photo:
        """The decoded file; the last one is kept, as people of one image follow each other.

        A data set whose images are few enough (by the size of this one) stays decoded whole.
        """
        reduction = 1
        if self.reduced:
            _, scale_wh = change.crop_of(record.center_xy, record.scale_wh, 0)
            reduction = reduction_for(scale_wh, self.image_size_wh)
        key = record.image, reduction
        if key not in self._decoded:
            photo = read_photo(self.table.image_root, record.image, reduction)
            if photo.pixels_HWC.nbytes * len(self.table.image_names) > KEEP_DECODED_BYTES:
                self._decoded.clear()
            self._decoded[key] = photo
        return self._decoded[key]


def read_photo(image_root: Path, name: str, reduction: int = 1) -> Photo:
    """An image of a data set, reduced if it is a JPEG; Raises UserError."""
    data, where = read_bytes(image_root, name)
    size_wh = jpeg_size(data) if reduction > 1 else None
    if size_wh is None:
        pixels = decode_rgb(data, where)
        return Photo(pixels, pixels.shape[1], 1)
    return Photo(decode_rgb(data, where, reduction=reduction), size_wh[0], reduction)


def crop_image(
    image_HWC: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int], *, flip: bool = False
) -> np.ndarray:
    """Warp by a (2, 3) matrix from image to crop pixels, bilinear, black outside.

    With ``flip`` the matrix refers to the mirrored image.
    """
    source = cv2.flip(image_HWC, 1) if flip else image_HWC
    return cv2.warpAffine(source, matrix, size_wh, flags=cv2.INTER_LINEAR)


_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def start_worker(worker_id: int = 0) -> None:
    """For ``worker_init_fn``: one thread per worker, and memory that stays shared with the parent.

    A garbage collection writes into every object it looks at, which would copy the parent's pages.
    What the allocator keeps is the parent's choice (``runtime.keep_memory``): a fork inherits it.
    On Linux the worker ends with the thread that started it, however that ends: left alone in the
    middle of a message it would wait for the rest for ever.
    """
    del worker_id
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    gc.freeze()
    cv2.setNumThreads(0)
