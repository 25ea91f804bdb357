"""Which of the project's code a row judges, as a digest: a row made by other code is stale.

The digest is of the definitions in ROOTS with all that they need (``definitions``), and of the
numbers that they are given. Not in it are the comparing code (this folder), the versions of Paddle
and other packages, and the machine.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from paddle_pose.models import build
from paddle_pose.settings import RMSprop
from reproduce.aligning import groups, training
from reproduce.aligning.definitions import Definition, Package
from reproduce.aligning.networks import DATA_SETS, GROUPS, LIVE_ONLY, NETWORKS, ROOT
from reproduce.aligning.rows import STEPS, read

LOSSES = ("paddle_pose.training.losses.joints_mse", "paddle_pose.training.losses.heatmap_mse")
BOTH = "paddle_pose.models.instances.BothInstances"
TWO_MSE = "paddle_pose.training.losses.two_people_mse"
VISIBILITY = "paddle_pose.training.losses.maps_and_visibility"
SAMPLES = (
    "paddle_pose.data.images.read_rgb",
    "paddle_pose.data.top_down.PersonCrops",
    "paddle_pose.codecs.heatmap.HeatmapCodec",
)
ROOTS = {
    "forward": (),
    "initialisation": (),
    "batch norm": (),
    "loss": LOSSES,
    "backward": LOSSES,
    "optimiser": (*LOSSES, "paddle_pose.training.optimizers.make_optimizer"),
    "learning rate": ("paddle_pose.training.schedules.learning_rate",),
    "decode": (
        "paddle_pose.codecs.heatmap.decode",
        "paddle_pose.codecs.heatmap.merge_flip",
        "paddle_pose.codecs.heatmap.to_image",
    ),
    **{f"mipnet {step}": (BOTH,) for step in ("forward", "batch norm")},
    **{f"mipnet {step}": (BOTH, TWO_MSE) for step in ("loss", "backward", "optimiser")},
    **{f"pose_resnet50_vis {step}": (VISIBILITY,) for step in ("loss", "backward", "optimiser")},
    "mpii data": (*SAMPLES, "paddle_pose.data.mpii.load"),
    "coco data": (*SAMPLES, "paddle_pose.data.coco.load"),
    "mpii metric": (
        "paddle_pose.data.mpii.truth",
        "paddle_pose.poses.predictions.read",
        "paddle_pose.evaluation.mpii.score_mpii",
    ),
    "coco metric": (
        "paddle_pose.evaluation.coco.read_truth",
        "paddle_pose.evaluation.coco.score_coco_file",
        "paddle_pose.poses.oks.oks_matrix",
        "paddle_pose.poses.oks.oks_nms",
        "paddle_pose.poses.oks.soft_oks_nms",
    ),
    "crowds data": (
        *SAMPLES,
        "paddle_pose.data.coco.load",
        "paddle_pose.data.two_people.TwoPeopleCrops",
        "paddle_pose.skeletons.COCO17",
    ),
    "crowds decode": (
        "paddle_pose.codecs.pairs.PairCodec",
        "paddle_pose.evaluation.coco.CocoEvaluator",
        "paddle_pose.skeletons.COCO17",
    ),
    "crowds metric": (
        "paddle_pose.evaluation.coco.CocoEvaluator",
        "paddle_pose.evaluation.crowdpose.CrowdPoseEvaluator",
        "paddle_pose.skeletons.COCO17",
    ),
}
"""What a step judges, or a step of one data set, as an import names it; besides the class of the
network, and the joints of the data set."""
JOINTS = {"mpii": "paddle_pose.skeletons.MPII16", "coco": "paddle_pose.skeletons.COCO17",
          "crowds": "paddle_pose.skeletons.CROWDPOSE14"}  # fmt: skip
WITHOUT = (
    # What an error says, and what the machine is; several processes, where rows are made in one.
    "paddle_pose.errors",
    "paddle_pose.system",
    "paddle_pose.models.synchronized",
    # Where recipes come from: their numbers are in the digest.
    "paddle_pose.configs",
    "paddle_pose.recipes",
    # Tables of everything that there is: what a row takes of them is a root.
    "paddle_pose.models.build",
    "paddle_pose.skeletons.SKELETONS",
)
"""Modules and definitions that move no row, or that a row knows otherwise."""


def package(folder: Path = ROOT) -> Package:
    """The project's package in a checkout."""
    return Package(folder, "paddle_pose", without=WITHOUT)


OURS = package()
ALL = {**NETWORKS, **LIVE_ONLY}


def pairs() -> Iterator[tuple[str, str]]:
    """Every (network or data set, step) that rows can have."""
    for name in (*NETWORKS, *DATA_SETS):
        for step in STEPS:
            if (step in ("data", "metric", "decode")) == (name in DATA_SETS):
                yield name, step
    yield from ((name, step) for name in GROUPS for step in STEPS if step in groups.steps(name))


def roots(network: str, step: str) -> tuple[str, ...]:
    """The definitions that a row of that step judges; what they need is not named."""
    if network in GROUPS:
        return groups.roots(network, step)
    named = ROOTS.get(step, ()) + ROOTS.get(f"{network} {step}", ())
    if network in DATA_SETS:
        return (*named, JOINTS[network])
    if step == "learning rate":
        return named
    if step == "optimiser" and isinstance(ALL[network].load().train.optimizer, RMSprop):
        named = (*named, "paddle_pose.training.rmsprop.optimizer_of")
    made_by = build.NETWORKS[type(ALL[network].load().model)]
    return (*named, f"{made_by.__module__}.{made_by.__qualname__}")


@functools.lru_cache(maxsize=256)
def reached(network: str, step: str, code: Package = OURS) -> frozenset[Definition]:
    """All definitions that a row of that step judges."""
    return code.reached(roots(network, step))


@functools.lru_cache(maxsize=256)
def digest(network: str, step: str, code: Package = OURS) -> str:
    """Twelve hexadecimal digits of the code and the numbers that a row of that step judges."""
    judged = reached(network, step, code)
    given = [numbers(values, code.attributes(judged)) for values in settings(network, step)]
    return hashlib.sha256(f"{code.digest(judged)} {given}".encode()).hexdigest()[:12]


def settings(network: str, step: str) -> list[Any]:
    """The dataclasses that this project's code is given while a row of that step is made."""
    if network in DATA_SETS:
        return []
    if network in GROUPS:
        return groups.given(network, step)
    recipe = ALL[network].load()
    if step == "learning rate":
        return [recipe.train]
    if step == "optimiser" and isinstance(recipe.train.optimizer, RMSprop):
        return [recipe.model, recipe.train]
    return [recipe.model, training.OPTIMIZER] if step == "optimiser" else [recipe.model]


def numbers(values: Any, asked: set[str]) -> Any:
    """The fields of a dataclass that code asks for, by name: a new one changes nothing."""
    if not is_dataclass(values):
        return values
    names = sorted(field.name for field in fields(values) if field.name in asked)
    return {name: numbers(getattr(values, name), asked) for name in names}


def stale(folder: Path, evidence: str) -> list[str]:
    """A line for every file with rows of other code: which steps, and the command to renew it."""
    lines = []
    for file in sorted(folder.glob("*.json")):
        rows = [row for row in read(file) if row.evidence == evidence]
        old = [row for row in rows if row.code != digest(row.network, row.step)]
        steps = sorted({row.step for row in old}, key=STEPS.index)
        if steps:
            line = (
                f"{file.name}: other code made its rows of {', '.join(steps)}; renew them by "
                f"OMP_NUM_THREADS=1 python -m reproduce.align --renew --only {old[0].network}"
            )
            if evidence == "live":
                clones = " and of ".join(sorted({row.reference.repository for row in old}))
                line += f" --reference DIR --torch_python PATH, DIR being a clone of {clones}"
            lines.append(line)
    return lines
