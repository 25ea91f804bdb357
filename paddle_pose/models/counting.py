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


@dataclass(frozen=True)
class LayerCounts:
    """What one image costs in one layer, or in several together.

    Attributes:
        name: as the network's state names it; empty for the network itself.
        kind: ``Conv2D``, …; empty for several.
        output: shape that it puts out, without the batch; empty for several.
        parameters, macs, hrnet_macs: as in Counts, of all its calls.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    hrnet_macs: int


def count(network: PoseNetwork, image_size_wh: tuple[int, int]) -> Counts:
    """Run one blank image and count; leaves the network as it was."""
    layers = count_layers(network, image_size_wh)
    macs, hrnet_macs = (sum(getattr(one, n) for one in layers) for n in ("macs", "hrnet_macs"))
    return Counts(count_parameters(network), macs, hrnet_macs)


def count_layers(network: PoseNetwork, image_size_wh: tuple[int, int]) -> list[LayerCounts]:
    """Each layer with parameters or MACs in the order of the network's state, as ``count``."""
    uses: dict[int, list[int]] = {}
    outputs: dict[int, tuple[int, ...]] = {}

    def add(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> None:
        shape = tuple(int(size) for size in output.shape[1:])
        if len(shape) == 4:  # channels in blocks, the last of which may be filled up
            transposed = isinstance(layer, nn.Conv2DTranspose)
            shape = (int(layer.weight.shape[1 if transposed else 0]), *shape[1:3])
        outputs[id(layer)] = shape
        if not isinstance(layer, (nn.Conv2D, nn.Conv2DTranspose, nn.Linear)):
            return
        if isinstance(layer, nn.Linear):
            true = hrnet = int(output.size) // layer.weight.shape[1]
        else:
            hrnet = output.shape[2] * output.shape[3]
            scanned = inputs[0] if isinstance(layer, nn.Conv2DTranspose) else output
            true = scanned.shape[2] * scanned.shape[3]
        before = uses.get(id(layer), [0, 0])
        uses[id(layer)] = [before[0] + true, before[1] + hrnet]

    own = {
        name: sum(int(p.size) for p in layer.parameters(include_sublayers=False)
                  if not p.stop_gradient)
        for name, layer in network.named_sublayers(include_self=True)
    }  # fmt: skip
    layers = {
        name: layer for name, layer in network.named_sublayers(include_self=True) if own[name]
    }
    _run_blank(network, list(layers.values()), add, image_size_wh)
    found = []
    for name, layer in layers.items():
        true, hrnet = uses.get(id(layer), (0, 0))
        weights = int(layer.weight.size) if true else 0
        shape, kind = outputs.get(id(layer), ()), type(layer).__name__
        found.append(LayerCounts(name, kind, shape, own[name], weights * true, weights * hrnet))
    return found


def grouped(layers: list[LayerCounts], depth: int) -> list[LayerCounts]:
    """Sums of the layers whose names begin with the same ``depth`` words."""
    groups: dict[str, list[LayerCounts]] = {}
    for layer in layers:
        groups.setdefault(".".join(layer.name.split(".")[:depth]), []).append(layer)
    return [
        LayerCounts(name, "", (), *(sum(getattr(m, n) for m in members)
                                    for n in ("parameters", "macs", "hrnet_macs")))
        if len(members) > 1 else members[0]
        for name, members in groups.items()
    ]  # fmt: skip


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
