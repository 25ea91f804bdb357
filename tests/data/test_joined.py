"""Data sets joined: repeated, ids and pictures kept apart, feet in Halpe's order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import coco, joined
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings

DATA = DataSettings(
    "halpe", "halpe136", (192, 256), "train", repeat=6, join="wholebody"
)  # fmt: skip


def halpes(root: Path) -> PersonTable:
    return coco.load(root, "train", image_size_wh=(192, 256), skeleton_name="halpe136", stated=DATA)


def test_halpe_six_times_and_whole_bodies(reference_data: Path):
    root = reference_data / "data/halpe"
    alone = halpes(root)
    table = joined.with_others(alone, root, DATA)
    # 12 people of each set: the data's READMEs, less those without labelled joints.
    assert len(table) == 6 * 12 + 12
    assert len(table.image_ids) == len(set(table.image_ids.tolist())) == 8
    assert set(table.image_ids.tolist()) & set(alone.image_ids.tolist()) == {
        785, 40083, 196141, 197388,
    }  # fmt: skip
    for times in range(6):
        part = table.select(np.arange(12 * times, 12 * times + 12))
        np.testing.assert_array_equal(part.joints_xy, alone.joints_xy)
        np.testing.assert_array_equal(part.boxes_xywh, alone.boxes_xywh)
    assert len(set(table.rows.tolist())) == 24
    crops = PersonCrops(table, DATA, HeatmapCodec())
    first, other = crops[0], crops[72]
    np.testing.assert_array_equal(first.image_HWC, other.image_HWC)  # the same people and boxes
    assert other.place.image_id == 785
    assert first.place.image_id == 600785


def test_feet_are_where_halpes_are(reference_data: Path):
    root = reference_data / "data/halpe"
    apart = {}
    for how in ("wholebody", "wholebody_feet_as_published"):
        data = replace(DATA, join=how, repeat=1)
        table = joined.with_others(halpes(root), root, data)
        ours, others = table.select(np.arange(12)), table.select(np.arange(12, 24))
        both = (ours.visible[:, 20:26] > 0) & (others.visible[:, 20:26] > 0)
        off = np.linalg.norm(ours.joints_xy - others.joints_xy, axis=2)[:, 20:26]
        size = np.sqrt(ours.boxes_xywh[:, 2:].prod(1))[:, None]
        apart[how] = np.median((off / size)[both])
    # Two people's labels of one toe differ by a few hundredths of a person; left and right more.
    assert apart["wholebody"] < 0.05 < apart["wholebody_feet_as_published"]


def test_what_cannot_be_joined_is_refused(reference_data: Path, tmp_path):
    table = halpes(reference_data / "data/halpe")
    with pytest.raises(UserError, match="a and b share image ids"):
        joined.join((table, table), ("a", "b"))
    with pytest.raises(UserError, match="different joints cannot be joined: coco17, halpe136"):
        joined.join((table, replace(table, skeleton="coco17")), ("a", "b"))
    with pytest.raises(UserError, match="no such folder; joined data sets are unpacked"):
        joined.join((table, replace(table, image_root=tmp_path / "x")), ("a", "b"))
