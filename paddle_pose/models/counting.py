"""Parameters and MACs of a network, counted as the papers count them."""

from __future__ import annotations

from collections.abc import Callable
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


def activations_per_pixel(network: PoseNetwork) -> float:
    """Numbers that all layers together put out, for each pixel of an image.

    From a small blank image: an output grows as the image does. Leaves the network as it was.
    """
    numbers = [0]

    def add(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> None:
        numbers[0] += int(output.size) if isinstance(output, paddle.Tensor) else 0

    leaves = [layer for layer in network.sublayers() if not layer.sublayers()]
    side = max(64, network.size_multiple)
    _run_blank(network, leaves, add, (side, side))
    return numbers[0] / side**2


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
    layers = [layer for layer in network.sublayers() if isinstance(layer, counted)]
    _run_blank(network, layers, add, image_size_wh)
    return Counts(count_parameters(network), *true_and_hrnet)


def _run_blank(
    network: PoseNetwork, layers: list[nn.Layer], add: Callable, image_size_wh: tuple[int, int]
) -> None:
    """Run one blank image with ``add`` called after each of the layers."""
    hooks = [layer.register_forward_post_hook(add) for layer in layers]
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
