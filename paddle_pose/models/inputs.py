"""The network's first step: bytes of a crop to normalised floats, on the device."""

from __future__ import annotations

import paddle

from paddle_pose.settings import DataSettings


class ImageNormalizer:
    """uint8 (B, H, W, 3) RGB -> float (B, 3, H, W): (x / 255 - mean) / std in one multiply-add.

    With ``channel_order`` bgr the channels are turned round first and meet the same constants, as
    in the reference that was trained so.
    """

    def __init__(self, data: DataSettings) -> None:
        dtype = paddle.get_default_dtype()
        mean = paddle.to_tensor(list(data.rgb_mean), dtype=dtype).reshape([1, 3, 1, 1])
        std = paddle.to_tensor(list(data.rgb_std), dtype=dtype).reshape([1, 3, 1, 1])
        self._turn = data.channel_order == "bgr"
        self._scale, self._offset = 1.0 / (255.0 * std), -mean / std

    def __call__(self, images_BHWC: paddle.Tensor) -> paddle.Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) in the default float type."""
        images_BCHW = images_BHWC.transpose([0, 3, 1, 2]).astype(self._scale.dtype)
        if self._turn:
            images_BCHW = images_BCHW.flip([1])
        return images_BCHW * self._scale + self._offset
