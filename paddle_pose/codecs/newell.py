"""How Newell's own code reads heat maps: always a quarter of a cell, then whole pixels."""

from __future__ import annotations

import numpy as np

DECODER = "quarter_offset_always"


def cells(maps_BJHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (B, J, 2) in cells and scores (B, J): maxima of maps cut at 1.

    Half a cell, and a quarter of one on each axis: up where the next cell is larger than the one
    before, else down, also between equals; beyond the border stands the maximum itself. A map
    without a positive value gives (0, 0).

    Source: princeton-vl/pytorch_stacked_hourglass utils/group.py:49, test.py:61 @ceedc14
    """
    maps = np.minimum(np.asarray(maps_BJHW, np.float32), 1)
    people, joints, height, width = maps.shape
    flat = maps.reshape(people * joints, height * width)
    at, index = flat.argmax(1), np.arange(len(flat))
    y, x = np.divmod(at, width)
    scores = flat[index, at]

    def rises(along_y: int, along_x: int) -> np.ndarray:
        sides = [
            flat[index, np.clip(y + s * along_y, 0, height - 1) * width
                 + np.clip(x + s * along_x, 0, width - 1)]
            for s in (1, -1)
        ]  # fmt: skip
        return np.where(sides[0] > sides[1], np.float32(0.25), np.float32(-0.25))

    found = np.stack([x + rises(0, 1), y + rises(1, 0)], 1).astype(np.float32) + np.float32(0.5)
    found[scores <= 0] = 0
    return found.reshape(people, joints, 2), scores.reshape(people, joints)


def whole_pixels(image_xy: np.ndarray) -> np.ndarray:
    """0-based image pixels, cut to whole ones as that code cuts 1-based ones.

    Source: princeton-vl/pytorch_stacked_hourglass utils/img.py:40 @ceedc14
    """
    return np.trunc(image_xy + 1) - 1
