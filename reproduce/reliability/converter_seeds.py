"""Sound files of other programs, made up, and how convert, browse and predict read them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import yaml

from paddle_pose.commands import browse, convert
from paddle_pose.skeletons import COCO17
from reproduce.reliability.seeds import Reading, people

_PLACES = ((20.0, 15.0), (12.0, 40.0), (31.5, 42.0), (22.0, 50.0))
_JOINTS = ("head", "left_hand", "right_hand", "tail")


def _picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.zeros((60, 80, 3), np.uint8))


def _written(file: Path) -> Reading:
    content = json.loads(file.read_text(encoding="utf-8"))
    found = content["annotations"]
    return {
        "boxes": np.array([one["bbox"] for one in found], float),
        "joints": np.array([one["keypoints"] for one in found], float),
    }


def bpnet_spec(folder: Path) -> None:
    """An experiment spec with a value of each kind, and a pose config of four joints."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "num_epoch": 4,
        "use_stagewise_lr_multipliers": True,
        "dataloader": {"image_config": {"image_dims": {"height": 64, "width": 96}}},
        "model": {"__class_name__": "BpNetLiteModel", "stages": 2, "heat_channels": 5,
                  "paf_channels": 4, "kernel_regularization_factor": 5e-4},
        "optimizer": {"learning_rate_schedule": {"base_learning_rate": 2e-5}},
    }  # fmt: skip
    (folder / "spec.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    pose = {"categories": [{"keypoints": list(_JOINTS), "skeleton": [[1, 2], [1, 3]]}]}
    (folder / "pose.json").write_text(json.dumps(pose), encoding="utf-8")


def read_bpnet_spec(folder: Path) -> Reading:
    """As a recipe, whose numbers are checked."""
    words = ["--pose_config", str(folder / "pose.json"), "--output", str(folder / "recipe.yaml")]
    convert.main(["bpnet_spec", str(folder / "spec.yaml"), *words])
    return {"recipe": (folder / "recipe.yaml").read_text(encoding="utf-8").splitlines()}


def labelme(folder: Path) -> None:
    """One photo with two people of four joints."""
    _picture(folder / "labels/a.jpg")
    shapes = [
        {"label": name, "points": [[x + 25 * person, y]], "group_id": person,
         "shape_type": "point", "flags": {}}
        for person in (0, 1)
        for name, (x, y) in zip(_JOINTS, _PLACES, strict=True)
    ]  # fmt: skip
    content = {"version": "5.4.1", "flags": {}, "imagePath": "a.jpg", "imageData": None,
               "shapes": shapes, "imageHeight": 60, "imageWidth": 80}  # fmt: skip
    (folder / "labels/a.json").write_text(json.dumps(content), encoding="utf-8")


def read_labelme(folder: Path) -> Reading:
    """As COCO's form."""
    output = folder / "people.json"
    convert.main(["labelme", str(folder / "labels"), "--output", str(output)])
    return _written(output)


def yolo_pose(folder: Path) -> None:
    """One photo with a person of four joints."""
    _picture(folder / "images/train/a.png")
    (folder / "labels/train").mkdir(parents=True)
    joints = " ".join(f"{x / 80} {y / 60} 2" for x, y in _PLACES)
    (folder / "labels/train/a.txt").write_text(f"0 0.4 0.5 0.5 0.7 {joints}\n", encoding="utf-8")
    settings = {"path": ".", "train": "images/train", "kpt_shape": [4, 3],
                "flip_idx": [0, 2, 1, 3], "names": {0: "person"}}  # fmt: skip
    (folder / "data.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def read_yolo_pose(folder: Path) -> Reading:
    """As COCO's form."""
    words = ["yolo_pose", str(folder / "data.yaml"), "--output", str(folder / "converted")]
    convert.main(words)
    return _written(next((folder / "converted").rglob("person_keypoints_*.json")))


def read_coco(folder: Path) -> Reading:
    """The people with keypoints of a COCO file."""
    output = folder / "kept.json"
    convert.main(
        ["coco", str(folder / "truth.json"), "--keep_person_keypoints", "--output", str(output)]
    )
    return _written(output)


def ochuman(folder: Path) -> None:
    """Two people with joints and masks, one with a box alone."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*COCO17.joints, "head_top", "neck"]
    joints = [number for place in range(19) for number in (10.0 + place, 20.5 + place, place % 4)]
    person = {"bbox": [5, 6, 45, 56], "segms": {"outer": [[1, 2, 3, 4, 5, 6]], "inner": []},
              "keypoints": joints, "max_iou": 0.7}  # fmt: skip
    people_here = [person, {**person, "bbox": [9, 6, 49, 56]},
                   {**person, "keypoints": None, "segms": None}]  # fmt: skip
    image = {"image_id": "0001", "file_name": "a.jpg", "height": 60, "width": 80}
    content = {"keypoint_names": names, "keypoint_visible": {"missing": 0, "vis": 1},
               "images": [{**image, "annotations": people_here}]}  # fmt: skip
    (folder / "ochuman.json").write_text(json.dumps(content), encoding="utf-8")


def read_ochuman(folder: Path) -> Reading:
    """As COCO's form."""
    convert.main(["ochuman", str(folder / "ochuman.json"), "--output", str(folder / "converted")])
    return _written(next((folder / "converted/annotations").glob("*_val_*.json")))


def photos(folder: Path) -> None:
    """Rendered people for ``browse``."""
    people(folder / "data")


def read_browsed(folder: Path) -> Reading:
    """All that is suspicious."""
    words = ["--dataset_root", str(folder / "data"), "--output", str(folder / "look.png")]
    browse.main([*words, "--people", "2"])
    return {"written": np.array([(folder / "look.png").is_file()])}


_DETECTOR = {
    "arch": "PicoDet", "label_list": ["car", "person"], "fpn_stride": [8, 16, 32, 64],
    "Preprocess": [
        {"type": "Resize", "target_size": [32, 64], "keep_ratio": False, "interp": 2},
        {"type": "NormalizeImage", "is_scale": True, "mean": [0.5] * 3, "std": [0.25] * 3},
        {"type": "Permute"},
    ],
}  # fmt: skip


def detector(folder: Path) -> None:
    """The settings of an exported PaddleDetection model."""
    folder.mkdir(parents=True)
    (folder / "infer_cfg.yml").write_text(yaml.safe_dump(_DETECTOR), encoding="utf-8")


def read_detector(folder: Path) -> Reading:
    """What a picture becomes by them, the class of people and the strides."""
    from paddle_pose.inference.paddle_detector import read_settings  # late: it imports Paddle

    prepare, person, strides = read_settings(folder / "infer_cfg.yml")
    pixels, factors = prepare(np.full((24, 36, 3), 200, np.uint8))
    return {"pixels": pixels, "factors": factors, "others": np.array([person, *strides])}
