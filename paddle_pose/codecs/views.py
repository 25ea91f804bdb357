"""What a codec decodes: the outputs of a network for one batch, under each test-time view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """Final outputs for B inputs; the same B in every view of a batch.

    Attributes:
        outputs: by name (``heatmaps``, ``pafs``, ``coordinates`` …), float32 arrays of leading B.
        mirrored: the same of the mirrored inputs, as they left the network; None without flip test.
        scale: size of the crop in this view, relative to the place's.
    """

    outputs: dict[str, np.ndarray]
    mirrored: dict[str, np.ndarray] | None = None
    scale: float = 1.0
