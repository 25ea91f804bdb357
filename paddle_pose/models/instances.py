"""Two people in one box: features are modulated by whose pose is asked for.

The person whom the box belongs to is ``primary``, the one who is in it besides ``secondary``.
Sources: rawalkhirodkar/MIPNet lib/models/pose_hrnet_se_lambda.py @245651d. λ is 1 there for the
primary person and 0 for the secondary one; here it stands in the names of weights alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, overload

import paddle
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.models.blocks import (
    BatchNorm2D,
    Features,
    PoseNetwork,
    StageOutput,
    global_average,
    scale,
    sigmoid,
    small_normal,
    twice,
    uniform_by_fan_in,
)
from paddle_pose.settings import INSTANCES

BOTH = "both"
REDUCTION = 4

One = Literal["primary", "secondary"]
Stages = list[StageOutput]
MakeLinear = Callable[..., nn.Linear]


def linear_near_zero(inside: int, outside: int, *, bias: bool = True) -> nn.Linear:
    """Weights normal with standard deviation 0.001, bias 0; source: pose_hrnet_se_lambda.py:523."""
    return nn.Linear(inside, outside, small_normal(), None if bias else False)


def linear_of_torch(inside: int, outside: int, *, bias: bool = True) -> nn.Linear:
    """Weights and bias as PyTorch's default."""
    attr = uniform_by_fan_in(inside)
    return nn.Linear(inside, outside, attr, uniform_by_fan_in(inside) if bias else False)


class FlatNorm(BatchNorm2D):
    """``BatchNorm2D`` of (N, C)."""

    def forward(self, x_NC: paddle.Tensor) -> paddle.Tensor:
        """(N, C) -> (N, C)."""
        return BatchNorm2D.forward(self, x_NC.unsqueeze([2, 3])).flatten(1)


class InstanceGate(nn.Layer):
    """Each channel × a factor from the features × a factor from the instance, both in (0, 1).

    Nothing is added: weights near 0 leave a quarter of the features. ``linear`` makes a layer of so
    many inputs and outputs.

    Source: SELambdaLayer, pose_hrnet_se_lambda.py:571
    """

    def __init__(self, channels: int, linear: MakeLinear) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.fc = nn.Sequential(
            linear(channels, hidden, bias=False),
            nn.ReLU(),
            linear(hidden, channels, bias=False),
        )
        self.fc_lambda = nn.Sequential(
            linear(len(INSTANCES), hidden),
            FlatNorm(hidden, relu=True),
            nn.Identity(),  # keeps the ReLU's number, for the official names count it
            linear(hidden, channels),
        )

    def forward(self, x: Features, codes_I2: paddle.Tensor) -> Features:
        """(I·B, C, H, W) by the codes of I instances, of which each has B images."""
        by_features_NC = sigmoid(self.fc(global_average(x).flatten(1)))
        if self.training:  # the norm counts images, as in the reference
            codes_I2 = codes_I2.repeat_interleave(by_features_NC.shape[0] // codes_I2.shape[0], 0)
        by_instance_IC = sigmoid(self.fc_lambda(codes_I2))
        instances, channels = by_instance_IC.shape
        apart_IBC = by_features_NC.reshape([instances, -1, channels])
        both_NC = (apart_IBC * by_instance_IC.unsqueeze(1)).reshape([-1, channels])
        return scale(x, both_NC.unsqueeze([2, 3]))


class InstanceGates(nn.Layer):
    """A gate for each branch; source: SELambdaModule, pose_hrnet_se_lambda.py:603."""

    def __init__(self, gates: list[InstanceGate]) -> None:
        super().__init__()
        self.se_layers = nn.LayerList(gates)

    def forward(self, branches: list[Features], codes_I2: paddle.Tensor) -> list[Features]:
        """Each branch by its own."""
        return [gate(branches[index], codes_I2) for index, gate in enumerate(self.se_layers)]


class TwoPersonNetwork(PoseNetwork):
    """``forward(images_BCHW, instance)``: ``primary``, ``secondary``, or ``both`` at less cost.

    A subclass says where gates stand, and computes. Up to the first of them nothing depends on the
    instance, and ``both`` computes it once; its running variances then count B images, where the
    reference counts 2B: 1/n of a variance of n values.
    """

    def add_gates(
        self, modulated: tuple[bool, ...], channels: dict[str, list[int]], linear: MakeLinear
    ) -> None:
        """Gates of so many channels under these names, where ``modulated`` says so.

        Raises:
            UserError: at no place, or for fewer channels than a gate needs.
        """
        chosen = [name for name, wanted in zip(channels, modulated, strict=True) if wanted]
        if not chosen:
            raise UserError(
                f"model.modulated={list(modulated)}: with no gate both people are one; the "
                "published networks have the last or the last two"
            )
        if (least := min(min(channels[name]) for name in chosen)) < REDUCTION:
            raise UserError(f"model.width={least}: a gate needs at least {REDUCTION} channels")
        self._first = chosen[0]
        for name in chosen:
            gates = [InstanceGate(width, linear) for width in channels[name]]
            setattr(self, name, InstanceGates(gates))
        self.register_buffer("_codes_I2", paddle.eye(len(INSTANCES)), persistable=False)

    def gated(self, name: str, branches: list[Features], instance: str) -> list[Features]:
        """The branches after the gates of that name, if there are any."""
        if not hasattr(self, name):
            return branches
        if instance == BOTH:
            if name == self._first:
                branches = [twice(x) for x in branches]
            return getattr(self, name)(branches, self._codes_I2)
        number = INSTANCES.index(instance)
        return getattr(self, name)(branches, self._codes_I2[number : number + 1])

    def heatmaps(self, images_BCHW: paddle.Tensor, instance: str) -> paddle.Tensor:
        """(B, J, H/4, W/4) of one instance, or (2B, …): the primary ones, then the secondary."""
        raise NotImplementedError

    @overload
    def forward(self, images_BCHW: paddle.Tensor, instance: One = "primary") -> Stages: ...
    @overload
    def forward(
        self, images_BCHW: paddle.Tensor, instance: Literal["both"]
    ) -> tuple[Stages, Stages]: ...
    def forward(
        self, images_BCHW: paddle.Tensor, instance: One | Literal["both"] = "primary"
    ) -> Stages | tuple[Stages, Stages]:
        """Stages of one instance; for ``both`` those of the primary and of the secondary one.

        Raises:
            UserError: an unknown instance; sides that are not multiples of 32.
        """
        if instance not in (*INSTANCES, BOTH):
            hint = nearest(str(instance), (*INSTANCES, BOTH))
            raise UserError(f"instance: unknown '{instance}'{hint}")
        self.check_size(images_BCHW)
        maps = self.heatmaps(images_BCHW, instance)
        if instance != BOTH:
            return [StageOutput(maps)]
        sizes = maps.shape[1:]
        if -1 in sizes:  # a graph of open size, which ONNX cannot have
            primary, secondary = maps.chunk(2)
        else:
            apart = maps.reshape([2, -1, *sizes])
            primary, secondary = apart[0], apart[1]
        return [StageOutput(primary)], [StageOutput(secondary)]


class TwoPeople(NamedTuple):
    """Heat maps of both; outputs are named ``primary`` and ``secondary``."""

    primary_BJHW: paddle.Tensor
    secondary_BJHW: paddle.Tensor


class BothInstances(PoseNetwork):
    """(B, 3, H, W) -> [TwoPeople]: as other networks are called, by the loop, engines and exports.

    ``network`` is the one given, not a copy.
    """

    def __init__(self, network: TwoPersonNetwork) -> None:
        super().__init__()
        self.network = network
        self.size_multiple = network.size_multiple

    def forward(self, images_BCHW: paddle.Tensor) -> list[TwoPeople]:
        """Both people of every image."""
        stages = self.network(images_BCHW, BOTH)
        return [TwoPeople(*(of_one[-1].heatmaps_BJHW for of_one in stages))]


def all_instances(network: PoseNetwork) -> PoseNetwork:
    """What gives all outputs of a network: of both instances, where it has two."""
    return BothInstances(network) if isinstance(network, TwoPersonNetwork) else network
