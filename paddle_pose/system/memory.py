"""How much memory there is, asked before a batch that cannot fit is begun."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from paddle_pose.errors import UserError
from paddle_pose.limits import GIB

_OF_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

TRAINING_BYTES_A_PIXEL = 1000
"""Of the input, that a step takes at least: 250 numbers of all layers, kept for the gradient."""
PREDICTING_BYTES_A_PIXEL = 64
"""The first layer's output alone: 64 channels at half the size."""


def memory_bytes(device: str) -> int:
    """Of the GPU, or of the machine or the container that this process runs in."""
    if device.startswith("gpu"):
        import paddle

        return int(paddle.device.cuda.get_device_properties(device).total_memory)
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _OF_CONTAINER:
        with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
            sizes.append(int(Path(file).read_text(encoding="ascii")))
    return min(sizes)


def require_room(
    key: str, people: int, size_wh: tuple[int, int], device: str, bytes_a_pixel: int
) -> None:
    """Raises UserError for a batch that needs more memory than there is, by the least estimate."""
    needed, there = people * size_wh[0] * size_wh[1] * bytes_a_pixel, memory_bytes(device)
    if needed > there:
        raise UserError(
            f"{key}: {people:,} people of {size_wh[0]}×{size_wh[1]} at once take "
            f"{needed / GIB:,.0f} GiB at least, and {device} has {there / GIB:,.1f}; take fewer, "
            "or a smaller data.image_size_wh"
        )
