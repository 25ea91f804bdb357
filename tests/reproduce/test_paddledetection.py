"""PaddleDetection's HRNet: decoder, recipes, committed rows; a clone of it, if one is there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from places import PARITY, ROOT

from paddle_pose import configs
from paddle_pose.codecs.heatmap import HeatmapCodec, decode
from reproduce import align
from reproduce.aligning import groups, paddledetection
from reproduce.aligning.encodings import place_at
from reproduce.aligning.paddledet_answers import DARK_PX, inputs_of
from reproduce.aligning.rows import read

CLONE = os.environ.get("PADDLE_POSE_PADDLEDETECTION", "")


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return inputs_of(7)


def test_both_decoders_read_what_theirs_read(inputs: dict[str, np.ndarray]):
    recorded = np.load(PARITY / "paddledetection" / "decode.npz")
    maps = inputs["maps"][:6]
    # NumPy's normal numbers are the same to the bit wherever its generator is; exp may part a step.
    np.testing.assert_allclose(maps[:1, :1], recorded["maps"], atol=2**-23)
    place = place_at(inputs["centers"][:6], inputs["scales"][:6])
    for flag, decoder, tolerance_px in (
        ("true", "dark_3", DARK_PX),
        # Half a step of 2^-13 of float32 below 2048 px.
        ("false", "quarter_offset", 2.0**-14 + 1e-9),
    ):
        cells, scores = HeatmapCodec().cells(maps, decoder)
        found = HeatmapCodec().to_image(cells, place, (48, 64))
        assert np.abs(found - recorded[f"use_dark_{flag}"]).max() <= tolerance_px
        assert (scores[..., None] == recorded["maxima"]).all()


def test_its_dark_is_not_darks_own(inputs: dict[str, np.ndarray]):
    maps = inputs["maps"][2:]
    ours, own = (HeatmapCodec().cells(maps, one)[0] for one in ("dark_3", "dark"))
    assert np.linalg.norm(ours - own, axis=2).mean() > 0.01  # 0.035 cells of noisy maps
    np.testing.assert_array_equal(ours, decode(maps, "dark", sigma_px=1.0)[0])
    empty = HeatmapCodec().cells(-np.ones((1, 1, 8, 8), np.float32), "dark_3")[0]
    assert (empty == 0).all()


@pytest.mark.parametrize("size", ["256x192", "384x288"])
@pytest.mark.parametrize("dark", ["", "_dark"])
def test_its_recipes_differ_by_their_targets_alone(size: str, dark: str):
    recipe = configs.load(f"hrnet:w32_coco_{size}{dark}_paddledetection")
    plain = configs.load(f"hrnet:w32_coco_{size}")
    assert recipe.codec == HeatmapCodec(2.0, encoding="unbiased" if dark else "cell")
    assert recipe.model == plain.model
    first, without = recipe.benchmarks
    assert (first.decoder, without.decoder) == ("dark_3", "quarter_offset")
    assert first.boxes == without.boxes == "ground_truth"


def test_committed_rows_are_within_their_tolerance():
    rows = read(ROOT / "reproduce/alignment/live_paddledetection.json")
    assert {row.step for row in rows} == groups.steps("paddledetection")
    assert all(row.evidence == "live" for row in rows)
    assert not [row.quantity for row in rows if row.ok is False]
    assert not [text for text in align.check(align.OUTPUT) if "paddledetection" in text]
    read_by_key = {
        row.quantity.rpartition(" ")[2]: row.difference for row in rows if "key" in row.quantity
    }
    assert read_by_key == {"joints": 0, "gt_joints": 1}


@pytest.mark.skipif(not CLONE, reason="PADDLE_POSE_PADDLEDETECTION names no clone")
def test_a_clone_run_now_is_within():
    rows = paddledetection.rows(Path(CLONE), "now", seed=11, quick=True, data=None)
    assert rows
    assert not [row.quantity for row in rows if row.ok is False]
