"""Parameters and MACs of a network, counted as the papers count them."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import nn

from paddle_pose.models.blocks import PoseNetwork


@dataclass(frozen=True)
class Counts:
    """What one image costs.

    Attributes:
        parameters: trained numbers; running statistics are not among them.
        macs: of convolutions, transposed convolutions and linear layers; biases, batch
            norms and additions are left out, as the papers do.
        hrnet_macs: the same by HRNet's counter, which multiplies a transposed
            convolution's weights by its output instead of its input: four times too many.
    """

    parameters: int
    macs: int
    hrnet_macs: int

    @property
    def hrnet_gflops(self) -> float:
        """What HRNet prints, and its paper's table gives, as GFLOPs: MACs / 1024³.

        Source: leoxiaobin/deep-high-resolution-net.pytorch lib/utils/utils.py:124,197 @6f69e46
        """
        return self.hrnet_macs / 1024**3


def count_parameters(network: nn.Layer) -> int:
    """Trained numbers; Paddle lists running statistics as parameters too, without gradient."""
    return sum(int(p.size) for p in network.parameters() if not p.stop_gradient)


def count(network: PoseNetwork, image_size_wh: tuple[int, int]) -> Counts:
    """Run one blank image and count; leaves the network as it was."""
    true_and_hrnet = [0, 0]

    def add(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> None:
        weights = int(layer.weight.size)
        if isinstance(layer, nn.Linear):
            uses = hrnet_uses = int(output.size) // layer.weight.shape[1]
        else:
            hrnet_uses = output.shape[2] * output.shape[3]
            scanned = inputs[0] if isinstance(layer, nn.Conv2DTranspose) else output
            uses = scanned.shape[2] * scanned.shape[3]
        true_and_hrnet[0] += weights * uses
        true_and_hrnet[1] += weights * hrnet_uses

    counted = (nn.Conv2D, nn.Conv2DTranspose, nn.Linear)
    hooks = [
        layer.register_forward_post_hook(add)
        for layer in network.sublayers()
        if isinstance(layer, counted)
    ]
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    network.eval()  # running statistics stay as they are
    try:
        width, height = image_size_wh
        with paddle.no_grad():
            network(paddle.zeros([1, 3, height, width], paddle.get_default_dtype()))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in modes:
            layer.training = training
    return Counts(count_parameters(network), *true_and_hrnet)
