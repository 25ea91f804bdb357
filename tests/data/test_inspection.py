"""Each suspicion found on a made-up person, and not on a sound one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddle_pose.data import inspection
from paddle_pose.data.records import PersonTable
from paddle_pose.skeletons import COCO17, MPII16, Skeleton

STANDING = {
    "nose": (100, 30), "left_eye": (110, 20), "right_eye": (90, 20), "left_ear": (118, 24),
    "right_ear": (82, 24), "left_shoulder": (130, 60), "right_shoulder": (70, 60),
    "left_elbow": (140, 100), "right_elbow": (60, 100), "left_wrist": (145, 140),
    "right_wrist": (55, 140), "left_hip": (120, 150), "right_hip": (80, 150),
    "left_knee": (122, 210), "right_knee": (78, 210), "left_ankle": (124, 270),
    "right_ankle": (76, 270), "pelvis": (100, 150), "thorax": (100, 60), "upper_neck": (100, 50),
    "head_top": (100, 0),
}  # fmt: skip
"""A person of 270 px who faces the camera."""


def table(
    people: list[np.ndarray], skeleton: Skeleton = COCO17, images: list[int] | None = None
) -> PersonTable:
    """People in crops of 320 px around the standing person's middle."""
    count = len(people)
    images = list(range(count)) if images is None else images
    joints = np.array(people, float)
    return PersonTable(
        skeleton=skeleton.name,
        image_root=Path(),
        image_names=tuple(f"{i}.jpg" for i in range(max(images) + 1)),
        image_ids=np.arange(max(images) + 1),
        image_index=np.array(images),
        rows=np.arange(count),
        center_xy=np.full((count, 2), (100.0, 140.0)),
        scale_wh=np.full((count, 2), 1.6),
        joints_xy=joints,
        visible=np.ones(joints.shape[:2]),
        head_size_px=np.full(count, np.nan),
        box_score=np.ones(count),
    )


def standing(skeleton: Skeleton = COCO17) -> np.ndarray:
    return np.array([STANDING[name] for name in skeleton.joints], float)


def swap(joints: np.ndarray, *names: str, skeleton: Skeleton = COCO17) -> np.ndarray:
    changed = joints.copy()
    for name in names:
        pair = [skeleton.index(f"{side}_{name}") for side in ("left", "right")]
        changed[pair] = joints[pair[::-1]]
    return changed


def kinds(found: list[inspection.Suspicion]) -> list[str]:
    return [one.what for one in found]


@pytest.mark.parametrize("skeleton", [COCO17, MPII16], ids=lambda s: s.name)
def test_a_sound_person_is_not_suspicious(skeleton: Skeleton):
    assert not inspection.suspicions(table([standing(skeleton)], skeleton))


@pytest.mark.parametrize("skeleton", [COCO17, MPII16], ids=lambda s: s.name)
@pytest.mark.parametrize("names", [("ankle",), ("knee",), ("hip", "knee", "ankle"), ("elbow",)])
def test_swapped_sides(skeleton: Skeleton, names: tuple[str, ...]):
    people = [standing(skeleton), swap(standing(skeleton), *names, skeleton=skeleton)]
    found = inspection.suspicions(table(people, skeleton))
    assert kinds(found) == [inspection.SWAPPED]
    assert found[0].position == 1
    assert any(name in found[0].text for name in names)


def test_a_wholly_mirrored_person_shows_in_the_face_alone():
    every = [name[5:] for name in COCO17.joints if name.startswith("left_")]
    found = inspection.suspicions(table([swap(standing(), *every)]))
    assert [one.text for one in found] == ["the eyes are on the wrong sides of the nose"]
    turned = standing() @ np.array([[-1.0, 0], [0, -1]]) + (200, 280)  # upside down is no mistake
    assert not inspection.suspicions(table([turned]))


def test_a_wholly_mirrored_data_set_shows_in_the_statistics():
    every = [name[5:] for name in MPII16.joints if name.startswith("left_")]
    mirrored = swap(standing(MPII16), *every, skeleton=MPII16)
    lines = "\n".join(inspection.statistics(table([mirrored], MPII16)))
    assert "as of people who face it: 0 %" in lines
    assert "left and right may be swapped throughout" in lines
    sound = "\n".join(inspection.statistics(table([standing(MPII16)], MPII16)))
    assert "face it: 100 %" in sound
    assert "swapped" not in sound


def test_joints_outside_tiny_people_and_duplicates():
    far = standing()
    far[0] = (300, 30)  # 200 px right of the centre of a crop of 160 to each side
    near = standing() + 0.5
    found = inspection.suspicions(table([far, standing(), near], images=[0, 1, 1]))
    assert [(one.what, one.position) for one in found] == [
        (inspection.OUTSIDE, 0),
        (inspection.DUPLICATE, 2),
    ]
    assert "1 of 17 joints" in found[0].text
    assert "row 1" in found[1].text
    small = table([standing() / 20 + (100, 140)])
    object.__setattr__(small, "scale_wh", np.full((1, 2), 0.1))
    assert inspection.TINY in kinds(inspection.suspicions(small))


def test_joints_that_are_not_labelled_say_nothing():
    people = table([swap(standing(), "ankle")])
    people.visible[0, COCO17.index("left_ankle")] = 0
    assert not inspection.suspicions(people)


def test_what_the_picture_files_show():
    people = table([standing(), standing(), standing(), standing()], images=[0, 0, 1, 2])
    sizes = {"0.jpg": (200, 300), "1.jpg": (200, 260)}  # 2.jpg cannot be read
    found = inspection.picture_suspicions(
        people, sizes, {"0.jpg": "x", "1.jpg": "x"}, {"0.jpg": (300, 200)}
    )
    assert [(one.what, one.position) for one in found] == [
        (inspection.SIZE, 0),
        (inspection.OFF_PICTURE, 2),
        (inspection.SAME_FILE, 2),
    ]
    assert found[0].text == "annotated as 300×200, the file has 200×300"
    assert "2 of 17 joints are off the 200×260 photo" in found[1].text


def test_a_joint_set_without_sides():
    lone = Skeleton("from_file", ("a", "b"), (("a", "b"),), ())
    skeleton_of = inspection.skeleton_named
    try:
        inspection.skeleton_named = lambda name: lone
        people = table([np.array([[100.0, 100], [110, 130]])], lone)
        assert not inspection.suspicions(people)
        assert "mirroring swaps none" in "\n".join(inspection.statistics(people))
    finally:
        inspection.skeleton_named = skeleton_of
