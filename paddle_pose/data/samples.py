"""A sample, and what the loader takes: any object that makes samples. Free of Paddle."""

from __future__ import annotations

import gc
import signal
from typing import NamedTuple, Protocol

import numpy as np

from paddle_pose.poses.poses import Place
from paddle_pose.system import ending


class Sample(NamedTuple):
    """One input for the network.

    Attributes:
        image_HWC: uint8 RGB.
        targets: by the codec's names (``heatmaps``, ``weights`` …); none where nobody asked.
        place: where the input lies; its joints are those behind the targets.
    """

    image_HWC: np.ndarray
    targets: dict[str, np.ndarray]
    place: Place


class Samples(Protocol):
    """A map from (epoch, index) to samples; each depends on seed, epoch and index alone."""

    def __len__(self) -> int:
        """How many there are in an epoch."""

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of that epoch and index; Raises UserError."""


def name_of(samples: Samples, key: tuple[int, int]) -> str:
    """What a message calls a sample: by its own ``name_of``, if it has one."""
    named = getattr(samples, "name_of", None)
    return f"sample {key[1]}" if named is None else named(key)


def start_worker() -> None:
    """One thread per worker, and memory that stays shared with the parent.

    A garbage collection writes into every object it looks at, which would copy the parent's pages.
    What the allocator keeps is the parent's choice (``runtime.keep_memory``): a fork inherits it.
    On Linux the worker ends with the thread that started it, however that ends: left alone in the
    middle of a message it would wait for the rest for ever.
    """
    import cv2  # scoring needs no OpenCV

    ending.with_parent(signal.SIGKILL)
    gc.freeze()
    cv2.setNumThreads(0)
