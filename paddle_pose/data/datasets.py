"""Records → augmented crops with targets; a sample depends on (seed, epoch, index) alone."""

from __future__ import annotations

import contextlib
import ctypes
from typing import NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs import heatmap
from paddle_pose.data.augment import Augmentation, draw
from paddle_pose.data.images import find_image, read_rgb
from paddle_pose.data.records import PersonTable
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings, CodecSettings, DataSettings
from paddle_pose.skeletons import skeleton_named

KEEP_DECODED_BYTES = 384 << 20
"""A data set smaller than this, decoded, is kept in the memory of each worker."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h


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
        self.skeleton = skeleton_named(table.skeleton)
        self._flip_order = self.skeleton.flip_order
        self._decoded: dict[str, np.ndarray] = {}

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
        image = self._image(record.image)
        change = Augmentation()
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, epoch, index])
            aspect_ratio = self.image_size_wh[0] / self.image_size_wh[1]
            change = draw(self.augment, record, self.skeleton, aspect_ratio, rng)
        width_px = image.shape[1]
        center, scale = record.center_xy, record.scale_wh
        if self.augment is not None:
            center, scale = change.crop_of(center, scale, width_px)
        matrix = crop_matrix(center, scale, change.rotation_deg, self.image_size_wh)
        crop = change.colors_of(crop_image(image, matrix, self.image_size_wh, flip=change.flip))
        targets, weights = np.zeros((0, 0, 0), np.float32), np.zeros(0, np.float32)
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

    def _image(self, name: str) -> np.ndarray:
        """The decoded file; the last one is kept, as people of one image follow each other.

        A data set whose images are few enough (by the size of this one) stays decoded whole.
        """
        if name not in self._decoded:
            image = read_rgb(find_image(self.table.image_root, name))
            if image.nbytes * len(self.table.image_names) > KEEP_DECODED_BYTES:
                self._decoded.clear()
            self._decoded[name] = image
        return self._decoded[name]


def crop_image(
    image_HWC: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int], *, flip: bool = False
) -> np.ndarray:
    """Warp by a (2, 3) matrix from image to crop pixels, bilinear, black outside.

    With ``flip`` the matrix refers to the mirrored image.
    """
    source = cv2.flip(image_HWC, 1) if flip else image_HWC
    return cv2.warpAffine(source, matrix, size_wh, flags=cv2.INTER_LINEAR)


def start_worker(worker_id: int = 0) -> None:
    """For ``worker_init_fn``: one thread per worker, and memory that is kept for the next image.

    glibc hands a buffer of a decoded photo back to the system each time; fetching its pages anew
    takes as long as decoding (3 of 6 ms for 1280x720). Elsewhere than on glibc nothing changes.
    """
    del worker_id
    cv2.setNumThreads(0)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        allocator.mallopt(_M_TRIM_THRESHOLD, 128 << 20)


def normalise_constants(data: DataSettings) -> tuple[np.ndarray, np.ndarray]:
    """(scale, offset), each (3,) float32: ``x * scale + offset`` is ``(x / 255 - mean) / std``."""
    mean, std = np.array(data.rgb_mean), np.array(data.rgb_std)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
