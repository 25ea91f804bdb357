"""The network's first step: bytes of a crop to normalised floats, on the device."""

from __future__ import annotations

import paddle
from paddle import nn

from paddle_pose.settings import DataSettings


class ImageNormalizer(nn.Layer):
    """uint8 (B, H, W, 3) RGB -> float (B, 3, H, W): (x / 255 - mean) / std in one multiply-add.

    With ``channel_order`` bgr the channels are turned round first and meet the same constants, as
    in the reference that was trained so. A layer, so that a static graph can hold the constants.
    """

    def __init__(self, data: DataSettings) -> None:
        super().__init__()
        dtype = paddle.get_default_dtype()
        mean = paddle.to_tensor(list(data.rgb_mean), dtype=dtype).reshape([1, 3, 1, 1])
        std = paddle.to_tensor(list(data.rgb_std), dtype=dtype).reshape([1, 3, 1, 1])
        self._turn = data.channel_order == "bgr"
        self.register_buffer("scale", 1.0 / (255.0 * std))
        self.register_buffer("offset", -mean / std)

    def forward(self, images_BHWC: paddle.Tensor) -> paddle.Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) in the default float type."""
        # Static graphs of Paddle 2.6 do not transpose bytes.
        images_BCHW = images_BHWC.astype(self.scale.dtype).transpose([0, 3, 1, 2])
        if self._turn:
            images_BCHW = images_BCHW.flip([1])
        return images_BCHW * self.scale + self.offset
