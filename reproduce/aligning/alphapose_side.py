"""AlphaPose's networks in the child process of ``torch_side``, without CUDA and torchvision."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


def build(clone: Path, config: Any, package: Callable[[str, Path], None]) -> nn.Module:
    """The network as scripts/train.py:321 makes it, but for ImageNet's weights.

    Args:
        clone: of AlphaPose.
        config: one of its files; its keys are attributes too.
        package: makes an empty package at a folder.
    """
    for name in [one for one in sys.modules if one.startswith("alphapose")]:
        del sys.modules[name]  # its registry takes no class twice
    packages = ("", ".models", ".models.layers", ".utils")
    for name in packages:
        package(f"alphapose{name}", clone / "alphapose" / name.strip(".").replace(".", "/"))
    registry = importlib.import_module("alphapose.utils.registry")
    for name in ("Registry", "build_from_cfg", "retrieve_from_cfg"):
        setattr(sys.modules["alphapose.utils"], name, getattr(registry, name))
    for name in ("torchvision", "torchvision.models"):
        sys.modules[name] = types.ModuleType(name)
    models = sys.modules["torchvision"].models = sys.modules["torchvision.models"]
    for layers in (50, 152):  # they are asked for by eval(), and give nothing
        setattr(models, f"resnet{layers}", lambda pretrained: nn.Module())
    for name in ("deform_conv_cuda", "deform_pool_cuda"):  # compiled, for CUDA alone
        name = f"alphapose.models.layers.dcn.{name}"
        sys.modules[name] = types.ModuleType(name)
    deformable = importlib.import_module("alphapose.models.layers.dcn.deform_conv")
    deformable.deform_conv = deformable_convolution
    for name in ("fastpose", "fastpose_duc", "simplepose"):
        importlib.import_module(f"alphapose.models.{name}")
    builder = importlib.import_module("alphapose.models.builder")
    network = builder.build_sppe(config.MODEL, preset_cfg=config.DATA_PRESET)
    network._initialize()
    return network


def deformable_convolution(
    images: torch.Tensor,
    moves: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    deformable_groups: int,
) -> torch.Tensor:
    """What AlphaPose's CUDA operator computes, for one group: each tap reads between four pixels.

    Outside of the image there are zeros; of two moves a tap's first is down, its second right.

    Source: MVIG-SJTU/AlphaPose alphapose/models/layers/dcn/src/deform_conv_cuda_kernel.cu:84,180
    """
    if (groups, deformable_groups) != (1, 1):
        raise SystemExit("deformable convolution: written for one group")
    people, channels, height, width = images.shape
    _, _, rows, columns = moves.shape
    flat = images.reshape(people, channels, height * width)
    taken = []
    for tap in range(weight.shape[2] * weight.shape[3]):
        down, right = divmod(tap, weight.shape[3])
        y = torch.arange(rows, dtype=images.dtype)[:, None] * stride[0] - padding[0]
        x = torch.arange(columns, dtype=images.dtype)[None, :] * stride[1] - padding[1]
        y = y + down * dilation[0] + moves[:, 2 * tap]
        x = x + right * dilation[1] + moves[:, 2 * tap + 1]
        top, left = y.detach().floor(), x.detach().floor()
        value = torch.zeros((people, channels, rows, columns), dtype=images.dtype)
        for row in (top, top + 1):
            for column in (left, left + 1):
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                share = (1 - (y - row).abs()) * (1 - (x - column).abs()) * inside
                place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
                place = place.long().reshape(people, 1, -1).expand(-1, channels, -1)
                pixel = flat.gather(2, place).reshape(value.shape)
                value = value + share[:, None] * pixel
        taken.append(value)
    return torch.einsum("btchw,oct->bohw", torch.stack(taken, 1), weight.flatten(2))
