"""One name table per network: what published files call each weight, and what it is called here.

Our networks carry the official names, with Paddle's ``_mean`` and ``_variance`` for the running
statistics, and without the layers that the reference builds and never uses. Convolutions and
transposed convolutions have the same layout in PyTorch and Paddle; linear layers are transposed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    BearpawHourglass,
    BodyPoseNet,
    CaffePoseResNet,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
    Hourglass52,
    HRNet,
    HRNetMore,
    LightOpenPose,
    MIPNet,
    MIPPoseResNet,
    NewellHourglass,
    PoseResNet,
    PoseResNetVisibility,
)
from paddle_pose.porting.keras import KERAS_VGG, TORCH_VGG, TORCH_VGG_BN
from paddle_pose.porting.paddledetection import hrnet_rules

_TRACKED = "num_batches_tracked"
"""PyTorch's counter of batches; Paddle has none and nothing here needs it."""


@dataclass(frozen=True)
class Spelling:
    """The names of one publisher.

    Attributes:
        name: the publisher, for messages.
        mark: a pattern that only this spelling's names match.
        rules: pattern and replacement; the first that matches a name is applied. A name that no
            rule matches stays as it is.
        linear_transposed: whether linear weights are (out, in), as PyTorch has them.
        statistics: whether running statistics have PyTorch's words.
    """

    name: str
    mark: str
    rules: tuple[tuple[str, str], ...] = ()
    linear_transposed: bool = True
    statistics: bool = True

    def ours(self, name: str) -> str:
        """Our name of a published one; the running statistics in Paddle's words."""
        for pattern, replacement in self.rules:
            renamed, count = re.subn(pattern, replacement, name, count=1)
            if count:
                name = renamed
                break
        if not self.statistics:
            return name
        return re.sub(r"\brunning_var$", "_variance", re.sub(r"\brunning_mean$", "_mean", name))


@dataclass(frozen=True)
class NameTable:
    """Every spelling of a network's weights, the official one first.

    Attributes:
        spellings: told apart by their marks.
        unused: patterns of official names that the reference builds and never uses. They may be
            in a file, and have no place here.
        head: patterns of our names that a pretrained backbone does not fill.
    """

    spellings: tuple[Spelling, ...]
    unused: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


_MMPOSE_HEAD = (
    (r"^backbone\.", ""),
    (r"^(keypoint_)?head\.", ""),
)
_MMPOSE_UNUSED = r"^data_preprocessor\.(mean|std)$"
"""mmpose 1.x stores its colour normalisation as buffers.

Source: open-mmlab/mmpose mmpose/models/pose_estimators/base.py:213 @759b39c
"""

_ALPHA_RESNET = (
    Spelling("AlphaPose", r"^preact\.layer1\."),
    Spelling("torchvision", r"^layer1\.", ((r"^(conv1|bn1|layer\d)\.", r"preact.\1."),)),
)
"""The second for ImageNet weights, which AlphaPose takes by name and shape.

Source: MVIG-SJTU/AlphaPose alphapose/models/fastpose.py:31 @c60106d
"""
_NOT_OF_IMAGENET = (r"\.se\.fc\.", r"\.conv2_offset\.", r"\.conv2\.1\.")


TABLES: dict[type, NameTable] = {
    Hourglass52: NameTable(
        spellings=(
            Spelling("mmpose 0.x", r"^keypoint_head\."),
            Spelling("mmpose 1.x", r"^head\.", ((r"^head\.", "keypoint_head."),)),
        ),
        # ResLayer builds its first block even where num_blocks is 0.
        # Source: open-mmlab/mmpose mmpose/models/backbones/hourglass.py @759b39c
        unused=(r"^backbone\.inters\.0\.(conv|bn)[12]\.", _MMPOSE_UNUSED),
    ),
    NewellHourglass: NameTable(
        spellings=(Spelling("princeton-vl", r"^hgs\."),),
        # Residuals of equal widths own a skip convolution and go round it.
        # Source: princeton-vl/pytorch_stacked_hourglass models/layers.py @ceedc14
        unused=(r"\.skip_layer\.conv\.(weight|bias)$",),
    ),
    HRNet: NameTable(
        spellings=(
            Spelling("official", r"^stage2\."),
            Spelling("mmpose", r"^backbone\.stage2\.", _MMPOSE_HEAD),
            Spelling(
                "PaddleDetection",
                r"^(backbone\.)?st2\.",
                hrnet_rules(),
                linear_transposed=False,
            ),
        ),
        unused=(_MMPOSE_UNUSED,),
        head=(r"^final_layer\.",),
    ),
    PoseResNet: NameTable(
        spellings=(
            Spelling("official", r"^layer1\."),
            Spelling("mmpose", r"^backbone\.layer1\.", _MMPOSE_HEAD),
        ),
        unused=(_MMPOSE_UNUSED,),
        head=(r"^deconv_layers\.", r"^final_layer\."),
    ),
    AlphaSimplePose: NameTable(_ALPHA_RESNET, head=(r"^deconv_layers\.", r"^final_layer\.")),
    FastPoseMobile: NameTable(
        spellings=(
            Spelling("AlphaPose", r"^preact\.0\.0\."),
            Spelling("torchvision", r"^features\.0\.0\.", ((r"^features\.", "preact."),)),
        ),
        head=(r"^duc\d\.", r"^conv_out\."),
    ),
}

TABLES[BodyPoseNet] = NameTable(
    spellings=(
        Spelling("official", r"^block_1a_conv_1\."),
        Spelling("Keras VGG-19", r"^block1_conv1\.", KERAS_VGG),
        Spelling("torchvision VGG-19", r"^features\.2\.", TORCH_VGG),
        Spelling("torchvision VGG-19-BN", r"^features\.1\.", TORCH_VGG_BN),
    ),
    head=(r"^block_6a_", r"^channel_reduction_conv\.", r"^stage\d", r"_out\."),
)

TABLES[LightOpenPose] = NameTable(
    spellings=(
        Spelling("official", r"^cpm\."),
        Spelling("marvis' MobileNet", r"^model\.0\.0\."),
    ),
    # Of a checkpoint with three refinement stages the first one alone may be wanted.
    unused=(r"^refinement_stages\.[12]\.",),
    head=(r"^cpm\.", r"^initial_stage\.", r"^refinement_stages\."),
)

for _network in (FastPose, FastPoseDuc):
    TABLES[_network] = NameTable(
        _ALPHA_RESNET, head=(*_NOT_OF_IMAGENET, r"^duc\d\.", r"^conv_out\.")
    )

for _two, _one, _gates in (
    (MIPNet, HRNet, r"^stage\d_se\."),
    (MIPPoseResNet, PoseResNet, r"^layer\d_se\."),
):
    TABLES[_two] = replace(TABLES[_one], head=(*TABLES[_one].head, _gates))

TABLES[BearpawHourglass] = NameTable((Spelling("bearpaw", r"^hg\.\d+\.hg\."),))
TABLES[CaffePoseResNet] = TABLES[PoseResNet]
TABLES[HRNetMore] = TABLES[HRNet]
TABLES[PoseResNetVisibility] = NameTable(
    spellings=(
        Spelling("official", r"^layer1\."),
        Spelling("mmpose", r"^backbone\.layer1\.", ((r"^head\.pose_head\.", ""), *_MMPOSE_HEAD)),
    ),
    unused=(_MMPOSE_UNUSED,),
    head=(*TABLES[PoseResNet].head, r"^vis_head\."),
)


OURS = Spelling("our", r"", linear_transposed=False, statistics=False)
"""Our own names."""

PYTORCH = Spelling("PyTorch's", r"")
"""Our own names but for running statistics; for networks without a table."""

NO_TABLE = NameTable((PYTORCH,))


@dataclass(frozen=True)
class NetworkKeys:
    """What a network wants: shape per name, and which names are linear weights."""

    shapes: Mapping[str, tuple[int, ...]]
    linear: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Conversion:
    """Converted weights and what became of the rest.

    Attributes:
        arrays: our names, float32.
        spelling: whose names the file had.
        unused: names in the file that the reference builds and never uses.
        not_loaded: names in the file left out (only with a backbone).
        not_filled: names of the network left to its initialisation (only with a backbone).
    """

    arrays: dict[str, np.ndarray]
    spelling: str
    unused: list[str]
    not_loaded: list[str]
    not_filled: list[str]


def table_of(architecture: Architecture) -> NameTable:
    """The table of a network; Raises UserError where there is none."""
    table = TABLES.get(type(architecture))
    if table is None:
        raise UserError(f"{type(architecture).__name__}: no name table for published weights")
    return table


def spelling_of(names: Iterable[str], table: NameTable, source: str) -> Spelling:
    """The spelling that these names follow; Raises UserError if none fits."""
    names = list(names)
    for spelling in table.spellings:
        if any(re.search(spelling.mark, name) for name in names):
            return spelling
    known = ", ".join(spelling.name for spelling in table.spellings)
    raise UserError(
        f"{source}: names of another network ({_short(names)}); "
        f"this recipe's network is known under the names of: {known}"
    )


@dataclass(frozen=True)
class Match:
    """What of a file fits a network, and what does not.

    Attributes:
        arrays: our names, float32; each place filled once.
        never_used: names in the file that the reference builds and never uses.
        without_place: names in the file that the network has no place for.
        twice: pairs of names for one place.
        misshapen: our name → what the file has there.
        missing: our names that nothing fits.
        left_out: of the head, with ``backbone``.
    """

    arrays: dict[str, np.ndarray]
    never_used: list[str]
    without_place: list[str]
    twice: list[str]
    misshapen: dict[str, str]
    missing: list[str]
    left_out: list[str]

    @property
    def is_complete(self) -> bool:
        """Whether both sides are used up."""
        return not (self.without_place or self.twice or self.missing)


def match(
    weights: Mapping[str, np.ndarray],
    spelling: Spelling,
    table: NameTable,
    wanted: NetworkKeys,
    backbone: bool = False,
) -> Match:
    """Weights of one spelling under our names; ``backbone`` leaves out the head's."""
    arrays: dict[str, np.ndarray] = {}
    origins: dict[str, str] = {}
    never_used: list[str] = []
    without_place: list[str] = []
    twice: list[str] = []
    misshapen: dict[str, str] = {}
    left_out: list[str] = []
    for name, array in weights.items():
        ours = spelling.ours(name)
        if name.rpartition(".")[2] == _TRACKED:
            continue
        if ours not in wanted.shapes:
            is_unused = any(re.search(pattern, name) for pattern in table.unused)
            (never_used if is_unused else without_place).append(name)
            continue
        if backbone and any(re.search(pattern, ours) for pattern in table.head):
            left_out.append(name)
            continue
        if ours in arrays:
            twice.append(f"{origins[ours]} and {name}")
            continue
        if ours in wanted.linear and spelling.linear_transposed:
            array = array.T
        if array.shape != tuple(wanted.shapes[ours]) or array.dtype.kind != "f":
            misshapen[ours] = (
                f"{name} {array.dtype}{list(array.shape)}, not {tuple(wanted.shapes[ours])}"
            )
            continue
        arrays[ours] = array if spelling is OURS else array.astype(np.float32)
        origins[ours] = name
    missing = [name for name in wanted.shapes if name not in arrays]
    return Match(arrays, never_used, without_place, twice, misshapen, missing, left_out)


def convert(
    weights: Mapping[str, np.ndarray],
    table: NameTable,
    wanted: NetworkKeys,
    source: str,
    backbone: bool = False,
) -> Conversion:
    """Published weights under our names, each used once and each place filled once.

    Args:
        weights: as ``reader.read_weights`` gives them.
        table: of the network.
        wanted: its names and shapes.
        source: what errors call the file.
        backbone: fill all but the head, and leave out what has no place (ImageNet weights).

    Raises:
        UserError: names or shapes that do not fit, on both sides.
    """
    spelling = spelling_of(weights, table, source)
    found = match(weights, spelling, table, wanted, backbone)
    heads = [n for n in found.missing if backbone and any(re.search(p, n) for p in table.head)]
    problems = {
        "in the file without a place": [] if backbone else found.without_place,
        "in the file twice": found.twice,
        "of another shape": list(found.misshapen.values()),
        "missing in the file": [
            n for n in found.missing if n not in found.misshapen and n not in heads
        ],
    }
    if any(problems.values()):
        text = "; ".join(f"{len(p)} {what} ({_short(p)})" for what, p in problems.items() if p)
        raise UserError(f"{source} ({spelling.name} names) does not fit the network: {text}")
    left_out = found.without_place + found.left_out
    return Conversion(found.arrays, spelling.name, found.never_used, left_out, heads)


def to_official(
    arrays: Mapping[str, np.ndarray], wanted: NetworkKeys, source: str
) -> dict[str, np.ndarray]:
    """Our weights under the official names and in PyTorch's layout; ``convert`` takes them back.

    Layers that the reference never uses are not among them, nor is num_batches_tracked.

    Raises:
        UserError: names or shapes that are not the network's.
    """
    extra = [name for name in arrays if name not in wanted.shapes]
    missing = [name for name in wanted.shapes if name not in arrays]
    shapes = [n for n, s in wanted.shapes.items() if n in arrays and arrays[n].shape != tuple(s)]
    if extra or missing or shapes:
        raise UserError(
            f"{source}: not this network's weights: {len(extra)} unknown ({_short(extra)}), "
            f"{len(missing)} missing ({_short(missing)}), {len(shapes)} of another shape "
            f"({_short(shapes)})"
        )
    official = {}
    for name, array in arrays.items():
        array = array.T if name in wanted.linear else array
        name = re.sub(r"\b_variance$", "running_var", re.sub(r"\b_mean$", "running_mean", name))
        official[name] = array
    return official


def _short(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown + (f", … {len(names) - most} more" if len(names) > most else "")
