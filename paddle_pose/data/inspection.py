"""What looks wrong in a table of people, and what it holds: pure numbers, no picture is opened.

A finding is a suspicion, not a proof: crossed legs look like swapped ones. Nothing is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from paddle_pose.data.records import PersonTable
from paddle_pose.geometry import UNIT_PX
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.understood import counted

SWAPPED, OUTSIDE, TINY = "sides look swapped", "joints outside the crop", "tiny person"
DUPLICATE, SIZE = "duplicate", "size of the picture"
OFF_PICTURE, SAME_FILE = "joints outside the picture", "same picture twice"

CROSSED, CROSSED_TORSO, CROSSED_HANDS = 1.2, 1.1, 1.6
"""Limbs so many times longer than with left and right swapped at one end look swapped. A torso does
not turn that far, folded arms cross by nature. So look 2 % of MPII's validation people."""

SMALLEST_FACE_PX = 16.0
FLAT_FACE = 0.05
"""Smaller and flatter triangles of eyes and nose say nothing: annotators err by pixels."""

FACING = 0.4
"""Mostly people face the camera: in MPII's validation set the left side is the picture's right in
70 % of the pairs. A data set with less than this share looks mirrored throughout."""

TINY_PX = 32.0
"""A person whose crop is narrower has fewer pixels than a network's smallest map has cells."""

SAME_SHARE = 0.02
"""Two people of an image whose joints differ by less than this share of the crop are one."""


@dataclass(frozen=True)
class Suspicion:
    """One finding.

    Attributes:
        what: its kind.
        position: of the person in the table.
        image: its image's name.
        text: what was seen.
    """

    what: str
    position: int
    image: str
    text: str


def suspicions(table: PersonTable) -> list[Suspicion]:
    """Everything that the annotations alone show, person by person."""
    skeleton = skeleton_named(table.skeleton)
    found = []
    for position, (what, text) in [
        *_swapped(table, skeleton),
        *_outside(table),
        *_tiny(table),
        *_duplicates(table),
    ]:
        image = table.image_names[table.image_index[position]]
        found.append(Suspicion(what, position, image, text))
    return sorted(found, key=lambda one: one.position)


def picture_suspicions(
    table: PersonTable,
    sizes_wh: Mapping[str, tuple[int, int]],
    digests: Mapping[str, str],
    stated_wh: Mapping[str, tuple[int, int]],
) -> list[Suspicion]:
    """What the picture files show, each picture at its first person.

    Args:
        table: the people.
        sizes_wh: width and height of files that could be read.
        digests: of their bytes.
        stated_wh: as the annotation file has them; empty where it says nothing.
    """
    found = []
    first_with: dict[str, str] = {}
    done = set()
    for position in range(len(table)):
        name = table.image_names[table.image_index[position]]
        if name not in sizes_wh:
            continue
        width, height = sizes_wh[name]
        joints = table.joints_xy[position][table.visible[position] > 0]
        beyond = (joints < -1).any(1) | (joints > (width, height)).any(1)
        if beyond.any():
            text = f"{int(beyond.sum())} of {len(joints)} joints are off the {width}×{height} photo"
            found.append(Suspicion(OFF_PICTURE, position, name, text))
        if name in done:
            continue
        done.add(name)
        stated = stated_wh.get(name, (width, height))
        if stated != (width, height):
            text = f"annotated as {stated[0]}×{stated[1]}, the file has {width}×{height}"
            found.append(Suspicion(SIZE, position, name, text))
        other = first_with.setdefault(digests[name], name)
        if other != name:
            found.append(Suspicion(SAME_FILE, position, name, f"the same bytes as {other}"))
    return found


def statistics(table: PersonTable) -> list[str]:
    """Lines about people, joints and sizes."""
    skeleton = skeleton_named(table.skeleton)
    labelled = table.visible > 0
    width_px = table.scale_wh[:, 0] * UNIT_PX
    per_image = Counter(Counter(table.image_index.tolist()).values())
    crowd = ", ".join(f"{n} on {c}" for n, c in sorted(per_image.items())[:5])
    share = 100 * labelled.mean(0) if len(table) else np.zeros(len(skeleton))
    rare = sorted(zip(share, skeleton.joints, strict=True))
    facing = _facing(table, skeleton)
    quarters = [f"{v:.0f}" for v in np.percentile(width_px, (0, 25, 50, 75, 100))]
    return [
        f"{counted(len(table), 'person', 'people')} on "
        f"{counted(sum(per_image.values()), 'image')} (people on images: {crowd}"
        f"{', …' if len(per_image) > 5 else ''})",
        f"crop width, px: smallest {quarters[0]}, quarters {', '.join(quarters[1:4])}, "
        f"largest {quarters[4]}",
        f"labelled joints a person: {labelled.sum(1).mean():.1f} of {len(skeleton)}; rarest: "
        + ", ".join(f"{name} {value:.0f} %" for value, name in rare[:4]),
        f"sides: {counted(len(skeleton.flip_pairs), 'pair')} of left and right joints"
        + ("" if skeleton.flip_pairs else "; mirroring swaps none"),
        *(
            [f"left joints at the picture's right, as of people who face it: {100 * facing:.0f} %"]
            if np.isfinite(facing)
            else []
        ),
        *(["suspicious: left and right may be swapped throughout"] if facing < FACING else []),
    ]


def _facing(table: PersonTable, skeleton: Skeleton) -> float:
    """Share of labelled pairs whose left joint is at the picture's right; nan without any."""
    pairs = np.array(skeleton.flip_pairs, int).reshape(-1, 2)
    both = (table.visible[:, pairs] > 0).all(2)
    right_of = table.joints_xy[:, pairs[:, 0], 0] > table.joints_xy[:, pairs[:, 1], 0]
    return float(right_of[both].mean()) if both.any() else float("nan")


_Found = list[tuple[int, tuple[str, str]]]


def _swapped(table: PersonTable, skeleton: Skeleton) -> _Found:
    """Pairs whose limbs cross: shorter in both when left and right swap at one end."""
    seen = table.visible > 0
    worst = np.zeros(len(table))
    texts = [""] * len(table)
    for a, b in _neighbours(skeleton):
        (al, ar), (bl, br) = a, b
        four = seen[:, [al, ar, bl, br]].all(1)
        own = _length(table, al, bl) + _length(table, ar, br)
        crossed = _length(table, al, br) + _length(table, ar, bl)
        ratio = np.where(four, own / np.maximum(crossed, 1e-6), 0)
        names = skeleton.joints[al][5:], skeleton.joints[bl][5:]
        excess = ratio / _limit(names)
        for position in np.flatnonzero(excess > np.maximum(worst, 1)):
            worst[position] = excess[position]
            texts[position] = (
                f"{names[0]} to {names[1]}: {ratio[position]:.1f} × longer than crossed"
            )
    for position in np.flatnonzero(_inverted_faces(table, skeleton)):
        texts[position] = texts[position] or "the eyes are on the wrong sides of the nose"
    return [(i, (SWAPPED, text)) for i, text in enumerate(texts) if text]


def _limit(names: tuple[str, str]) -> float:
    if set(names) == {"shoulder", "hip"}:
        return CROSSED_TORSO
    hands = any(word in name for name in names for word in ("wrist", "hand"))
    return CROSSED_HANDS if hands else CROSSED


def _inverted_faces(table: PersonTable, skeleton: Skeleton) -> np.ndarray:
    """(N,) whether left eye, right eye and nose go round the other way: no real face does."""
    names = ("left_eye", "right_eye", "nose")
    if not set(names) <= set(skeleton.joints):
        return np.zeros(len(table), bool)
    face = [skeleton.index(name) for name in names]
    left, right, nose = (table.joints_xy[:, joint] for joint in face)
    across, down = right - left, nose - left
    turn = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    long_px = np.linalg.norm(across, axis=1) + np.linalg.norm(nose - (left + right) / 2, axis=1)
    seen = (table.visible[:, face] > 0).all(1)
    return seen & (long_px > SMALLEST_FACE_PX) & (turn > FLAT_FACE * long_px**2)


def _neighbours(skeleton: Skeleton) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of flip pairs with a limb between them on each side, and shoulders with hips."""
    pair_of = {left: (left, right) for left, right in skeleton.flip_pairs}
    limbs = [{skeleton.index(a), skeleton.index(b)} for a, b in skeleton.limbs]
    names = skeleton.joints
    torso = {names.index(n) for n in ("left_shoulder", "left_hip") if n in names}
    ends = [ends for ends in [*limbs, torso] if len(ends) == 2 and ends <= pair_of.keys()]
    unique = {tuple(sorted(pair)) for pair in ends}
    return [(pair_of[first], pair_of[second]) for first, second in sorted(unique)]


def _length(table: PersonTable, a: int, b: int) -> np.ndarray:
    return np.linalg.norm(table.joints_xy[:, a] - table.joints_xy[:, b], axis=1)


def _outside(table: PersonTable) -> _Found:
    half = table.scale_wh[:, None] * UNIT_PX / 2
    beyond = (np.abs(table.joints_xy - table.center_xy[:, None]) > half).any(2)
    beyond &= table.visible > 0
    counts, labelled = beyond.sum(1), (table.visible > 0).sum(1)
    return [
        (int(i), (OUTSIDE, f"{counts[i]} of {labelled[i]} joints: no network sees them"))
        for i in np.flatnonzero(counts)
    ]


def _tiny(table: PersonTable) -> _Found:
    width_px = table.scale_wh[:, 0] * UNIT_PX
    return [
        (int(i), (TINY, f"its crop is {width_px[i]:.0f} px wide"))
        for i in np.flatnonzero(width_px < TINY_PX)
    ]


def _duplicates(table: PersonTable) -> _Found:
    found: _Found = []
    order = np.argsort(table.image_index, kind="stable")
    starts = np.flatnonzero(np.diff(table.image_index[order], prepend=-1))
    for people in np.split(order, starts[1:]):
        for number, i in enumerate(people):
            for j in people[:number]:
                both = (table.visible[i] > 0) & (table.visible[j] > 0)
                apart = np.linalg.norm(table.joints_xy[i] - table.joints_xy[j], axis=1)[both]
                near = SAME_SHARE * UNIT_PX * min(table.scale_wh[i, 0], table.scale_wh[j, 0])
                if len(apart) >= 2 and apart.max() < near:
                    found.append((int(i), (DUPLICATE, f"the joints of row {table.rows[j]} again")))
                    break
    return found
