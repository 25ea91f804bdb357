"""Weights as Keras keeps them, under PyTorch's words and in its layout; VGG-19's layers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_WORDS = {
    "kernel": "weight", "W": "weight", "gamma": "weight", "bias": "bias", "b": "bias",
    "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_NAME = re.compile(
    r"(?P<layer>.+?)(?:/(?P<word>kernel|bias|gamma|beta|moving_mean|moving_variance)"
    r"|_(?P<old>W|b)_1)(?::0)?"
)
_AROUND = re.compile(r"(model_weights|Model|(functional_|model_?)\d+)/")


def is_keras(names: Mapping[str, np.ndarray]) -> bool:
    """Whether some are called as Keras calls weights: ``block1_conv1/kernel:0``."""
    return any(_NAME.fullmatch(name) for name in names)


def as_torch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``stage1/conv1/kernel:0`` as ``stage1.conv1.weight``; kernels (H, W, in, out) as OIHW.

    A file repeats the layer before each name, and names a model around it; both are left out. So is
    what an optimiser keeps.
    """
    found = {}
    for name, array in arrays.items():
        known = _NAME.fullmatch(_AROUND.sub("", name))
        if known is None or name.startswith("optimizer_weights/"):
            continue
        parts = known["layer"].split("/")
        half = len(parts) // 2
        if len(parts) == 2 * half and parts[:half] == parts[half:]:
            parts = parts[half:]
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
        word = _WORDS[known["word"] or known["old"]]
        found[".".join([*parts, word])] = array if axes is None else array.transpose(axes)
    return found


VGG19 = ("1a", "1b", "2a", "2b", "3a", "3b", "3c", "3d", "4a", "4b")
"""Convolutions of VGG-19 that BodyPoseNet has, by their places in it."""


def vgg_rules(first: str, layers: list[str], norms: list[str]) -> tuple[tuple[str, str], ...]:
    """From a publisher's names of those convolutions, and of the batch norms after them."""
    return tuple(
        (rf"^{re.escape(first + theirs)}\.", f"block_{ours}_{kind}_1.")
        for kind, names in (("conv", layers), ("bn", norms))
        for ours, theirs in zip(VGG19, names, strict=False)
    )


KERAS_VGG = vgg_rules("block", [f"{name[0]}_conv{'abcd'.index(name[1]) + 1}" for name in VGG19], [])
_PLAIN, _NORMED = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21), (0, 3, 7, 10, 14, 17, 20, 23, 27, 30)
TORCH_VGG = vgg_rules("features.", [str(n) for n in _PLAIN], [])
TORCH_VGG_BN = vgg_rules(
    "features.", [str(n) for n in _NORMED], [str(number + 1) for number in _NORMED]
)
"""Source: pytorch/vision torchvision/models/vgg.py make_layers @0.28.0"""
