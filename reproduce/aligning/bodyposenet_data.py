"""BodyPoseNet's data: main persons, masks, necks, placed pictures and maps as NVIDIA's code had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.data.bottom_up import (
    BottomUpSamples,
    Change,
    Person,
    input_matrix,
    mask_cells,
    warped,
)
from paddle_pose.data.coco_people import Annotations
from paddle_pose.data.masks import shape_of
from paddle_pose.data.whole_people import (
    RULES,
    Annotated,
    WholePeople,
    from_annotations,
    joints_of,
    main_persons,
)
from paddle_pose.geometry import transform_points
from paddle_pose.settings import DataSettings, SpatialSettings
from paddle_pose.skeletons import BODYPOSE18
from reproduce.aligning.rows import Reference, Row

NAME = "bodyposenet"
NVIDIA = "NVIDIA/tao_tensorflow1_backend", "2ec95cbbe0d74d6a180ea6e989f64d2d97d97712"
_FOLDER = "nvidia_tao_tf1/cv/bpnet"
_COCO = Reference(*NVIDIA, f"{_FOLDER}/dataio/coco_dataset.py")
_NECK = Reference(*NVIDIA, f"{_FOLDER}/dataloaders/dataset_config.py")
_SPACE = Reference(*NVIDIA, f"{_FOLDER}/dataloaders/processors/augmentation.py")
_LABELS = Reference(*NVIDIA, f"{_FOLDER}/dataloaders/processors/label_processor.py")
_LOADER = Reference(*NVIDIA, f"{_FOLDER}/dataloaders/bpnet_dataloader.py")
_OPENPOSE = Reference(
    "tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation",
    "02174bc2312098f99af6ba43142add6cc1b46a52",
    "lib/datasets/paf.py",
)

ROOTS = {
    "data": (
        "paddle_pose.codecs.paf.PafCodec",
        "paddle_pose.data.bottom_up.BottomUpSamples",
        "paddle_pose.data.whole_people.main_persons",
        "paddle_pose.data.whole_people.joints_of",
    )
}

OTHERS = [
    place for place, (start, end) in enumerate(BODYPOSE18.limbs)
    if start != "neck" and (start[-8:], end[-3:]) != ("shoulder", "ear")
]  # fmt: skip
"""Limbs that tensorboy's code has alike: it places the neck itself, and joins shoulders to eyes."""

HALF = 2.0**-25
"""Of a value below 1 rounded to float32."""
FAST_IDCT = np.array([0.5 + 0.5 * 1.402, 0.5 - 0.5 * (0.344136 + 0.714136), 0.5 + 0.5 * 1.772])
"""TensorFlow's fast inverse DCT cuts off, half a level in the mean of Y, Cb and Cr: so much of 256
less red, green and blue than OpenCV decodes."""


def jobs(shared: Path | None, quick: bool) -> list[tuple]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    if shared is None:
        return []
    parts = {
        "people": people_rows, "labels": label_rows, "places": place_rows, "loader": loader_rows,
        "OpenPose's fields": openpose_rows,
    }  # fmt: skip
    return [(what, 1, lambda tick, make=make: list(make(shared))) for what, make in parts.items()]


def record(shared: Path, name: str) -> tuple[dict[str, Any], Any]:
    """What was recorded, in words and as arrays."""
    folder = shared / "parity" / NAME
    return json.loads((folder / f"{name}.json").read_text("utf-8")), np.load(folder / f"{name}.npz")


def _row(precision: str, text: str, off: float, most: float, why: str, of: Reference) -> Row:
    return Row(NAME, "data", precision, text, float(off), most, why, of)


@cache
def people(shared: Path, split: str, rule: str = "reference") -> WholePeople:
    """Of COCO's samples."""
    return from_annotations(shared / "data/coco", f"{split}2017", "bodypose18", rule=rule)


def place_on(table: WholePeople, sample: int) -> tuple[int, int]:
    """Id of the picture, and the main person's place on it, by which records are known."""
    main = table.main[sample]
    image = table.image_index[main]
    return int(table.image_ids[image]), int(main - table.on(image)[0])


def people_rows(shared: Path) -> Iterator[Row]:
    """Who is a main person, who is with them, masks, necks."""
    facts, arrays = record(shared, "dataset")
    for split, told in facts["sets"].items():
        file = json.loads(Path(shared.parent, told["annotations"]).read_text("utf-8"))
        ids = [one["id"] for one in file["annotations"]]
        for rule in RULES:
            table = people(shared, split, rule)
            wanted = dict(told["main_persons_reference"])
            wanted |= told["main_persons_intended"] if rule == "intended" else {}
            ours = {(place_on(table, s)[0], ids[table.rows[m]]) for s, m in enumerate(table.main)}
            theirs = {(int(image), one) for image, main in wanted.items() for one in main}
            text = f"{split}: {len(theirs)} main persons, {rule} rule: other ones"
            yield _row("sets", text, len(ours ^ theirs), 0, "whole", _COCO)
        yield from _record_rows(split, people(shared, split), arrays)
        source = people(shared, split).source
        wrong = 0
        for image, image_id in enumerate(people(shared, split).image_ids.tolist()):
            if str(image_id) in told["masks"]:
                mask = _mask(told["masks"][str(image_id)])
                wrong += int((mask != source.mask(image)).sum())
        text = f"{split}: {len(told['masks'])} masks: pixels that differ"
        yield _row("uint8", text, wrong, 0, "whole", _COCO)
    wrong = 0
    for case in facts["synthetic"]["cases"]:
        boxes, areas, labelled, crowd = map(np.array, zip(*case["people"], strict=True))
        for rule in RULES:
            main = main_persons(boxes.astype(float), areas.astype(float), labelled, rule)
            wrong += main.tolist() != case[f"main_{rule}"]
        mask = _mask([400, 500, case["mask_400x500"]])
        wrong += int((_made_up(boxes, labelled, crowd) != mask).sum())
    text = "16 made-up pictures: main persons by both rules, and pixels of masks, that differ"
    yield _row("sets", text, wrong, 0, "whole", _COCO)


def _record_rows(split: str, table: WholePeople, arrays: Any) -> Iterator[Row]:
    ends = np.concatenate([[0], np.cumsum(arrays[f"{split}/people"])])
    ids = zip(arrays[f"{split}/image_id"], arrays[f"{split}/person_idx"], strict=True)
    ours = {place_on(table, sample): sample for sample in range(len(table))}
    wrong, off = 0, dict.fromkeys(RULES, 0.0)
    for number, (image_id, place) in enumerate(ids):
        who = table.people_of(ours[int(image_id), int(place)])
        part = slice(*ends[number : number + 2])
        boxes = table.boxes_xywh[who]
        middles = boxes[:, :2] + boxes[:, 2:] / 2
        wrong += not np.array_equal(table.keypoints[who], arrays[f"{split}/joints"][part])
        wrong += not np.array_equal(boxes[:, 3], arrays[f"{split}/scales"][part])
        wrong += not np.array_equal(middles, arrays[f"{split}/centers"][part])
        for neck in RULES:
            xy, counts = joints_of(table.keypoints[who], table.skeleton, "bodypose18", neck)
            theirs = arrays[f"{split}/joints18_{neck}"][part]
            wrong += int((counts != (theirs[..., 2] < 3)).sum())
            off[neck] = max(off[neck], np.abs(xy - theirs[..., :2]).max())
    text = f"{split}: {len(ours)} records: people, boxes, and joints that count, that differ"
    yield _row("sets", text, wrong, 0, "whole", _COCO)
    for neck in RULES:
        text = f"{split}: places of 18 joints, {neck} neck, px"
        yield _row(
            "float64", text, off[neck], 1e-12, "a sum and a half of numbers below 1000", _NECK
        )


def _mask(told: list[Any]) -> np.ndarray:
    """(H, W) of 0 and 255."""
    height, width, text = told[:3]
    shape = shape_of({"size": [height, width], "counts": text}, (width, height), "record")
    return np.zeros((height, width), np.uint8) if shape is None else 255 * shape.astype(np.uint8)


def _made_up(boxes: np.ndarray, labelled: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The mask of people who are their boxes on a picture of 500×400 pixels."""
    corners = [[x, y, x + w, y, x + w, y + h, x, y + h] for x, y, w, h in boxes.tolist()]
    table = people_like(boxes, labelled, crowd > 0)
    size, first = np.array([[500, 400]]), np.array([0, len(boxes)])
    shapes = [[corner] for corner in corners]
    return Annotated(Path(), ("x",), size, table, first, shapes, Path("x")).mask(0)


def people_like(boxes: np.ndarray, labelled: np.ndarray, crowd: np.ndarray) -> Annotations:
    """Annotations of those boxes, in order, without joints."""
    count = len(boxes)
    rows, none = np.arange(count), np.zeros((count, 17, 3))
    areas = boxes[:, 2:].prod(1)
    return Annotations(rows, np.zeros(count, int), boxes, areas, crowd, none, labelled)


def label_rows(shared: Path) -> Iterator[Row]:
    """Maps of given joints."""
    facts, arrays = record(shared, "labels")
    off = {"heatmaps": 0.0, "pafs": 0.0}
    for number, scene in enumerate(facts["scenes"]):
        joints, labels = (arrays[f"{number:02d}/{name}"] for name in ("joints", "labels"))
        codec = PafCodec(sigma_px=scene["sigma"], limb_px=scene["ortho_px"])
        made = codec.encode(joints[..., :2], joints[..., 2] < 3, tuple(scene["image"][::-1]))
        theirs = {"pafs": labels[..., :38], "heatmaps": labels[..., 38:]}
        for name, maps in theirs.items():
            off[name] = max(off[name], np.abs(made[name].transpose(1, 2, 0) - maps).max())
    why = "two float64 values a rounding apart, each rounded to float32"
    for name, most in off.items():
        text = f"{len(facts['scenes'])} scenes: {name}"
        yield _row("float32 storage", text, most, 2 * HALF, why, _LABELS)


def place_rows(shared: Path) -> Iterator[Row]:
    """Matrices, joints, masks and pixels of given changes."""
    facts, arrays = record(shared, "augmentation")
    masks = record(shared, "dataset")[0]["sets"]["train"]["masks"]
    off = dict.fromkeys(("matrix", "joints", "mask", "pixels"), 0.0)
    for number, case in enumerate(facts["cases"]):
        change, person = change_of(case["draw"]), Person(np.array(case["center"]), case["scale"])
        size_wh, key = (case["image"][1], case["image"][0]), f"{number:02d}"
        mask = _mask(masks[str(case["image_id"])])
        for mode, told in case["modes"].items():
            spatial = SpatialSettings(mode=mode)
            matrix = input_matrix(change, spatial, size_wh, person, (256, 256))
            theirs = np.array(told["matrix"])[:2]
            relative = np.abs(matrix - theirs) / np.maximum(np.abs(theirs), 1)
            joints = transform_points(arrays[f"{key}/joints_in"][..., :2], matrix)
            joints = joints[:, BODYPOSE18.flip_order] if change.flip else joints
            wanted = arrays[f"{key}/{mode}/joints"][..., :2]
            cells = mask_cells(mask, matrix, (256, 256), 8) - arrays[f"{key}/{mode}/mask"]
            found = {
                "matrix": relative.max(),
                "joints": (np.abs(joints - wanted) - 1e-6 * np.abs(wanted)).max(),
                "mask": np.abs(cells).max(),
            }
            if "synthetic_matrix" in told:
                given = np.array(told["synthetic_matrix"])[:2]
                made = warped(arrays[f"{key}/synthetic"], given, (256, 256))[::4, ::4]
                found["pixels"] = np.abs(made - arrays[f"{key}/{mode}/warped"]).max()
            off |= {name: max(off[name], value) for name, value in found.items()}
    why = "float32: the record's own allowance"
    for name, unit, most, reason in (
        ("matrix", "relative", 2e-5, why),
        ("joints", "px", 2e-4, why),
        ("mask", "of 1", 2e-3, why),
        ("pixels", "grey levels", 0.6, f"half a level, as ours are whole; 0.1 for {why}"),
    ):
        text = f"20 changes, 3 modes: {name}, {unit}"
        yield _row("float64", text, off[name], most, reason, _SPACE)


def change_of(told: dict[str, Any]) -> Change:
    """As it was drawn."""
    shift = told["translate_x"], told["translate_y"]
    turned = told["zoom_ratio"], told["rotate_rad"]
    return Change(told["flip_lr"], told["flip_tb"], shift, *turned)


def loader_rows(shared: Path) -> Iterator[Row]:
    """Whole samples: photos and masks in, tensors out."""
    facts, arrays = record(shared, "loader")
    order = record(shared, "dataset")[1]
    table = people(shared, "train")
    ours = {place_on(table, sample): sample for sample in range(len(table))}
    samples = BottomUpSamples(table, DataSettings(), PafCodec(neck="reference"))
    off = dict.fromkeys(("labels", "cells", "mask", "means"), 0.0)
    for told in facts["samples"]:
        key = told["record"]
        which = ours[int(order["train/image_id"][key]), int(order["train/person_idx"][key])]
        made = samples.changed(which, change_of(told["draw"]), SpatialSettings())
        maps = np.concatenate([made.targets["pafs"], made.targets["heatmaps"]])
        apart = np.abs(maps.transpose(1, 2, 0) - arrays[f"{key}/labels"])
        flipped = (apart[..., :38] > 1e-4).any(-1)
        apart[flipped, :38] = 0
        mean = made.image_HWC.mean((0, 1)) / 256 - 0.5 - told["image_mean_rgb"]
        inside = 1 - told["image_share_of_background"]
        found = {
            "labels": apart.max(),
            "cells": flipped.sum(),
            "mask": np.abs(made.targets["mask"] - arrays[f"{key}/mask"]).max(),
            "means": np.abs(mean - inside * FAST_IDCT / 256).max(),
        }
        off |= {name: max(off[name], value) for name, value in found.items()}
    text = f"{len(facts['samples'])} samples: "
    why = "float32 matrices: the record's own allowance"
    yield _row("float32", f"{text}maps", off["labels"], 1e-4, why, _LOADER)
    most = f"{text}most cells of a sample on the other side of a field's edge"
    yield _row("counts", most, off["cells"], 3, why, _LOADER)
    yield _row("float32", f"{text}masks", off["mask"], 0.06, "theirs went through JPEG", _LOADER)
    reason = "the record's own allowance, once half a level is put back that their JPEG cuts off"
    yield _row("float32", f"{text}means of pixels", off["means"], 2e-3, reason, _LOADER)


def openpose_rows(shared: Path) -> Iterator[Row]:
    """Averaged fields, as OpenPose's successors have them."""
    arrays = np.load(shared / "parity/paf/paf.npz")
    off, codec = 0.0, PafCodec(overlap="average")
    for scene in ("separate", "overlap", "crowded_small"):
        joints, theirs = (arrays[f"{scene}/{name}"] for name in ("keypoints", "tensorboy_pafs"))
        made = codec.encode(joints[..., :2], joints[..., 2] < 2, (640, 480))["pafs"]
        apart = np.abs(made - theirs).reshape(len(codec.limbs), -1)[OTHERS]
        off = max(off, apart.max())
    text = f"3 scenes of 640×480: averaged fields of {len(OTHERS)} limbs"
    yield _row("float32 storage", text, off, 1e-6, "the record's own allowance", _OPENPOSE)
