"""What PaddleDetection's code is asked, and its answers, run live from a clone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose import configs
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.errors import UserError
from paddle_pose.porting.reader import read_file
from paddle_pose.recipes.recipe import Recipe
from reproduce.aligning.networks import model_record
from reproduce.aligning.rows import Reference, Row

NAME = "paddledetection"
REPOSITORY = "PaddlePaddle/PaddleDetection"
MARK = "ppdet/modeling/architectures/keypoint_hrnet.py"
CHILD = Path(__file__).with_name("paddledet_side.py")
CHILD_SECONDS = 3600
RECIPE = "hrnet:w32_coco_256x192_paddledetection"
STEPS, PEOPLE, STEPS_PER_EPOCH = 3, 64, 20
MEASURED = "measured: what it is worth, not an error"
DECODE = f"{MARK} HRNetPostProcess"
DARK_PX = 2.0**-14 + 1.5e-3
DARK_REASON = "half a step of 2^-13; 2^-23 of each logarithm / a curvature of 1e-3 × 12 px a cell"

_TRAIN = [["RandomFlipHalfBodyTransform", {}], ["TopDownAffine", {}]]
PIPELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "HRNet's targets": (
        RECIPE,
        {"config": "hrnet_w32_256x192", "taken": _TRAIN, "target": "as stated"},
    ),
    "DARK's targets": (
        "hrnet:w32_coco_256x192_dark_paddledetection",
        {"config": "dark_hrnet_w32_256x192", "taken": _TRAIN, "target": "as stated"},
    ),
    "DARK's targets, 384×288": (
        "hrnet:w32_coco_384x288_dark_paddledetection",
        {"config": "dark_hrnet_w32_384x288", "taken": _TRAIN, "target": "as stated"},
    ),
    "UDP's targets": (
        "hrnet:w32_coco_256x192_udp",
        {
            "config": "hrnet_w32_256x192",
            "taken": [_TRAIN[0], ["TopDownAffine", {"use_udp": True}]],
            "target": "ToHeatmapsTopDown_UDP",
        },
    ),
    "test crops": (
        RECIPE,
        {"config": "hrnet_w32_256x192", "taken": _TRAIN[1:], "target": "as stated"},
    ),
}
"""Name → our recipe; its configuration, the operators taken of it, and the last one."""


def inputs_of(seed: int) -> dict[str, np.ndarray]:
    """Images, a small batch to train on, and noisy heat maps with places; some maps are empty."""
    rng = np.random.default_rng([seed, 3])
    people, joints = 24, 17
    drawn = [
        HeatmapCodec(encoding="unbiased").encode(
            rng.uniform(-10, [202, 266], (joints, 2)), np.ones(joints), (192, 256)
        )["heatmaps"]
        for _ in range(people)
    ]
    maps = np.stack(drawn) + rng.normal(0, 0.02, (people, joints, 64, 48))
    maps[:2, :4] = -np.abs(maps[:2, :4]) - 1e-3
    height = rng.uniform(0.2, 4, (people, 1))
    return {
        "images_256": rng.standard_normal((1, 3, 256, 192)),
        "images_384": rng.standard_normal((1, 3, 384, 288)),
        "train_images": rng.standard_normal((4, 3, 64, 64)),
        "targets": rng.uniform(0, 1, (4, joints, 16, 16)),
        "weights": rng.integers(0, 2, (4, joints, 1)).astype(np.float64),
        "maps": maps.astype(np.float32),
        "centers": rng.uniform(0, 1000, (people, 2)).astype(np.float32),
        "scales": (height * [0.75, 1]).astype(np.float32),
    }


def mpii_lines(seed: int, people: int = 24) -> list[dict[str, Any]]:
    """People in the form of HRNet's MPII files."""
    rng = np.random.default_rng([seed, 4])
    return [
        {
            "image": f"{number:09d}.jpg",
            "center": rng.uniform(100, 900, 2).tolist(),
            "scale": float(rng.uniform(1, 6)),
            "joints": rng.uniform(1, 900, (16, 2)).tolist(),
            "joints_vis": rng.integers(0, 2, 16).tolist(),
        }
        for number in range(people)
    ]


def ask(
    clone: Path, *, seed: int, steps: int, data: Path | None, people: int = PEOPLE
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run the child; its arrays, its weights under ``weights`` and its facts; and its inputs.

    Raises:
        UserError: it failed, with its last line.
    """
    inputs = inputs_of(seed)
    job: dict[str, Any] = {
        "clone": str(clone),
        "config": "hrnet_w32_256x192",
        "gain": model_record("hrnet_w32")["gain"],
        "seed": seed % 2**31,
        "rate": 5e-4,
        "steps": steps,
        "steps_per_epoch": STEPS_PER_EPOCH,
    }
    if data is not None:
        job |= {
            "data": str(data),
            "images": "images/val2017",
            "annotations": "annotations/person_keypoints_val2017.json",
            "people": list(range(people)),
            "pipelines": {name: asked for name, (_, asked) in PIPELINES.items()},
        }
    with tempfile.TemporaryDirectory(prefix="align_") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        (folder / "mpii.json").write_text(json.dumps(mpii_lines(seed)), encoding="utf-8")
        np.savez(folder / "inputs.npz", **inputs)
        done = subprocess.run(  # noqa: S603
            [sys.executable, str(CHILD), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=CHILD_SECONDS,
        )
        if done.returncode:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise UserError(f"{clone}: PaddleDetection's code failed: {last}")
        answers: dict[str, Any] = dict(np.load(folder / "answers.npz"))
        answers["facts"] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        if steps:
            answers["weights"] = read_file(folder / "network.pdparams").arrays
    return answers, inputs


@dataclass(frozen=True)
class Answers:
    """One run of a clone.

    Attributes:
        commit: of the clone.
        seed: of the numbers.
        theirs: arrays by name.
        inputs: what it was given.
        recipe: ours of its plain configuration.
    """

    commit: str
    seed: int
    theirs: dict[str, Any]
    inputs: dict[str, np.ndarray]
    recipe: Recipe = field(default_factory=lambda: configs.load(RECIPE))

    def row(
        self, step: str, dtype: str, text: str, off: Any, limit: float | None, why: str, file: str
    ) -> Row:
        """A live row."""
        reference = Reference(REPOSITORY, self.commit, file)
        return Row(NAME, step, dtype, text, float(off), limit, why, reference, "live")
