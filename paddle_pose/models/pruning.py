"""Structured pruning: a real smaller network, without the filters whose norms are small.

Source of the rule: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/core/pruning/pruning.py @2ec95cb
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import paddle
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.channels import (
    CONVOLUTIONS,
    NORMS,
    Channels,
    follow,
    outputs_of,
    passes,
    weighted,
)
from paddle_pose.models.pruning_rule import PruningRule


def widths(network: PoseNetwork) -> dict[str, int]:
    """Layer → how many outputs it has, of all that make channels."""
    layers = weighted(network)
    return {name: outputs_of(layer) for name, layer in layers.items() if not passes(layer)}


def choose(network: PoseNetwork, rule: PruningRule, channels: Channels) -> dict[str, np.ndarray]:
    """Kept outputs of every layer that loses some; ``channels`` are ``follow``'s.

    Raises:
        UserError: an excluded name that is no layer.
    """
    layers = weighted(network)
    for name in rule.excluded:
        if name not in layers:
            raise UserError(f"excluded: no layer '{name}'{nearest(name, layers)}")
    kept: dict[str, np.ndarray] = {}
    for group in channels.groups():
        voters = [name for name in group if name not in channels.followers]
        if not voters or any(name in rule.excluded for name in group):
            continue
        # Whoever is added to something that stays whole stays whole too.
        if _touches_fixed(group, channels):
            continue
        norms = [rule.normalised(filter_norms(layers[name])) for name in voters]
        if len({len(one) for one in norms}) > 1:
            continue
        places = rule.kept(rule.together(norms))
        if len(places) < len(norms[0]):
            kept |= {name: places for name in group}
    return kept


def by_count_alone(
    network: PoseNetwork, rule: PruningRule, kept: Mapping[str, np.ndarray], channels: Channels
) -> list[str]:
    """Of the layers that lose outputs, those without any norm above the threshold."""
    layers = weighted(network)
    return [
        name
        for name in kept
        if name not in channels.followers
        and rule.normalised(filter_norms(layers[name])).max() <= rule.threshold
    ]


def _touches_fixed(group: Sequence[str], channels: Channels) -> bool:
    names = set(group)
    return any(
        any(name in names for name, _ in one) and any(name not in channels.free for name, _ in one)
        for sets in channels.made_of.values()
        for one in sets
    )


def filter_norms(layer: nn.Layer) -> np.ndarray:
    """(out,) L2 norm of each filter, float64."""
    weight = layer.weight.numpy().astype(np.float64)
    if isinstance(layer, nn.Conv2DTranspose):
        weight = weight.transpose(1, 0, 2, 3)
    return np.sqrt((weight.reshape(len(weight), -1) ** 2).sum(1))


def shrink(network: PoseNetwork, kept: Mapping[str, np.ndarray], channels: Channels) -> None:
    """Take everything but the kept outputs out of a network, in place."""
    layers = weighted(network)
    stays = {name: set(places.tolist()) for name, places in kept.items()}
    for name, layer in layers.items():
        if name not in channels.made_of:
            continue
        inputs = [
            channel
            for channel, sources in enumerate(channels.made_of[name])
            if all(source not in stays or number in stays[source] for source, number in sources)
        ]
        outputs = kept.get(name)
        if passes(layer):
            _cut_passing(layer, np.array(inputs))
        else:
            _cut(layer, np.array(inputs), outputs)


def _cut(layer: nn.Layer, inputs: np.ndarray, outputs: np.ndarray | None) -> None:
    """Weights (out, in, …) of a convolution, (in, out, …) of the others."""
    weight = layer.weight.numpy()
    by_input = 1 if isinstance(layer, nn.Conv2D) else 0
    if not (isinstance(layer, CONVOLUTIONS) and layer._groups > 1):
        weight = np.take(weight, inputs, by_input)
    if outputs is not None:
        weight = np.take(weight, outputs, 1 - by_input)
        if layer.bias is not None:
            _give(layer, "bias", layer.bias.numpy()[outputs])
    _give(layer, "weight", weight)
    if isinstance(layer, CONVOLUTIONS):
        layer._in_channels = len(inputs)
        layer._out_channels = weight.shape[1 - by_input]
    else:
        layer.in_features, layer.out_features = weight.shape


def _cut_passing(layer: nn.Layer, kept: np.ndarray) -> None:
    for name in ("weight", "bias"):
        if getattr(layer, name, None) is not None:
            _give(layer, name, getattr(layer, name).numpy()[kept])
    if isinstance(layer, NORMS):
        for name in ("_mean", "_variance"):
            buffer = getattr(layer, name)
            stops = buffer.stop_gradient
            layer._buffers.pop(name, None)
            tensor = paddle.to_tensor(buffer.numpy()[kept], stop_gradient=stops)
            if name in layer._parameters:
                _give(layer, name, buffer.numpy()[kept])
            else:
                layer.register_buffer(name, tensor)
        layer._num_features = len(kept)
    else:
        layer._groups = layer._in_channels = layer._out_channels = len(kept)


def _give(layer: nn.Layer, name: str, value: np.ndarray) -> None:
    """Another array, of another shape, as that parameter."""
    old = layer._parameters[name]
    new = layer.create_parameter(
        shape=list(value.shape),
        dtype=str(value.dtype),
        default_initializer=nn.initializer.Assign(np.ascontiguousarray(value)),
    )
    new.stop_gradient, new.trainable = old.stop_gradient, old.trainable
    layer._parameters[name] = new


def narrow(network: PoseNetwork, filters: Mapping[str, int]) -> None:
    """Leave the first so many outputs of each named layer, for weights that are loaded next.

    Raises:
        UserError: a layer that cannot be pruned or has not so many, or one that is added to
            another that keeps another number.
    """
    channels, layers = follow(network), weighted(network)
    for name, count in filters.items():
        if name not in channels.free or not 1 <= count <= outputs_of(layers[name]):
            raise UserError(f"model.filters: {name} has no {count} outputs to keep")
    for group in channels.groups():
        counts = {name: filters.get(name, outputs_of(layers[name])) for name in group}
        if filters.keys() & counts.keys() and len(set(counts.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:4])
            raise UserError(f"model.filters: layers that are added keep different numbers: {said}")
    shrink(network, {name: np.arange(count) for name, count in filters.items()}, channels)
