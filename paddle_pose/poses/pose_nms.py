"""Parametric pose-NMS: poses of one image that stand for one person become one; AlphaPose's.

The best pose is picked, all that are like it are taken away and averaged into it, and so on. There
are two ``MODES`` for full bodies:

* ``reference``: as AlphaPose computes it. The mask of joints that score is upside down, and the
  number of joints that match is divided by the number of poses in the image, so that in a crowd
  not even a pose and itself are alike: more people are kept than there are.
* ``fixed``: joints that score count, and a match does not depend on who else is there.

Other joint sets have neither fault. Scores below 0, as heat maps may have, are none in ``fixed``.

N poses, J joints.
Source: MVIG-SJTU/AlphaPose alphapose/utils/pPose_nms.py:201-656 @c60106d
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.skeletons import HALPE136

WAYS = ("pose", "oks", "none")
"""How users name ways to make doubles of poses one: this one, by similarity alone, not at all."""

MODES = ("reference", "fixed")
FULL_BODIES = (133, 136)
"""Joint sets that end in 68 joints of a face and 42 of both hands."""

FACE, HANDS = 68, 42
_FACE_REACH, _HAND_REACH = 1.9, 0.55
_FACE_SCORE, _HAND_SCORE, _FACE_NEAR, _HAND_NEAR = 1.0, 0.1, 1.0, 1.5
_HALPE_BODY = 26  # the reference's slices of 133 joints, too
_MATCH_PX, _MERGE_PX = 7.0, 15.0
_SAME_PX = 1.0
_LEAST_SCORE = 1e-5
_GROWN_AREA = 1.5**2
OKS_THRESHOLD = 0.9


@dataclass(frozen=True)
class Constants:
    """What the likeness of poses is measured by; nothing is kept between calls.

    Attributes:
        delta1: of scores.
        mu: weight of distances beside scores.
        delta2: px, how fast nearness falls.
        gamma: poses are one above this similarity.
        min_score: of the best joint; of full bodies also of a joint that counts.
        min_matches: joints that match from which on poses are one.
        alpha: reach of a match, in sides of the box.
    """

    delta1: float = 1.0
    mu: float = 1.7
    delta2: float = 2.65
    gamma: float = 22.48
    min_score: float = 0.3
    min_matches: float = 5.0
    alpha: float = 0.1


HEAT = Constants()
"""Of all bodies, and of full bodies by heat maps."""

REGRESSION = Constants(1.0, 1.65, 8.0, 3.6, 0.01, 3.0, 0.15)
"""Of full bodies by any other loss than that of heat maps."""


def constants_for(joints: int, *, by_heatmaps: bool) -> Constants:
    """Those that the reference means for so many joints."""
    return REGRESSION if joints in FULL_BODIES and not by_heatmaps else HEAT


@dataclass(frozen=True)
class Merged:
    """M poses that are left, in the order of their picks.

    Attributes:
        keypoints: (M, J, 3) x, y, score, averaged over the members near the pick.
        picks: (M,) the pose that each was picked by; its box and box score stand for all.
        members: the poses averaged into each.
    """

    keypoints: np.ndarray
    picks: np.ndarray
    members: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.picks)


def pose_nms(
    keypoints: np.ndarray,
    boxes_xywh: np.ndarray,
    constants: Constants = HEAT,
    *,
    mode: str = "fixed",
    min_area_px2: float = 0.0,
) -> Merged:
    """One image's poses without doubles.

    Args:
        keypoints: (N, J, 3) x, y, score, image pixels.
        boxes_xywh: (N, 4) of the detector, as it gave them.
        constants: see ``constants_for``.
        mode: one of ``MODES``.
        min_area_px2: least 2.25 × area of the joints' box.

    Raises:
        UserError: no such mode.
    """
    if mode not in MODES:
        raise UserError(f"pose-NMS mode '{mode}': expected one of {', '.join(MODES)}")
    keypoints = np.array(keypoints, np.float64)
    places, scores = keypoints[..., :2], keypoints[..., 2]
    # Below 0, as heat maps have them, weights of a mean could cancel out and throw it anywhere.
    scores[scores <= 0 if mode == "fixed" else scores == 0] = _LEAST_SCORE
    reach_px = constants.alpha * np.asarray(boxes_xywh, np.float64)[:, 2:].max(-1, initial=0)
    means = scores.mean(1)
    left: np.ndarray = np.arange(len(keypoints))
    found: list[np.ndarray] = []
    picks: list[int] = []
    members: list[np.ndarray] = []
    while len(left):
        at = int(means[left].argmax())
        pick = int(left[at])
        alike = similarity(at, keypoints[left], constants, mode) > constants.gamma
        enough = matches(at, keypoints[left], reach_px[pick], constants, mode)
        alike |= enough >= constants.min_matches
        if mode == "fixed" or not alike.any():
            alike[at] = True
        own, left = left[alike], left[~alike]
        merged = _merged(places[pick], keypoints[own], min(reach_px[pick], _MERGE_PX))
        area_px2 = _GROWN_AREA * np.ptp(merged[:, :2], axis=0).prod()
        # Comparisons with nan are false, and such poses stay: the reference's.
        if min(scores[pick].max(), merged[:, 2].max()) < constants.min_score:
            continue
        if area_px2 < min_area_px2:
            continue
        found.append(merged)
        picks.append(pick)
        members.append(own)
    joints = keypoints.shape[1]
    return Merged(
        np.stack(found) if found else np.empty((0, joints, 3)),
        np.array(picks, np.int64),
        tuple(members),
    )


def similarity(pick: int, keypoints: np.ndarray, constants: Constants, mode: str) -> np.ndarray:
    """(N,) how like each of the poses (N, J, 3) is to one of them; higher is liker."""
    scores, apart = keypoints[..., 2], _apart(keypoints[pick], keypoints)
    near = np.exp(-apart / constants.delta2)
    squashed = np.tanh(scores / constants.delta1)
    same = np.where(apart <= _SAME_PX, squashed[pick] * squashed, 0)
    joints = keypoints.shape[1]
    if joints not in FULL_BODIES:
        return np.asarray(same.sum(1) + constants.mu * near.sum(1))
    body, face, hands = _parts(joints)
    low = scores < constants.min_score
    same[~low if mode == "reference" else low] = 0
    near[:, face] = np.exp(-apart[:, face] / (constants.delta2 * _FACE_REACH))
    near[:, hands] = np.exp(-apart[:, hands] / (constants.delta2 * _HAND_REACH))
    near[low] = 0
    by_score = same[:, body].mean(1) + _FACE_SCORE * same[:, face].mean(1)
    by_score += _HAND_SCORE * same[:, hands].mean(1)
    by_place = near[:, body].mean(1) + _FACE_NEAR * near[:, face].mean(1)
    by_place += _HAND_NEAR * near[:, hands].mean(1)
    return np.asarray(by_score + constants.mu * by_place)


def matches(
    pick: int, keypoints: np.ndarray, reach_px: float, constants: Constants, mode: str
) -> np.ndarray:
    """(N,) joints of each pose (N, J, 3) that match those of one of them; parts of full bodies."""
    count, joints = keypoints.shape[:2]
    with np.errstate(divide="ignore", invalid="ignore"):  # a box without a size
        apart = _apart(keypoints[pick], keypoints) / min(reach_px, _MATCH_PX)
    if joints not in FULL_BODIES:
        return np.asarray((apart <= 1).sum(1))
    seen = 2 * int((keypoints[pick, :, 2] > constants.min_score / 2).sum())
    seen *= count if mode == "reference" else 1
    if seen < 2:
        return np.zeros(count)
    body, face, hands = _parts(_HALPE_BODY + FACE + HANDS if mode == "reference" else joints)
    close = (apart[:, body] <= 1).sum(1) + (apart[:, face] <= _FACE_REACH).sum(1)
    close += (apart[:, hands] <= _HAND_REACH).sum(1)
    return np.asarray(close / seen / 2 * joints)


def proposal_scores(keypoints: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """(N,) AlphaPose's score of whole poses (N, J, 3): box + mean + 1.25 × largest of the joints.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/writer.py:165 @c60106d
    """
    scores = np.asarray(keypoints, np.float64)[..., 2]
    return np.asarray(scores.mean(1) + np.asarray(box_scores) + 1.25 * scores.max(1))


def oks_nms_sigmas(joints: int) -> tuple[float, ...]:
    """AlphaPose's for its OKS-NMS of Halpe's 26 or 136 joints; none of other sets.

    Faces and hands have 0.025 here, and 0.015 where AP is computed.
    """
    if joints not in (26, 136):
        return ()
    return (HALPE136.oks_sigmas[:_HALPE_BODY] + (0.025,) * (FACE + HANDS))[:joints]


def _apart(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, J) px."""
    return np.asarray(np.linalg.norm(one[None, :, :2] - others[..., :2], axis=-1))


def _parts(joints: int) -> tuple[slice, slice, slice]:
    """Body and feet, face, hands."""
    face, hands = joints - FACE - HANDS, joints - HANDS
    return slice(face), slice(face, hands), slice(hands, None)


def _merged(pick_xy: np.ndarray, members: np.ndarray, reach_px: float) -> np.ndarray:
    """(J, 3) mean of the members' joints near the pick's, weighted by score; nan where none is."""
    weights = np.where(_apart(pick_xy, members) <= reach_px, members[..., 2], 0)
    with np.errstate(invalid="ignore"):
        weights = weights / weights.sum(0)
    return np.asarray((members * weights[..., None]).sum(0))
