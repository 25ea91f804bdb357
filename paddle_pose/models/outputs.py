"""What a network puts out, by name."""

from __future__ import annotations

import re
from typing import NamedTuple

import paddle


def named(output: NamedTuple) -> dict[str, paddle.Tensor]:
    """A stage's tensors, under its fields' names without the shape: heatmaps_BJHW is heatmaps."""
    tensors = zip(output._fields, output, strict=True)
    return {re.sub(r"_[A-Z][A-Z0-9]*$", "", name): one for name, one in tensors if one is not None}
