"""Joints by name: order, flip pairs, limbs, groups and OKS sigmas, stated once per skeleton."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from paddle_pose.errors import UserError, nearest


@dataclass(frozen=True)
class Skeleton:
    """A joint set.

    Attributes:
        name: how recipes and prediction files call it.
        joints: joint names in the data set's order.
        limbs: pairs of joint names to draw.
        upper_body: names for the half-body augmentation; all others are the lower body.
        groups: score rows in table order, each a name and the joints pooled in it.
        unscored: joints left out of the mean (MPII's pelvis and thorax).
        oks_sigmas: COCO's per-joint constants, in joint order; empty where there are none.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    upper_body: tuple[str, ...]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    oks_sigmas: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint; Raises UserError with the nearest name."""
        if joint not in self.joints:
            hint = nearest(joint, self.joints)
            raise UserError(f"skeleton '{self.name}' has no joint '{joint}'{hint}")
        return self.joints.index(joint)

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """Index pairs (left, right), found by the words left_ and right_ in the names."""
        return tuple(
            (index, self.joints.index("right_" + name[5:]))
            for index, name in enumerate(self.joints)
            if name.startswith("left_") and "right_" + name[5:] in self.joints
        )

    @property
    def flip_order(self) -> np.ndarray:
        """(J,) permutation that swaps left and right."""
        order = np.arange(len(self.joints))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order

    @property
    def upper_body_mask(self) -> np.ndarray:
        """(J,) bool, true for upper-body joints."""
        return np.array([name in self.upper_body for name in self.joints])


MPII16 = Skeleton(
    name="mpii16",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "upper_neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    limbs=(
        ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "pelvis"),
        ("left_hip", "pelvis"), ("left_knee", "left_hip"), ("left_ankle", "left_knee"),
        ("pelvis", "thorax"), ("thorax", "upper_neck"), ("upper_neck", "head_top"),
        ("right_wrist", "right_elbow"), ("right_elbow", "right_shoulder"),
        ("right_shoulder", "thorax"), ("left_shoulder", "thorax"),
        ("left_elbow", "left_shoulder"), ("left_wrist", "left_elbow"),
    ),
    upper_body=(
        "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    groups={
        "Head": ("head_top",),
        "Shoulder": ("left_shoulder", "right_shoulder"),
        "Elbow": ("left_elbow", "right_elbow"),
        "Wrist": ("left_wrist", "right_wrist"),
        "Hip": ("left_hip", "right_hip"),
        "Knee": ("left_knee", "right_knee"),
        "Ankle": ("left_ankle", "right_ankle"),
    },
    unscored=("pelvis", "thorax"),
)  # fmt: skip

COCO17 = Skeleton(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        ("left_ankle", "left_knee"), ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"), ("nose", "left_eye"), ("nose", "right_eye"),
        ("left_eye", "left_ear"), ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"), ("right_ear", "right_shoulder"),
    ),
    upper_body=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    ),
    oks_sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (MPII16, COCO17)}


def skeleton_named(name: str) -> Skeleton:
    """The skeleton of that name; Raises UserError with the nearest name."""
    if name not in SKELETONS:
        raise UserError(f"unknown skeleton '{name}'{nearest(name, SKELETONS)}")
    return SKELETONS[name]


def register(skeleton: Skeleton) -> None:
    """Let ``skeleton_named`` find a joint set that was read from a file.

    Raises:
        UserError: another joint set has that name already (training and validation files differ).
    """
    known = SKELETONS.setdefault(skeleton.name, skeleton)
    if known.joints != skeleton.joints:
        raise UserError(
            f"two joint sets called '{skeleton.name}': {', '.join(known.joints)} and "
            f"{', '.join(skeleton.joints)}; the files of a run must list the same joints"
        )
