"""AI Challenger's people beside COCO's, by mmpose's two ways: merged and combined.

The files are mmpose's (aic_annotations.tar): COCO's form with 14 joints. Its mappings of joints are
those of their names, so joints are found by name here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.data import coco
from paddle_pose.data.records import PersonTable
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, Skeleton, register
from paddle_pose.understood import Fact, Understood

_SIDES = tuple(f"right_{part}" for part in ("shoulder", "elbow", "wrist"))
_LEGS = tuple(f"right_{part}" for part in ("hip", "knee", "ankle"))
_MIRRORED = [tuple(name.replace("right", "left") for name in part) for part in (_SIDES, _LEGS)]
_HEAD = ("head_top", "neck")

AIC14 = Skeleton(
    name="aic14",
    joints=(*_SIDES, *_MIRRORED[0], *_LEGS, *_MIRRORED[1], *_HEAD),
    limbs=(("head_top", "neck"),),
    upper_body=(*_SIDES, *_MIRRORED[0], *_HEAD),
)
"""Source: open-mmlab/mmpose configs/_base_/datasets/aic.py @759b39c"""

COCO_AIC19 = Skeleton(
    name="coco_aic19",
    joints=(*COCO17.joints, *_HEAD),
    limbs=(*COCO17.limbs, ("head_top", "neck")),
    upper_body=(*COCO17.upper_body, *_HEAD),
)
"""Source: open-mmlab/mmpose configs/_base_/datasets/coco_aic.py @759b39c"""

WAYS = {"aic_merged": COCO17, "aic_combined": COCO_AIC19}
"""``data.join`` → the joints of the whole: COCO's, or the union."""


def joint_set(join: str) -> Skeleton:
    """Of WAYS, known to ``skeleton_named`` from here on."""
    for skeleton in (AIC14, COCO_AIC19):
        register(skeleton)
    return WAYS[join]


def people(dataset_root: Path, data: DataSettings) -> PersonTable:
    """Everybody of AI Challenger's training file, as joints of the whole.

    Boxes by the rules of COCO's, clipped and a pixel smaller; mmpose 1.x only clips.

    Raises:
        UserError: as ``coco.load``.
    """
    whole = joint_set(data.join)
    table = coco.load(
        dataset_root,
        "train",
        image_size_wh=data.image_size_wh,
        skeleton_name=AIC14.name,
        stated=replace(data, dataset="aic", skeleton=AIC14.name, join="none"),
    )
    return as_joints(table, AIC14, whole)


def as_joints(table: PersonTable, has: Skeleton, whole: Skeleton) -> PersonTable:
    """The table with the joints of another set, found by name; what it lacks is not visible.

    Source: open-mmlab/mmpose mmpose/datasets/transforms/converting.py KeypointConverter @759b39c
    """
    both = [name for name in has.joints if name in whole.joints]
    if has.joints == whole.joints:
        return table
    source, target = ([one.index(name) for name in both] for one in (has, whole))
    joints_xy = np.zeros((len(table), len(whole), 2), table.joints_xy.dtype)
    visible = np.zeros((len(table), len(whole)), table.visible.dtype)
    joints_xy[:, target] = table.joints_xy[:, source]
    visible[:, target] = table.visible[:, source]
    text = f"{len(both)} of {len(has)} are among the {len(whole)} of {whole.name}"
    said = Understood((Fact("joints as", whole.name, text, "recipe"),))
    return replace(
        table,
        skeleton=whole.name,
        joints_xy=joints_xy,
        visible=visible,
        understood=table.understood + said,
    )
