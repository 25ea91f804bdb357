"""Joints by name: order, flip pairs, limbs, groups and OKS sigmas, stated once per skeleton."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from paddle_pose.errors import UserError, nearest

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[左右]|[^\W\d_A-Za-z左右]+")
_LEFT = ("left", "l", "lt", "lft", "左", "links", "linke", "linker", "linkes")
_RIGHT = ("right", "r", "rt", "rgt", "右", "rechts", "rechte", "rechter", "rechtes")
_SIDES = dict.fromkeys(_LEFT, 0) | dict.fromkeys(_RIGHT, 1)
_SHORT = {"sho": "shoulder", "elb": "elbow", "wri": "wrist", "kne": "knee", "ank": "ankle"}
_RUN_TOGETHER = (
    re.compile(r"(?P<side>left|right|l|r)(?P<what>\w{3,})"),
    re.compile(r"(?P<what>\w{3,}?)(?P<side>left|right|l|r)"),
)


def joint_key(name: str, among: Sequence[str] = ()) -> tuple[int | None, str]:
    """A joint's side (0 left, 1 right, None) and what it is, however the name is spelled.

    ``left_knee``, ``l-knee``, ``knee_l``, ``LKnee``, ``kneeLeft`` and ``L.Knee`` are one;
    ``lknee`` or ``kneel``, of one word, is where its twin is ``among`` the names as well.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    sides = [word for word in words if word in _SIDES]
    if len(sides) == 1 and len(words) > 1:
        words.remove(sides[0])
        return _SIDES[sides[0]], " ".join(_SHORT.get(word, word) for word in words)
    for pattern in _RUN_TOGETHER if words and not sides else ():
        if not (match := pattern.fullmatch(words[0])):
            continue
        side, base = match["side"], match["what"]
        other = {"left": "right", "right": "left", "l": "r", "r": "l"}[side]
        twin = "".join([words[0][: match.start("side")], other, words[0][match.end("side") :]])
        if "".join([twin, *words[1:]]) in {"".join(_WORDS.findall(one)).lower() for one in among}:
            base = " ".join([base, *words[1:]])
            return _SIDES[side], _SHORT.get(base, base)
    return None, " ".join(_SHORT.get(word, word) for word in words)


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
        pairs: names (left, right) where somebody stated them; None finds them by the names.
        parts: first joint, and the one behind the last, of Halpe's body, feet, face and hands.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    upper_body: tuple[str, ...]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    oks_sigmas: tuple[float, ...] = ()
    pairs: tuple[tuple[str, str], ...] | None = None
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint; Raises UserError with the nearest name."""
        if joint not in self.joints:
            hint = nearest(joint, self.joints)
            raise UserError(f"skeleton '{self.name}' has no joint '{joint}'{hint}")
        return self.joints.index(joint)

    @cached_property
    def keys(self) -> tuple[tuple[int | None, str], ...]:
        """Side and meaning of each joint, see ``joint_key``."""
        return tuple(joint_key(name, self.joints) for name in self.joints)

    @cached_property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """Index pairs (left, right): those stated, else by the words for left and right."""
        if self.pairs is not None:
            return tuple((self.index(left), self.index(right)) for left, right in self.pairs)
        place = {key: index for index, key in enumerate(self.keys)}
        return tuple(
            (index, place[1, what])
            for index, (side, what) in enumerate(self.keys)
            if side == 0 and (1, what) in place and place[0, what] == index
        )

    @property
    def unpaired(self) -> tuple[str, ...]:
        """Joints whose names say left or right and that are in no pair."""
        paired = {index for pair in self.flip_pairs for index in pair}
        keys = enumerate(self.keys)
        return tuple(
            self.joints[i] for i, (side, _) in keys if side is not None and i not in paired
        )

    def require_pairs(self, asked_by: str) -> None:
        """Raises UserError where mirroring is asked for and no pair is known nor ruled out."""
        if self.pairs is None and not self.flip_pairs:
            raise UserError(
                f"{asked_by} mirrors people, but no joint of '{self.name}' is known as left or "
                f"right ({', '.join(self.joints[:4])}, …); let the recipe give them: "
                "data.flip_pairs=[[a, b], …] (names, or places from 0), [] for none"
            )

    @cached_property
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

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    joints=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
        "head", "neck",
    ),
    limbs=(
        ("head", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"),
        ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
        ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
        ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"), ("left_hip", "right_hip"),
        ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
        ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ),
    upper_body=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "head", "neck",
    ),
    oks_sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
        0.079, 0.079,
    ),
)  # fmt: skip

_HAND = (
    "hand_root",
    *(
        f"{finger}_{number}"
        for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky")
        for number in (1, 2, 3, 4)
    ),
)
_HALPE_JOINTS = (
    *COCO17.joints, "head", "neck", "hip",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
    *(f"face_{number}" for number in range(68)),
    *(f"{side}_{what}" for side in ("left", "right") for what in _HAND),
)  # fmt: skip
_HALPE_BODY_PAIRS = (*((i, i + 1) for i in range(1, 17, 2)), (20, 21), (22, 23), (24, 25))
_HALPE_OTHER_PAIRS = (  # left, right: the face's 68 points begin at the person's right ear
    *((42 - i, 26 + i) for i in range(8)), *((52 - i, 43 + i) for i in range(5)),
    (71, 62), (70, 63), (69, 64), (68, 65), (73, 66), (72, 67), (61, 57), (60, 58),
    (80, 74), (79, 75), (78, 76), (81, 85), (82, 84), (90, 86), (89, 87), (91, 93),
    *((i, i + 21) for i in range(94, 115)),
)  # fmt: skip
_HALPE_BODY_LIMBS = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 18), (6, 18), (5, 7), (7, 9), (6, 8), (8, 10),
    (17, 18), (18, 19), (19, 11), (19, 12), (11, 13), (12, 14), (13, 15), (14, 16),
    (20, 24), (21, 25), (23, 25), (22, 24), (15, 24), (16, 25),
)  # fmt: skip
_HALPE_OTHER_LIMBS = (
    *((i, i + 1) for i in range(26, 93) if i not in (42, 47, 52, 56, 61, 67, 73)),
    *(
        (root if step == 0 else first + step - 1, first + step)
        for root in (94, 115)
        for first in range(root + 1, root + 21, 4)
        for step in range(4)
    ),
)


def _halpe(joints: int, pairs: Sequence[tuple[int, int]], limbs: Sequence) -> Skeleton:
    """The first joints of Halpe; those of the half body's upper part are COCO's.

    Source: Fang-Haoshu/Halpe-FullBody README, vis.py:9 @70d6014; MVIG-SJTU/AlphaPose
    alphapose/datasets/halpe_136.py:38, custom.py:86 @c60106d; sigmas: Halpe's
    HalpeCOCOAPI/PythonAPI/halpecocotools/cocoeval.py @70d6014
    """
    names = _HALPE_JOINTS
    sigmas = (*COCO17.oks_sigmas, *[0.08] * 3, *[0.089] * 6, *[0.015] * 110)
    parts = {"body": (0, 20), "foot": (20, 26), "face": (26, 94), "hand": (94, 136)}
    return Skeleton(
        name=f"halpe{joints}",
        joints=names[:joints],
        limbs=tuple((names[a], names[b]) for a, b in limbs),
        upper_body=COCO17.upper_body,
        oks_sigmas=sigmas[:joints],
        pairs=tuple((names[left], names[right]) for left, right in pairs),
        parts={name: ends for name, ends in parts.items() if ends[1] <= joints},
    )


HALPE136 = _halpe(
    136,
    (*_HALPE_BODY_PAIRS, *_HALPE_OTHER_PAIRS),
    (*_HALPE_BODY_LIMBS, *_HALPE_OTHER_LIMBS),
)
HALPE26 = _halpe(26, _HALPE_BODY_PAIRS, _HALPE_BODY_LIMBS)


BODYPOSE18 = Skeleton(
    name="bodypose18",
    joints=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
        "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
        "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    limbs=(
        ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
        ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
        ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"), ("right_shoulder", "right_ear"),
        ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
        ("left_shoulder", "left_ear"), ("neck", "nose"), ("nose", "right_eye"),
        ("nose", "left_eye"), ("right_eye", "right_ear"), ("left_eye", "left_ear"),
    ),
    upper_body=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
        "left_elbow", "left_wrist", "right_eye", "left_eye", "right_ear", "left_ear",
    ),
)  # fmt: skip
"""BodyPoseNet's; its part affinity fields have the limbs in this order, from first to second."""

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (MPII16, COCO17, CROWDPOSE14, HALPE136, HALPE26, BODYPOSE18)
}


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
    SKELETONS[skeleton.name] = skeleton
