"""Heat maps and part affinity fields of people: recorded maps, and cells by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from places import PARITY

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.errors import UserError
from paddle_pose.skeletons import BODYPOSE18, Skeleton, register
from reproduce.aligning import bodyposenet_data as aligning

RIGHT_ARM = BODYPOSE18.limbs.index(("right_elbow", "right_wrist"))
ELBOW, WRIST = BODYPOSE18.index("right_elbow"), BODYPOSE18.index("right_wrist")


def test_recorded_made_up_scenes():
    arrays = np.load(PARITY / "bodyposenet/labels.npz")
    scenes = json.loads((PARITY / "bodyposenet/labels.json").read_text())
    for scene in scenes:
        joints, labels = (arrays[f"{scene['key']}/{name}"] for name in ("joints", "labels"))
        codec = PafCodec(sigma_px=scene["sigma"], limb_px=scene["ortho_px"])
        made = codec.encode(joints[..., :2], joints[..., 2] < 3, tuple(scene["image"][::-1]))
        maps = np.concatenate([made["pafs"], made["heatmaps"]]).transpose(1, 2, 0)
        # Float64 values a rounding apart may be rounded to neighbours in float32: 2^-24 below 1.
        np.testing.assert_allclose(maps, labels, rtol=0, atol=2**-24, err_msg=scene["scene"])


def test_recorded_scenes_and_other_peoples_averages(reference_data):
    rows = [*aligning.label_rows(reference_data), *aligning.openpose_rows(reference_data)]
    assert len(rows) == 3
    assert all(row.ok for row in rows), rows


def arms(*ends: tuple[tuple[float, float], tuple[float, float]], overlap: str) -> np.ndarray:
    """(2, h, w) field of forearms, each of a person, on 64×64 pixels."""
    joints, counts = np.zeros((len(ends), 18, 2)), np.zeros((len(ends), 18))
    for number, (elbow, wrist) in enumerate(ends):
        joints[number, ELBOW], joints[number, WRIST] = elbow, wrist
        counts[number, [ELBOW, WRIST]] = 1
    made = PafCodec(overlap=overlap).encode(joints, counts, (64, 64))
    return made["pafs"][2 * RIGHT_ARM : 2 * RIGHT_ARM + 2]


def test_a_limb_by_hand():
    found = arms(((16, 16), (40, 16)), overlap="overwrite")
    # Along x from 16 to 40, 8 around: cells 1 … 5 in x (48/8 is beyond), 1 and 2 in y.
    there = np.zeros((8, 8))
    there[1:3, 1:6] = 1
    np.testing.assert_array_equal(found, [there, np.zeros((8, 8))])
    assert not arms(((16, 16), (16, 16)), overlap="overwrite").any()  # no length


def test_the_later_of_two_wipes_out_or_is_averaged():
    slanted = ((8, 8), (48, 48))
    level = ((8, 32), (48, 32))
    alone = [arms(one, overlap="overwrite") for one in (slanted, level)]
    both = arms(level, slanted, overlap="overwrite")
    # The slanted limb's rectangle holds all of the level one's cells but wipes those off its line.
    np.testing.assert_array_equal(both, alone[0])
    mean = arms(level, slanted, overlap="average")
    counts = sum(field.any(0).astype(int) for field in alone)
    assert counts.max() == 2
    np.testing.assert_allclose(mean, sum(alone) / np.maximum(counts, 1), rtol=0, atol=2**-24)


def test_heat_is_read_in_the_middle_of_cells_and_cut_off():
    joints, counts = np.zeros((1, 18, 2)), np.zeros((1, 18))
    joints[0, ELBOW], counts[0, ELBOW] = (19.5, 27.5), 1  # 8 · 2 + 3.5 and 8 · 3 + 3.5
    heat = PafCodec().encode(joints, counts, (64, 64))["heatmaps"]
    assert np.argwhere(heat[ELBOW] == 1).tolist() == [[3, 2]]
    assert heat[ELBOW, 3, 3] == pytest.approx(np.exp(-(8**2) / 98), abs=2**-24)
    assert heat[ELBOW, 3, 6] == 0  # exp(-32² / 98) is below a thousandth
    np.testing.assert_array_equal(heat[18], 1 - heat[ELBOW])


def test_what_cannot_be_encoded_is_named():
    with pytest.raises(UserError, match=r"codec.overlap: unknown 'averag'.*'average'"):
        PafCodec(overlap="averag")
    with pytest.raises(UserError, match=r"data.image_size_wh: 60×64 must be multiples of 8"):
        PafCodec().encode(np.zeros((1, 18, 2)), np.zeros((1, 18)), (60, 64))
    register(Skeleton("from_file", ("a", "b"), (), ()))
    with pytest.raises(UserError, match=r"'from_file' has no limbs.*data.limbs"):
        PafCodec("from_file").encode(np.zeros((1, 2, 2)), np.zeros((1, 2)), (64, 64))
