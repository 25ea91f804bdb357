"""Lightweight OpenPose's maps: by hand, and there and back."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.codecs.light_images import fit, resized
from paddle_pose.codecs.light_paf import LightPafCodec, assemble, find_peaks
from paddle_pose.codecs.paf_peaks import Peaks
from paddle_pose.codecs.paf_people import Limbs
from paddle_pose.codecs.views import View
from paddle_pose.configs.lightweight import SINGLE
from paddle_pose.data.whole_images import whole_place
from paddle_pose.errors import UserError
from paddle_pose.poses.poses import Place
from reproduce.aligning.lightweight_scene import SHAPE

CODEC = LightPafCodec()
NECK, SHOULDER, ELBOW, EAR = 1, 2, 3, 16


def test_gaussians_add_up_and_limbs_reach_a_cell():
    joints = np.zeros((2, 18, 2))
    joints[:, NECK] = (35.5, 35.5), (43.5, 35.5)  # middles of cells 4 and 5
    joints[:, SHOULDER] = (35.5, 75.5), (43.5, 75.5)
    seen = np.zeros((2, 18))
    seen[:, [NECK, SHOULDER]] = 1
    maps = CODEC.encode(joints, seen, (96, 96))
    row = maps["heatmaps"][NECK, 4]
    beside, beyond = np.exp(-0.5 * (8 / 7) ** 2), np.exp(-0.5 * (16 / 7) ** 2)
    # The tail at 24 px is below 0.01, and none; in the middles 1 and the other's tail make 1.
    expected = [0, beyond, beside + beyond]
    assert row[[1, 2, 3]] == pytest.approx(expected, abs=2**-23)  # two float32
    assert row[4] == row[5] == 1
    assert (maps["heatmaps"][-1] == 1 - maps["heatmaps"][:-1].max(0)).all()
    down = maps["pafs"][2 * 6 + 1]
    # Limbs at columns 4.44 and 5.44, rows 4.44 to 9.44: a cell on either side, but before
    # int(5.44), int(6.44) and int(10.44), as the official code ends its loops.
    assert sorted(set(np.nonzero(down)[1])) == [4, 5]
    assert sorted(set(np.nonzero(down)[0])) == list(range(3, 10))
    assert set(np.unique(down)) == {0, 1}
    with pytest.raises(UserError, match=r"codec\.peaks: LightPafCodec has 'four_neighbours' alone"):
        LightPafCodec(peaks="smooth")


def test_peaks_are_above_neighbours_and_six_pixels_apart():
    maps = np.zeros((20, 20, 1), np.float32)
    maps[3, 5] = maps[3, 10] = 0.5  # 5 apart: the right one goes
    maps[10, 0], maps[12, 12], maps[18, 18] = 0.1, 0.0999, 0.3  # one at the border, one too low
    maps[18, 19] = 0.3  # neither is above the other
    found = find_peaks(maps, 0.1)
    assert found.xy.tolist() == [[0, 10], [5, 3]]
    assert found.scores == pytest.approx([0.1, 0.5], abs=2**-25)


def test_people_are_never_joined_and_ears_only_fill():
    limbs = CODEC.limbs
    peaks = Peaks(np.array([NECK, SHOULDER, ELBOW, EAR]), np.zeros((4, 2), int), np.ones(4))
    kinds = {"neck": 6, "arm": 7, "ear": 9}

    def people(*names: str) -> list[list[int]]:
        ends = {"neck": (0, 1), "arm": (1, 2), "ear": (1, 3)}
        found = Limbs(
            np.array([kinds[n] for n in names]), np.array([ends[n] for n in names]),
            np.ones(len(names)),
        )  # fmt: skip
        return assemble(peaks, found, limbs, 18).peaks[:, [NECK, SHOULDER, ELBOW, EAR]].tolist()

    assert people("neck", "arm") == [[0, 1, 2, -1]]
    assert people("ear", "arm", "neck") == [[0, 1, 2, 3]]
    assert people("ear", "arm") == []  # an arm alone has two joints: the ear does not count
    both = Limbs(np.array([6, 7, 7]), np.array([[0, 1], [1, 2], [1, 3]]), np.ones(3))
    whole = assemble(peaks, both, limbs, 18)
    assert whole.peaks[0, ELBOW] == 3  # in place of the one before
    assert (whole.counts[0], whole.totals[0]) == (4, 3 + 2 + 2)


def test_a_picture_becomes_an_input_and_its_people_come_back():
    how = fit((100, 200), SINGLE.whole, 1.0, 8)
    assert (how.size_wh, how.pad_ltrb) == ((184, 368), (92, 0, 92, 0))
    assert fit((200, 100), SINGLE.whole, 0.5, 8).pad_ltrb == (0, 92, 0, 92)
    made = resized(np.full((200, 100, 3), 77, np.uint8), how)
    assert (made.shape, made.dtype) == ((368, 368, 3), np.float32)
    # Weights of a cubic add up to 1 within a rounding of float32 each.
    assert made[:, 92:-92] == pytest.approx(77, abs=77 * 4 * 2.0**-23)
    assert (made[:, :92] == 128).all()
    person = np.array([50, 100]) + 120 * SHAPE
    inside = (person[None] + 0.5) * how.zoom - 0.5 + how.pad_ltrb[:2]
    maps = CODEC.encode(inside, np.ones((1, 18)), (368, 368))
    views = [View({name: one[None] for name, one in maps.items()}, None, 1.0)]
    place = Place.stacked([whole_place((100, 200), 7)])
    poses = CODEC.decode(views, place, SINGLE, np.arange(18))
    assert len(poses) == 1
    # Pixels of the picture are whole, and counted from its corner: half a pixel for rounding; a
    # cubic through cells of 8 / 1.84 px, which cuts the Gaussian off at 0.01, moves less than that.
    assert np.abs(poses.keypoints[0, :, :2] - person - 0.5).max() <= 1
    # 17 limbs that make people and 18 peaks near 1, times 17.
    assert 0.7 * 35 * 17 < poses.scores[0] < 35 * 17 * 1.05
