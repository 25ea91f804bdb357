"""Layers of the same shapes, for PyTorch's side where no clone of the official network is named.

``python -m benchmarks.equal_layers RECIPE HEIGHT WIDTH`` prints what our network runs: its
convolutions, batch norms (with their ReLU) and upsamplings, with the sizes of their inputs.
Additions and pooling are functions, not layers, and are left out: this side does a little less.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.networks import load_recipe


def layers(recipe: str, height: int, width: int) -> list[dict[str, Any]]:
    """Kind, sizes and settings of every layer, in the order in which one image passes them."""
    chosen = load_recipe(recipe)
    import paddle
    from paddle import nn

    from paddle_pose.models.blocks import BatchNorm2D, Upsample
    from paddle_pose.models.build import build

    found: list[dict[str, Any]] = []

    def add(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...], _: paddle.Tensor) -> None:
        size = inputs[0].shape[2:4]  # height and width, in every layout
        channels = int(inputs[0].size) // (size[0] * size[1])
        made: dict[str, Any] = {"channels": channels, "size": size}
        if isinstance(layer, BatchNorm2D):
            made |= {"kind": "batch_norm", "relu": layer.relu}
        elif isinstance(layer, Upsample):
            made |= {"kind": "upsample", "factor": layer.factor}
        else:
            turned = isinstance(layer, nn.Conv2DTranspose)
            weight = layer.weight.shape
            made |= {
                "kind": "transposed" if turned else "convolution",
                "out": weight[1] if turned else weight[0],
                "kernel": weight[2],
                "stride": layer._stride[0],
                "padding": layer._padding,
                "bias": layer.bias is not None,
            }
        found.append(made)

    network = build(chosen.model)
    network.eval()
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D | nn.Conv2DTranspose | BatchNorm2D | Upsample):
            layer.register_forward_post_hook(add)
    with paddle.no_grad():
        network(paddle.zeros([1, 3, height, width]))
    return found


if __name__ == "__main__":
    print(json.dumps(layers(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
