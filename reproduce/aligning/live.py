"""Official code run live: which clone it is, what it is asked, and its answers as rows."""

from __future__ import annotations

import json
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from paddle_pose.errors import UserError
from paddle_pose.porting import network_keys, to_official
from paddle_pose.porting.names import NetworkKeys
from reproduce.aligning import live_pipeline, live_rows, paddledet_answers
from reproduce.aligning.networks import (
    ALPHAPOSE,
    BEARPAW,
    HRNET,
    LIGHTWEIGHT,
    LIVE_ONLY,
    MMPOSE,
    NETWORKS,
    PRINCETON,
    model_record,
)
from reproduce.aligning.rows import Reference, Row

CHILD = Path(__file__).with_name("torch_side.py")
SIMPLE_BASELINE = "microsoft/human-pose-estimation.pytorch"
RESNETS = tuple(f"pose_resnet{layers}" for layers in (50, 101, 152))
CAFFE = tuple(f"{name}_caffe" for name in RESNETS)
LIVE = {**NETWORKS, **LIVE_ONLY}
MMPOSE_MARK, VISIBILITY = "mmpose/models/backbones/hourglass.py", "pose_resnet50_vis"
STEPS, QUICK_STEPS = 3, 2
ALPHAPOSE_FILES = {
    "fastpose_r50": "coco/resnet/256x192_res50_lr1e-3_2x.yaml",
    "fastpose_dcn_r50": "coco/resnet/256x192_res50_lr1e-3_2x-dcn.yaml",
    "fastpose_duc_r50": "coco/resnet/256x192_res50_lr1e-3_1x-duc.yaml",
    "fastpose_duc_r152": "coco/resnet/256x192_res152_lr1e-3_1x-duc.yaml",
    "simplepose_r50": "coco/resnet/256x192_res50_lr1e-3_1x-simple.yaml",
    "fastpose_r50_wide": "halpe_136/resnet/256x192_res50_lr1e-3_2x.yaml",
    "fastpose_dcn_r50_wide": "halpe_136/resnet/256x192_res50_lr1e-3_2x-dcn-regression.yaml",
    "fastpose_r152_wide": "halpe_136/resnet/256x192_res152_lr1e-3_1x-duc.yaml",
}
"""Its configuration of each network."""
CHILD_SECONDS = 3600


@dataclass(frozen=True)
class Clone:
    """A local clone of an official repository.

    Attributes:
        folder: where it is.
        kind: of KINDS.
        repository: its name on GitHub.
        commit: what is checked out; ``+changes`` if Python files differ from it.
        networks: which of ours it has.
    """

    folder: Path
    kind: str
    repository: str
    commit: str
    networks: tuple[str, ...]


KINDS = (
    ("hrnet", "lib/models/pose_hrnet.py", HRNET[0], ("hrnet_w32", "hrnet_w48", *RESNETS)),
    ("simple_baseline", "lib/models/pose_resnet.py", SIMPLE_BASELINE, (*RESNETS, *CAFFE)),
    ("princeton", "models/posenet.py", PRINCETON[0], ("newell_hg2", "newell_hg8")),
    ("mmpose", MMPOSE_MARK, MMPOSE[0], ("hourglass52", VISIBILITY)),
    ("bearpaw", "pose/models/hourglass_gn.py", BEARPAW[0], ("bearpaw_hg2", "bearpaw_hg8")),
    ("alphapose", "alphapose/models/fastpose.py", ALPHAPOSE[0], tuple(ALPHAPOSE_FILES)),
    ("paddledetection", paddledet_answers.MARK, paddledet_answers.REPOSITORY, ()),
    ("lightweight", "models/with_mobilenet.py", LIGHTWEIGHT[0], ()),
)
"""Kind, a file that only this repository has (the first that fits counts), name, networks."""

CONFIGS = {
    ("hrnet", "hrnet_w32"): "experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml",
    ("hrnet", "hrnet_w48"): "experiments/coco/hrnet/w48_384x288_adam_lr1e-3.yaml",
    **{
        ("hrnet", name): f"experiments/mpii/resnet/res{name[11:]}_256x256_d256x3_adam_lr1e-3.yaml"
        for name in RESNETS
    },
    **{
        (
            "simple_baseline",
            name,
        ): f"experiments/mpii/resnet{name[11:]}/256x256_d256x3_adam_lr1e-3.yaml"
        for name in RESNETS
    },
    **{("alphapose", name): f"configs/{file}" for name, file in ALPHAPOSE_FILES.items()},
    **{
        (
            "simple_baseline",
            f"{name}_caffe",
        ): f"experiments/coco/resnet{name[11:]}/256x192_d256x3_adam_lr1e-3_caffe.yaml"
        for name in RESNETS
    },
}
SOURCES = {
    "princeton": "models/posenet.py, task/loss.py",
    "bearpaw": "pose/models/hourglass.py, pose/losses/jointsmseloss.py, example/main.py:79",
    "mmpose": "mmpose/models/backbones/hourglass.py, mmpose/models/losses/heatmap_loss.py × 0.5",
    VISIBILITY: "mmpose/models/backbones/resnet.py, heads/hybrid_heads/vis_head.py, loss × 0.5",
}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def recognise(folder: Path) -> Clone:
    """Whose clone a folder is; Raises UserError if nobody's."""
    folder = folder.resolve()
    for kind, file, repository, networks in KINDS:
        if (folder / file).is_file():
            commit = _git(folder, "rev-parse", "HEAD") or "not a git clone"
            changed = _git(folder, "diff", "HEAD", "--name-only", "--diff-filter=M", "--", "*.py")
            return Clone(folder, kind, repository, commit + "+changes" * bool(changed), networks)
    known = ", ".join(repository for _, _, repository, _ in KINDS)
    raise UserError(f"--reference {folder}: a clone of none of {known}")


def ask(python: Path, job: dict[str, Any], **files: dict[str, np.ndarray]) -> dict[str, Any]:
    """Run the child; its arrays by name, and its facts under ``facts``.

    Raises:
        UserError: it failed, with its last line.
    """
    with tempfile.TemporaryDirectory(prefix="align_") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for file, arrays in files.items():
            if file == "mat":
                live_pipeline.write_truth(folder, arrays)
            else:
                np.savez(folder / f"{file}.npz", **arrays)
        try:
            done = subprocess.run(  # noqa: S603
                [str(python), str(CHILD), str(folder)],
                capture_output=True,
                text=True,
                check=False,
                timeout=CHILD_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"--torch_python {python}: {error}") from error
        if done.returncode:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise UserError(f"{job['clone']}, {job['what']}: the official code failed: {last}")
        answers: dict[str, Any] = dict(np.load(folder / "answers.npz"))
        answers["facts"] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return answers


def fresh_weights(keys: NetworkKeys, gain: float, seed: int) -> dict[str, np.ndarray]:
    """Random float64 tensors under our names, spread as name_seeded's are."""
    arrays = {}
    for name, shape in keys.shapes.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        kind = name.rpartition(".")[2]
        if kind == "_mean":
            arrays[name] = rng.standard_normal(shape) * 0.1
        elif kind == "bias":
            arrays[name] = rng.uniform(-0.1, 0.1, shape)
        elif len(shape) == 1:
            arrays[name] = rng.uniform(0.5, 1.5, shape)
        else:
            inputs = shape[:1] if name in keys.linear else shape[1:]
            arrays[name] = rng.standard_normal(shape) * gain / np.sqrt(np.prod(inputs))
    return arrays


def fresh_inputs(name: str, seed: int) -> dict[str, np.ndarray]:
    """Images at the recipe's size, and a small batch to train on."""
    rng = np.random.default_rng([seed, 1])
    _, _, height, width = model_record(name)["input"]["shape"]
    joints = LIVE[name].load().model.joints
    # Small, but 8 values or more for every batch norm: with fewer even float64 runs part at once.
    # The deepest maps are 1/32 of the image, in Newell's hourglass 1/64, in Hourglass-52 1/128.
    people, side = {
        "hourglass52": (8, 128),
        "newell_hg2": (4, 128),
        "newell_hg8": (4, 128),
        "bearpaw_hg2": (4, 128),
        "bearpaw_hg8": (4, 128),
    }.get(name, (4, 64))
    return {
        "images": rng.standard_normal((1, 3, height, width)),
        "train_images": rng.standard_normal((people, 3, side, side)),
        "targets": rng.uniform(0, 1, (people, joints, side // 4, side // 4)),
        "weights": rng.integers(0, 2, (people, joints)).astype(np.float64),
    }


def network_job(clone: Clone, name: str, seed: int, steps: int, threads: int) -> dict[str, Any]:
    """What the child is asked about a network."""
    recipe = LIVE[name].load()
    architecture, compared = recipe.model, live_rows.steps_of(recipe)
    job: dict[str, Any] = {
        "what": name,
        "kind": clone.kind,
        "clone": str(clone.folder),
        "joints": architecture.joints,
        "stacks": getattr(architecture, "stacks", 1),
        "steps": steps,
        "rate": compared.learning_rate,
        "optimizer": type(compared.optimizer).__name__,
        "seed": seed,
        "threads": threads,
    }
    if name == VISIBILITY:
        job |= {"outputs": ["visible", "0"], "first": "vis_head."}
    config = CONFIGS.get((clone.kind, name))
    if config is not None:
        job["config"] = yaml.safe_load((clone.folder / config).read_text(encoding="utf-8"))
    return job


def network_rows(
    clone: Clone, name: str, python: Path, *, seed: int, quick: bool, threads: int
) -> list[Row]:
    """Forward, loss, backward, optimiser, batch norm, initialisation and rates of one network."""
    recipe = LIVE[name].load()
    keys = network_keys(recipe.model)
    weights = fresh_weights(keys, model_record(name)["gain"], seed)
    official = to_official(weights, keys, "fresh weights")
    inputs = fresh_inputs(name, seed)
    job = network_job(clone, name, seed, QUICK_STEPS if quick else STEPS, threads)
    theirs = ask(python, job, weights=official, inputs=inputs)
    source = CONFIGS.get((clone.kind, name)) or SOURCES.get(name) or SOURCES[clone.kind]
    if "_dcn_" in name:
        source += ", its CUDA operator by the formula in alphapose_side.py"
    versions = f"{source} (PyTorch {theirs['facts']['torch']}, seed {seed})"
    reference = Reference(clone.repository, clone.commit, versions)
    comparison = live_rows.Comparison(name, recipe, reference, official, theirs)
    own_loss = clone.kind == "princeton"
    ours = {
        dtype: live_rows.our_answers(recipe, weights, inputs, dtype, own_loss, steps)
        for dtype, steps in (("float64", job["steps"]), ("float32", 1))
    }
    return comparison.rows(ours, seed)


def pipeline_rows(clone: Clone, python: Path, *, seed: int, threads: int) -> list[Row]:
    """HRNet's data, decoding and metrics on fresh random numbers."""
    inputs, truth = live_pipeline.inputs_of(seed)
    job = {
        "what": "pipeline",
        "kind": clone.kind,
        "clone": str(clone.folder),
        "size_wh": list(live_pipeline.SIZE_WH),
        "flip_pairs": [list(pair) for pair in live_pipeline.SKELETON.flip_pairs],
        "threads": threads,
    }
    theirs = ask(python, job, inputs=inputs, mat=truth)
    note = f"(NumPy {theirs['facts']['numpy']}, seed {seed})"
    return live_pipeline.rows(inputs, truth, theirs, clone.repository, clone.commit, note)
