"""A sample, and what the loader takes: any object that makes samples. Free of Paddle."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import signal
from typing import NamedTuple, Protocol

import numpy as np

from paddle_pose.poses.poses import Place


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


_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def start_worker(worker_id: int = 0) -> None:
    """For ``worker_init_fn``: one thread per worker, and memory that stays shared with the parent.

    A garbage collection writes into every object it looks at, which would copy the parent's pages.
    What the allocator keeps is the parent's choice (``runtime.keep_memory``): a fork inherits it.
    On Linux the worker ends with the thread that started it, however that ends: left alone in the
    middle of a message it would wait for the rest for ever.
    """
    import cv2  # scoring needs no OpenCV

    del worker_id
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    gc.freeze()
    cv2.setNumThreads(0)
