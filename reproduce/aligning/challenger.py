"""AI Challenger beside COCO, against mmpose 1.x's own classes: a group that a clone makes, live."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import challenger, coco, joined
from paddle_pose.files import write_json
from paddle_pose.geometry import UNIT_PX
from paddle_pose.models.architectures import HRNetMore
from paddle_pose.models.build import build
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, Skeleton
from reproduce.aligning.rows import Reference, Row

NAME = "challenger"
LIVE = True
ROOTS = {
    "data": (
        "paddle_pose.data.challenger.people",
        "paddle_pose.data.challenger.as_joints",
        "paddle_pose.data.challenger.joint_set",
    ),
    "decode": (
        "paddle_pose.models.hrnet_more.HRNetMoreNetwork",
        "paddle_pose.codecs.heatmap.HeatmapCodec",
    ),
}
CONFIGS = (
    "configs/body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-{}.py"
)
SIZE_WH, IMAGES, PEOPLE = (192, 256), 5, 16
_DATA = "mmpose/datasets/dataset_wrappers.py CombinedDataset, AicDataset, KeypointConverter"
_DECODE = "mmpose/codecs/msra_heatmap.py decode; topdown.py output_keypoint_indices"
EQUAL = "whole pixels and 0 or 1: equal"


def jobs(shared: Path | None, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def annotations(skeleton: Skeleton, rng: np.random.Generator) -> dict[str, Any]:
    """A file of whole numbers in COCO's form, as mmpose gives AI Challenger's; one empty person."""
    people = []
    for number in range(PEOPLE):
        left, top = rng.integers(0, 300, 2).tolist()
        joints = rng.integers(1, 480, (len(skeleton), 3))
        joints[:, 2] = rng.integers(0, 3, len(skeleton)) * (number != 3)
        joints[joints[:, 2] == 0] = 0
        people.append(
            {
                "id": number + 1,
                "image_id": 1 + number // 4,
                "category_id": 1,
                "bbox": [left, top, *rng.integers(20, 150, 2).tolist()],
                "keypoints": joints.ravel().tolist(),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
            }
        )
    return {
        "images": [
            {"id": n + 1, "file_name": f"{n}.jpg", "width": 500, "height": 480}
            for n in range(IMAGES)
        ],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.joints)}],
    }


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone of mmpose."""
    rng = np.random.default_rng([seed, 5])
    files = {"coco": annotations(COCO17, rng), "aic": annotations(challenger.AIC14, rng)}
    maps = rng.normal(0, 1, (6, 19, 64, 48)).astype(np.float32)
    job = {"what": NAME, "kind": clone.kind, "clone": str(clone.folder), "configs": CONFIGS}
    theirs = ask(job | files | {"threads": threads}, inputs={"maps": maps})
    return list(_rows(clone, files, maps, theirs))


def _rows(clone: Any, files: dict[str, Any], maps: np.ndarray, theirs: dict) -> Iterator[Row]:
    def row(step: str, kind: str, text: str, off: float, limit: float | None, why: str) -> Row:
        file = _DATA if step == "data" else _DECODE
        reference = Reference(clone.repository, clone.commit, file)
        return Row(NAME, step, kind, text, float(off), limit, why, reference, "live")

    for way in ("merge", "combine"):
        whole = challenger.joint_set(f"aic_{way}d")
        with tempfile.TemporaryDirectory() as folder:
            table = _people(Path(folder), files, f"aic_{way}d")
        text = f"{way}: people of COCO and AI Challenger together"
        count = len(theirs[f"{way}/bbox"])
        yield row("data", "count", text, abs(len(table) - count), 0.0, EQUAL)
        if len(table) != count:
            return
        seen = theirs[f"{way}/visible"]
        off = np.abs(table.visible - seen).max()
        text = f"{way}: which joints are visible"
        yield row("data", "count", f"{text}, of {count} people", off, 0.0, EQUAL)
        off = np.abs(table.joints_xy - theirs[f"{way}/keypoints"])[seen > 0].max()
        text = f"{way}: joints that are visible, px"
        yield row("data", "float64", text, off, 0.0, EQUAL)
        off = (whole.flip_order != theirs[f"{way}/flip"]).sum()
        text = f"{way}: joints that are mirrored otherwise"
        yield row("data", "count", text, off, 0.0, EQUAL)
        mine = np.flatnonzero(whole.upper_body_mask)
        off = len(set(mine.tolist()) ^ set(theirs[f"{way}/upper"].tolist()))
        text = f"{way}: joints that are of the other half body"
        yield row("data", "count", text, off, 0.0, EQUAL)
        corners = theirs[f"{way}/bbox"]
        middle = (corners[:, :2] + corners[:, 2:]) / 2
        off = np.abs(table.center_xy - middle).max()
        text = f"{way}: middles of boxes, px"
        why = "measured: HRNet's boxes, as here, are a pixel smaller; those of 1.x are not"
        yield row("data", "float64", text, off, None, why)
        yield row(
            "data", "float64", f"{way}: sizes of crops, px", _wider(table, corners), None, why
        )
    network = build(HRNetMore(joints=17, width=8, more=2))
    sizes = {}
    for training in (True, False):
        (network.train if training else network.eval)()
        (stage,) = network(paddle.zeros([2, 3, 32, 32]))
        sizes[training] = stage.heatmaps_BJHW.shape[1]
    text = "maps in training, of 19, and in tests, of 17"
    off = abs(sizes[True] - 19) + abs(sizes[False] - 17)
    yield row("decode", "count", text, off, 0.0, "numbers of maps")
    cells, scores = HeatmapCodec().cells(maps[:, :17], "quarter_offset_per_axis")
    off = np.abs(cells - theirs["cells"] / 4).max()
    why = "whole and quarter cells, × 192 / 48: exact in float32"
    yield row("decode", "float32", "cells of 17 of 19 noisy maps", off, 0.0, why)
    off = np.abs(scores - theirs["scores"]).max()
    yield row("decode", "float32", "their scores", off, 0.0, "the same float32 numbers")


def _people(folder: Path, files: dict[str, Any], join: str) -> Any:
    """The joined table of the files, laid out as a user has them."""
    names = {"coco": "person_keypoints_train2017", "aic": "aic_train"}
    for name, images in (("coco", "coco/images/train2017"), ("aic", "aic/images")):
        write_json(folder / name / "annotations" / f"{names[name]}.json", files[name])
        (folder / images).mkdir(parents=True)
        for image in files[name]["images"]:
            (folder / images / image["file_name"]).touch()
    stated = DataSettings("coco", "coco17", SIZE_WH, "train2017", "val2017", join=join)
    root = folder / "coco"
    table = coco.load(root, "train2017", image_size_wh=SIZE_WH, stated=stated)
    return joined.with_others(table, root, stated)


def _wider(table: Any, corners: np.ndarray) -> float:
    """By how much a crop's longer side differs from mmpose's, of boxes padded by a quarter."""
    width, height = (corners[:, 2:] - corners[:, :2]).T
    theirs = 1.25 * np.maximum(width, height * SIZE_WH[0] / SIZE_WH[1])
    return float(np.abs(table.scale_wh[:, 0] * UNIT_PX - theirs).max())
