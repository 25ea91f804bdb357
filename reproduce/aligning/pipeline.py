"""From annotation to crop and target, and the metrics, against HRNet's recorded arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import coco, mpii
from paddle_pose.data import top_down as datasets
from paddle_pose.data.augment import Augmentation, half_body
from paddle_pose.data.images import read_rgb
from paddle_pose.data.records import PersonTable
from paddle_pose.data.samples import Sample
from paddle_pose.geometry import crop_matrix, transform_points
from paddle_pose.settings import AugmentSettings, DataSettings
from paddle_pose.skeletons import COCO17, MPII16, Skeleton
from reproduce.aligning.networks import HRNET, PARITY
from reproduce.aligning.rows import Reference, Row

MATRIX = 1e-9
MATRIX_REASON = "the same float32 points in another float64 solver (condition 1e6 × 1e-16)"
JOINTS_PX = 1e-4
JOINTS_REASON = "float64 on both sides; the records' own allowance, a pixel is 1"
TARGETS = 1e-6
TARGETS_REASON = "float32 exp may differ by a step (6e-8); a cell off would be 0.1"
OPENCV = int(cv2.__version__.split(".")[0])
LEVELS = 0.0 if OPENCV >= 5 else 4.0
LEVELS_REASON = (
    "recorded with OpenCV 5: equal"
    if OPENCV >= 5
    else "OpenCV 4 interpolates in steps of 1/32: measured 4 between 4.10 and 5.0"
)

_AFFINE = Reference(*HRNET, "lib/utils/transforms.py get_affine_transform")
_CROPS = Reference(*HRNET, "lib/dataset/JointsDataset.py __getitem__, generate_target")
_HALF = Reference(*HRNET, "lib/dataset/JointsDataset.py half_body_transform")
_MPII_DB = Reference(*HRNET, "lib/dataset/mpii.py _get_db")
_COCO_DB = Reference(*HRNET, "lib/dataset/coco.py _load_coco_keypoint_annotation_kernal")


def _off(ours: np.ndarray, theirs: np.ndarray) -> float:
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    return float(np.abs(difference).max())


def matrix_rows(data_set: str) -> list[Row]:
    """Crop matrices and their inverses, of the crop sizes of one data set."""
    table = json.loads((PARITY / "pipeline" / "affine_table.json").read_text("utf-8"))["table"]
    square = data_set == "mpii"
    worst, count = 0.0, 0
    for line in table:
        width, height = line["size_wh"]
        if (width == height) != square:
            continue
        count += 1
        for key, inverse in (("M", False), ("M_inv", True)):
            center, scale = np.array(line["center"]), np.array(line["scale"])
            size_wh = (width, height)
            ours = crop_matrix(center, scale, line["rot_deg"], size_wh, inverse=inverse)
            theirs = np.array(line[key])
            worst = max(worst, _off(ours, theirs) / np.abs(theirs).max())
    text = f"{count} crop matrices and inverses, relative to the largest entry"
    return [Row(data_set, "data", "float64", text, worst, MATRIX, MATRIX_REASON, _AFFINE)]


def _change(item: dict, arrays: dict, key: str, skeleton: Skeleton) -> Augmentation | None:
    """The recorded augmentation; None for a test crop."""
    if item.get("mode", "").startswith("test"):
        return None
    half = None
    if "half_body" in item:
        upper = item["half_body"].startswith("upper")
        joints, visible = arrays[f"{key}/joints_src"], arrays[f"{key}/vis"]
        half = half_body(joints, visible, skeleton, 192 / 256, pick_first_upper=upper)
    scale, rotation = item["scale_multiplier"], item["rotation_deg"]
    return Augmentation(scale, rotation, item["flip"], half_body=half)


def _sample(
    arrays: dict,
    key: str,
    item: dict,
    images: Path,
    skeleton: Skeleton,
    change: Augmentation | None,
) -> Sample:
    """What our data set gives for one recorded person when chance draws what was recorded."""
    table = PersonTable(
        skeleton=skeleton.name,
        image_root=images,
        image_names=(item["image"],),
        image_ids=np.zeros(1, int),
        image_index=np.zeros(1, int),
        rows=np.zeros(1, int),
        center_xy=arrays[f"{key}/center_in"][None],
        scale_wh=arrays[f"{key}/scale_in"][None],
        joints_xy=arrays[f"{key}/joints_src"][None],
        visible=arrays[f"{key}/vis"][None],
        head_size_px=np.full(1, np.nan),
        box_score=np.ones(1),
    )
    augment = None if change is None else AugmentSettings()
    data, codec = DataSettings(image_size_wh=tuple(item["size"])), HeatmapCodec(item["sigma"])
    with patch.object(datasets, "draw", lambda *_: change):
        return datasets.PersonCrops(table, data, codec, augment=augment)[0]


def _crops(
    record: Path, images: Path, skeleton: Skeleton
) -> Iterator[tuple[float, float, float, float]]:
    """Per recorded sample: largest differences of crop, joints, targets and loss weights."""
    arrays = dict(np.load(record.with_suffix(".npz")))
    for item in json.loads(record.read_text("utf-8"))["items"]:
        key = item["key"]
        change = _change(item, arrays, key, skeleton)
        sample = _sample(arrays, key, item, images, skeleton, change)
        # The crop does not depend on sigma and is recorded once.
        stored = key if f"{key}/crop_png" in arrays else key.replace("384_s3", "384_s2")
        expected = cv2.imdecode(arrays[f"{stored}/crop_png"], cv2.IMREAD_COLOR)[..., ::-1]
        width_px = read_rgb(images / item["image"]).shape[1]
        joints, _ = (change or Augmentation()).joints_of(
            arrays[f"{key}/joints_src"], arrays[f"{key}/vis"], width_px, skeleton.flip_order
        )
        center, scale = arrays[f"{key}/center"], arrays[f"{key}/scale"]
        rotation_deg = float(arrays[f"{key}/rotation"])
        moved = transform_points(
            joints, crop_matrix(center, scale, rotation_deg, tuple(item["size"]))
        )
        seen = arrays[f"{key}/vis_out"] > 0
        yield (
            _off(sample.image_HWC, expected),
            _off(moved[seen], arrays[f"{key}/joints_out"][seen]),
            _off(sample.targets["heatmaps"], arrays[f"{key}/target"]),
            _off(sample.targets["weights"], arrays[f"{key}/target_weight"][:, 0]),
        )


def crop_rows(data_set: str, shared: Path) -> list[Row]:
    """Crops, joints and targets of recorded people on real photos, plain and augmented."""
    folder = shared / "parity" / "pipeline"
    if data_set == "mpii":
        images, skeleton = shared / "data/mpii/images", MPII16
        records = {"test crops": "mpii_test", "augmented crops": "mpii_aug"}
    else:
        images, skeleton = shared / "data/coco/images/val2017", COCO17
        records = {"test, augmented and half-body crops": "coco"}
    rows = []
    for what, name in records.items():
        offs = np.array(list(_crops(folder / f"{name}.json", images, skeleton)))
        for (quantity, precision, tolerance, because), off in zip(
            (
                ("pixels, grey levels", "uint8", LEVELS, LEVELS_REASON),
                ("visible joints, px", "float64", JOINTS_PX, JOINTS_REASON),
                ("targets", "float32", TARGETS, TARGETS_REASON),
                ("loss weights", "float32", 0.0, "0 or 1"),
            ),
            offs.max(axis=0).tolist(),
            strict=True,
        ):
            text = f"{len(offs)} {what}: {quantity}"
            rows.append(Row(data_set, "data", precision, text, off, tolerance, because, _CROPS))
    return rows


def people_rows(data_set: str, shared: Path) -> list[Row]:
    """Centres, scales and visibility of every person that the reference's loader gives."""
    return list(_mpii_people(shared) if data_set == "mpii" else _coco_people(shared))


def _mpii_people(shared: Path) -> Iterator[Row]:
    recorded = json.loads((shared / "parity/pipeline/mpii_db.json").read_text("utf-8"))
    table = mpii.load(shared / "data/mpii", "valid")
    ours = np.concatenate([table.center_xy.sum(0), table.scale_wh.sum(0)])
    theirs = np.array([*recorded["center_sum"], *[recorded["scale_sum"]] * 2])
    because = "sums of n doubles in another order: n × 2^-53"
    row = Row(
        "mpii",
        "data",
        "float64",
        f"sums of centres and scales of all {recorded['n']} validation people, relative",
        _off(ours / theirs, np.ones(4)),
        recorded["n"] * 2.0**-53,
        because,
        _MPII_DB,
    )
    yield row
    off = _off(table.visible.sum(0), recorded["joint_vis_sum"])
    text = f"labelled joints of all {recorded['n']} validation people, counts"
    yield replace(row, quantity=text, difference=off, tolerance=0.0, tolerance_source="counts")


def _coco_people(shared: Path) -> Iterator[Row]:
    recorded = json.loads((shared / "parity/pipeline/coco.json").read_text("utf-8"))
    for boxes, key in (
        ("ground_truth", "all_gt_people_center_scale_192x256"),
        ("detector", "detection_boxes_center_scale_192x256"),
    ):
        people = recorded[key]
        root = shared / "data/coco"
        table = coco.load(root, "val2017", image_size_wh=(192, 256), boxes=boxes)
        off = max(
            _off(table.center_xy, [person["center"] for person in people]),
            _off(table.scale_wh, [person["scale"] for person in people]),
        )
        text = f"centres and scales of {len(people)} people ({boxes.replace('_', ' ')} boxes)"
        because = "both round the same float64 numbers to float32: equal"
        yield Row("coco", "data", "float32", text, off, 0.0, because, _COCO_DB)


def half_body_rows(shared: Path) -> list[Row]:
    """Centre and scale around half a body."""
    cases = json.loads((shared / "parity/pipeline/half_body.json").read_text("utf-8"))["cases"]
    center_off = scale_off = 0.0
    for case in cases:
        result = half_body(
            np.array(case["joints"]),
            np.array(case["vis"]),
            COCO17,
            192 / 256,
            pick_first_upper=case["randn"] < 0.5,
        )
        if (case["center"] is None) != (result is None):
            center_off = np.inf
        elif result is not None:
            center_off = max(center_off, _off(result[0], case["center"]))
            scale = np.array(case["scale"], np.float64)
            scale_off = max(scale_off, _off(result[1] / scale, np.ones(2)))
    text = f"{len(cases)} half bodies:"
    because = "float32 means of at most 17 numbers below 1000: two steps of 2^-14"
    row = Row("coco", "data", "float32", f"{text} centre, px", center_off, 2.0**-13, because, _HALF)
    because = "float32, five operations: 5 × 6e-8"
    scale_row = replace(
        row,
        quantity=f"{text} scale, relative",
        difference=scale_off,
        tolerance=3e-7,
        tolerance_source=because,
    )
    return [row, scale_row]
