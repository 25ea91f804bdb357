"""People → the json and the .mat of HRNet's MPII layout; everything here is 1-based."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAT_JOINTS = ("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head",
               "rwri", "relb", "rsho", "lsho", "lelb", "lwri")  # fmt: skip
"""MPII16 as the names in MPII's evaluation file."""

MISSING_XY = -1.0
"""Both coordinates of a joint that is not labelled, in the json; 0 in the .mat."""


@dataclass(frozen=True)
class MpiiPerson:
    """One person in MPII's terms, 1-based pixels.

    Attributes:
        image: name of its image.
        center_xy: (2,).
        scale: person size in units of 200 px, about the body's height.
        joints_xy: (16, 2) in MPII's order, anything where not labelled.
        labelled: (16,) bool; hidden joints that somebody placed are labelled.
        head_box_xyxy: (4,), nan where there is none.
    """

    image: str
    center_xy: np.ndarray
    scale: float
    joints_xy: np.ndarray
    labelled: np.ndarray
    head_box_xyxy: np.ndarray


def records(people: list[MpiiPerson], *, with_joints: bool = True) -> list[dict[str, Any]]:
    """Rows of the json: ``joints_vis, joints, image, scale, center``; a test split has no joints.

    Rounded as HRNet's file is: joints to 1e-4 px, the scale to 1e-6.
    """
    return [_record(person, with_joints) for person in people]


def _record(person: MpiiPerson, with_joints: bool) -> dict[str, Any]:
    joints = np.where(person.labelled[:, None], np.round(person.joints_xy, 4), MISSING_XY)
    labels = {"joints_vis": person.labelled.astype(int).tolist(), "joints": joints.tolist()}
    return {
        **(labels if with_joints else {}),
        "image": person.image,
        "scale": round(float(person.scale), 6),
        "center": np.round(person.center_xy, 4).tolist(),
    }


def truth_mat(people: list[MpiiPerson]) -> bytes:
    """``gt_valid.mat``: the four fields that PCKh's evaluation reads; same people, same bytes."""
    from scipy.io import savemat

    labelled = np.array([person.labelled for person in people])
    joints = np.array([person.joints_xy for person in people])
    boxes = np.array([person.head_box_xyxy.reshape(2, 2) for person in people])
    buffer = io.BytesIO()
    savemat(
        buffer,
        {
            "dataset_joints": np.array([_MAT_JOINTS], dtype=object),
            "jnt_missing": (~labelled).T.astype(np.uint8),
            "pos_gt_src": np.where(labelled[..., None], joints, 0.0).transpose(1, 2, 0),
            "headboxes_src": boxes.transpose(1, 2, 0),
        },
        do_compression=True,
    )
    header = b"MATLAB 5.0 MAT-file".ljust(116)  # SciPy's holds the date: bytes would differ
    return header + buffer.getvalue()[len(header) :]
