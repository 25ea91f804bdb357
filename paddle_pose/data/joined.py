"""Several data sets as one to train on: repeated, and with image ids of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.data import challenger, coco
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17
from paddle_pose.understood import Fact, Understood

IDS_APART = 600_000
"""Added to Halpe's image ids, and AI Challenger's, so that none is COCO's.

Source: MVIG-SJTU/AlphaPose alphapose/datasets/halpe_coco_wholebody_136.py:96 @c60106d
"""


def with_others(table: PersonTable, dataset_root: Path, data: DataSettings) -> PersonTable:
    """A split's people so often as ``data.repeat`` says, and those of ``data.join``.

    Raises:
        UserError: as ``coco.load``.
    """
    repeated = repeat(table, data.repeat)
    if data.join == "none":
        return repeated
    if data.join in challenger.WAYS:
        beside = challenger.people(dataset_root, data).head(data.limit)
        beside = replace(beside, image_ids=beside.image_ids + IDS_APART)
        whole = challenger.joint_set(data.join)
        return join((challenger.as_joints(repeated, COCO17, whole), beside), ("coco", "aic"))
    other = coco.load(
        dataset_root,
        data.train_split,
        image_size_wh=data.image_size_wh,
        skeleton_name=data.skeleton,
        stated=replace(data, dataset="wholebody", rules="alphapose", area="file"),
    ).head(data.limit)
    ids = repeated.image_ids + IDS_APART
    return join((replace(repeated, image_ids=ids), other), ("halpe", "wholebody"))


def repeat(table: PersonTable, times: int) -> PersonTable:
    """Every person so many times."""
    if times == 1:
        return table
    said = Fact("repeat", times, f"each of {len(table):,} people {times} times", "recipe")
    often = table.select(np.tile(np.arange(len(table)), times))
    return replace(often, understood=table.understood + Understood((said,)))


def join(tables: Sequence[PersonTable], names: Sequence[str]) -> PersonTable:
    """The people of several tables of one joint set, one table after the other.

    Rows count on from table to table. Images are named from the folder that holds all of them.

    Raises:
        UserError: joint sets differ, an image id is in two tables, or images lie in an archive.
    """
    first = tables[0]
    if len({table.skeleton for table in tables}) > 1:
        sets = ", ".join(sorted({table.skeleton for table in tables}))
        raise UserError(f"data sets of different joints cannot be joined: {sets}")
    for table in tables:
        if not table.image_root.is_dir():
            raise UserError(f"{table.image_root}: no such folder; joined data sets are unpacked")
    ids = np.concatenate([table.image_ids for table in tables])
    if len(np.unique(ids)) != len(ids):
        raise UserError(f"{' and '.join(names)} share image ids; give one of them others")
    root = Path(os.path.commonpath([table.image_root.resolve() for table in tables]))
    image_names: list[str] = []
    index, rows, facts = [], [], []
    begin = 0
    for name, table in zip(names, tables, strict=True):
        folder = table.image_root.resolve().relative_to(root)
        index.append(table.image_index + len(image_names))
        image_names += [str(folder / image) for image in table.image_names]
        rows.append(table.rows + begin)
        begin += int(table.rows.max()) + 1
        facts += [replace(fact, what=f"{name}: {fact.what}") for fact in table.understood.facts]
    columns = ("center_xy", "scale_wh", "joints_xy", "visible", "head_size_px", "box_score")
    return PersonTable(
        skeleton=first.skeleton,
        image_root=root,
        image_names=tuple(image_names),
        image_ids=ids,
        image_index=np.concatenate(index),
        rows=np.concatenate(rows),
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in columns},
        image_sizes_wh=_all([table.image_sizes_wh for table in tables]),
        boxes_xywh=_all([table.boxes_xywh for table in tables]),
        summary="; ".join(table.summary for table in tables),
        understood=Understood(tuple(facts)),
        files=tuple(file for table in tables for file in table.files),
    )


def _all(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """One behind the other; None where a table has none."""
    there = [column for column in columns if column is not None]
    return np.concatenate(there) if len(there) == len(columns) else None
