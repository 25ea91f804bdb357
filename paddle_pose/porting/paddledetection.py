"""PaddleDetection's names of HRNet's weights, as patterns and official names.

It counts from 1 and names a convolution and its norm as one layer with two parts.
Source: PaddlePaddle/PaddleDetection ppdet/modeling/backbones/hrnet.py,
ppdet/modeling/architectures/keypoint_hrnet.py @666f597
"""

from __future__ import annotations

from collections.abc import Iterator

_BACKBONE = r"^(?:backbone\.)?"
_PARTS = (("conv", "0", "conv"), ("norm", "1", "bn"))
"""Their part of a layer; its index in an official Sequential; its official name in a block."""

_MODULES = {2: 1, 3: 4, 4: 3}
"""Modules per stage; stage n has n branches of four blocks."""

Rule = tuple[str, str]


def hrnet_rules() -> tuple[Rule, ...]:
    """Pattern and replacement for every layer of the network."""
    return (("^final_conv\\.", "final_layer."), *_stem(), *_transitions(), *_stages())


def _stem() -> Iterator[Rule]:
    for part, index, kind in _PARTS:
        yield rf"{_BACKBONE}conv_layer1_([12])\.{part}\.", rf"{kind}\1."
        for i in range(4):
            block = rf"{_BACKBONE}la1\.block_layer2_{i + 1}\."
            yield rf"{block}conv_down\.{part}\.", f"layer1.{i}.downsample.{index}."
            yield rf"{block}conv([123])\.{part}\.", rf"layer1.{i}.{kind}\1."


def _transitions() -> Iterator[Rule]:
    for part, index, _ in _PARTS:
        for n in (1, 2, 3):
            for i in range(n + 1):
                # The last branch is new, and there the official file nests one deeper.
                nested = "0." if i == n else ""
                theirs = rf"{_BACKBONE}tr{n}\.transition_tr{n}_layer_{i + 1}\.{part}\."
                yield theirs, f"transition{n}.{i}.{nested}{index}."


def _stages() -> Iterator[Rule]:
    for stage, modules in _MODULES.items():
        for m in range(modules):
            name = f"st{stage}_{m + 1}"
            module = rf"{_BACKBONE}st{stage}\.stage_{name}\."
            for i in range(stage):
                for j in range(4):
                    block = rf"{module}branches_func\.bb_{name}_branch_layer_{i + 1}_{j + 1}\."
                    yield from _block(block, f"stage{stage}.{m}.branches.{i}.{j}.")
                for j in range(stage):
                    fuse = rf"{module}fuse_func\.residual_{name}_layer_{i + 1}_{j + 1}"
                    yield from _fuse(fuse, f"stage{stage}.{m}.fuse_layers.{i}.{j}.", i - j)


def _block(theirs: str, official: str) -> Iterator[Rule]:
    for part, _, kind in _PARTS:
        yield rf"{theirs}conv([12])\.{part}\.", rf"{official}{kind}\1."


def _fuse(theirs: str, official: str, down: int) -> Iterator[Rule]:
    """From branch j to i: one convolution upwards, ``down`` strided ones in a row downwards."""
    for part, index, _ in _PARTS:
        if down < 0:
            yield rf"{theirs}\.{part}\.", f"{official}{index}."
        for k in range(down):
            yield rf"{theirs}_{k + 1}\.{part}\.", f"{official}{k}.{index}."
