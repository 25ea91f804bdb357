"""Pruning BodyPoseNet: which filters stay, and what the smaller network puts out."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.models import pruning
from paddle_pose.models.architectures import BodyPoseNet
from reproduce.aligning import bodyposenet_network as networks
from reproduce.aligning.bodyposenet_network import NAME, OFFICIAL, Jobs
from reproduce.aligning.networks import filled
from reproduce.aligning.rows import Reference, Row

RULE = Reference(*OFFICIAL, "nvidia_tao_tf1/core/pruning/pruning.py PruneMinWeight.prune")
ROOTS = {"pruning": ("paddle_pose.models.pruning.choose", "paddle_pose.models.pruning.shrink")}
TWO = BodyPoseNet(stages=2)
GIVEN: dict[str, list[Any]] = {"pruning": [TWO]}
EXACT = "indices are exact; no two recorded norms are closer than 1e-6"
FLOAT32 = "as recorded: 1e-4 of the outputs' root mean square, in float32"
IMAGE = (1, 64, 80, 3)


def jobs(shared: Path | None, quick: bool) -> Jobs:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    cases = networks.record("prune")[0]["bpnet"]
    some = range(1) if quick else range(len(cases))
    return [(f"pruning {case}", 2, lambda tick, c=case: case_rows(c)) for case in some]


def rows() -> list[Row]:
    """Of all recorded cases."""
    cases = networks.record("prune")[0]["bpnet"]
    return [row for case in range(len(cases)) for row in case_rows(case)]


def case_rows(number: int) -> list[Row]:
    """One recorded setting of the rule."""
    words, arrays = networks.record("prune")
    said = words["bpnet"][number]
    architecture = replace(TWO, attention=said["attention"])
    case = "lite2_attention_96x128" if said["attention"] else ""
    network = filled(architecture, _weights(architecture, case), "float32")
    network.eval()
    rule = pruning.PruningRule(
        said["threshold"],
        said["normalizer"],
        said["equalization"],
        said["granularity"],
        said["min_filters"],
    )
    channels = pruning.follow(network)
    kept = pruning.choose(network, rule, channels)
    prefix = f"bpnet/{number}/"
    wanted = {
        key.removeprefix(prefix).replace("/", "."): arrays[key]
        for key in arrays.files
        if key.startswith(prefix) and "/output/" not in key
    }
    wrong = set(kept) ^ set(wanted)
    wrong |= {
        name for name in set(kept) & set(wanted) if not np.array_equal(kept[name], wanted[name])
    }
    pruning.shrink(network, kept, channels)
    image = networks.images(list(IMAGE), 5, "float32")
    with paddle.no_grad():
        outputs = network(image)
    found = {}
    for stage, output in enumerate(outputs, start=1):
        last = stage == len(outputs)
        for name, maps in zip(("heat", "paf"), output, strict=True):
            short = {"heat": "heatmap", "paf": "paf"}[name]
            found[f"{short}_out" if last else f"stage{stage}/{name}_branch/out"] = maps.numpy()
    offs = []
    for name, rms in zip(said["output_names"], said["output_rms"], strict=True):
        ours = found[name].transpose(0, 2, 3, 1)[:, ::2, ::2]
        offs.append(np.abs(ours - arrays[f"{prefix}output/{name}"]).max() / rms)
    text = f"{said['normalizer']}, above {said['threshold']:g}, {said['equalization']}"
    text += ", self-attention" if said["attention"] else ""
    first = f"layers whose kept filters differ; {text}"
    second = f"maps of the pruned network, of their root mean square; {text}"
    return [
        Row(NAME, "pruning", "float32", first, float(len(wrong)), 0.0, EXACT, RULE),
        Row(NAME, "pruning", "float32", second, float(max(offs)), 1e-4, FLOAT32, RULE),
    ]


def _weights(architecture: BodyPoseNet, case: str) -> dict[str, np.ndarray]:
    """Name-seeded, each filter times a number between 0 and 1."""
    found = networks.weights(architecture, case)
    for name, array in found.items():
        if name.endswith(".weight") and array.ndim == 4:
            key = _official(architecture, case)[name]
            draw = np.random.RandomState(zlib.crc32(f"shared{key}.prune".encode()))
            by = draw.uniform(0, 1, len(array)) ** 3
            found[name] = array * by.reshape(-1, 1, 1, 1)
    return found


def _official(architecture: BodyPoseNet, case: str) -> dict[str, str]:
    """Our names and the recorded ones, with slashes."""
    words = networks.record("network")[0]
    listed = words["cases"][case or networks.WEIGHTS[architecture]]
    if "layers" not in listed:
        listed = words["cases"][networks.WEIGHTS[architecture]]
    names = [w[0] for layer in listed["layers"] for w in layer["weights"]]
    return {name.replace("/", "."): name for name in names}
