"""Bodies and poses of the drawn people: proportions, joint limits, forward kinematics.

Unit: the person's head length (upper neck to head top). Body frame: x to the person's left, y up,
z forward. Camera frame: x to the image's right, y up, z towards the camera. Angles in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from paddle_pose.skeletons import MPII16

LEFT, RIGHT = 1, -1
"""Sign of a body side along the body's x axis."""

SIDES = {LEFT: "left", RIGHT: "right"}


def rotation(axis: str, angle_deg: float) -> np.ndarray:
    """(3, 3) right-handed rotation about ``x``, ``y`` or ``z``."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    rows = {
        "x": [[1, 0, 0], [0, cos, -sin], [0, sin, cos]],
        "y": [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
        "z": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
    }
    return np.array(rows[axis], np.float64)


@dataclass(frozen=True)
class Body:
    """Lengths in head lengths; ``girth`` multiplies every radius."""

    shank: float
    thigh: float
    hip_half: float
    torso: float
    neck: float
    shoulder_half: float
    upper_arm: float
    forearm: float
    girth: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Body:
        """An adult or, one time in eight, a child with shorter limbs for its head."""
        limb = rng.normal(1.0, 0.04) * (0.82 if rng.random() < 0.125 else 1.0)
        leg, arm = limb * rng.normal(1.0, 0.03), limb * rng.normal(1.0, 0.03)
        width = rng.normal(1.0, 0.06)
        return cls(
            shank=1.36 * leg,
            thigh=1.38 * leg,
            hip_half=0.36 * width,
            torso=1.72 * limb * rng.normal(1.0, 0.03),
            neck=0.24,
            shoulder_half=0.64 * width,
            upper_arm=1.02 * arm,
            forearm=0.90 * arm,
            girth=float(np.clip(rng.normal(1.0, 0.12), 0.78, 1.35)),
        )


@dataclass
class Limb:
    """Angles of an arm or leg: forward swing, outward lift, turn about its axis, bend below."""

    swing: float = 0.0
    lift: float = 6.0
    turn: float = 0.0
    bend: float = 8.0


@dataclass
class Pose:
    """Joint angles; ``pitch`` leans the pelvis forward, ``lean`` turns the figure in the image."""

    name: str
    pitch: float = 0.0
    lean: float = 0.0
    spine: tuple[float, float, float] = (0.0, 0.0, 0.0)  # forward, sideways, twist
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    arms: dict[int, Limb] = field(default_factory=dict)
    legs: dict[int, Limb] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A posed body in the camera frame; the pelvis is the origin.

    Attributes:
        body: proportions.
        pose: name of the pose.
        joints: (16, 3) in MPII's order.
        root: (3, 3) frame of the standing body before its trunk leans; its columns are x, y, z.
        pelvis, chest, head: (3, 3) frames.
        forearm, shank: frames by side.
    """

    body: Body
    pose: str
    joints: np.ndarray
    root: np.ndarray
    pelvis: np.ndarray
    chest: np.ndarray
    head: np.ndarray
    forearm: dict[int, np.ndarray]
    shank: dict[int, np.ndarray]

    def joint(self, name: str) -> np.ndarray:
        """(3,) a joint by its MPII name."""
        return self.joints[MPII16.index(name)]

    def faces_camera(self) -> bool:
        """Whether the chest's front is the side that is seen."""
        return bool(self.chest[2, 2] > 0)


# Ways to hold an arm: mean and standard deviation of swing, lift, turn (inwards), bend.
_ARMS = {
    "hang": ((4, 10), (10, 5), (15, 15), (14, 10)),
    "on_hip": ((-8, 8), (46, 7), (72, 8), (98, 10)),
    "forward": ((75, 22), (10, 12), (10, 20), (30, 22)),
    "up": ((8, 15), (152, 14), (-50, 35), (38, 25)),
    "wave": ((15, 12), (88, 12), (-80, 14), (80, 24)),
    "sideways": ((6, 10), (82, 12), (-15, 30), (20, 16)),
    "folded": ((32, 6), (10, 5), (62, 8), (102, 8)),
    "to_face": ((48, 12), (18, 9), (18, 14), (128, 10)),
    "behind": ((-28, 8), (12, 5), (55, 12), (42, 14)),
}
_ARM_ODDS = (0.32, 0.14, 0.12, 0.11, 0.07, 0.09, 0.05, 0.06, 0.04)

POSES = {
    "standing": 0.33,
    "walking": 0.18,
    "running": 0.10,
    "sitting": 0.13,
    "squatting": 0.05,
    "kneeling": 0.03,
    "bending": 0.05,
    "leaping": 0.06,
    "kicking": 0.04,
    "lying": 0.02,
}
"""Poses and how often they are drawn (normalised)."""


def _spread(rng: np.random.Generator, mean: float, sigma: float) -> float:
    """A normal draw kept within two standard deviations: a soft joint limit."""
    return mean + sigma * float(np.clip(rng.normal(), -2, 2))


def _arm(rng: np.random.Generator, way: str) -> Limb:
    return Limb(*(_spread(rng, mean, sigma) for mean, sigma in _ARMS[way]))


def _free_arms(rng: np.random.Generator) -> dict[int, Limb]:
    ways = list(_ARMS)
    first, second = rng.choice(len(ways), 2, p=_ARM_ODDS)
    if rng.random() < 0.4:
        second = first
    return {LEFT: _arm(rng, ways[first]), RIGHT: _arm(rng, ways[second])}


def _leg(rng: np.random.Generator, swing: float, bend: float, lift: float = 6) -> Limb:
    return Limb(
        _spread(rng, swing, 6), _spread(rng, lift, 3), _spread(rng, 10, 9), max(2, bend + 4)
    )


def sample_pose(rng: np.random.Generator) -> Pose:
    """Joint angles of a random everyday pose, symmetric in left and right on average."""
    odds = np.array(list(POSES.values()))
    pose = Pose(list(POSES)[rng.choice(len(odds), p=odds / odds.sum())])
    pose.spine = (_spread(rng, 4, 6), _spread(rng, 0, 6), _spread(rng, 0, 9))
    pose.head = (_spread(rng, 2, 9), _spread(rng, 0, 7), _spread(rng, 0, 20))
    pose.lean = _spread(rng, 0, 5 if rng.random() < 0.8 else 14)
    pose.arms = _free_arms(rng)
    lead = LEFT if rng.random() < 0.5 else RIGHT
    _LEGS[pose.name](rng, pose, lead)
    return pose


def _standing(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    apart = _spread(rng, 7, 4) + (14 if rng.random() < 0.15 else 0)
    pose.legs = {
        lead: _leg(rng, 2, 4, apart),
        -lead: _leg(rng, rng.uniform(0, 18), rng.uniform(2, 25), apart),
    }


def _walking(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    stride = rng.uniform(14, 30)
    pose.pitch = _spread(rng, 3, 3)
    pose.legs = {lead: _leg(rng, stride, 8, 3), -lead: _leg(rng, 4 - stride, 24, 3)}
    if rng.random() < 0.7:
        for side, sign in ((lead, -1), (-lead, 1)):
            pose.arms[side] = _arm(rng, "hang")
            pose.arms[side].swing += sign * stride
            pose.arms[side].bend += 12


def _running(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.pitch = _spread(rng, 12, 6)
    pose.legs = {
        lead: _leg(rng, rng.uniform(45, 85), rng.uniform(45, 95), 4),
        -lead: _leg(rng, rng.uniform(-25, 0), rng.uniform(30, 90), 4),
    }
    for side, swing in ((lead, -45), (-lead, 35)):
        pose.arms[side] = Limb(
            _spread(rng, swing, 12),
            _spread(rng, 14, 6),
            _spread(rng, 22, 14),
            _spread(rng, 88, 14),
        )


def _sitting(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.pitch = _spread(rng, -4, 7)
    knees = rng.uniform(65, 105)
    pose.legs = {
        lead: _leg(rng, 84, knees, rng.uniform(4, 18)),
        -lead: _leg(rng, 84, knees + _spread(rng, 0, 12), rng.uniform(4, 18)),
    }
    if rng.random() < 0.5:  # hands on the thighs
        for side in SIDES:
            pose.arms[side] = Limb(
                _spread(rng, 18, 8), _spread(rng, 8, 4), _spread(rng, 14, 12), _spread(rng, 62, 12)
            )


def _squatting(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.pitch = _spread(rng, 24, 6)
    depth = rng.uniform(0.55, 1)
    pose.legs = {
        side: _leg(rng, 24 + 95 * depth, 125 * depth, rng.uniform(10, 26)) for side in SIDES
    }
    if rng.random() < 0.6:
        for side in SIDES:
            pose.arms[side] = _arm(rng, "forward")


def _kneeling(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.legs = {lead: _leg(rng, 84, 86, 10), -lead: _leg(rng, 2, 92, 6)}


def _bending(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.pitch = _spread(rng, 45, 13)
    pose.spine = (_spread(rng, 24, 9), pose.spine[1], pose.spine[2])
    pose.head = (_spread(rng, -18, 10), pose.head[1], pose.head[2])
    pose.legs = {side: _leg(rng, pose.pitch + 4, rng.uniform(4, 35), 8) for side in SIDES}
    for side in SIDES:
        if rng.random() < 0.75:
            pose.arms[side] = Limb(
                _spread(rng, 75, 22), _spread(rng, 8, 6), _spread(rng, 10, 15), _spread(rng, 25, 14)
            )


def _leaping(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.legs = {
        side: _leg(rng, rng.uniform(-8, 30), rng.uniform(5, 70), rng.uniform(20, 42))
        for side in SIDES
    }
    way = ("up", "sideways")[int(rng.integers(2))]
    pose.arms = {side: _arm(rng, way) for side in SIDES}


def _kicking(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.pitch = _spread(rng, -6, 4)
    pose.legs = {
        lead: _leg(rng, rng.uniform(45, 95), rng.uniform(5, 50), 8),
        -lead: _leg(rng, 0, 8),
    }
    pose.arms = {side: _arm(rng, "sideways") for side in SIDES}


def _lying(rng: np.random.Generator, pose: Pose, lead: int) -> None:
    pose.lean = float(rng.choice((-1, 1))) * _spread(rng, 88, 9)
    pose.legs = {
        lead: _leg(rng, rng.uniform(0, 60), rng.uniform(5, 90), 8),
        -lead: _leg(rng, rng.uniform(0, 25), rng.uniform(5, 40), 8),
    }


_LEGS = {
    "standing": _standing,
    "walking": _walking,
    "running": _running,
    "sitting": _sitting,
    "squatting": _squatting,
    "kneeling": _kneeling,
    "bending": _bending,
    "leaping": _leaping,
    "kicking": _kicking,
    "lying": _lying,
}


def sample_yaw(rng: np.random.Generator) -> float:
    """Where the body faces: 0 is the camera, 90 the image's right.

    A third of all right shoulders then lies on the image's right of the left one; 28 % in MPII.
    """
    view = rng.random()
    if view < 0.60:
        return _spread(rng, 0, 24)
    if view < 0.88:
        return _spread(rng, 180, 22)
    return float(rng.choice((-1, 1))) * _spread(rng, 88, 18)


def _chain(base: np.ndarray, limb: Limb, side: int, turn_sign: int) -> np.ndarray:
    """Frame of an upper arm or thigh: swing forward ∘ lift outwards ∘ turn about its axis."""
    return (
        base
        @ rotation("x", -limb.swing)
        @ rotation("z", side * limb.lift)
        @ rotation("y", turn_sign * side * limb.turn)
    )


def assemble(body: Body, pose: Pose, yaw: float, camera_pitch: float) -> Figure:
    """Forward kinematics from angles to joints and part frames."""
    up, down = np.array([0.0, 1, 0]), np.array([0.0, -1, 0])
    root = rotation("z", -pose.lean) @ rotation("x", camera_pitch) @ rotation("y", yaw)
    pelvis = root @ rotation("x", pose.pitch)
    forward, sideways, twist = pose.spine
    chest = pelvis @ rotation("x", forward) @ rotation("z", sideways) @ rotation("y", twist)
    nod, tilt, turn = pose.head
    head = chest @ rotation("x", nod) @ rotation("z", tilt) @ rotation("y", turn)

    at: dict[str, np.ndarray] = {"pelvis": np.zeros(3)}
    at["thorax"] = 0.5 * body.torso * (pelvis @ up + chest @ up)
    at["upper_neck"] = at["thorax"] + chest @ np.array([0, body.neck, 0.06])
    at["head_top"] = at["upper_neck"] + head @ up
    forearms, shanks = {}, {}
    for side, name in SIDES.items():
        arm = pose.arms[side]
        shrug = 0.16 * body.shoulder_half * max(0.0, np.sin(np.deg2rad(arm.lift - 60)))
        shoulder = np.array([side * body.shoulder_half, shrug, 0])
        upper = _chain(chest, arm, side, -1)
        forearms[side] = upper @ rotation("x", -arm.bend)
        at[f"{name}_shoulder"] = at["thorax"] + chest @ shoulder
        at[f"{name}_elbow"] = at[f"{name}_shoulder"] + body.upper_arm * (upper @ down)
        at[f"{name}_wrist"] = at[f"{name}_elbow"] + body.forearm * (forearms[side] @ down)
        leg = pose.legs[side]
        thigh = _chain(pelvis, leg, side, 1)
        shanks[side] = thigh @ rotation("x", leg.bend)
        at[f"{name}_hip"] = pelvis @ np.array([side * body.hip_half, 0, 0])
        at[f"{name}_knee"] = at[f"{name}_hip"] + body.thigh * (thigh @ down)
        at[f"{name}_ankle"] = at[f"{name}_knee"] + body.shank * (shanks[side] @ down)
    joints = np.array([at[name] for name in MPII16.joints])
    return Figure(body, pose.name, joints, root, pelvis, chest, head, forearms, shanks)


def sample_figure(rng: np.random.Generator) -> Figure:
    """A random person whose head is not seen from straight above or below.

    A head pointing at the camera would have a tiny head box, and MPII's person scale is eight
    head sizes: the crop would lose the body.
    """
    while True:
        pose = sample_pose(rng)
        camera_pitch = _spread(rng, 4, 5)
        figure = assemble(Body.sample(rng), pose, sample_yaw(rng), camera_pitch)
        neck_to_top = figure.joint("head_top") - figure.joint("upper_neck")
        if np.hypot(*neck_to_top[:2]) > 0.86:
            return figure
