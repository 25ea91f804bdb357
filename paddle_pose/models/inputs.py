"""The network's first step: bytes of a crop to normalised floats, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import paddle


class ImageNormalizer:
    """uint8 (B, H, W, 3) RGB -> float (B, 3, H, W): (x / 255 - mean) / std in one multiply-add."""

    def __init__(self, rgb_mean: Sequence[float], rgb_std: Sequence[float]) -> None:
        dtype = paddle.get_default_dtype()
        mean = paddle.to_tensor(list(rgb_mean), dtype=dtype).reshape([1, 3, 1, 1])
        std = paddle.to_tensor(list(rgb_std), dtype=dtype).reshape([1, 3, 1, 1])
        self._scale, self._offset = 1.0 / (255.0 * std), -mean / std

    def __call__(self, images_BHWC: paddle.Tensor) -> paddle.Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) in the default float type."""
        images_BCHW = images_BHWC.transpose([0, 3, 1, 2]).astype(self._scale.dtype)
        return images_BCHW * self._scale + self._offset
