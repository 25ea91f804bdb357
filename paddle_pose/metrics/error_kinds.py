"""What each keypoint error is: jitter, inversion, swap or miss; and poses without one kind.

The taxonomy of Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation" (ICCV 2017). A keypoint's similarity to a place is ks = exp(-d² / 2w²). The places are
its joint and its left or right twin, of its own and of every other person of the image. The most
similar one decides, the own joint before others and others before twins where two are equal:

* ks < 0.5 everywhere: miss;
* the own joint: good from 0.85 on, else jitter;
* the own person's twin: inversion;
* another person's joint or twin: swap.

So a keypoint whose own joint has 0.6 and the twin 0.7 is an inversion, as in the authors' code.

COCO: w = 2σ·√area, the bell of OKS. PCKh has no bell; here w makes ks 0.5 at half a head, where
PCKh@0.5 ends: good ends at 0.242 heads, jitter at 0.5, and no jitter costs PCKh@0.5 a point.

Source: matteorr/coco-analyze pycocotools/cocoanalyze.py:270-430 @20dc544
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from paddle_pose.skeletons import Skeleton

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, JITTER, INVERSION, SWAP, MISS = range(5)
NONE = -1
"""The kind of a joint that is not labelled."""

GOOD_KS, NEAR_KS = 0.85, 0.5
LEAST_OKS = 0.1
"""A pose belongs to a person from this OKS on: less is a pose of nobody."""

_JUST_INSIDE = 1 - 1e-9  # what is put on a limit stays within it
ROTATIONS = (("upright, to 30°", 30.0), ("leaning, to 60°", 60.0), ("lying, to 120°", 120.0),
             ("upside down", 180.0))  # fmt: skip
UNKNOWN_ROTATION = "torso not labelled"


def oks_widths_px(areas_px2: np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
    """(G, J) widths of OKS' bells."""
    return 2 * np.sqrt(np.asarray(areas_px2, np.float64))[:, None] * np.asarray(sigmas)


def pckh_widths_px(head_size_px: np.ndarray, joints: int) -> np.ndarray:
    """(G, J) widths that make ks 0.5 at half a head size."""
    width = 0.5 * np.asarray(head_size_px, np.float64) / np.sqrt(-2 * np.log(NEAR_KS))
    return np.repeat(width[:, None], joints, axis=1)


def taken(oks: np.ndarray, ignored: np.ndarray, crowds: np.ndarray) -> np.ndarray:
    """(D,) which person each of an image's poses belongs to, by COCO's rule; -1 for nobody.

    Args:
        oks: (D, G) of the poses, best-scored first.
        ignored: (G,) bool, taken only where no other is left.
        crowds: (G,) bool, may be taken by several.
    """
    person = np.full(len(oks), -1)
    free = np.ones(len(ignored), bool)
    for pose, similar in enumerate(oks):
        for group in (~ignored, ignored):
            can = np.flatnonzero(group & (free | crowds) & (similar >= LEAST_OKS))
            if len(can):
                person[pose] = can[::-1][similar[can[::-1]].argmax()]  # the later one of equals
                free[person[pose]] = False
                break
    return person


def judge(
    poses_xy: np.ndarray,
    person: np.ndarray,
    truth_xy: np.ndarray,
    labelled: np.ndarray,
    widths_px: np.ndarray,
    image_of_person: np.ndarray,
    flip_order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(P, J) kinds, ``NONE`` where the joint is not labelled, and (P, J) ks of the nearest place.

    Args:
        poses_xy: (P, J, 2); a joint that is not finite is a miss.
        person: (P,) whose pose it is.
        truth_xy: (G, J, 2) of all people of all images.
        labelled: (G, J) bool.
        widths_px: (G, J).
        image_of_person: (G,).
        flip_order: (J,) each joint's twin, itself where it has none.
    """
    kinds = np.full(poses_xy.shape[:2], NONE)
    similar = np.zeros(poses_xy.shape[:2])
    people_order = np.argsort(image_of_person, kind="stable")
    sorted_images = np.asarray(image_of_person)[people_order]
    for pose, own in enumerate(person):
        first, last = (
            np.searchsorted(sorted_images, image_of_person[own], side=side)
            for side in ("left", "right")
        )
        here = people_order[first:last]
        people = np.concatenate([[own], here[here != own]])
        places = np.concatenate([truth_xy[people], truth_xy[people][:, flip_order]])
        known = np.concatenate([labelled[people], labelled[people][:, flip_order]])
        distance2 = ((poses_xy[pose] - places) ** 2).sum(-1)
        width2 = np.tile(widths_px[people] ** 2, (2, 1)) + np.spacing(1)
        ks = np.nan_to_num(np.exp(-distance2 / width2 / 2), nan=0.0)
        ks[~known] = -1
        nearest = ks.argmax(0)
        similar[pose] = np.maximum(ks.max(0), 0)
        found = np.full(len(nearest), SWAP)
        found[nearest == 0] = np.where(similar[pose][nearest == 0] >= GOOD_KS, GOOD, JITTER)
        found[nearest == len(people)] = INVERSION
        found[similar[pose] < NEAR_KS] = MISS
        kinds[pose] = np.where(labelled[own], found, NONE)
    return kinds, similar


def corrected(
    poses_xy: np.ndarray,
    truth_xy: np.ndarray,
    widths_px: np.ndarray,
    kinds: np.ndarray,
    similar: np.ndarray,
    without: Sequence[int],
    *,
    on_truth: bool = False,
) -> np.ndarray:
    """(P, J, 2) poses without some kinds of error, each pose's person in the same row of the rest.

    As the authors correct: jitter is moved to where ks is 0.85 and a miss to 0.5; an inversion or
    swap comes as near to its own joint as it was to the wrong one. (Their code leaves the 2 of 2σ
    out there, which puts jitter at 0.96 and misses at 0.84.) With ``on_truth`` all are put on it.
    """
    target = np.select([kinds == JITTER, kinds == MISS], [GOOD_KS, NEAR_KS], similar)
    target = np.ones_like(similar) if on_truth else np.clip(target, NEAR_KS, 1.0)
    moved = np.array(truth_xy, np.float64)
    moved[..., 0] += _JUST_INSIDE * widths_px * np.sqrt(-2 * np.log(target))
    return np.where(np.isin(kinds, without)[..., None], moved, poses_xy)


def rotations(truth_xy: np.ndarray, labelled: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(N,) degrees from 0 (upright) to 180 between up and hip → shoulder; nan where unknown.

    The mean over the sides that have both joints labelled.
    """
    place = {key: index for index, key in enumerate(skeleton.keys)}
    torso, sides = np.zeros((len(truth_xy), 2)), np.zeros(len(truth_xy))
    for side in (0, 1):
        hip, shoulder = place.get((side, "hip")), place.get((side, "shoulder"))
        if hip is not None and shoulder is not None:
            both = labelled[:, hip] & labelled[:, shoulder]
            torso[both] += truth_xy[both, shoulder] - truth_xy[both, hip]
            sides += both
    angle = np.degrees(np.abs(np.arctan2(torso[:, 0], -torso[:, 1])))
    return np.where((sides > 0) & torso.any(1), angle, np.nan)


def tally(kinds: np.ndarray) -> dict[str, int]:
    """Kind → joints; those that are not labelled are not counted."""
    return {name: int((kinds == kind).sum()) for kind, name in enumerate(KINDS)}


def by_joint(kinds: np.ndarray, skeleton: Skeleton) -> dict[str, dict[str, int]]:
    """Joint → kind → joints."""
    return {joint: tally(kinds[:, column]) for column, joint in enumerate(skeleton.joints)}


def by_size(
    kinds: np.ndarray, sizes_px: np.ndarray, edges: Sequence[float] | np.ndarray
) -> dict[str, dict[str, int]]:
    """``12 to 31 px`` → kind → joints, between the inner edges."""
    bins = np.searchsorted(edges, sizes_px, side="right")
    ends = [f"{edge:.0f}" for edge in edges]
    names = [
        f"under {ends[0]} px",
        *(f"{a} to {b} px" for a, b in itertools.pairwise(ends)),
        f"from {ends[-1]} px",
    ]
    return {name: tally(kinds[bins == row]) for row, name in enumerate(names)}


def by_rotation(kinds: np.ndarray, degrees: np.ndarray) -> dict[str, dict[str, int]]:
    """Words of ROTATIONS → kind → joints."""
    ends = [end for _, end in ROTATIONS]
    bins = np.searchsorted(ends, degrees)  # nan comes last
    names = [*(name for name, _ in ROTATIONS), UNKNOWN_ROTATION]
    return {name: tally(kinds[bins == row]) for row, name in enumerate(names)}
