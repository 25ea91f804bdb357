"""Which networks are aligned, where their records lie, and how one is built in a precision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose import configs
from paddle_pose.errors import UserError, nearest
from paddle_pose.models.architectures import Architecture
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import Recipe
from reproduce.aligning import name_seeded
from reproduce.aligning.rows import Reference

ROOT = Path(__file__).parent.parent.parent
PARITY = ROOT / "tests" / "parity"

HRNET = ("leoxiaobin/deep-high-resolution-net.pytorch", "6f69e4676ad8d43d0d61b64b1b9726f0c369e7b1")
MMPOSE = ("open-mmlab/mmpose", "759b39c13fea6ba094afc1fa932f51dc1b11cbf9")
PRINCETON = ("princeton-vl/pytorch_stacked_hourglass", "ceedc14b9b8814ba641f4a00baa5d0af153588a9")
ALPHAPOSE = ("MVIG-SJTU/AlphaPose", "c60106d19afb443e964df6f06ed1842962f5f1f7")
MIPNET = ("rawalkhirodkar/MIPNet", "245651d0ea5abbbfefdc44640f89cc9136d72f20")
LIGHTWEIGHT = (
    "Daniil-Osokin/lightweight-human-pose-estimation.pytorch",
    "d23c284b09acf27a163e1febd511e7482cac25ed",
)
BEARPAW = ("bearpaw/pytorch-pose", "edc7aece651649927764435ce0c1f03cffa2edaf")
PYTORCH = ("pytorch/pytorch", "2.13.0")


@dataclass(frozen=True)
class Network:
    """A network under alignment.

    Attributes:
        recipe: the published row whose network, schedule and loss are compared.
        model: its record in ``tests/parity/models``.
        training: its records in ``tests/parity/training``.
    """

    recipe: str
    model: str
    training: tuple[str, ...] = ()

    def load(self) -> Recipe:
        """The recipe."""
        return configs.load(self.recipe)


NETWORKS = {
    "hourglass52": Network(
        "hourglass:hourglass52_mpii_256x256", "hourglass52_mpii_256", ("hourglass52_batch8",)
    ),
    "newell_hg2": Network(
        "hourglass:newell_hg2_mpii_256x256",
        "newell_hg2_mpii_256",
        ("newell_hg2", "newell_hg2_own_loss"),
    ),
    "hrnet_w32": Network("hrnet:w32_mpii_256x256", "hrnet_w32_mpii_256x256", ("hrnet_w32",)),
    "hrnet_w48": Network("hrnet:w48_coco_384x288", "hrnet_w48_coco_384x288"),
    "pose_resnet50": Network("simple_baseline:res50_mpii_256x256", "pose_resnet50_mpii_256x256"),
    "mipnet": Network("mipnet:w32_coco_256x192", "mipnet_w32_coco_128x96", ("mipnet_w8",)),
}
_WIDE = "fastpose_r50_c256_halpe136"
LIVE_ONLY = {
    **{
        f"bearpaw_hg{stacks}": Network(
            f"hourglass:bearpaw_hg{stacks}_mpii_256x256", "newell_hg2_mpii_256"
        )
        for stacks in (2, 8)
    },
    "newell_hg8": Network("hourglass:newell_hg8_mpii_256x256", "newell_hg2_mpii_256"),
    "pose_resnet101": Network("simple_baseline:res101_mpii_256x256", "pose_resnet50_mpii_256x256"),
    "pose_resnet152": Network("simple_baseline:res152_mpii_256x256", "pose_resnet50_mpii_256x256"),
    "pose_resnet50_vis": Network(
        "mmpose:res50_vis_coco_aic_merge_256x192", "pose_resnet50_mpii_256x256"
    ),
    "fastpose_r50": Network("fastpose:r50_coco_256x192_2x", "fastpose_r50_coco"),
    "fastpose_dcn_r50": Network("fastpose:r50_dcn_coco_256x192", "fastpose_r50_coco"),
    "fastpose_duc_r50": Network("fastpose:r50_duc_coco_256x192", "fastpose_duc_r50_coco"),
    "fastpose_duc_r152": Network("fastpose:r152_duc_coco_256x192", "fastpose_duc_r50_coco"),
    "simplepose_r50": Network("fastpose:simple_r50_coco_256x192", "simplepose_r50_coco"),
    "fastpose_r50_wide": Network("fastpose:r50_heatmap_halpe136_256x192", _WIDE),
    "fastpose_dcn_r50_wide": Network("fastpose:r50_dcn_halpe136_256x192", _WIDE),
    "fastpose_r152_wide": Network("fastpose:r152_halpe136_256x192", _WIDE),
    **{
        f"pose_resnet{layers}_caffe": Network(
            f"simple_baseline:res{layers}_coco_256x192_caffe", "pose_resnet50_mpii_256x256"
        )
        for layers in (50, 101, 152)
    },
}
"""Networks that only clones are run for; of their ``model`` they take input size and gain."""
DATA_SETS = ("mpii", "coco", "crowds")
GROUPS = (
    *("fastpose", "bodyposenet", "encodings", "pixels", "paddledetection", "bfloat16"),
    *("challenger", "newell", "half", "visibility", "lightweight", "bearpaw"),
)
"""Methods with data and losses of their own, most with networks; see ``aligning/groups.py``."""
TOGETHER = {"mipnet": ("crowds",)}
"""Data sets that belong to one network."""


def chosen(only: str | None) -> list[str]:
    """The networks and data sets to align; Raises UserError for an unknown name."""
    names = [*NETWORKS, *DATA_SETS, *GROUPS]
    if only is None:
        return names
    wanted = (only, *TOGETHER.get(only, ()))
    if not set(wanted) & set(names):
        raise UserError(f"--only {only}: no such network or data set{nearest(only, names)}")
    return [name for name in names if name in wanted]


def reference_data() -> Path | None:
    """The folder of the larger records and real data, if it is there."""
    folder = Path(os.environ.get("PADDLE_POSE_REFERENCE_DATA", ROOT.parent / "shared"))
    return folder if (folder / "parity").is_dir() else None


def reference_of(record: dict[str, Any], suffix: str = "") -> Reference:
    """The reference that a network's record names."""
    stated = record["reference"]
    repository = stated["repo"].removeprefix("github.com/")
    return Reference(repository, stated["commit"], stated["file"] + suffix)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Paddle's default precision, which decides that of new layers and of the learning rate."""
    before = paddle.get_default_dtype()
    paddle.set_default_dtype(dtype)
    try:
        yield
    finally:
        paddle.set_default_dtype(before)


def filled(architecture: Architecture, arrays: dict[str, np.ndarray], dtype: str) -> PoseNetwork:
    """The network with these weights, each of which has its place; in the training mode.

    Raises:
        KeyError: weights without a place.
    """
    with precision(dtype):
        network = build(architecture)
        left = name_seeded.fill(network, arrays)
    if left:
        raise KeyError(f"{type(architecture).__name__}: no place for {sorted(left)}")
    return network


def model_record(name: str) -> dict[str, Any]:
    """The record of a network of NETWORKS, or the one that a network of LIVE_ONLY leans on."""
    model = {**NETWORKS, **LIVE_ONLY}[name].model
    return name_seeded.read_record(PARITY / "models" / f"{model}.json.gz")


def seeded(
    name: str, record: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[PoseNetwork, set[str]]:
    """The network with recorded weights, and the layers that only the reference has."""
    network = build(NETWORKS[name].load().model)
    left = name_seeded.fill(network, arrays)
    unexpected = {key.rpartition(".")[0] for key in left} ^ set(record["unused_layers"])
    if unexpected:
        raise UserError(f"{name}: layers that should and should not be there: {unexpected}")
    return network, left
