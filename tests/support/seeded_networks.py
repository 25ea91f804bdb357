"""Networks with name-seeded weights."""

from __future__ import annotations

from paddle import nn

from paddle_pose.models.architectures import Architecture
from paddle_pose.models.build import build
from paddle_pose.porting.loading import keys_of
from reproduce.aligning import name_seeded


def seeded(architecture: Architecture) -> nn.Layer:
    """With name-seeded weights: the first random ones give outputs near 0 in the eval mode."""
    network = build(architecture)
    wanted = keys_of(network)
    shapes = [
        (name_seeded.official_name(key), shape[:: -1 if key in wanted.linear else 1])
        for key, shape in wanted.shapes.items()
    ]
    name_seeded.fill(network, name_seeded.tensors(shapes, 0.8))
    network.eval()
    return network
