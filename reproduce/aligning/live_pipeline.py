"""Data, decoding and metrics of a live alignment with HRNet: random inputs, both sides compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from paddle_pose.codecs import heatmap
from paddle_pose.geometry import crop_matrix
from paddle_pose.metrics import pckh
from paddle_pose.poses.oks import oks_nms
from paddle_pose.skeletons import COCO17, MPII16
from reproduce.aligning.rows import Reference, Row

SIZE_WH, SKELETON = (192, 256), MPII16


def inputs_of(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random crops, joints, heat maps and poses; and a truth in MPII's layout."""
    rng = np.random.default_rng([seed, 2])
    people, joints, width, height = 24, len(SKELETON), SIZE_WH[0] // 4, SIZE_WH[1] // 4
    truth_xy = rng.uniform(100, 900, (people, joints, 2))
    inputs = {
        "centers": rng.uniform(0, 1400, (people, 2)),
        "scales": np.repeat(rng.uniform(0.2, 6, (people, 1)), 2, axis=1),
        "rotations": rng.uniform(-80, 80, people),
        "joints": np.concatenate(
            [rng.uniform(-20, 270, (people, joints, 2)), np.zeros((people, joints, 1))], axis=2
        ),
        "visible": np.repeat(rng.integers(0, 2, (people, joints, 1)), 3, axis=2).astype(float),
        "maps": rng.normal(0, 1, (people, joints, height, width)).astype(np.float32),
        "flipped": rng.normal(0, 1, (people, joints, height, width)).astype(np.float32),
        "predictions": truth_xy - 1 + rng.normal(0, 12, truth_xy.shape),
        "poses": rng.uniform(0, 60, (8, 17, 3))[np.arange(40) % 8] + rng.normal(0, 3, (40, 17, 3)),
        "pose_scores": rng.uniform(0, 1, 40),
        "pose_areas": rng.uniform(2000, 6000, 40),
    }
    truth = {
        "truth_xy": truth_xy,
        "missing": (rng.uniform(0, 1, (people, joints)) < 0.2).astype(np.uint8),
        "head_wh": rng.uniform(30, 90, (people, 2)),
    }
    return inputs, truth


MPII_NAMES = (
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelvis", "thorax"),
    *("upneck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
)
"""As MPII's truth calls the joints of MPII16."""


def write_truth(folder: Path, truth: dict[str, np.ndarray]) -> None:
    """``annot/gt_valid.mat`` as HRNet's evaluation reads it."""
    (folder / "annot").mkdir()
    boxes = np.stack([np.zeros_like(truth["head_wh"]), truth["head_wh"]])
    content = {
        "dataset_joints": np.array([list(MPII_NAMES)], dtype=object),
        "jnt_missing": truth["missing"].T,
        "pos_gt_src": truth["truth_xy"].transpose(1, 2, 0),
        "headboxes_src": boxes.transpose(0, 2, 1),
    }
    savemat(folder / "annot" / "gt_valid.mat", content)


def rows(
    inputs: dict[str, np.ndarray],
    truth: dict[str, np.ndarray],
    theirs: dict[str, Any],
    repository: str,
    commit: str,
    note: str,
) -> list[Row]:
    """Data, decoding and metrics, ours against the answers."""
    made: list[Row] = []

    def add(
        step: str, dtype: str, text: str, ours: Any, key: str, tolerance: float, because: str
    ) -> None:
        difference = np.abs(np.asarray(ours, np.float64) - theirs[key]).max()
        data_set = "coco" if key == "kept" else "mpii"
        file = f"{FILES[step]} {note}"
        row = (data_set, step, dtype, text, float(difference), tolerance, because)
        made.append(Row(*row, Reference(repository, commit, file), "live"))

    people = inputs["centers"], inputs["scales"]
    count = len(people[0])
    matrices = [
        crop_matrix(c, s, r, SIZE_WH) for c, s, r in zip(*people, inputs["rotations"], strict=True)
    ]
    text = f"{count} random crop matrices, px"
    because = "the same float32 points in the same solver, entries up to 1e3 × condition × 1e-16"
    add("data", "float64", text, matrices, "matrices", 1e-9, because)
    drawn = [
        heatmap.HeatmapCodec().encode(j[:, :2], v[:, 0], SIZE_WH)
        for j, v in zip(inputs["joints"], inputs["visible"], strict=True)
    ]
    because = "float32 exp may differ by one step (6e-8)"
    text = f"targets of {count} random people"
    add("data", "float32", text, [one["heatmaps"] for one in drawn], "targets", 1e-7, because)
    weights = [one["weights"][:, None] for one in drawn]
    add("data", "float32", f"loss weights of {count}", weights, "target_weights", 0.0, "0 or 1")
    maps, flipped = inputs["maps"], inputs["flipped"]
    coords, scores = heatmap.decode(maps, "argmax", sigma_px=2)
    equal = "the same float32 numbers: equal"
    text = f"{coords[..., 0].size} random heat maps"
    add("decode", "float32", f"arg-max of {text}, cells", coords, "coords", 0.0, equal)
    add("decode", "float32", f"maxima of {text}", scores[..., None], "maxima", 0.0, equal)
    size = maps.shape[3], maps.shape[2]
    image_px = 2.0**-14 + 1e-9
    because = "float32 coordinates below 2048 px: half a step of 2^-13"
    merged = heatmap.merge_flip(maps, flipped, SKELETON.flip_order, True)
    for one, what, key in ((maps, "", "preds"), (merged, "flip test, ", "flip_preds")):
        coords, scores = heatmap.decode(one, "quarter_offset", sigma_px=2)
        image_xy = heatmap.to_image(coords, *people, size)
        add("decode", "float32", f"{what}{text}, px", image_xy, key, image_px, because)
    text = f"maxima after the flip test of {text}"
    add("decode", "float32", text, scores[..., None], "flip_maxima", 0.0, equal)
    heads = 0.6 * np.linalg.norm(truth["head_wh"], axis=1)
    errors = pckh.normalised_errors(inputs["predictions"] + 1, truth["truth_xy"], heads)
    found = pckh.pckh(errors, 1.0 - truth["missing"], SKELETON, (0.5, 0.11))
    ours = [*(v[0] for v in found.groups.values()), found.mean[0], found.mean[1]]
    text, because = "9 PCKh figures of random poses, percent", "equal counts, roundings alone"
    add("metric", "float64", text, ours, "pckh", 1e-9, because)
    poses, areas = inputs["poses"], inputs["pose_areas"]
    sigmas = np.array(COCO17.oks_sigmas)
    kept = np.zeros(40, bool)
    kept[oks_nms(poses, inputs["pose_scores"], areas, sigmas, 0.5)] = True
    their_kept = np.zeros(40, bool)
    their_kept[theirs["kept"]] = True
    theirs = {**theirs, "kept": their_kept.astype(float)}
    because = f"a choice: {kept.sum()} of them"
    add("metric", "float64", "poses of 40 that OKS-NMS keeps", kept, "kept", 0.0, because)
    return made


FILES = {
    "data": "lib/utils/transforms.py, lib/dataset/JointsDataset.py generate_target",
    "decode": "lib/core/inference.py, lib/utils/transforms.py flip_back",
    "metric": "lib/dataset/mpii.py evaluate, lib/nms/nms.py oks_nms",
}
