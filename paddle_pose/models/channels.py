"""Which channels of a network are one another's, found by running it, not by reading it.

Every layer with weights puts out a constant, one bit of the channel's number at a time moves it,
and what comes to change at the next layers was made of it, through whatever lies between.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import Head, PoseNetwork, plain

CONVOLUTIONS = (nn.Conv2D, nn.Conv2DTranspose)
NORMS = nn.layer.norm._BatchNormBase
_BATCH = 24
"""Images at a time while channels are followed."""


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


def weighted(network: nn.Layer) -> dict[str, nn.Layer]:
    """All layers with parameters or statistics of their own, by name."""
    return {
        name: layer
        for name, layer in network.named_sublayers()
        if layer._parameters and any(one is not None for one in layer._parameters.values())
    }


def _is_depthwise(layer: nn.Layer) -> bool:
    return isinstance(layer, nn.Conv2D) and layer._groups == layer._in_channels > 1


def passes(layer: nn.Layer) -> bool:
    """Whether each channel of the output is made of the same one of the input alone."""
    return isinstance(layer, NORMS) or _is_depthwise(layer)


def outputs_of(layer: nn.Layer) -> int:
    """How many channels it makes."""
    return layer._out_channels if isinstance(layer, CONVOLUTIONS) else layer.weight.shape[1]


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
        self.network, self.layers = network, weighted(network)
        for name, layer in self.layers.items():
            known = (*CONVOLUTIONS, nn.Linear, NORMS)
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
        return [name for name in self.shapes if not passes(self.layers[name])]

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
                if passes(layer):
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
    return isinstance(layer, CONVOLUTIONS) and layer._groups > 1 and not _is_depthwise(layer)
