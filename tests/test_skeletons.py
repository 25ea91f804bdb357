"""Left and right by the joints' names, however they are spelled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, HALPE26, HALPE136, MPII16, Skeleton, joint_key

SPELLINGS = {
    "left_{}": "right_{}",
    "l_{}": "r_{}",
    "L_{}": "R_{}",
    "left-{}": "right-{}",
    "{}_l": "{}_r",
    "{}-L": "{}-R",
    "{}.left": "{}.right",
    "{} (left)": "{} (right)",
    "LEFT {}": "RIGHT {}",
    "l.{}": "r.{}",
    "left{}": "right{}",
    "l{}": "r{}",
    "{}left": "{}right",
    "lt_{}": "rt_{}",
}


@pytest.mark.parametrize("left", SPELLINGS)
@pytest.mark.parametrize("shape", [str, str.title])
def test_every_spelling_is_paired_and_known(left: str, shape):
    def spelled(name: str) -> str:
        side, _, what = name.partition("_")
        if not what:
            return shape(name)
        one = left if side == "left" else SPELLINGS[left]
        return one.format(shape(what))

    joints = tuple(spelled(name) for name in COCO17.joints)
    skeleton = replace(COCO17, joints=joints, limbs=(), upper_body=())
    assert skeleton.flip_pairs == COCO17.flip_pairs
    assert skeleton.keys == COCO17.keys


@pytest.mark.parametrize("name", ["LShoulder", "ShoulderL", "leftShoulder", "shoulderLeft", "lsho"])
def test_camel_case_and_short_names(name: str):
    assert joint_key(name, (name, "rsho")) == (0, "shoulder")


def test_no_side_is_seen_where_there_is_none():
    for name in ("lip", "rib", "nose", "lower_back", "tail", "root", "thorax", "l", "r"):
        assert joint_key(name, ("lip", "rib", "nose", "tail"))[0] is None


def test_halpe_by_its_published_numbers():
    # By the numbers of AlphaPose's halpe_136.py:38, without the hands, which are 21 apart.
    listed = (
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 21 22 23 24 25 26 42 27 41 28 40 29 39 30 38 "
        "31 37 32 36 33 35 43 52 44 51 45 50 46 49 47 48 62 71 63 70 64 69 65 68 66 73 67 72 57 61 "
        "58 60 74 80 75 79 76 78 87 89 93 91 86 90 85 81 84 82"
    )
    numbers = [int(number) for number in listed.split()]
    pairs = [*zip(numbers[::2], numbers[1::2], strict=True), *((i, i + 21) for i in range(94, 115))]
    assert {frozenset(p) for p in HALPE136.flip_pairs} == {frozenset(p) for p in pairs}
    assert len(HALPE136.flip_pairs) == 61
    assert HALPE26.flip_pairs == tuple(pairs[:11])
    assert not HALPE136.unpaired
    assert len(set(HALPE136.keys)) == 136
    assert HALPE26.joints == HALPE136.joints[:26]
    assert HALPE136.upper_body_mask.nonzero()[0].tolist() == list(range(11))
    assert len(HALPE136.limbs) == 24 + 60 + 2 * 20
    assert len(HALPE26.limbs) == 24
    ends = [HALPE136.parts[name] for name in ("body", "foot", "face", "hand")]
    assert ends == [(0, 20), (20, 26), (26, 94), (94, 136)]
    sigmas = (*COCO17.oks_sigmas, *[0.08] * 3, *[0.089] * 6, *[0.015] * 110)
    assert HALPE136.oks_sigmas == sigmas
    assert HALPE26.oks_sigmas == sigmas[:26]


def test_own_sets_are_as_they_were():
    assert COCO17.flip_pairs == tuple((i, i + 1) for i in range(1, 17, 2))
    assert MPII16.flip_pairs == ((3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10))


def test_half_of_the_names():
    skeleton = Skeleton("x", ("nose", "left_paw", "right_paw", "left_horn", "left_wing"), (), ())
    assert skeleton.flip_pairs == ((1, 2),)
    assert skeleton.unpaired == ("left_horn", "left_wing")
    skeleton.require_pairs("a test")


def test_mirroring_needs_pairs_or_a_word_that_there_are_none():
    skeleton = Skeleton("x", ("a", "b"), (), ())
    with pytest.raises(UserError, match=r"flip_test mirrors people.*data\.flip_pairs"):
        skeleton.require_pairs("flip_test")
    replace(skeleton, pairs=()).require_pairs("flip_test")
    assert replace(skeleton, pairs=(("b", "a"),)).flip_order.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("kneel", "kneer", "eyel", "eyer"), ((0, 1), (2, 3))),
        (("ribl", "ribr"), ((0, 1),)),
        (("Knie_links", "Knie_rechts", "linkes Auge", "rechtes Auge"), ((0, 1), (2, 3))),
        (("lip", "rib", "leg", "lower_back", "ring_finger", "heel"), ()),
    ],
)
def test_sides_at_the_end_or_in_german(names: tuple[str, ...], pairs: tuple) -> None:
    assert Skeleton("x", names, (), ()).flip_pairs == pairs
