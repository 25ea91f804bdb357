"""Rendered people as HRNet's MPII loader and PCKh's official evaluation read them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from scipy.io import savemat

from paddle_pose.synthetic.scene import Label

_MAT_JOINTS = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head",
               "rwri", "relb", "rsho", "lsho", "lelb", "lwri")  # fmt: skip
"""MPII16 as the names in MPII's evaluation file."""


def content(
    names: Sequence[str], _: Sequence[tuple[int, int]], people: Sequence[Sequence[Label]]
) -> list[dict]:
    """HRNet's MPII JSON of pictures and the people on each, in order."""
    both = zip(names, people, strict=True)
    return [_record(name, label) for name, labels in both for label in labels]


def _record(image: str, label: Label) -> dict:
    """A row of HRNet's MPII JSON; coordinates are 1-based there."""
    joints = np.where(label.inside[:, None], np.round(label.joints_xy + 1, 2), -1.0)
    return {
        "joints_vis": label.inside.astype(int).tolist(),
        "joints": joints.tolist(),
        "image": image,
        "scale": round(label.scale, 6),
        "center": np.round(label.center_xy + 1, 2).tolist(),
    }


def evaluation_mat(labels: Sequence[Label]) -> bytes:
    """The fields that PCKh's official evaluation reads; missing joints are zeros, as in MPII's."""
    inside = np.array([label.inside for label in labels])
    joints = np.array([np.round(label.joints_xy + 1, 2) for label in labels])
    boxes = np.array([label.head_box_xyxy.reshape(2, 2) + 1 for label in labels])
    buffer = io.BytesIO()
    savemat(
        buffer,
        {
            "dataset_joints": np.array([_MAT_JOINTS], dtype=object),
            "jnt_missing": (~inside).T.astype(np.uint8),
            "pos_gt_src": (joints * inside[..., None]).transpose(1, 2, 0),
            "headboxes_src": boxes.transpose(1, 2, 0),
        },
    )
    header = b"MATLAB 5.0 MAT-file".ljust(116)  # SciPy's holds the date: bytes would differ
    return header + buffer.getvalue()[len(header) :]
