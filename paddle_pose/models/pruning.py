"""Structured pruning: a real smaller network, without the filters whose norms are small.

Which channels belong together is found by running the network, not by reading it: every
convolution puts out a constant, one bit of the channel's number at a time moves it, and what comes
to change at the next layers was made of it, through whatever operations lie between.

Source of the rule: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/core/pruning/pruning.py @2ec95cb
"""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import Head, PoseNetwork, plain

NORMALIZERS = ("max", "L2")
EQUALIZATIONS = ("union", "intersection", "arithmetic_mean", "geometric_mean")
_CONVOLUTIONS = (nn.Conv2D, nn.Conv2DTranspose)
_BATCH = 24
"""Images at a time while channels are followed."""


@dataclass(frozen=True)
class PruningRule:
    """Which filters stay.

    Attributes:
        threshold: filters whose normalised norm is above it stay.
        normalizer: ``max``, norm / the layer's largest; or ``L2``, norm / the norm of all its norms
            × their number, as the official code has it (equal norms give √n).
        equalization: how layers that are added or multiplied agree: ``union`` keeps what any of
            them keeps, ``intersection`` what all do; or by the mean of their normalised norms.
        granularity: counts are rounded up to a multiple of it.
        min_filters: no layer keeps fewer, if it has as many.
        excluded: layers that stay whole, by name; whatever is added to them too.
    """

    threshold: float = 0.1
    normalizer: str = "max"
    equalization: str = "union"
    granularity: int = 8
    min_filters: int = 16
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for values that mean nothing."""
        for name, words in (("normalizer", NORMALIZERS), ("equalization", EQUALIZATIONS)):
            value = getattr(self, name)
            if value not in words:
                raise UserError(f"{name} '{value}'{nearest(value, words)}")
        if not (self.threshold >= 0 and math.isfinite(self.threshold)):
            raise UserError(f"threshold {self.threshold}: must be 0 or more")
        if min(self.granularity, self.min_filters) < 1:
            raise UserError("granularity, min_filters: must be at least 1")

    def normalised(self, norms: np.ndarray) -> np.ndarray:
        """(n,) norms of a layer's filters, made comparable."""
        if self.normalizer == "max":
            return norms / max(norms.max(), 1e-30)
        return norms / max(np.sqrt((norms**2).sum()), 1e-30) * len(norms)

    def together(self, norms: Sequence[np.ndarray]) -> np.ndarray:
        """Normalised norms of layers that must keep the same channels, as one."""
        stacked = np.stack(norms)
        if self.equalization == "union":
            return stacked.max(0)
        if self.equalization == "intersection":
            return stacked.min(0)
        if self.equalization == "arithmetic_mean":
            return stacked.mean(0)
        return np.exp(np.log(np.maximum(stacked, 1e-300)).mean(0))

    def kept(self, norms: np.ndarray) -> np.ndarray:
        """Places of the filters that stay, in order."""
        count = max(min(self.min_filters, len(norms)), int((norms > self.threshold).sum()))
        count = min(-(-count // self.granularity) * self.granularity, len(norms))
        return np.sort(np.argsort(-norms, kind="stable")[:count])


@dataclass
class Channels:
    """Which channels of a network are one another's.

    Attributes:
        made_of: layer → for each channel of its input the (layer, channel) that it is made of.
        free: layers whose outputs may be pruned.
        followers: layers without a say in what is kept: gates of channels.
    """

    made_of: dict[str, list[frozenset[tuple[str, int]]]] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    followers: set[str] = field(default_factory=set)

    def groups(self) -> list[list[str]]:
        """Free layers that must keep the same channels, each group in the network's order."""
        leader = {name: name for name in self.free}

        def find(name: str) -> str:
            while leader[name] != name:
                name = leader[name]
            return name

        for sets in self.made_of.values():
            for one in sets:
                names = sorted({name for name, _ in one if name in self.free})
                for name in names[1:]:
                    leader[find(name)] = find(names[0])
        found = defaultdict(list)
        for name in self.made_of:
            if name in self.free:
                found[find(name)].append(name)
        return list(found.values())


def _weighted(network: nn.Layer) -> dict[str, nn.Layer]:
    """All layers with parameters or statistics of their own, by name."""
    return {
        name: layer
        for name, layer in network.named_sublayers()
        if layer._parameters and any(one is not None for one in layer._parameters.values())
    }


def _is_depthwise(layer: nn.Layer) -> bool:
    return isinstance(layer, nn.Conv2D) and layer._groups == layer._in_channels > 1


def _passes(layer: nn.Layer) -> bool:
    """Whether each channel of the output is made of the same one of the input alone."""
    return isinstance(layer, nn.layer.norm._BatchNormBase) or _is_depthwise(layer)


def _outputs(layer: nn.Layer) -> int:
    return layer._out_channels if isinstance(layer, _CONVOLUTIONS) else layer.weight.shape[1]


@contextlib.contextmanager
def _running(layers: Mapping[str, nn.Layer], how: Callable[[str], Callable]) -> Iterator[None]:
    """The layers with other ``forward`` for a while."""
    for name, layer in layers.items():
        layer.forward = how(name)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward


class _Follower:
    """Runs a network whose weighted layers put out constants."""

    def __init__(self, network: PoseNetwork) -> None:
        self.network, self.layers = network, _weighted(network)
        for name, layer in self.layers.items():
            known = (*_CONVOLUTIONS, nn.Linear, nn.layer.norm._BatchNormBase)
            if not isinstance(layer, known):
                raise UserError(f"{name}: a {type(layer).__name__} cannot be pruned around")
        side = max(network.size_multiple, 64)
        self.image = paddle.zeros([1, 3, side, side])
        self.shapes: dict[str, list[int]] = {}
        self.seen: dict[str, np.ndarray] = {}
        self.locked: set[str] = set()
        self._moved: paddle.Tensor | None = None
        with paddle.no_grad():
            self._measure()

    def _measure(self) -> None:
        hooks = []
        for name, layer in self.layers.items():

            def note(_: nn.Layer, __: object, out: paddle.Tensor, name: str = name) -> None:
                self.shapes.setdefault(name, list(plain(out).shape) if out.ndim > 2 else out.shape)

            hooks.append(layer.register_forward_post_hook(note))
        try:
            self.network(self.image)
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def makers(self) -> list[str]:
        """Layers that make channels of their own, in the order in which they run."""
        return [name for name in self.shapes if not _passes(self.layers[name])]

    def run(self, moves: Mapping[str, np.ndarray], count: int) -> list[np.ndarray]:
        """Outputs and, in ``seen``, inputs where channels of a maker are moved in some images.

        Args:
            moves: maker → (count, channels), 0 or 1.
            count: images.
        """
        self.seen = {}

        def forward(name: str) -> Callable:
            layer = self.layers[name]

            def run(x: paddle.Tensor, *others: paddle.Tensor) -> paddle.Tensor:
                x = plain(x) if x.ndim > 2 else x
                if _passes(layer):
                    return self._passed(name, x)
                self.seen[name] = x.numpy()
                for number, other in enumerate(others):
                    self.seen[f"{name}+{number}"] = plain(other).numpy()
                shape = self.shapes[name]
                value = np.ones((count, shape[1]), np.float32)
                if name in moves:
                    value += 0.5 * moves[name].astype(np.float32)
                out = paddle.to_tensor(value)
                return out if len(shape) == 2 else self._spread(out, shape)

            return run

        with paddle.no_grad(), _running(self.layers, forward):
            outputs = self.network(paddle.tile(self.image, [count, 1, 1, 1]))
        return [one.numpy() for stage in outputs for one in stage if one is not None]

    def _passed(self, name: str, x: paddle.Tensor) -> paddle.Tensor:
        self.seen[name] = x.numpy()
        height, width = self.shapes[name][2:]
        if x.shape[2:] != [height, width]:
            step = max(1, round(x.shape[2] / height))
            x = x[:, :, ::step, ::step][:, :, :height, :width]
        return x.scale(1.0)

    @staticmethod
    def _spread(value: paddle.Tensor, shape: list[int]) -> paddle.Tensor:
        return paddle.expand(value[:, :, None, None], [*value.shape, *shape[2:]]).scale(1.0)


def follow(network: PoseNetwork) -> Channels:
    """What each channel of each layer's input is made of.

    Raises:
        UserError: a network with layers of another kind.
    """
    network.eval()
    follower = _Follower(network)
    plan = []  # (maker, bit): of the channel numbers; -1 moves all channels
    for name in follower.makers:
        bits = max(1, (follower.shapes[name][1] - 1).bit_length())
        plan += [(name, bit) for bit in (-1, *range(bits))]
    still = follower.run({}, 1)
    base = dict(follower.seen)
    changed: dict[str, dict[tuple[str, int], np.ndarray]] = defaultdict(dict)
    in_output: set[str] = set()
    for start in range(0, len(plan), _BATCH):
        part = plan[start : start + _BATCH]
        moves: dict[str, np.ndarray] = {}
        for row, (name, bit) in enumerate(part):
            channels = np.arange(follower.shapes[name][1])
            move = moves.setdefault(name, np.zeros((len(part), len(channels))))
            move[row] = 1 if bit < 0 else (channels >> bit) & 1
        outputs = follower.run(moves, len(part))
        for now, then in zip(outputs, still, strict=True):
            moved = (now != then).reshape(len(part), -1).any(1)
            in_output |= {part[row][0] for row in np.flatnonzero(moved)}
        for name, values in follower.seen.items():
            differs = (values != base[name]).reshape(len(part), values.shape[1], -1)
            for row in np.flatnonzero(differs.any((1, 2))):
                changed[name][part[row]] = differs[row]
    return _channels(follower, changed, in_output)


def _channels(
    follower: _Follower,
    changed: Mapping[str, Mapping[tuple[str, int], np.ndarray]],
    in_output: set[str],
) -> Channels:
    found, locked = Channels(), set(in_output)
    for name, values in follower.seen.items():
        sets = _sources(changed.get(name, {}), values.shape[1])
        layer = follower.layers.get(name)
        if layer is None or _is_grouped(layer):  # where deformable taps lie; groups of channels
            locked |= {maker for one in sets for maker, _ in one}
        for one in sets:
            if len({number for _, number in one}) > 1:  # pixels were shuffled, or the like
                locked |= {maker for maker, _ in one}
        if layer is not None:
            found.made_of[name] = sets
    for name in follower.makers:
        layer = follower.layers[name]
        if isinstance(layer, nn.Linear):
            found.followers.add(name)
        if not isinstance(layer, Head) and not _is_grouped(layer) and name not in locked:
            found.free.add(name)
    return found


def _sources(
    by_key: Mapping[tuple[str, int], np.ndarray], width: int
) -> list[frozenset[tuple[str, int]]]:
    """Of each channel, from what changed (channels, pixels) by which maker's which bit."""
    sets: list[set[tuple[str, int]]] = [set() for _ in range(width)]
    for maker in {maker for maker, bit in by_key if bit < 0}:
        moved, number = by_key[maker, -1], np.zeros(by_key[maker, -1].shape, int)
        for (other, bit), differs in by_key.items():
            if other == maker and bit >= 0:
                number += differs.astype(int) << bit
        for channel in range(width):
            here = np.unique(number[channel][moved[channel]])
            sets[channel] |= {(maker, int(one)) for one in here}
    return [frozenset(one) for one in sets]


def _is_grouped(layer: nn.Layer) -> bool:
    return isinstance(layer, _CONVOLUTIONS) and layer._groups > 1 and not _is_depthwise(layer)


def widths(network: PoseNetwork) -> dict[str, int]:
    """Layer → how many outputs it has, of all that make channels."""
    layers = _weighted(network)
    return {name: _outputs(layer) for name, layer in layers.items() if not _passes(layer)}


def choose(network: PoseNetwork, rule: PruningRule, channels: Channels) -> dict[str, np.ndarray]:
    """Kept outputs of every layer that loses some; ``channels`` are ``follow``'s.

    Raises:
        UserError: an excluded name that is no layer.
    """
    layers = _weighted(network)
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
    layers = _weighted(network)
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
        if _passes(layer):
            _cut_passing(layer, np.array(inputs))
        else:
            _cut(layer, np.array(inputs), outputs)


def _cut(layer: nn.Layer, inputs: np.ndarray, outputs: np.ndarray | None) -> None:
    """Weights (out, in, …) of a convolution, (in, out, …) of the others."""
    weight = layer.weight.numpy()
    by_input = 1 if isinstance(layer, nn.Conv2D) else 0
    if not (isinstance(layer, _CONVOLUTIONS) and layer._groups > 1):
        weight = np.take(weight, inputs, by_input)
    if outputs is not None:
        weight = np.take(weight, outputs, 1 - by_input)
        if layer.bias is not None:
            _give(layer, "bias", layer.bias.numpy()[outputs])
    _give(layer, "weight", weight)
    if isinstance(layer, _CONVOLUTIONS):
        layer._in_channels = len(inputs)
        layer._out_channels = weight.shape[1 - by_input]
    else:
        layer.in_features, layer.out_features = weight.shape


def _cut_passing(layer: nn.Layer, kept: np.ndarray) -> None:
    for name in ("weight", "bias"):
        if getattr(layer, name, None) is not None:
            _give(layer, name, getattr(layer, name).numpy()[kept])
    if isinstance(layer, nn.layer.norm._BatchNormBase):
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
        UserError: a layer that is not there, or has not so many.
    """
    channels, layers = follow(network), _weighted(network)
    for name, count in filters.items():
        if name not in layers or not 1 <= count <= _outputs(layers[name]):
            raise UserError(f"model.filters: {name} has no {count} outputs to keep")
    shrink(network, {name: np.arange(count) for name, count in filters.items()}, channels)
