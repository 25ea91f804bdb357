"""From maps of whole pictures to people: NVIDIA's recorded ones, and its rules by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from places import PARITY

from paddle_pose.codecs import paf_peaks
from paddle_pose.codecs.paf_decode import Reading, _from_corners, people_of
from paddle_pose.codecs.paf_peaks import FINDERS, Peaks, find_peaks
from paddle_pose.codecs.paf_people import Limbs, assemble, find_limbs
from paddle_pose.codecs.whole_images import fit
from paddle_pose.errors import UserError
from paddle_pose.settings import WholeImage
from reproduce.aligning import bodyposenet_inference as aligning

ROWS = (
    aligning.input_rows,
    aligning.multi_scale_rows,
    aligning.tie_rows,
    aligning.people_rows,
)


@pytest.mark.parametrize("rows", ROWS)
def test_six_recorded_maps_and_48_inputs(rows: Callable):
    made = list(rows(PARITY / "bodyposenet"))
    assert made
    assert all(row.ok for row in made), made


@pytest.mark.parametrize("rows", [aligning.multi_scale_rows, aligning.people_rows])
def test_all_recorded_maps(rows: Callable, reference_data: Path):
    made = list(rows(reference_data / "parity/bodyposenet"))
    assert all(row.ok for row in made), made


def peaks_of(*joints_xy: tuple[int, int, int], score: float = 1.0) -> Peaks:
    rows = np.array(joints_xy).reshape(-1, 3)
    return Peaks(rows[:, 0], rows[:, 1:], np.full(len(rows), score, np.float32))


def test_nine_of_ten_points_must_have_the_field():
    limbs = np.array([[0, 1]])
    field = np.zeros((4, 40, 2), np.float32)
    field[:, :, 0] = 1
    # The points of (0, 0) to (27, 0) are 3 cells apart.
    assert len(find_limbs(peaks_of((0, 0, 0), (1, 27, 0)), field, limbs, 0.05).kinds) == 1
    field[0, 0] = 0
    found = find_limbs(peaks_of((0, 0, 0), (1, 27, 0)), field, limbs, 0.05)
    # Nine unit vectors; the reference divides by the length + 1e-6 and the count + 1e-6.
    assert found.scores == pytest.approx([1 - 1e-6 / 27 - 1e-6 / 9], abs=1e-9)
    field[0, 3] = 0
    assert not len(find_limbs(peaks_of((0, 0, 0), (1, 27, 0)), field, limbs, 0.05).kinds)
    # The other way round the field points against it.
    assert not len(find_limbs(peaks_of((0, 27, 1), (1, 0, 1)), field, limbs, 0.05).kinds)


def test_thresholds_are_used():
    field = np.full((4, 40, 2), 0.5, np.float32)
    two, limbs = peaks_of((0, 0, 0), (1, 27, 0)), np.array([[0, 1]])
    assert len(find_limbs(two, field, limbs, 0.49).kinds) == 1
    assert not len(find_limbs(two, field, limbs, 0.51).kinds)
    maps = np.zeros((9, 9, 1), np.float32)
    maps[4, 4] = 0.3
    assert len(find_peaks(maps, 0.29)) == 1
    assert not len(find_peaks(maps, 0.31))
    # The other finder asks it of the smoothed map: 0.3 · 0.2228² = 0.0149.
    assert len(find_peaks(maps, 0.0148, "gaussian")) == 1
    assert not len(find_peaks(maps, 0.0150, "gaussian"))
    with pytest.raises(UserError, match="did you mean 'smooth'"):
        find_peaks(maps, 0.1, "smoth")


def test_the_surest_pairs_come_first_and_each_end_is_used_once():
    field = np.zeros((20, 40, 2), np.float32)
    field[0, :, 0], field[9, :, 0] = 0.5, 1.0
    found = find_limbs(
        peaks_of((0, 0, 0), (0, 0, 9), (1, 30, 0), (1, 30, 9)), field, np.array([[0, 1]]), 0.05
    )
    assert found.ends.tolist() == [[1, 3], [0, 2]]
    assert find_limbs(peaks_of(), field, np.array([[0, 1]]), 0.05).ends.shape == (0, 2)


LIMBS = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
"""A chain of six joints; the last two limbs begin nobody."""


def people(*rows: tuple[int, int, int], score: float = 1.0, count: int = 12) -> list[list[int]]:
    """Kinds of limbs and their two peaks; peak n is of joint n % 6."""
    kinds = np.array([row[0] for row in rows])
    ends = np.array([row[1:] for row in rows]).reshape(-1, 2)
    peaks = Peaks(np.arange(count) % 6, np.zeros((count, 2), int), np.ones(count, np.float32))
    return assemble(peaks, Limbs(kinds, ends, np.full(len(rows), score)), LIMBS, 6).peaks.tolist()


def test_people_are_assembled_limb_by_limb():
    chain = [(0, 0, 1), (1, 1, 2), (2, 2, 3)]
    assert people(*chain) == [[0, 1, 2, 3, -1, -1]]
    assert people(*chain[:2]) == []  # three joints are too few
    # Two beginnings become one where a limb joins them: limb 1 comes last here.
    assert people((0, 0, 1), (2, 2, 3), (1, 1, 2)) == [[0, 1, 2, 3, -1, -1]]
    # They share joint 1 already: the first takes the end, and nobody is merged.
    assert people(*chain, (0, 6, 7), (1, 7, 8), (2, 8, 9), (2, 2, 9)) == [
        [0, 1, 2, 9, -1, -1],
        [6, 7, 8, 9, -1, -1],
    ]
    # Of the last two limbs nobody begins; they add to who is there.
    assert people((3, 3, 4), (4, 4, 5)) == []
    assert people(*chain, (3, 3, 4), (4, 4, 5)) == [[0, 1, 2, 3, 4, 5]]
    # A taken end counts once; another start of the same end is left out.
    assert people(*chain, (2, 8, 3)) == [[0, 1, 2, 3, -1, -1]]


def test_people_of_little_score_are_left_out():
    # Four joints of 0.2 and three limbs of 0.26 give 1.58 / 4 = 0.395; of 0.27, 1.61 / 4.
    def total(score: float) -> list[float]:
        ends = np.array([[0, 1], [1, 2], [2, 3]])
        peaks = Peaks(np.arange(6), np.zeros((6, 2), int), np.full(6, 0.2, np.float32))
        limbs = Limbs(np.arange(3), ends, np.full(3, score))
        return assemble(peaks, limbs, LIMBS, 6).totals.tolist()

    assert total(0.26) == []
    assert total(0.27) == pytest.approx([1.61], abs=1e-7)  # 0.2 in float32


def test_a_flood_of_peaks_keeps_the_strongest():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.2, 1, 30).astype(np.float32)
    peaks = Peaks(np.repeat([0, 2], 15), np.zeros((30, 2), int), scores)
    kept = peaks.strongest(4)
    assert kept.joints.tolist() == [0] * 4 + [2] * 4
    assert set(kept.scores[:4]) == set(np.sort(scores[:15])[-4:])
    assert peaks.strongest(15) is peaks


def test_fields_of_corners_lie_half_a_cell_before_those_of_middles():
    ramp = np.tile(np.arange(32, dtype=np.float32), (24, 1))[:, :, None]
    moved = _from_corners(ramp, 8)
    assert np.array_equal(moved[:, :28, 0], ramp[:, :28, 0] + 3.5)
    assert np.array_equal(_from_corners(ramp, 5)[:, :28, 0], ramp[:, :28, 0] + 2)
    up = _from_corners(ramp.transpose(1, 0, 2), 8)
    assert np.array_equal(up[:28, :, 0], moved[:, :28, 0].T)


def test_nobody_in_empty_maps():
    reading = Reading(LIMBS)
    peaks, found = people_of(np.zeros((16, 16, 6), np.float32), np.zeros((16, 16, 10)), reading)
    assert len(peaks) == 0
    assert found.peaks.shape == (0, 6)


def test_a_picture_that_would_become_too_large_is_refused():
    whole = WholeImage((368, 368), "adjust")
    with pytest.raises(UserError, match="a picture of 9000×10 pixels as input"):
        fit((9000, 10), whole, 1.0)
    assert fit((9000, 10), WholeImage((368, 368), "pad"), 1.0).size_wh == (368, 368)


@pytest.mark.parametrize("finder", FINDERS)
def test_peaks_are_the_same_however_many_rows_are_read_at_a_time(finder, monkeypatch):
    rng = np.random.default_rng(3)
    maps = rng.normal(0, 1, (61, 24, 3)).astype(np.float32)
    maps[20:40, 3:9] = 0.7  # flat: a peak a cell
    maps[:, 10:] = np.round(maps[:, 10:])  # ties
    whole = find_peaks(maps, 0.1, finder)
    assert len(whole) > 200
    # Sixty-one rows in strips of 6 (the last one of a single row), 7, 13 and 30.
    for rows in (6, 7, 13, 30):
        monkeypatch.setattr(paf_peaks, "_AT_ONCE", rows * 24 * 3)
        for found, before in zip(find_peaks(maps, 0.1, finder), whole, strict=True):
            np.testing.assert_array_equal(found, before)
