"""Constants that batch norms take off again, taken out before a network is exported.

A bias that only batch norms read has no gradient: training leaves it anywhere, and convolutions
after it multiply it. In the packaged hourglass, features of the second stack lie around ±1,000 with
a deviation of 4: float32 loses two digits of them, and INT8's 256 levels would lie 8 apart.
"""

from __future__ import annotations

import copy

import numpy as np
import paddle
from paddle import nn

from paddle_pose.models.blocks import Head, PoseNetwork
from paddle_pose.models.outputs import named

SAME = 1e-9
"""Of the largest output, in float64: more is another function, not rounding."""


def centred(network: PoseNetwork, images_BCHW: np.ndarray) -> PoseNetwork:
    """A copy with each free bias such that its features' mean is 0, batch norms following.

    The same function, but for rounding, as is checked. The network itself where it has no such
    bias, or where something else than batch norms reads one.

    Args:
        network: in evaluation mode.
        images_BCHW: normalised; features are centred as these have them.
    """
    layers = [one for one in network.sublayers() if isinstance(one, nn.Conv2D | nn.BatchNorm2D)]
    if not any(map(_free, layers)):
        return network
    made = copy.deepcopy(network).to(dtype="float64")
    layers = [one for one in made.sublayers() if isinstance(one, nn.Conv2D | nn.BatchNorm2D)]
    images = paddle.to_tensor(images_BCHW.astype(np.float64))
    before: dict[int, paddle.Tensor] = {}

    def remember(layer: nn.Layer, given: tuple[paddle.Tensor, ...]) -> None:
        before[id(layer)] = _mean(given[0])

    def follow(layer: nn.Layer, given: tuple[paddle.Tensor, ...]) -> None:
        layer._mean.set_value(layer._mean + _mean(given[0]) - before[id(layer)])

    def centre(layer: nn.Layer, _: object, out: paddle.Tensor) -> paddle.Tensor:
        mean = _mean(out)
        layer.bias.set_value(layer.bias - mean)
        return out - mean.reshape([1, -1, 1, 1])

    norms = [one for one in layers if isinstance(one, nn.BatchNorm2D)]
    with paddle.no_grad():
        hooks = [one.register_forward_pre_hook(remember) for one in norms]
        expected = _outputs(made, images)
        _remove(hooks)
        hooks = [one.register_forward_pre_hook(follow) for one in norms]
        hooks += [one.register_forward_post_hook(centre) for one in layers if _free(one)]
        made(images)
        _remove(hooks)
        found = _outputs(made, images)
    same = all(
        np.abs(ours - theirs).max() <= SAME * np.abs(theirs).max()
        for ours, theirs in zip(found, expected, strict=True)
    )
    return made.to(dtype="float32") if same else network


def _free(layer: nn.Layer) -> bool:
    """Whether it is a convolution with a bias, and not one that outputs come from."""
    return isinstance(layer, nn.Conv2D) and not isinstance(layer, Head) and layer.bias is not None


def _mean(features_BCHW: paddle.Tensor) -> paddle.Tensor:
    return features_BCHW.mean([0, 2, 3])


def _outputs(network: PoseNetwork, images_BCHW: paddle.Tensor) -> list[np.ndarray]:
    return [one.numpy() for one in named(network(images_BCHW)[-1]).values()]


def _remove(hooks: list[nn.layer.layers.HookRemoveHelper]) -> None:
    for one in hooks:
        one.remove()
